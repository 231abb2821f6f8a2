"""Downloads into the cache folder, verified by a hash."""

import os

from cnnengine.callbacks.progbar import Progbar
from cnnengine.core import console
from cnnengine.core.errors import ConfigError, DatasetError
from cnnengine.core.files import atomic_write

_CHUNK = 1 << 18
_TIMEOUT = 30  # seconds without a byte


def cache_home():
    """The folder of everything cnnengine downloads: $CNNENGINE_HOME, else ~/.cnnengine."""
    return os.environ.get("CNNENGINE_HOME") or os.path.join(os.path.expanduser("~"), ".cnnengine")


def get_file(
    fname=None,
    origin=None,
    *,
    md5_hash=None,
    file_hash=None,
    cache_subdir="datasets",
    hash_algorithm="auto",
    cache_dir=None,
    force_download=False,
):
    """Path of a downloaded file, fetched on first use.

    A file in the cache is used if its hash is right and fetched again if not. The download gets its name only when it
    is complete and verified, so several processes may ask for the same file.

    Args:
        fname: Name in the cache; None takes the last part of `origin`.
        origin: URL, http or https.
        md5_hash: Older way to give an md5 `file_hash`.
        file_hash: Expected sha256 or md5, in hexadecimal. Without it nothing is verified.
        cache_subdir: Folder inside the cache.
        hash_algorithm: "sha256", "md5", or "auto" to tell by the length of the hash.
        cache_dir: The cache; None means $CNNENGINE_HOME, else ~/.cnnengine.
        force_download: Fetch even if the cache has it.

    Returns:
        The path as a string.

    Raises:
        ConfigError: Wrong arguments.
        DatasetError: The download failed or its hash is wrong; the cache is as it was.

    Example:
        >>> path = get_file("weights.npz", "https://example.org/weights.npz", file_hash="9f86d0...")
    """
    fname = _checked_name(fname, origin)
    expected = file_hash or md5_hash
    algorithm = _algorithm("md5" if file_hash is None and md5_hash else hash_algorithm, expected)
    folder = os.path.join(os.path.expanduser(cache_dir or cache_home()), cache_subdir)
    path = os.path.join(folder, fname)
    if not force_download and os.path.isfile(path) and _matches(path, expected, algorithm):
        return path
    try:
        os.makedirs(folder, exist_ok=True)
        with atomic_write(path) as file:
            _download(origin, file, path)
            _verify(file, expected, algorithm, origin, path)
    except OSError as error:  # network errors of urllib are OSErrors, too
        raise DatasetError(
            f"Downloading {origin} to {path} failed: {error}. Put the file there by other means, or set "
            "CNNENGINE_HOME to a folder that may be written.",
            path,
        ) from error
    return path


def _checked_name(fname, origin):
    from urllib.parse import urlsplit

    parts = urlsplit(origin or "")
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"get_file: origin must be an http or https URL. Received: {origin!r}.")
    fname = os.fspath(fname or os.path.basename(parts.path))
    if fname in ("", os.curdir, os.pardir) or os.path.basename(fname) != fname:
        raise ConfigError(f"get_file: fname must be a file name without folders. Received: {fname!r}.")
    return fname


def _algorithm(name, expected):
    if name == "auto":
        name = "sha256" if len(expected or "") == 64 else "md5"
    length = {"sha256": 64, "md5": 32}.get(name)
    if length is None or (expected is not None and len(expected) != length):
        raise ConfigError(
            "get_file: expected a sha256 (64 digits) or md5 (32 digits). "
            f"Received: hash_algorithm={name!r}, file_hash={expected!r}."
        )
    return name


def _matches(path, expected, algorithm):
    if expected is None:
        return True
    with open(path, "rb") as file:
        return _digest(file, algorithm) == expected.lower()


def _digest(file, algorithm):
    import hashlib

    # md5 is all that is published for some data sets; it guards against damage here, hence usedforsecurity.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _download(origin, file, path):
    from http.client import HTTPException
    from urllib.request import urlopen

    console.write(f"Downloading data from {origin}")
    try:
        with urlopen(origin, timeout=_TIMEOUT) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            received = _copy(response, file, Progbar(total))
    except HTTPException as error:
        raise DatasetError(f"Downloading {origin} failed: {error!r}.", path) from error
    if total is not None and received != total:
        raise DatasetError(f"Downloading {origin} ended early: {received} of {total} bytes came.", path)


def _copy(response, file, bar):
    received = 0
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        received += len(chunk)
        bar.update(received, finalize=False)
    bar.update(received, finalize=True)
    return received


def _verify(file, expected, algorithm, origin, path):
    if expected is None:
        return
    file.seek(0)
    received = _digest(file, algorithm)
    if received != expected.lower():
        raise DatasetError(
            f"The file from {origin} is not the expected one. Expected: {algorithm} {expected}. Received: {received}.",
            path,
        )
