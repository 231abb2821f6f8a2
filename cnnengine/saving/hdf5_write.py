"""Writing HDF5 files of arrays, in the layout of HDF5 1.0 that every reader knows (format specification, version 0).

Groups are symbol tables behind a B-tree, datasets are contiguous. Everything is placed first and written once, front to
back, so the file object need not be seekable; the arrays are not copied.

Source: HDF5 File Format Specification Version 3.0, The HDF Group.
"""

import struct
import zlib

import numpy as np

from cnnengine.core.errors import ConfigError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 0xFFFFFFFFFFFFFFFF
CHECKSUM = "cnnengine_crc32"  # attribute of the root group: CRC-32 of the file, with zeros in the place of the value
DIGITS = 8
ALIGNMENT = 64  # of arrays in the file, and of the file in an archive, so that they can be used where they lie
LEAF_K, INTERNAL_K = 4, 16  # half the capacities of symbol nodes and B-tree nodes
ENTRY, NODE_SIZE, SYMBOLS_SIZE = 40, 24 + (4 * INTERNAL_K + 1) * 8, 8 + 2 * LEAF_K * 40
_SUPERBLOCK_SIZE = 96
_FLOATS = {2: (15, 10, 5, 0, 10, 15), 4: (31, 23, 8, 0, 23, 127), 8: (63, 52, 11, 0, 52, 1023)}


class Group:
    """A group to be written.

    Args:
        attrs: dict from name to str.

    Attributes:
        items: dict from name to Group or array.
    """

    def __init__(self, attrs=None):
        self.attrs = dict(attrs or {})
        self.items = {}

    def group(self, path):
        """The group at a path below this one, made with all on its way where it is missing."""
        here = self
        for part in path.split("/") if path else ():
            here = here.items.setdefault(part, Group())
        return here


def write(file, root):
    """Write a tree of groups and arrays.

    Args:
        file: binary file object.
        root: Group; its attributes are replaced by a checksum.

    Raises:
        ConfigError: for arrays that are not of numbers, and names the format cannot hold.
        OSError.
    """
    root.attrs = {CHECKSUM: "0" * DIGITS}
    places = _Places()
    header, tree, heap = places.group(root)
    end = places.end
    entry = struct.pack("<QQII2Q", 0, header, 1, 0, tree, heap)
    superblock = struct.pack(
        "<8s8BHHI4Q", SIGNATURE, 0, 0, 0, 0, 0, 8, 8, 0, LEAF_K, INTERNAL_K, 0, 0, UNDEFINED, end, UNDEFINED
    )
    chunks = [superblock + entry, *places.chunks]
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    for i, chunk in enumerate(chunks):
        is_root = i == places.root_chunk + 1
        file.write(chunk.replace(b"0" * DIGITS, f"{crc:08x}".encode()) if is_root else chunk)


