"""keras.random: random tensors from counter-based streams."""

import math

import numpy as np

from cnnengine import ops
from cnnengine.core.seeds import checked_seed, generator
from cnnengine.ops.random import SeedGenerator, dropout_with, uniform_from

__all__ = ["SeedGenerator", "dropout", "normal", "randint", "shuffle", "uniform"]


def _state(seed):
    return (seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)).state


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform numbers in [minval, maxval). The same seed gives the same numbers; a SeedGenerator moves on."""
    return uniform_from(_state(seed), shape, minval, maxval)


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers, by the transform of Box & Muller (1958)."""
    state = _state(seed)
    radius = ops.sqrt(ops.log(1.0 - uniform_from(state, shape)) * -2.0)
    return radius * ops.cos(uniform_from(state, shape) * (2.0 * math.pi)) * stddev + mean


def dropout(inputs, rate, noise_shape=None, seed=None):
    """`inputs` with a share `rate` of the elements set to 0, the others divided by 1 - rate."""
    return dropout_with(inputs, rate, _state(seed))


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Whole numbers in [minval, maxval), as a NumPy array."""
    return generator(checked_seed(seed)).integers(minval, maxval, shape, dtype=np.int32)


def shuffle(x, axis=0, seed=None):
    """An array with its entries along an axis in a random order."""
    return generator(checked_seed(seed)).permutation(np.asarray(x), axis=axis)
