"""keras.backend: settings, and the operations that Lambda functions of older Keras scripts use."""

from cnnengine.core.config import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from cnnengine.core.naming import get_uid, reset_names
from cnnengine.core.spec import standard_dtype as standardize_dtype
from cnnengine.layers.symbolic import is_keras_tensor
from cnnengine.ops import *  # noqa: F403
from cnnengine.ops import concatenate, shape
from cnnengine.ops.nn import binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy


def backend():
    """Name of the computing library: "cnnengine"."""
    return "cnnengine"


def clear_session(free_memory=True):
    """Number the names of layers from the start again."""
    reset_names()


def int_shape(x):
    """Shape of a tensor as a tuple of ints, None where open."""
    return shape(x)


def is_float_dtype(dtype):
    """Whether a dtype is a float type."""
    return standardize_dtype(dtype) == "float32"


def is_int_dtype(dtype):
    """Whether a dtype is an integer type."""
    return standardize_dtype(dtype) in ("int32", "uint8")


__all__ = [
    "backend", "binary_crossentropy", "categorical_crossentropy", "clear_session", "concatenate", "epsilon", "floatx",
    "get_uid", "image_data_format", "int_shape", "is_float_dtype", "is_int_dtype", "is_keras_tensor", "set_epsilon",
    "set_floatx", "set_image_data_format", "sparse_categorical_crossentropy", "standardize_dtype",
]  # fmt: skip
