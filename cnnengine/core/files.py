"""Files: written so that a final name never holds half a file, or mapped so that arrays lie in them."""

import mmap
import os
import sys
from contextlib import contextmanager, suppress
from functools import partial
from math import prod

import numpy as np

_NO_DESCRIPTOR = {"trackfd": False} if sys.version_info >= (3, 13) else {}  # kept open by a mapping


@contextmanager
def atomic_write(path):
    """Open a temporary file beside `path` and move it to `path` when the block ends well.

    The data reach the disk before the name does (fsync, rename, fsync of the folder), so after a crash or a full disk
    the old file is still there, whole. If the block raises, the temporary file is removed.

    Args:
        path: The final name; its folder must exist.

    Yields:
        A binary file object, readable and writable.

    Raises:
        OSError: As the operating system reports it; `path` is then unchanged.
    """
    import tempfile

    path = os.fspath(path)
    folder = os.path.dirname(path) or os.curdir
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _usual_mode(path))
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(folder)


def _usual_mode(path):
    """Permissions of the file being replaced, or those a plain open() would give a new one (mkstemp gives 0600)."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _remove(path):
    with suppress(FileNotFoundError):
        os.unlink(path)


def _sync_folder(folder):
    """Make the rename itself durable; systems that cannot open a folder (Windows) do without."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):  # some network file systems refuse fsync on folders
        os.fsync(descriptor)
    os.close(descriptor)


class MappedFile:
    """A file as read-only memory: the system reads a page when it is used, and may forget it again.

    A file that another program shortens or overwrites meanwhile takes the arrays with it; one that `atomic_write`
    replaces stays until nobody needs it.

    Args:
        file: a file that is open for reading; it may be closed afterwards. Before Python 3.13 the mapping keeps a
            descriptor of its own.
    """

    def __init__(self, file):
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, **_NO_DESCRIPTOR)

    def array(self, offset, shape, dtype):
        """(an array in the file, a function that gives back its memory until it is read again)."""
        array = np.frombuffer(self._map, dtype, prod(shape), offset).reshape(shape)
        return array, partial(self._release, offset, array.nbytes)

    def _release(self, offset, nbytes):
        start = offset // mmap.PAGESIZE * mmap.PAGESIZE
        with suppress(OSError):  # advice only; of locked pages the system does not take it
            self._map.madvise(mmap.MADV_DONTNEED, start, offset + nbytes - start)
