"""The shape and dtype of a tensor, and how dtypes are stored."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from operator import index

import numpy as np

from cnnengine.core.errors import DTypeError, ShapeError

# A bool is computed with as 1.0 or 0.0, so that masks multiply without a conversion; it is numpy.bool_ outside.
STORAGE = {"float32": np.float32, "int32": np.int32, "uint8": np.uint8, "bool": np.float32}
ITEM_BYTES = {name: np.dtype(storage).itemsize for name, storage in STORAGE.items()}

# No tensor may be larger: products of dimensions stay far from the limits of C's 64-bit arithmetic.
MAX_ELEMENTS = 1 << 40


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape (all dimensions known) and dtype of a tensor.

    Args:
        shape: tuple of ints, at least 0 each.
        dtype: "float32", "int32", "uint8" or "bool".
    """

    shape: tuple
    dtype: str = "float32"

    @property
    def size(self):
        return prod(self.shape)

    @property
    def nbytes(self):
        return self.size * ITEM_BYTES[self.dtype]


# Equal specs as one object, made and compared faster: for the inputs of each call.
shared_spec = lru_cache(maxsize=1024)(TensorSpec)


def int_shape(shape):
    """A sequence of whole numbers as a tuple of ints. Raises ShapeError."""
    try:
        return tuple(index(dim) for dim in shape)
    except TypeError:
        raise ShapeError(f"A shape must be a tuple of ints. Received: {shape!r}") from None


def checked_spec(shape, dtype="float32"):
    """A TensorSpec from outside values. Raises ShapeError for what is no shape, negative or absurdly large."""
    shape = int_shape(shape)
    if any(dim < 0 for dim in shape):
        raise ShapeError(f"Dimensions must not be negative. Received: shape {shape}")
    if prod(max(dim, 1) for dim in shape) > MAX_ELEMENTS:  # an empty tensor's strides must not overflow either
        raise ShapeError(f"Expected at most {MAX_ELEMENTS:,} elements. Received: shape {shape}")
    return TensorSpec(shape, dtype)


def standard_dtype(dtype):
    """Name of the dtype the engine computes a given dtype with.

    float16, float64, bfloat16 and wide integers map to float32 and int32; complex, str, object and
    structured types raise DTypeError.
    """
    if dtype is None:
        return "float32"
    if isinstance(dtype, str) and dtype in STORAGE:
        return dtype
    if isinstance(dtype, str) and dtype in ("bfloat16", "float"):
        return "float32"
    if dtype == "int":
        return "int32"
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        raise DTypeError(f"Expected a dtype such as 'float32', 'int32', 'uint8', 'bool'. Received: {dtype!r}") from None
    if kind == "b":
        return "bool"
    if kind == "f":
        return "float32"
    if kind in "iu":
        return "uint8" if np.dtype(dtype) == np.uint8 else "int32"
    raise DTypeError(f"Expected numbers (float, integer or bool). Received: dtype {np.dtype(dtype)}")
