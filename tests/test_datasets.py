"""Data sets: the shipped digits, the IDX reader on good and bad files, the search order of the loaders."""

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest

from cnnengine.core.errors import DatasetError
from cnnengine.datasets import digits, fashion_mnist, idx, mnist

_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = _CODES[array.dtype.newbyteorder("=").str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_dataset(folder, train=7, test=3, compress=False):
    rng = np.random.default_rng(0)
    arrays = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in zip(idx.FILES, (train, train, test, test), strict=True):
        shape = (count, 4, 5) if "images" in name else (count,)
        arrays.append(rng.integers(0, 10, shape, dtype=np.uint8))
        content = idx_bytes(arrays[-1])
        path = folder / (name + ".gz" if compress else name)
        path.write_bytes(gzip.compress(content) if compress else content)
    return arrays


def assert_same(loaded, arrays):
    for got, expected in zip((*loaded[0], *loaded[1]), arrays, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_digits_are_complete_and_split_evenly():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, y_train.shape, x_test.shape, y_test.shape) == (
        (1437, 8, 8),
        (1437,),
        (360, 8, 8),
        (360,),
    )
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 16)
    shares = np.bincount(y_test) / np.bincount(np.concatenate([y_train, y_test]))
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


def test_digits_file_is_the_source_and_small():
    # The hash is that of sklearn.datasets.load_digits(): images, then target, as uint8.
    with np.load(digits._FILE) as file:
        content = file["images"].tobytes() + file["labels"].tobytes()
    expected = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert hashlib.sha256(content).hexdigest() == expected
    assert os.path.getsize(digits._FILE) < 100_000


def test_fashion_mnist_real_files():
    try:
        (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data(fashion_mnist._SYSTEM_FOLDERS[0])
    except DatasetError as error:
        pytest.fail(f"apt-get install dataset-fashion-mnist ({error})")
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    np.testing.assert_array_equal(np.bincount(y_train), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [1000] * 10)
    # zcat t10k-images-idx3-ubyte.gz | tail -c +17 | md5sum
    assert hashlib.md5(x_test.tobytes()).hexdigest() == "b7656a891b218fc13e45205c48a92cae"
    assert len(fashion_mnist.CLASS_NAMES) == 10


@pytest.mark.parametrize("code", _CODES)
@pytest.mark.parametrize("compress", [False, True])
def test_read_idx_types(tmp_path, code, compress):
    array = np.arange(-6, 18).reshape(2, 3, 4).astype(code)
    content = idx_bytes(array)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if compress else content)
    read = idx.read_idx(path)
    assert read.dtype == np.dtype(code) and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_read_idx_without_elements(tmp_path):
    (tmp_path / "x").write_bytes(idx_bytes(np.empty((0, 28, 28), np.uint8)))
    assert idx.read_idx(tmp_path / "x").shape == (0, 28, 28)


_GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
_BAD = {
    "empty": b"",
    "three bytes": _GOOD[:3],
    "wrong magic": b"\1" + _GOOD[1:],
    "unknown type": b"\0\0\x07" + _GOOD[3:],
    "no dimensions": b"\0\0\x08\0" + _GOOD[4:],
    "header cut": _GOOD[:10],
    "one element short": _GOOD[:-1],
    "one element more": _GOOD + b"\0",
    "huge": struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4) + b"\0" * 50,
    "huge and empty": struct.pack(">BBBB4I", 0, 0, 8, 4, 0, *[2**32 - 1] * 3),
    "255 dimensions": struct.pack(">BBBB255I", 0, 0, 8, 255, *[1] * 255) + b"\0",
}


@pytest.mark.parametrize("name", _BAD)
@pytest.mark.parametrize("compress", [False, True])
def test_read_idx_refuses(tmp_path, name, compress):
    path = tmp_path / "bad"
    path.write_bytes(gzip.compress(_BAD[name]) if compress else _BAD[name])
    with pytest.raises(DatasetError) as caught:
        idx.read_idx(path)
    assert caught.value.path == str(path) and str(path) in str(caught.value)


def test_read_idx_refuses_every_truncation_and_bit_flip_of_gzip(tmp_path):
    packed = gzip.compress(_GOOD, mtime=0)
    path = tmp_path / "bad.gz"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DatasetError):
            idx.read_idx(path)
    for position in range(10, len(packed)):  # the first ten bytes hold flags and times nobody checks
        path.write_bytes(packed[:position] + bytes([packed[position] ^ 1]) + packed[position + 1 :])
        with pytest.raises(DatasetError):
            idx.read_idx(path)


def test_read_idx_memory_is_bounded_by_the_file(tmp_path):
    import tracemalloc

    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1) + b"\0" * 100))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="more than it can hold"):
        idx.read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_read_idx_refuses_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "loop", "folder", "missing"):
        with pytest.raises(DatasetError, match=name):
            idx.read_idx(tmp_path / name)


@pytest.mark.parametrize("dataset", [mnist, fashion_mnist])
@pytest.mark.parametrize("compress", [False, True])
def test_load_from_folder(tmp_path, dataset, compress):
    arrays = write_dataset(tmp_path, compress=compress)
    assert_same(dataset.load_data(tmp_path), arrays)


def test_load_from_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNENGINE_HOME", str(tmp_path))
    arrays = write_dataset(tmp_path / "datasets" / "mnist", compress=True)
    assert_same(mnist.load_data(), arrays)


def test_system_folder_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNENGINE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "_SYSTEM_FOLDERS", (str(tmp_path / "system"),))
    write_dataset(tmp_path / "cache" / "datasets" / "fashion-mnist", train=2)
    arrays = write_dataset(tmp_path / "system")
    assert_same(fashion_mnist.load_data(), arrays)


def test_download_failure_says_how_to_get_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNENGINE_HOME", str(tmp_path))
    monkeypatch.setattr(mnist, "_ORIGIN", "http://127.0.0.1:9/")  # the discard port: nobody answers
    with pytest.raises(DatasetError, match=r"pass it as path=, or into .*datasets.mnist"):
        mnist.load_data()
    assert list((tmp_path / "datasets" / "mnist").iterdir()) == []


def test_folder_without_the_files(tmp_path):
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte") as caught:
        mnist.load_data(tmp_path)
    assert caught.value.path == str(tmp_path)


def test_labels_must_fit_the_images(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / idx.FILES[1]).write_bytes(idx_bytes(np.zeros(6, np.uint8)))
    with pytest.raises(DatasetError, match="expected 7 uint8 labels"):
        mnist.load_data(tmp_path)


def test_images_must_be_images(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / idx.FILES[2]).write_bytes(idx_bytes(np.zeros((3, 4, 5), np.float32)))
    with pytest.raises(DatasetError, match="expected uint8 images of rank 3"):
        mnist.load_data(tmp_path)
