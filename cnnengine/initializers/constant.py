"""Initializers without random numbers."""

import numpy as np

from cnnengine.core.checks import checked_number, is_number
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import deserialize, export, serialize
from cnnengine.initializers.initializer import Initializer, as_stored, checked_shape


@export("keras.initializers", aliases=("zero",))
class Zeros(Initializer):
    """All elements 0."""

    def __call__(self, shape, dtype=None):
        return as_stored(np.zeros(checked_shape(shape)), dtype)


@export("keras.initializers", aliases=("one",))
class Ones(Initializer):
    """All elements 1."""

    def __call__(self, shape, dtype=None):
        return as_stored(np.ones(checked_shape(shape)), dtype)


@export("keras.initializers")
class Constant(Initializer):
    """All elements `value`, or an array that broadcasts to the shape.

    Args:
        value: number or array-like.

    Raises:
        ConfigError: when it is neither.
    """

    def __init__(self, value=0.0):
        if not is_number(value) and np.asarray(value).dtype.kind not in "bfiu":
            raise ConfigError(f"Constant: expected a number or an array of numbers. Received: value={value!r}")
        self.value = value

    def __call__(self, shape, dtype=None):
        shape = checked_shape(shape)
        try:
            values = np.broadcast_to(np.asarray(self.value), shape)
        except ValueError:
            have = np.shape(self.value)
            raise ShapeError(f"Constant: a value of shape {have} does not broadcast to {shape}") from None
        return as_stored(values, dtype)

    def get_config(self):
        return {"value": serialize(self.value)}

    @classmethod
    def from_config(cls, config):
        return cls(deserialize(config.get("value", 0.0)))


@export("keras.initializers", aliases=("IdentityInitializer",))
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain=1.0):
        self.gain = checked_number(gain, "Identity: gain")

    def __call__(self, shape, dtype=None):
        shape = checked_shape(shape)
        if len(shape) != 2:
            raise ShapeError(f"Identity: expected the shape of a matrix. Received: {shape}")
        return as_stored(self.gain * np.eye(*shape), dtype)

    def get_config(self):
        return {"gain": self.gain}
