"""Initializers that draw random numbers, each from a stream of its own."""

import math

import numpy as np

from cnnengine.core.checks import checked_choice, checked_number
from cnnengine.core.errors import ShapeError
from cnnengine.core.registry import export
from cnnengine.core.seeds import checked_seed, generator
from cnnengine.initializers.initializer import Initializer, as_stored, checked_shape

CUT = 2.0  # a truncated normal distribution ends at so many standard deviations
TRUNCATED_STDDEV = 0.87962566103423978  # standard deviation of a normal distribution cut at 2


class RandomInitializer(Initializer):
    """Base: `self._generator()` gives the same stream in each call, so equal shapes get equal values, as in Keras.

    Args:
        seed: int, or None for a fresh one.
    """

    def __init__(self, seed=None):
        self._seed = self._given_seed = None if seed is None else checked_seed(seed)

    @property
    def seed(self):
        """The seed; a fresh one is drawn when it is first asked for, so weights that come from a file need none."""
        if self._seed is None:
            self._seed = checked_seed(None)
        return self._seed

    @seed.setter
    def seed(self, value):
        self._seed = checked_seed(value)

    def __getstate__(self):
        return self.__dict__ | {"_seed": self.seed}  # a copy draws the same numbers

    def _generator(self):
        return generator(self.seed)

    def get_config(self):
        return {"seed": self._given_seed}


def draw_truncated(random, shape):
    """Normal numbers within two standard deviations: those outside are drawn anew."""
    values = random.standard_normal(shape)
    outside = np.abs(values) > CUT
    while outside.any():
        values[outside] = random.standard_normal(np.count_nonzero(outside))
        outside = np.abs(values) > CUT
    return values


@export("keras.initializers", aliases=("normal",))
class RandomNormal(RandomInitializer):
    """Normal distribution.

    Args:
        mean, stddev: of the distribution.
        seed: int, or None for a fresh one.
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = checked_number(mean, f"{type(self).__name__}: mean")
        self.stddev = checked_number(stddev, f"{type(self).__name__}: stddev", low=0)

    def _draw(self, shape):
        return self._generator().standard_normal(shape)

    def __call__(self, shape, dtype=None):
        return as_stored(self.mean + self.stddev * self._draw(checked_shape(shape)), dtype)

    def get_config(self):
        return super().get_config() | {"mean": self.mean, "stddev": self.stddev}


@export("keras.initializers")
class TruncatedNormal(RandomNormal):
    """Normal distribution without what lies more than two `stddev` from the mean."""

    def _draw(self, shape):
        return draw_truncated(self._generator(), shape)


@export("keras.initializers", aliases=("uniform",))
class RandomUniform(RandomInitializer):
    """Uniform distribution on [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval = checked_number(minval, "RandomUniform: minval")
        self.maxval = checked_number(maxval, "RandomUniform: maxval", low=self.minval)

    def __call__(self, shape, dtype=None):
        return as_stored(self._generator().uniform(self.minval, self.maxval, checked_shape(shape)), dtype)

    def get_config(self):
        return super().get_config() | {"minval": self.minval, "maxval": self.maxval}


def compute_fans(shape):
    """(fan_in, fan_out) of a weight: the kernel's area times its last two sizes."""
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    area = math.prod(shape[:-2])
    return shape[-2] * area, shape[-1] * area


@export("keras.initializers")
class VarianceScaling(RandomInitializer):
    """Variance `scale / n`, where n is the number of inputs or outputs of a unit, or their mean.

    Args:
        scale: above 0.
        mode: "fan_in", "fan_out" or "fan_avg", which says what n is.
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: int, or None for a fresh one.

    Raises:
        ConfigError.

    Example:
        >>> VarianceScaling(2.0, "fan_in", "uniform")((3, 3, 16, 32)).shape
        (3, 3, 16, 32)
    """

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        super().__init__(seed)
        self.scale = checked_number(scale, "VarianceScaling: scale", above=0)
        self.mode = checked_choice(mode, "VarianceScaling: mode", ("fan_in", "fan_out", "fan_avg"))
        name = distribution.lower() if isinstance(distribution, str) else distribution
        self.distribution = checked_choice(
            "truncated_normal" if name == "normal" else name,
            "VarianceScaling: distribution",
            ("truncated_normal", "untruncated_normal", "uniform"),
        )

    def __call__(self, shape, dtype=None):
        shape = checked_shape(shape)
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        return as_stored(self._draw(shape, self.scale / max(1.0, fan)), dtype)

    def _draw(self, shape, variance):
        random = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(-limit, limit, shape)
        if self.distribution == "truncated_normal":
            return math.sqrt(variance) / TRUNCATED_STDDEV * draw_truncated(random, shape)
        return math.sqrt(variance) * random.standard_normal(shape)

    def get_config(self):
        return super().get_config() | {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}


class _Preset(VarianceScaling):
    """A VarianceScaling with a name of its own and only a seed to choose."""

    preset = (1.0, "fan_in", "uniform")

    def __init__(self, seed=None):
        super().__init__(*self.preset, seed=seed)

    def get_config(self):
        return {"seed": self._given_seed}


@export("keras.initializers")
class GlorotUniform(_Preset):
    """Uniform, variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, also called Xavier)."""

    preset = (1.0, "fan_avg", "uniform")


@export("keras.initializers")
class GlorotNormal(_Preset):
    """Truncated normal, variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    preset = (1.0, "fan_avg", "truncated_normal")


@export("keras.initializers")
class HeUniform(_Preset):
    """Uniform, variance 2 / fan_in, for layers with relu (He et al. 2015)."""

    preset = (2.0, "fan_in", "uniform")


@export("keras.initializers")
class HeNormal(_Preset):
    """Truncated normal, variance 2 / fan_in, for layers with relu (He et al. 2015)."""

    preset = (2.0, "fan_in", "truncated_normal")


@export("keras.initializers")
class LecunUniform(_Preset):
    """Uniform, variance 1 / fan_in (LeCun et al. 1998)."""

    preset = (1.0, "fan_in", "uniform")


@export("keras.initializers")
class LecunNormal(_Preset):
    """Truncated normal, variance 1 / fan_in (LeCun et al. 1998), as selu wants it."""

    preset = (1.0, "fan_in", "truncated_normal")


@export("keras.initializers", aliases=("OrthogonalInitializer",))
class Orthogonal(RandomInitializer):
    """`gain` times a random matrix with orthogonal columns, or rows if it has fewer of these (Saxe et al. 2014).

    The matrix has the product of all sizes but the last as rows, so a convolution's filters are orthogonal.
    """

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed)
        self.gain = checked_number(gain, "Orthogonal: gain")

    def __call__(self, shape, dtype=None):
        shape = checked_shape(shape)
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal: expected a shape of at least two axes. Received: {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self._generator().standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # without this the distribution would not be uniform
        return as_stored(self.gain * (q.T if rows < columns else q).reshape(shape), dtype)

    def get_config(self):
        return super().get_config() | {"gain": self.gain}
