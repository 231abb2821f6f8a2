"""Reading the HDF5 files that Keras and cnnengine write, without trusting them.

Only the classic layout is understood: symbol-table groups and contiguous or compact arrays of numbers. Everything that
would lead outside of the file (links, external storage, virtual datasets) or needs a filter is refused. Every address
is checked against the file's real size, every object is visited once, and arrays stay in the file until wanted:
nothing is allocated because the file says so.

Source: HDF5 File Format Specification Version 3.0, The HDF Group.
"""

import io
import struct
import zlib
from math import prod

import numpy as np

from cnnengine.core.errors import CorruptFile, TruncatedFile, UnsafeContent, UnsupportedVersion
from cnnengine.saving.hdf5_write import CHECKSUM, DIGITS, ENTRY, SIGNATURE, UNDEFINED
from cnnengine.saving.source import Source, as_source

_MAX_DEPTH = 128
_MAX_NAME = 256
_RESAVE = "Load it with the program that wrote it, and save it anew with Keras 3"
_FLOATS = {(2, 5, 10): "f2", (4, 8, 23): "f4", (8, 11, 52): "f8", (2, 8, 7): "bfloat16"}
_REFUSED = {
    0x07: (UnsafeContent, "an array is stored in another file"),
    0x0B: (UnsupportedVersion, f"an array is compressed. {_RESAVE}"),
}


def read(data, verified=False):
    """All arrays of a file.

    Args:
        data: a Source, or the file's bytes.
        verified: whether they were compared with a checksum already.

    Returns:
        {path of the group: {name: StoredArray}}, with an entry for every group; paths have no slash at the start.

    Raises:
        ModelFileError: TruncatedFile, CorruptFile, UnsafeContent or UnsupportedVersion.
    """
    file = _File(as_source(data))
    groups, seen = {}, set()
    todo = [("", file.root(), 0)]
    while todo:
        path, address, depth = todo.pop()
        if address in seen or depth > _MAX_DEPTH:
            raise CorruptFile("HDF5: an object is listed more than once, or groups are too deep")
        seen.add(address)
        messages = file.messages(address)
        if 0x02 in messages:
            raise UnsupportedVersion(f"HDF5: a group has the layout of HDF5 1.8. {_RESAVE}")
        if 0x11 in messages:
            groups.setdefault(path, {})
            for name, child in file.children(messages[0x11][0][1]):
                todo.append((f"{path}/{name}" if path else name, child, depth + 1))
        else:
            parent, _, name = path.rpartition("/")
            groups.setdefault(parent, {})[name] = file.array(messages, path)
        if not path and not verified:
            file.verify(messages)
    return groups


class StoredArray:
    """An array of a file, which is read when it is wanted.

    Args:
        source, offset: where its bytes are.
        shape: its shape.
        kind: what its words are: a NumPy dtype, or "bfloat16" (float32, of which the upper halves are stored).

    Attributes:
        dtype: of what is read.
    """

    def __init__(self, source, offset, shape, kind):
        self._source, self._offset, self.shape = source, offset, shape
        self._words = np.dtype("<u2" if kind == "bfloat16" else kind)
        self.dtype = np.dtype("<f4" if kind == "bfloat16" else kind)

    @property
    def size(self):
        return prod(self.shape)

    @property
    def nbytes(self):
        """Bytes in the file."""
        return self.size * self._words.itemsize

    def __array__(self, dtype=None, copy=None):
        words = np.empty(self.shape, self._words)
        self._source.read_into(self._offset, words.reshape(-1).view(np.uint8))
        array = words if self._words == self.dtype else (words.astype("<u4") << 16).view("<f4")
        return array if dtype is None else array.astype(dtype)

    def mapped(self, dtype):
        """What `Source.mapped` returns; None also where the numbers in the file are of another type."""
        return self._source.mapped(self._offset, self.shape, dtype) if self._words == dtype else None

    def read_into(self, array):
        """Set a contiguous array of this shape, converting the numbers if need be."""
        if self._words == array.dtype:
            self._source.read_into(self._offset, array.reshape(-1).view(np.uint8))
        else:
            array[...] = np.asarray(self)


