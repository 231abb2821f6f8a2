"""The IDX file format of MNIST and its relatives, and the four files such a data set consists of.

bytes 0-1  zero
byte  2    element type
byte  3    number of dimensions
then       one big-endian uint32 a dimension, then the elements, big-endian, last dimension fastest
"""

import os
import stat
import zlib

import numpy as np

from cnnengine.core.errors import DatasetError
from cnnengine.utils.download import cache_home, get_file

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DEFLATE_RATIO = 1032  # no deflate stream expands more, so no honest gzip file declares more
_CHUNK = 1 << 20

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_idx(path):
    """Read an IDX file, compressed with gzip or not.

    Args:
        path: A regular file; whether it is compressed is read from its content, not from its name.

    Returns:
        Array of the type (in native byte order) and shape the file declares.

    Raises:
        DatasetError: If the file is missing, no IDX file, damaged, shorter or longer than it declares. Memory stays
            bounded by the size of the file.
    """
    import gzip

    path = os.fspath(path)
    try:
        size = _regular_size(path)
        with open(path, "rb") as raw:
            if raw.read(2) != _GZIP_MAGIC:
                raw.seek(0)
                return _parse(raw, size, path)
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) as file:
                return _parse(file, size * _MAX_DEFLATE_RATIO, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"Reading the IDX file {path!r} failed: {error}.", path) from error


def _regular_size(path):
    """Size in bytes; a pipe or device is refused before it is opened, since opening may block or act."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise DatasetError(f"Expected a regular file. Received: {path!r}.", path)
    return status.st_size


def _parse(file, limit, path):
    dtype, shape = _header(file, path)
    elements = 1
    for length in shape:  # Python's integers do not overflow
        elements *= length
    declared = elements * dtype.itemsize
    if declared > limit:
        raise DatasetError(
            f"The IDX file {path!r} declares more than it can hold: shape {shape}, {declared} bytes; "
            f"its size allows at most {limit}.",
            path,
        )
    content = np.empty(declared, np.uint8)
    filled = _fill(file, memoryview(content))
    if filled < declared:
        raise DatasetError(f"The IDX file {path!r} is truncated: expected {declared} bytes, received {filled}.", path)
    if file.read(1):
        raise DatasetError(f"The IDX file {path!r} has data after its last element; expected {declared} bytes.", path)
    array = content.view(dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(file, path):
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] < 1:
        raise DatasetError(
            f"{path!r} is not an IDX file: expected two zero bytes, a type and a number of dimensions. "
            f"Received: {magic.hex(' ') or 'an empty file'}.",
            path,
        )
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise DatasetError(f"The IDX file {path!r} is truncated inside its header.", path)
    shape = tuple(int(length) for length in np.frombuffer(lengths, ">u4"))
    # Beyond these limits NumPy itself refuses the shape, even an empty one.
    if len(shape) > 32 or np.prod([max(length, 1) for length in shape], dtype=np.float64) > 2.0**60:
        raise DatasetError(f"The IDX file {path!r} declares an impossible shape: {shape}.", path)
    return np.dtype(">" + _TYPES[magic[2]]), shape


def _fill(file, target):
    """Read until `target` is full or the file ends; by chunks, so memory is touched only as data really arrive."""
    filled = 0
    while filled < len(target):
        chunk = file.read(min(_CHUNK, len(target) - filled))
        if not chunk:
            break
        target[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return filled


def load_idx_dataset(name, path, folders, origin, md5):
    """Load the four files of an MNIST-like data set from the first place that has them.

    Args:
        name: Name of the data set, for messages and for its folder in the cache.
        path: Folder the files are in; None tries `folders`, the cache, and then downloads.
        folders: Where system packages put the files.
        origin: URL of the folder to download from.
        md5: Dict of file name (with .gz) to its md5.

    Returns:
        ((x_train, y_train), (x_test, y_test)), uint8 arrays: images (n, h, w), labels (n,).

    Raises:
        DatasetError: If files are missing, damaged, or do not fit together.
    """
    if path is not None:
        paths = _require(name, os.fspath(path))
    else:
        cache = os.path.join(cache_home(), "datasets", name)
        found = (_find(folder) for folder in (*folders, cache))
        paths = next(filter(None, found), None) or _download(name, origin, md5)
    arrays = [read_idx(file) for file in paths]
    return _pair(arrays[0], arrays[1], paths), _pair(arrays[2], arrays[3], paths[2:])


def _find(folder):
    """Paths of the four files in `folder`, or None if one is missing."""
    paths = [_plain_or_gzip(folder, file) for file in FILES]
    return paths if all(paths) else None


def _plain_or_gzip(folder, file):
    candidates = (os.path.join(folder, file + ending) for ending in ("", ".gz"))
    return next((path for path in candidates if os.path.isfile(path)), None)


def _require(name, folder):
    paths = _find(folder)
    if paths is None:
        raise DatasetError(
            f"{name}: expected a folder with the files {', '.join(FILES)} (plain or .gz). Received: {folder!r}.", folder
        )
    return paths


def _download(name, origin, md5):
    subfolder = os.path.join("datasets", name)
    try:
        return [
            get_file(origin=f"{origin}{file}.gz", md5_hash=md5[f"{file}.gz"], cache_subdir=subfolder) for file in FILES
        ]
    except DatasetError as error:
        raise DatasetError(
            f"{name} is not on this machine and could not be downloaded. Put the files {', '.join(FILES)} "
            f"(plain or .gz) into a folder and pass it as path=, or into {os.path.join(cache_home(), subfolder)!r}. "
            f"Cause: {error}",
            error.path,
        ) from error


def _pair(images, labels, paths):
    """Check that images and labels belong together."""
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DatasetError(
            f"{paths[0]!r}: expected uint8 images of rank 3. Received: {images.dtype}, shape {images.shape}.", paths[0]
        )
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise DatasetError(
            f"{paths[1]!r}: expected {len(images)} uint8 labels, one an image. "
            f"Received: {labels.dtype}, shape {labels.shape}.",
            paths[1],
        )
    return images, labels
