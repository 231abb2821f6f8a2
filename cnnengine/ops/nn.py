"""Public operations of networks, with keras.ops' names and arguments: activations, convolutions, pools, losses."""

from math import prod

from cnnengine.core.checks import checked_choice, checked_number
from cnnengine.core.config import epsilon as default_epsilon
from cnnengine.core.config import standardize_data_format
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.shapes import int_tuple
from cnnengine.ops import arrays, math, pool2d
from cnnengine.ops import conv2d as conv2d_ops
from cnnengine.ops.base import bind, public, spec_of, to_tensor
from cnnengine.ops.elementwise import as_float, cast, unary
from cnnengine.ops.layer_norm import layer_normalise
from cnnengine.ops.layout import ONE_HOT, transpose_to
from cnnengine.ops.reduce import normal_axes
from cnnengine.ops.softmax import SOFTMAX, log_softmax_last, softmax_crossentropy, softmax_last
from cnnengine.ops.view import reshape_to

# --- activations ------------------------------------------------------------------------------------------------


def _make_activation(name, line, text):
    @public
    def function(x):
        return unary(line, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


relu = _make_activation("relu", "relu", "max(x, 0).")
relu6 = _make_activation("relu6", "relu6", "min(max(x, 0), 6).")
sigmoid = _make_activation("sigmoid", "sigmoid", "1 / (1 + e**-x).")
softplus = _make_activation("softplus", "softplus", "log(1 + e**x).")
softsign = _make_activation("softsign", "softsign", "x / (1 + |x|).")
silu = _make_activation("silu", "silu", "x * sigmoid(x) (Ramachandran et al. 2017, also called swish).")
swish = silu
hard_sigmoid = _make_activation("hard_sigmoid", "hard_sigmoid", "relu6(x + 3) / 6.")


@public
def leaky_relu(x, negative_slope=0.2):
    """x where positive, else negative_slope * x."""
    return unary("leaky_relu", x, negative_slope)


@public
def elu(x, alpha=1.0):
    """x where positive, else alpha * (e**x - 1) (Clevert et al. 2015)."""
    return unary("elu", x, alpha)


@public
def selu(x):
    """1.0507 * elu(x, 1.6733), which keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return math.multiply(unary("elu", x, 1.6732632423543772), 1.0507009873554805)


@public
def gelu(x, approximate=True):
    """x * Phi(x), Phi the normal distribution; with `approximate` by tanh (Hendrycks & Gimpel 2016)."""
    return unary("gelu_tanh" if approximate else "gelu", x)


hard_silu = _make_activation("hard_silu", "hard_silu", "x * hard_sigmoid(x) (Howard et al. 2019).")
hard_swish = hard_silu
mish = _make_activation("mish", "mish", "x * tanh(softplus(x)) (Misra 2019).")


@public
def log_sigmoid(x):
    """log(sigmoid(x)) = -softplus(-x)."""
    return unary("negative", unary("softplus", unary("negative", x)))


@public
def threshold(x, threshold, default_value):
    """x where above the threshold, else the default."""
    return unary("threshold", x, threshold, default_value)


def _along_last(function, x, axis):
    """Apply a function of the last axis along `axis` (an int, or several that are taken as one)."""
    x = as_float(x)
    shape = spec_of(x).shape
    axes = normal_axes(axis, len(shape))
    if axes == [len(shape) - 1]:
        return function(x)
    order = [i for i in range(len(shape)) if i not in axes] + axes
    moved = transpose_to(x, order)
    inner = spec_of(moved).shape
    rows = reshape_to(moved, (*inner[: len(shape) - len(axes)], prod(shape[i] for i in axes)))
    return transpose_to(reshape_to(function(rows), inner), sorted(range(len(order)), key=order.__getitem__))


@public
def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along an axis or axes (None: all)."""
    return _along_last(softmax_last, x, axis)


@public
def log_softmax(x, axis=-1):
    """log(softmax(x)) without overflow."""
    return _along_last(log_softmax_last, x, axis)


@public
def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None):
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, mean and biased variance along `axis` (Ba et al. 2016).

    Args:
        x: any shape.
        gamma, beta: of the shape of these axes, or None.
        axis: an axis, or several that are taken as one.
        epsilon: added to the variance; None: `config.epsilon()`.

    Raises:
        ShapeError, ConfigError.
    """
    flat = [None if v is None else reshape_to(as_float(v), (prod(spec_of(v).shape),)) for v in (gamma, beta)]
    added = default_epsilon() if epsilon is None else checked_number(epsilon, "epsilon", low=0)
    return _along_last(lambda rows: layer_normalise(rows, *flat, added), x, axis)


# --- convolutions and pools -----------------------------------------------------------------------------------------


def _to_last(x, data_format):
    """The tensor with its channels last."""
    rank = len(spec_of(x).shape)
    return x if data_format == "channels_last" else transpose_to(x, (0, *range(2, rank), 1))


def _from_last(x, data_format):
    rank = len(spec_of(x).shape)
    return x if data_format == "channels_last" else transpose_to(x, (0, rank - 1, *range(1, rank - 1)))


def _spatial(function, inputs, data_format, what, ranks=(1, 2, 3)):
    """Run a channels-last function on a problem in either format.

    Args:
        function: takes the input, channels last, and the number of its spatial axes.
        ranks: allowed numbers of spatial axes.
    """
    inputs = as_float(inputs)
    rank = len(spec_of(inputs).shape) - 2
    if rank not in ranks:
        raise ShapeError(
            f"{what} takes inputs with a batch, {ranks[0]} to {ranks[-1]} spatial axes and channels. "
            f"Received: shape {spec_of(inputs).shape}"
        )
    data_format = standardize_data_format(data_format)
    return _from_last(function(_to_last(inputs, data_format), rank), data_format)


@public
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, bias=None):
    """Convolution in one, two or three dimensions; groups = input channels / channels of the kernel.

    Args:
        inputs: (n, w, c), (n, h, w, c) or (n, f, h, w, c), or channels first.
        kernel: (s, c / groups, k), (r, s, c / groups, k) or (t, r, s, c / groups, k).
        strides, dilation_rate: int or a tuple, one a spatial axis.
        padding: "valid", "same", or "causal" in 1-D.
        bias: (k,) or None, added in the same pass.

    Returns:
        Tensor like the inputs with k channels.

    Raises:
        ShapeError, ConfigError.
    """

    def run(x, rank):
        if padding == "causal" and rank != 1:
            raise ConfigError("padding='causal' is for 1-D convolutions only")
        w = as_float(kernel)
        stride, dilation = int_tuple(strides, rank, "strides"), int_tuple(dilation_rate, rank, "dilation_rate")
        channels, per_group = spec_of(x).shape[-1], (spec_of(w).shape[-2:-1] or (0,))[0]
        groups = channels // per_group if per_group and channels % per_group == 0 else 1
        return conv2d_ops.conv2d(x, w, bias, stride, padding, dilation, groups)

    return _spatial(run, inputs, data_format, "conv")


@public
def conv_transpose(
    inputs,
    kernel,
    strides=1,
    padding="valid",
    output_padding=None,
    data_format=None,
    dilation_rate=1,
    bias=None,
):
    """Transposed convolution in one, two or three dimensions: the gradient of `conv` by its inputs.

    Args:
        inputs: (n, w, c), (n, h, w, c) or (n, f, h, w, c), or channels first.
        kernel: (s, k, c), (r, s, k, c) or (t, r, s, k, c).
        strides, dilation_rate: int or a tuple, one a spatial axis.
        padding: "valid" or "same".
        output_padding: cells added behind, below the stride; None: outputs of "same" are the stride times the inputs.
        bias: (k,) or None, added in the same pass.

    Returns:
        Tensor like the inputs with k channels.

    Raises:
        ShapeError, ConfigError.
    """

    def run(x, rank):
        stride, dilation = int_tuple(strides, rank, "strides"), int_tuple(dilation_rate, rank, "dilation_rate")
        extra = None if output_padding is None else int_tuple(output_padding, rank, "output_padding", 0)
        return conv2d_ops.conv2d_transpose(x, kernel, bias, stride, padding, extra, dilation)

    return _spatial(run, inputs, data_format, "conv_transpose")


@public
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, bias=None):
    """1-D or 2-D convolution of each channel with its own filters; kernel (r, s, c, m) or (s, c, m)."""

    def run(x, rank):
        stride, dilation = int_tuple(strides, rank, "strides"), int_tuple(dilation_rate, rank, "dilation_rate")
        return conv2d_ops.depthwise(x, kernel, bias, stride, padding, dilation)

    return _spatial(run, inputs, data_format, "depthwise_conv", (1, 2))


@public
def separable_conv(
    inputs, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, bias=None
):
    """A depthwise convolution followed by a 1 x 1 convolution, to which the bias is added."""
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format, 1, bias)


def _pool(function, inputs, pool_size, strides, padding, data_format, what):
    checked_choice(padding, "padding", ("valid", "same"))

    def run(x, rank):
        size = int_tuple(pool_size, rank, "pool_size")
        stride = size if strides is None else int_tuple(strides, rank, "strides")
        return pool2d.in_any_rank(function, x, size, stride, padding)

    return _spatial(run, inputs, data_format, what)


@public
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Maximum of each window. Raises ShapeError, ConfigError."""
    return _pool(pool2d.max_pool2d, inputs, pool_size, strides, padding, data_format, "max_pool")


