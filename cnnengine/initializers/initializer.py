"""The base class of initializers."""

import numpy as np

from cnnengine.core.errors import ShapeError
from cnnengine.core.registry import export
from cnnengine.core.spec import MAX_ELEMENTS, STORAGE, standard_dtype


def checked_shape(shape):
    """A shape as a tuple of ints. Raises ShapeError."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    bad = any(isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 0 for dim in shape)
    if bad or np.prod(shape, dtype=float) > MAX_ELEMENTS:
        raise ShapeError(f"Expected a shape of ints of at least 0, {MAX_ELEMENTS:,} elements in all. Received: {shape}")
    return tuple(int(dim) for dim in shape)


@export("keras", aliases=("keras.initializers",))
class Initializer:
    """Makes the first values of a weight: called with a shape and a dtype, gives a NumPy array.

    Subclasses define `__call__(self, shape, dtype=None)` and `get_config`.
    """

    def __call__(self, shape, dtype=None):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, shape, dtype=None)")

    def get_config(self):
        """Arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def clone(self):
        """An initializer from the same config; without a fixed seed it gives other values."""
        return type(self).from_config(self.get_config())


def as_stored(values, dtype):
    """An array in the storage type of a dtype. Raises DTypeError."""
    return np.ascontiguousarray(values, STORAGE[standard_dtype(dtype)]).reshape(np.shape(values))