class _Places:
    """Gives each piece of the file its address, in order; a child comes before what points to it."""

    def __init__(self):
        self.chunks = []
        self.end = _SUPERBLOCK_SIZE
        self.root_chunk = None

    def _put(self, chunk, alignment=8):
        self._fill(-self.end % alignment)
        address, size = self.end, memoryview(chunk).nbytes
        self.chunks.append(chunk)
        self.end += size
        self._fill(-size % 8)
        return address

    def _fill(self, size):
        if size:
            self.chunks.append(bytes(size))
            self.end += size

    def group(self, group):
        """(address of the header, of the B-tree, of the heap)"""
        names, addresses = [], []
        for name in sorted(group.items, key=lambda name: name.encode()):
            item = group.items[name]
            names.append(name.encode())
            addresses.append(self.group(item)[0] if isinstance(item, Group) else self._dataset(np.asarray(item)))
        heap, offsets = self._heap(names)
        tree = self._tree(offsets, addresses)
        messages = [(0x11, struct.pack("<QQ", tree, heap))]
        messages += [(0x0C, _attribute(name, value)) for name, value in group.attrs.items()]
        header = self._put(_object_header(messages))
        self.root_chunk = len(self.chunks) - 1
        return header, tree, heap

    def _heap(self, names):
        segment, offsets = bytearray(8), []
        for name in names:
            if not name or b"\0" in name or b"/" in name:
                raise ConfigError(f"A weight cannot be stored under the name {name!r}")
            offsets.append(len(segment))
            segment += name + bytes(8 - len(name) % 8)
        data = self._put(bytes(segment))
        return self._put(struct.pack("<4sB3xQQQ", b"HEAP", 0, len(segment), 1, data)), offsets

    def _tree(self, offsets, addresses):
        """The B-tree of a group's sorted names, as deep as they need."""
        nodes = []  # (address, heap offset of its last name)
        for lo in range(0, len(offsets), 2 * LEAF_K):
            pairs = list(zip(offsets, addresses))[lo : lo + 2 * LEAF_K]
            body = b"".join(struct.pack("<QQII16x", offset, address, 0, 0) for offset, address in pairs)
            symbols = struct.pack("<4sBBH", b"SNOD", 1, 0, len(pairs)) + body
            nodes.append((self._put(symbols.ljust(SYMBOLS_SIZE, b"\0")), pairs[-1][0]))
        level = 0
        while True:
            nodes = self._tree_level(nodes, level)
            if len(nodes) == 1:
                return nodes[0][0]
            level += 1

    def _tree_level(self, children, level):
        out, first_key, first = [], 0, self.end
        starts = range(0, max(len(children), 1), 2 * INTERNAL_K)
        for i, lo in enumerate(starts):
            some = children[lo : lo + 2 * INTERNAL_K]
            left = first + (i - 1) * NODE_SIZE if i else UNDEFINED
            right = first + (i + 1) * NODE_SIZE if i + 1 < len(starts) else UNDEFINED
            node = struct.pack("<4sBBHQQQ", b"TREE", 0, level, len(some), left, right, first_key)
            node += b"".join(struct.pack("<QQ", address, last) for address, last in some)
            first_key = some[-1][1] if some else 0
            out.append((self._put(node.ljust(NODE_SIZE, b"\0")), first_key))
        return out

    def _dataset(self, array):
        kind = array.dtype.newbyteorder("<")
        array = np.ascontiguousarray(array, kind).reshape(array.shape)
        address = self._put(memoryview(array.reshape(-1)).cast("B"), ALIGNMENT) if array.size else UNDEFINED
        messages = [
            (0x01, struct.pack("<BBB5x", 1, array.ndim, 0) + struct.pack(f"<{array.ndim}Q", *array.shape)),
            (0x03, _datatype(kind)),
            (0x05, struct.pack("<BBBBI", 2, 2, 2, 1, 0)),
            (0x08, struct.pack("<BBQQ", 3, 1, address, array.nbytes)),
        ]
        return self._put(_object_header(messages))


def _datatype(dtype):
    """The message of a number type."""
    if dtype.kind == "f" and dtype.itemsize in _FLOATS:
        sign, *fields = _FLOATS[dtype.itemsize]
        return struct.pack("<BBBBIHHBBBBI", 0x11, 0x20, sign, 0, dtype.itemsize, 0, 8 * dtype.itemsize, *fields)
    if dtype.kind in "iu":
        signed = 8 if dtype.kind == "i" else 0
        return struct.pack("<BBBBIHH", 0x10, signed, 0, 0, dtype.itemsize, 0, 8 * dtype.itemsize)
    raise ConfigError(f"Weights must be numbers. Received: an array of dtype {dtype}")


def _attribute(name, value):
    """The message of an attribute that is one string."""
    name, value = name.encode() + b"\0", value.encode() or b"\0"
    kind = struct.pack("<BBBBI", 0x13, 0x11, 0, 0, len(value))
    space = struct.pack("<BBB5x", 1, 0, 0)
    return struct.pack("<BxHHH", 1, len(name), len(kind), len(space)) + _padded(name) + kind + space + value


def _padded(data):
    return data + bytes(-len(data) % 8)


def _object_header(messages):
    body = b""
    for kind, data in messages:
        data = _padded(data)
        if len(data) > 0xFFFF:
            raise ConfigError("A name is too long to be stored")
        body += struct.pack("<HHB3x", kind, len(data), 0) + data
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body