@public
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Mean of each window's valid cells. Raises ShapeError, ConfigError."""
    return _pool(pool2d.avg_pool2d, inputs, pool_size, strides, padding, data_format, "average_pool")


# --- losses -------------------------------------------------------------------------------------------------------


@public
def one_hot(x, num_classes, axis=-1, dtype=None):
    """Rows of zeros with a 1 at each class number; a number out of range gives zeros."""
    y = bind(ONE_HOT, [cast(to_tensor(x), "int32")], cols=int(num_classes))
    rank = len(spec_of(y).shape)
    if axis % rank != rank - 1:
        y = arrays.moveaxis(y, rank - 1, axis)
    return cast(y, dtype or "float32")


def _logits_behind(x, op):
    """The argument of the operation that made x, when it was `op` along the last axis; else None.

    A model that ends in softmax or sigmoid is trained on the logits behind it, as Keras on TensorFlow does: exact near
    saturation, where probabilities would have to be clipped.
    """
    node = getattr(x, "node", None)
    return node.inputs[0] if node is not None and node.op is op else None


@public
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-sum(target * log(output)) along an axis.

    Args:
        target: probabilities, the shape of output.
        output: probabilities, or logits with `from_logits`. Probabilities are made to sum to 1 and clipped to
            [1e-7, 1 - 1e-7], unless they come straight out of a softmax: then its argument is used.
    """
    target, output = as_float(target), as_float(output)
    rank = len(spec_of(output).shape)
    if spec_of(target).shape != spec_of(output).shape or rank == 0:
        raise ShapeError(
            f"target and output must have the same shape. Received: {spec_of(target).shape} and {spec_of(output).shape}"
        )
    logits = output if from_logits else _logits_behind(output, SOFTMAX)
    if logits is not None and axis % rank == rank - 1:
        return softmax_crossentropy(logits, target, sparse=False)
    if from_logits:
        log_prob = log_softmax(output, axis)
    else:
        output = math.divide(output, math.sum(output, axis, keepdims=True))
        log_prob = math.log(math.clip(output, default_epsilon(), 1.0 - default_epsilon()))
    return math.negative(math.sum(math.multiply(target, log_prob), axis))


@public
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-log(output[target]) with class numbers as targets.

    Args:
        target: class numbers (int), the shape of output without its class axis (or with length 1 there).
        output: probabilities, or logits with `from_logits`; clipped as in categorical_crossentropy.
    """
    target, output = cast(to_tensor(target), "int32"), as_float(output)
    shape, t_shape = spec_of(output).shape, spec_of(target).shape
    if len(t_shape) == len(shape) and t_shape[-1:] == (1,):
        target = reshape_to(target, t_shape[:-1])
        t_shape = t_shape[:-1]
    axis = normal_axes(axis, len(shape))[0]
    if t_shape != shape[:axis] + shape[axis + 1 :]:
        raise ShapeError(f"Expected class numbers of shape {shape[:axis] + shape[axis + 1 :]}. Received: {t_shape}")
    if axis != len(shape) - 1:
        output = arrays.moveaxis(output, axis, -1)
    logits = output if from_logits else _logits_behind(output, SOFTMAX)
    if logits is None:
        output = math.divide(output, math.sum(output, -1, keepdims=True))
        logits = math.log(math.clip(output, default_epsilon(), 1.0 - default_epsilon()))
    return softmax_crossentropy(logits, target, sparse=True)


