"""Activation functions by name, as keras.activations."""

from cnnengine import ops
from cnnengine.core import registry
from cnnengine.core.checks import checked_number
from cnnengine.core.errors import ShapeError
from cnnengine.core.registry import export, serialize

_MODULE = "keras.activations"
_known = export(_MODULE)

relu6 = _known(ops.relu6)
leaky_relu = _known(ops.leaky_relu)
elu = _known(ops.elu)
selu = _known(ops.selu)
softplus = _known(ops.softplus)
softsign = _known(ops.softsign)
sigmoid = _known(ops.sigmoid)
tanh = _known(ops.tanh)
silu = swish = export(_MODULE, aliases=("swish",))(ops.silu)
hard_sigmoid = _known(ops.hard_sigmoid)
hard_silu = hard_swish = export(_MODULE, aliases=("hard_swish",))(ops.hard_silu)
log_sigmoid = _known(ops.log_sigmoid)
mish = _known(ops.mish)
softmax = _known(ops.softmax)
log_softmax = _known(ops.log_softmax)
threshold = _known(ops.threshold)
exponential = export(_MODULE, "exponential")(ops.exp)


@export(_MODULE)
def linear(x):
    """x."""
    return x


@export(_MODULE)
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """max(x, 0), or its general form.

    max_value where x is at least that, x between the threshold and it, negative_slope * (x - threshold) below.

    Args:
        x: tensor.
        negative_slope: slope below the threshold.
        max_value: largest result, None for no limit.
        threshold: where x begins to pass.

    Raises:
        ConfigError.
    """
    negative_slope = checked_number(negative_slope or 0.0, "relu: negative_slope", low=0)
    threshold = checked_number(threshold or 0.0, "relu: threshold")
    max_value = max_value if max_value is None else checked_number(max_value, "relu: max_value", low=0)
    if threshold == 0 and max_value is None:
        return ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    if threshold == 0 and negative_slope == 0 and max_value == 6:
        return ops.relu6(x)  # one function, which fuses into what makes its argument
    y = _relu_above(x, threshold)
    y = y if max_value is None else ops.clip(y, 0.0, max_value)
    if not negative_slope:
        return y
    return ops.subtract(y, ops.multiply(ops.relu(ops.subtract(threshold, x)), negative_slope))


def _relu_above(x, limit):
    return ops.threshold(x, limit, 0.0) if limit else ops.relu(x)


@export(_MODULE)
def gelu(x, approximate=False):
    """x * Phi(x), Phi the normal distribution; with `approximate` by tanh (Hendrycks and Gimpel 2016)."""
    return ops.gelu(x, approximate=approximate)


@export(_MODULE)
def celu(x, alpha=1.0):
    """x where positive, else alpha * (e**(x / alpha) - 1) (Barron 2017)."""
    below = ops.expm1(ops.multiply(ops.minimum(x, 0.0), 1.0 / alpha))
    return ops.add(ops.relu(x), ops.multiply(below, alpha))


@export(_MODULE)
def glu(x, axis=-1):
    """a * sigmoid(b), with a and b the halves of x along an axis (Dauphin et al. 2017). Raises ShapeError."""
    if not x.shape or x.shape[axis] % 2:
        raise ShapeError(f"glu: expected an axis of even length. Received: shape {tuple(x.shape)}, axis {axis}")
    a, b = ops.split(x, 2, axis)
    return ops.multiply(a, ops.sigmoid(b))


@export(_MODULE)
def hard_tanh(x):
    """x limited to [-1, 1]."""
    return ops.clip(x, -1.0, 1.0)


@export(_MODULE)
def hard_shrink(x, threshold=0.5):
    """x where |x| is above the threshold, else 0."""
    return ops.where(ops.greater(ops.absolute(x), threshold), x, 0.0)


@export(_MODULE)
def soft_shrink(x, threshold=0.5):
    """x moved towards 0 by the threshold, 0 where it gets there."""
    return ops.subtract(x, ops.clip(x, -threshold, threshold))


@export(_MODULE)
def tanh_shrink(x):
    """x - tanh(x)."""
    return ops.subtract(x, ops.tanh(x))


@export(_MODULE)
def squareplus(x, b=4):
    """(x + sqrt(x**2 + b)) / 2 (Barron 2021)."""
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 0.5)


@export(_MODULE)
def sparse_plus(x):
    """0 up to -1, (x + 1)**2 / 4 up to 1, then x."""
    curve = ops.multiply(ops.square(ops.add(ops.clip(x, -1.0, 1.0), 1.0)), 0.25)
    return ops.add(curve, ops.relu(ops.subtract(x, 1.0)))


@export(_MODULE)
def sparse_sigmoid(x):
    """(x + 1) / 2 limited to [0, 1]."""
    return ops.clip(ops.multiply(ops.add(x, 1.0), 0.5), 0.0, 1.0)


def get(identifier):
    """The function of a name, a config, or any callable. None gives `linear`. Raises ConfigError."""
    return linear if identifier is None else registry.get(identifier, _MODULE, "activation")


def deserialize(config, custom_objects=None):
    """The function that a name or config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)


__all__ = [name for name in registry.known(_MODULE) if name in globals()] + ["deserialize", "get", "serialize"]