class _File:
    def __init__(self, source):
        self.source = source
        self.visited = set()  # nodes of B-trees, symbol tables, continued headers
        # What cannot be more in a file of this size, unless parts of it are used again and again.
        self.symbols, self.nodes, self.header_bytes = source.size // ENTRY, source.size // 16, source.size

    def check(self, address, size):
        """Raise TruncatedFile for what is not inside the file."""
        if address < 0 or size < 0 or address + size > self.source.size:
            raise TruncatedFile(f"HDF5: {size} bytes are expected at {address}. Size of the file: {self.source.size}")

    def take(self, address, size):
        """Bytes of the file. Raises TruncatedFile."""
        self.check(address, size)
        return self.source.take(address, size)

    def unpack(self, form, address):
        return struct.unpack(form, self.take(address, struct.calcsize(form)))

    def once(self, address):
        if address in self.visited:
            raise CorruptFile("HDF5: a part of the index is used twice")
        self.visited.add(address)
        return address

    def root(self):
        """Address of the root group's header."""
        if bytes(self.take(0, 8)) != SIGNATURE:
            raise CorruptFile("This is not an HDF5 file")
        version, _, _, _, _, offsets, lengths = self.unpack("<7B", 8)
        if version > 1 or (offsets, lengths) != (8, 8):
            raise UnsupportedVersion(f"HDF5: version {version} of the format. Expected: 0. {_RESAVE}")
        at = 24 + 4 * version
        base, _, end, _ = self.unpack("<4Q", at)
        if base:
            raise UnsupportedVersion("HDF5: the file starts with a user block")
        if end > self.source.size:
            raise TruncatedFile(f"HDF5: the file should have {end} bytes. Size of the file: {self.source.size}")
        return self.unpack("<Q", at + 40)[0]

    # --- object headers ---------------------------------------------------------------------------------------

    def messages(self, address):
        """{type: [(address of the data, data)]} of an object header."""
        version, count, _, size = self.unpack("<BxHII", address)
        if version != 1:
            raise (UnsupportedVersion if version == ord("O") else CorruptFile)("HDF5: unknown kind of object header")
        out, blocks = {}, [(address + 16, size)]
        while blocks and count:
            at, size = blocks.pop(0)
            end = self.once(at) + size
            while at + 8 <= end and count:
                kind, length, flags = self.unpack("<HHB3x", at)
                self.header_bytes -= 8 + length
                if self.header_bytes < 0:
                    raise CorruptFile("HDF5: the headers of objects overlap")
                data = self.take(at + 8, length)
                if kind == 0x10:
                    blocks.append(struct.unpack("<QQ", data[:16].ljust(16, b"\0")))
                self._refuse(kind, flags, data)
                out.setdefault(kind, []).append((at + 8, data))
                at, count = at + 8 + length, count - 1
        return out

    @staticmethod
    def _refuse(kind, flags, data):
        if kind in _REFUSED:
            error, text = _REFUSED[kind]
            raise error(f"HDF5: {text}")
        if kind == 0x06:
            link = data[2] if len(data) > 2 and data[1] & 8 else 0
            raise (UnsafeContent if link else UnsupportedVersion)("HDF5: the file holds links to other places or files")
        if flags & 2 and kind != 0:
            raise UnsafeContent("HDF5: a type is kept elsewhere than with its array")

    def verify(self, messages):
        """Compare the checksum that cnnengine writes, where there is one."""
        for at, data in messages.get(0x0C, ()):
            if CHECKSUM.encode() in data:
                slot = at + len(data.rstrip(b"\0")) - DIGITS
                text, end = self.take(slot, DIGITS), slot + DIGITS
                crc = zlib.crc32(b"0" * DIGITS, self.source.crc32(0, slot))
                crc = self.source.crc32(end, self.source.size - end, crc)
                if text != f"{crc:08x}".encode():
                    raise CorruptFile("HDF5: the content does not fit its checksum: the file was damaged or cut")
                return

    # --- groups -----------------------------------------------------------------------------------------------

    def children(self, message):
        """(name, address of the object header) of each member of a group."""
        if len(message) < 16:
            raise CorruptFile("HDF5: a group without an index")
        tree, heap = struct.unpack("<QQ", message[:16])
        mark, size, _, segment = self.unpack("<4s4xQQQ", heap)
        if mark != b"HEAP":
            raise CorruptFile("HDF5: a group without names")
        self.check(segment, size)
        names = self.source.part(segment, size)
        todo, out, taken = [tree], [], set()
        while todo:
            address = self.once(todo.pop())
            mark, kind, _, used = self.unpack("<4sBBH", address)
            if mark == b"TREE" and kind == 0:
                self.nodes -= used
                if self.nodes < 0:
                    raise CorruptFile("HDF5: the index of groups overlaps")
                todo.extend(self.unpack("<Q", address + 32 + 16 * i)[0] for i in range(used))
            elif mark == b"SNOD":
                places = range(address + 8, address + 8 + ENTRY * _checked_count(kind, used), ENTRY)
                out.extend(self._symbol(place, names, taken) for place in places)
            else:
                raise CorruptFile("HDF5: a group with a damaged index")
        return out

    def _symbol(self, address, names, taken):
        offset, header, cache = self.unpack("<QQI", address)
        self.symbols -= 1
        if self.symbols < 0:
            raise CorruptFile("HDF5: the members of groups overlap")
        if cache == 2:
            raise UnsafeContent("HDF5: the file holds links to other places or files")
        if offset >= names.size:
            raise CorruptFile("HDF5: a name is outside of its table")
        text, end, _ = names.take(offset, min(_MAX_NAME, names.size - offset)).partition(b"\0")
        try:
            name = text.decode() if end else ""
        except UnicodeDecodeError:
            name = ""
        if not name or "/" in name or name in (".", "..") or name in taken:
            raise CorruptFile("HDF5: a member of a group has no proper name, or one that is taken")
        taken.add(name)
        return name, header

    # --- arrays -----------------------------------------------------------------------------------------------

    def array(self, messages, path):
        """An array of the file."""
        try:
            (_, space), (_, kind), (_, layout) = (messages[key][0] for key in (0x01, 0x03, 0x08))
        except KeyError:
            raise CorruptFile(f"HDF5: {path} is neither a group nor an array") from None
        try:
            shape, dtype = _shape(space), _dtype(kind)
            source, offset, size = self._stored(layout, path)
        except (struct.error, IndexError):
            raise CorruptFile(f"HDF5: the description of {path} is cut") from None
        array = StoredArray(source, offset, shape, dtype)
        if array.nbytes != size:
            raise CorruptFile(f"HDF5: {path} has shape {shape} of {array.nbytes} bytes in all. Stored: {size} bytes")
        return array

    def _stored(self, layout, path):
        """(source, offset, size) of an array's bytes."""
        version, kind = layout[0], layout[1]
        if version == 4 and kind == 3:
            raise UnsafeContent(f"HDF5: {path} is put together from other arrays")
        if version not in (3, 4) or kind not in (0, 1):
            raise UnsupportedVersion(f"HDF5: {path} is stored in chunks, or in an old layout. {_RESAVE}")
        if kind == 0:
            (size,) = struct.unpack("<H", layout[2:4])
            return Source(io.BytesIO(layout[4 : 4 + size])), 0, len(layout[4 : 4 + size])
        address, size = struct.unpack("<QQ", layout[2:18])
        if address == UNDEFINED:
            return self.source, 0, 0
        self.check(address, size)
        return self.source, address, size


def _checked_count(version, used):
    """Number of entries of a symbol node. Raises CorruptFile for an unknown version."""
    if version != 1:
        raise CorruptFile("HDF5: a group with a damaged index")
    return used


def _shape(message):
    version, rank = message[0], message[1]
    if version not in (1, 2) or rank > 32 or (version == 2 and message[3] == 2):
        raise CorruptFile("HDF5: an array without a proper shape")
    start = 8 if version == 1 else 4
    return struct.unpack(f"<{rank}Q", message[start : start + 8 * rank])


def _dtype(message):
    """A NumPy dtype, or "bfloat16"."""
    kind, bits, size = message[0] & 15, message[1], struct.unpack("<I", message[4:8])[0]
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return f"{order}{'i' if bits & 8 else 'u'}{size}"
    if kind == 1:
        exponent, mantissa = message[13], message[15]
        if (size, exponent, mantissa) in _FLOATS and not (order == ">" and mantissa == 7):
            found = _FLOATS[size, exponent, mantissa]
            return found if found == "bfloat16" else order + found
    if kind == 5 and size == 2:
        return "bfloat16"  # as h5py stores it
    raise UnsupportedVersion("HDF5: an array that is not of integers or floats")