@public
def binary_crossentropy(target, output, from_logits=False):
    """-(target * log(output) + (1 - target) * log(1 - output)), elementwise.

    Probabilities are clipped to [1e-7, 1 - 1e-7], unless they come straight out of a sigmoid: then its argument is
    used.
    """
    target, output = as_float(target), as_float(output)
    if spec_of(target).shape != spec_of(output).shape:
        raise ShapeError(
            f"target and output must have the same shape. Received: {spec_of(target).shape} and {spec_of(output).shape}"
        )
    logits = output if from_logits else _sigmoid_argument(output)
    if logits is not None:  # softplus(x) - x * t = max(x, 0) - x * t + log(1 + e**-|x|)
        return math.subtract(unary("softplus", logits), math.multiply(logits, target))
    output = math.clip(output, default_epsilon(), 1.0 - default_epsilon())
    log_1 = math.multiply(target, math.log(output))
    log_0 = math.multiply(math.subtract(1.0, target), math.log(math.subtract(1.0, output)))
    return math.negative(math.add(log_1, log_0))


def _sigmoid_argument(x):
    node = getattr(x, "node", None)
    is_sigmoid = node is not None and node.op.name == "unary_fwd" and node.attrs["func"] == "sigmoid"
    return node.inputs[0] if is_sigmoid else None


@public
def moments(x, axes, keepdims=False):
    """(mean, biased variance) over the given axes."""
    return math.mean(x, axes, keepdims), math.var(x, axes, keepdims)
