"""State that outlives a run: weights, moving averages, optimizer slots, random streams."""

import itertools

import numpy as np

from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import STORAGE, TensorSpec, standard_dtype
from cnnengine.core.tensor_like import TensorLike

_ALIGNMENT = 64
_writes = itertools.count(1)


class WriteCounter:
    """Number of the last write to any variable: when it has not moved, nothing has to be looked at again."""

    last = 0


def aligned_array(shape, dtype, make=np.empty):
    """An array whose data starts on a cache line; its bytes are those of `make`, np.empty or np.zeros."""
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = make(nbytes + _ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return raw[offset : offset + nbytes].view(dtype).reshape(shape)


class Variable(TensorLike):
    """A named array that programs read, and update in place.

    Its memory never moves, so programs bind it by address; every write raises `version`, which tells
    whoever keeps something derived from it (packed weights) to make it anew.

    Args:
        value: array-like, the first value.
        name: str.
        trainable: whether optimizers may change it.
        dtype: "float32" or "int32".
    """

    def __init__(self, value, name="variable", trainable=True, dtype="float32", path=None):
        dtype = standard_dtype(dtype)
        value = np.asarray(value)
        self._open(aligned_array(value.shape, STORAGE[dtype]), name, trainable, dtype, path)
        self._array[...] = value

    @classmethod
    def zeros(cls, shape, name="variable", trainable=True, dtype="float32", path=None):
        """A variable of zeros whose memory the system provides when it is first touched."""
        dtype = standard_dtype(dtype)
        self = cls.__new__(cls)
        self._open(aligned_array(shape, STORAGE[dtype], np.zeros), name, trainable, dtype, path)
        return self

    def _open(self, array, name, trainable, dtype, path):
        self._array = array
        self.spec = TensorSpec(array.shape, dtype)
        self.name = name
        self.path = path or name
        self.trainable = trainable
        self.version = 0
        self.regularizer = None
        self.constraint = None
        self.touched()

    @property
    def shape(self):
        return self.spec.shape

    @property
    def dtype(self):
        return self.spec.dtype

    @property
    def array(self):
        """The memory itself. Whoever writes to it calls `touched()`."""
        return self._array

    @property
    def value(self):
        return self

    def numpy(self):
        """A copy of the current value."""
        return self._array.copy()

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype=dtype)

    def touched(self):
        """The value has changed."""
        self.version += 1
        WriteCounter.last = next(_writes)

    def __float__(self):
        return float(self._array)

    def __int__(self):
        return int(self._array)

    def assign(self, value):
        """Set the value; while a model is traced, at the end of each run. Raises ShapeError."""
        self._check(value)
        if CONTEXT.tracer is not None:
            return CONTEXT.tracer.assign(self, value)
        self._array[...] = value
        self.touched()
        return self

    def assign_add(self, value):
        """Add to the value, as `assign` sets it."""
        self._check(value)
        if CONTEXT.tracer is not None:
            return CONTEXT.tracer.assign_add(self, value)
        self._array[...] = self._array + np.asarray(value)
        self.touched()
        return self

    def assign_sub(self, value):
        return self.assign_add(-value if isinstance(value, TensorLike) else -np.asarray(value, np.float64))

    def _check(self, value):
        shape = tuple(np.shape(value) if not hasattr(value, "shape") else value.shape)
        if shape != self.shape and shape != ():
            raise ShapeError(f'Variable "{self.path}": expected a value of shape {self.shape}. Received: shape {shape}')

    def __repr__(self):
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"

    def __getstate__(self):
        return self.__dict__ | {"_array": np.array(self._array)}

    def __setstate__(self, state):
        array = state["_array"]
        self.__dict__.update(state)
        self._array = aligned_array(array.shape, array.dtype)
        self._array[...] = array
        self.touched()
