"""State that outlives a run: weights, moving averages, optimizer slots, random streams."""

import itertools
import mmap
from contextlib import suppress
from math import prod

import numpy as np

from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.spec import STORAGE, TensorSpec, standard_dtype
from cnnengine.core.tensor_like import TensorLike

_ALIGNMENT = 64
_OF_SYSTEM, _WORTH_HUGE = 64 << 10, 4 << 20  # bytes
_COPIED = 1 << 20  # elements that leave a file at a time: so many are in memory twice
_writes = itertools.count(1)


class WriteCounter:
    """Number of the last write to any variable: when it has not moved, nothing has to be looked at again."""

    last = 0


def aligned_array(shape, dtype):
    """An array of zeros whose data starts on a cache line; the system provides its memory when it is first touched.

    What is large goes back to the system when it is freed, as in csrc/core/arena.c. malloc would keep it: after loading
    with mmap=True ResNet-50 would hold 10 MB that nobody uses.

    Raises:
        MemoryError.
    """
    size = prod(shape)
    nbytes = size * np.dtype(dtype).itemsize
    if nbytes < _OF_SYSTEM:
        memory = np.zeros(nbytes + _ALIGNMENT, np.uint8)
        return np.ndarray(shape, dtype, memory, -memory.ctypes.data % _ALIGNMENT)
    try:
        memory = mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError):
        raise MemoryError(f"cannot allocate {nbytes:,} bytes") from None
    if nbytes >= _WORTH_HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # advice only, which some systems do not take
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, size).reshape(shape)


class Variable(TensorLike):
    """A named array that programs read, and update in place.

    Its memory moves only while it is read-only (`lie_in`, `leave_file`), so programs bind it by address, and keep what
    they have bound; every write raises `version`, which tells whoever keeps something derived from it (packed weights)
    to make it anew.

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
        self._open(aligned_array(shape, STORAGE[dtype]), name, trainable, dtype, path)
        return self

    def _open(self, array, name, trainable, dtype, path):
        self._array = array
        self._give_back = None
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

    def writable(self):
        """The memory, for who is going to change it. Raises ConfigError if it is read-only."""
        self.check_writable()
        return self._array

    def check_writable(self):
        """Raise ConfigError if the value cannot be changed."""
        if not self._array.flags.writeable:
            raise ConfigError(
                f'Variable "{self.path}" is read-only, since its model was loaded with mmap=True. '
                "Load the model without it to train it or to change its weights"
            )

    def freeze(self):
        """Make it read-only, for good."""
        self._array.flags.writeable = False

    def lie_in(self, array, give_back):
        """Take the value from a mapped file, before anybody has used the variable.

        Args:
            array: the value, read-only.
            give_back: function that gives back the memory it takes, until it is read again.
        """
        self._array, self._give_back = array, give_back
        self.touched()

    def release(self):
        """Give back the memory of a value that lies in a mapped file: whoever reads it gets it anew."""
        if (give_back := self._give_back) is not None:
            give_back()

    def leave_file(self):
        """Move a value that lies in a mapped file into memory of its own, read-only as before.

        Programs that were built before go on reading the file.
        """
        give_back = self._give_back
        if give_back is None:
            return
        array = aligned_array(self.shape, self._array.dtype)
        old, new = self._array.reshape(-1), array.reshape(-1)
        for start in range(0, array.size, _COPIED):
            new[start : start + _COPIED] = old[start : start + _COPIED]
            give_back()
        array.flags.writeable = False
        self._array, self._give_back = array, None

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
        self.check_writable()
        shape = tuple(np.shape(value) if not hasattr(value, "shape") else value.shape)
        if shape != self.shape and shape != ():
            raise ShapeError(f'Variable "{self.path}": expected a value of shape {self.shape}. Received: shape {shape}')

    def __repr__(self):
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"

    def __getstate__(self):
        return self.__dict__ | {"_array": np.array(self._array), "_give_back": None}

    def __setstate__(self, state):
        array = state["_array"]
        self.__dict__.update(state)
        self._array = aligned_array(array.shape, array.dtype)
        self._array[...] = array
        self.touched()
