"""The bytes of a file, read as they are asked for: a model's weights go from the file to their own memory, once."""

import io
import os
import zlib
from math import prod

import numpy as np

from cnnengine.core.errors import TruncatedFile

_CHUNK = 1 << 20  # bytes that a checksum takes at a time


class Source:
    """A part of a binary file object that can seek.

    Args:
        file: the file object.
        start, size: the part's place; by default all of the file.
        mapping: the file as a MappedFile, also an attribute; None if no array is to lie in it.
    """

    def __init__(self, file, start=0, size=None, mapping=None):
        self.file = file
        self.start = start
        self.mapping = mapping
        self.size = file.seek(0, os.SEEK_END) - start if size is None else size

    def part(self, offset, size):
        return Source(self.file, self.start + offset, size, self.mapping)

    def take(self, offset, size):
        """So many bytes from an offset on. Raises TruncatedFile."""
        self.file.seek(self.start + offset)
        data = self.file.read(size)
        if len(data) != size:
            raise TruncatedFile(f"The file ends within what is read: {size} bytes are expected at {offset}")
        return data

    def read_into(self, offset, buffer):
        """Fill a writable buffer with the bytes from an offset on. Raises TruncatedFile."""
        view = memoryview(buffer).cast("B")
        self.file.seek(self.start + offset)
        done = 0
        while done < len(view):  # one call of the system reads 2 GB at most
            count = self.file.readinto(view[done:])
            if not count:
                raise TruncatedFile(f"The file ends within what is read: {len(view)} bytes are expected at {offset}")
            done += count

    def mapped(self, offset, shape, dtype):
        """(array in the mapped file, a function that gives back its memory), or None where none can lie there."""
        place = self.start + offset
        if self.mapping is None or place % np.dtype(dtype).itemsize or not prod(shape):
            return None
        return self.mapping.array(place, shape, dtype)

    def crc32(self, offset, size, crc=0):
        """The checksum of so many bytes from an offset on, continued from that of what was before."""
        chunk = memoryview(bytearray(min(_CHUNK, size)))
        while size > 0:
            piece = chunk[: min(_CHUNK, size)]
            self.read_into(offset, piece)
            crc = zlib.crc32(piece, crc)
            offset, size = offset + len(piece), size - len(piece)
        return crc


def as_source(data):
    """A Source, or one of bytes in memory."""
    return data if isinstance(data, Source) else Source(io.BytesIO(data))
