"""Helpers: labels, scaling, splitting, downloads, the progress bar beside Keras's own."""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cnnengine import utils
from cnnengine.core import console, files
from cnnengine.core.errors import ConfigError, DatasetError, DTypeError, ShapeError, missing_extra
from tests.support.keras_oracle import import_keras


@pytest.fixture(scope="module")
def keras():
    return import_keras()


# to_categorical


@pytest.mark.parametrize("x, classes", [([0, 2, 1], None), ([[1], [0]], 3), ([[0, 1], [2, 0]], None), (3, None)])
def test_to_categorical_as_keras(keras, x, classes):
    encoded = utils.to_categorical(x, classes)
    np.testing.assert_array_equal(encoded, keras.utils.to_categorical(x, classes))
    assert encoded.dtype == np.float32


def test_to_categorical_accepts_whole_floats_and_no_labels():
    np.testing.assert_array_equal(utils.to_categorical(np.float32([1, 0]), 2), [[0, 1], [1, 0]])
    assert utils.to_categorical([], 4).shape == (0, 4)


@pytest.mark.parametrize("x, classes", [([-1, 0], 3), ([3], 3), ([0.5], 2), ([np.nan], 2), ([np.inf], 2), ([], None)])
def test_to_categorical_refuses(x, classes):
    with pytest.raises(ConfigError, match="to_categorical"):
        utils.to_categorical(x, classes)


def test_to_categorical_refuses_text():
    with pytest.raises(DTypeError):
        utils.to_categorical(["cat", "dog"])


# normalize, standardize


@pytest.mark.parametrize("axis, order", [(-1, 2), (1, 1), (2, np.inf)])
def test_normalize_as_keras(keras, axis, order):
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    x[0] = 0
    np.testing.assert_allclose(utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order))


def test_normalize_along_the_first_axis():
    np.testing.assert_allclose(utils.normalize([[3.0, 0.0], [4.0, 0.0]], axis=0), [[0.6, 0], [0.8, 0]])


@pytest.mark.parametrize("axis", [-1, None, (1, 2)])
def test_standardize(axis):
    rng = np.random.default_rng(0)
    train = rng.normal(5, 3, size=(50, 4, 4, 3)).astype(np.float32)
    test = rng.normal(5, 3, size=(7, 4, 4, 3)).astype(np.float32)
    mean, std = utils.fit_standardization(train, axis)
    scaled = utils.standardize(train, mean, std)
    kept = () if axis is None else np.atleast_1d(axis) % 4
    reduced = tuple(k for k in range(4) if k not in kept)
    np.testing.assert_allclose(scaled.mean(reduced), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(reduced), 1, atol=1e-5)
    np.testing.assert_allclose(utils.standardize(test, mean, std), (test - mean) / std, rtol=1e-6)


def test_standardize_of_bytes_and_of_a_constant():
    images = np.full((3, 2, 1), 200, np.uint8)
    scaled = utils.standardize(images, *utils.fit_standardization(images))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, 0)


def test_fit_standardization_refuses():
    with pytest.raises(ShapeError):
        utils.fit_standardization(np.empty((0, 3)))
    with pytest.raises(ShapeError):
        utils.fit_standardization(np.ones((2, 3)), axis=2)


# split_dataset


@pytest.mark.parametrize(
    "left, right, counts", [(0.7, None, (7, 3)), (None, 4, (6, 4)), (2, 3, (2, 3)), (6, 0.4, (6, 4))]
)
def test_split_dataset_sizes(left, right, counts):
    x = np.arange(20).reshape(10, 2)
    first, last = utils.split_dataset(x, left, right)
    assert (len(first), len(last)) == counts
    np.testing.assert_array_equal(first, x[: counts[0]])
    np.testing.assert_array_equal(last, x[-counts[1] :])


def test_split_dataset_keeps_pairs_together():
    x = np.arange(30)
    data = {"x": x, "pair": (x * 2, [x * 3])}
    left, right = utils.split_dataset(data, left_size=0.5, shuffle=True, seed=1)
    for part in (left, right):
        np.testing.assert_array_equal(part["pair"][0], part["x"] * 2)
        np.testing.assert_array_equal(part["pair"][1][0], part["x"] * 3)
    assert sorted([*left["x"], *right["x"]]) == list(x)
    again, _ = utils.split_dataset(data, left_size=0.5, shuffle=True, seed=1)
    np.testing.assert_array_equal(left["x"], again["x"])
    assert list(left["x"]) != sorted(left["x"])


@pytest.mark.parametrize(
    "sizes", [(None, None), (0, None), (10, None), (1.0, None), (-0.1, None), (6, 5), (True, None)]
)
def test_split_dataset_refuses_sizes(sizes):
    with pytest.raises(ConfigError, match="split_dataset"):
        utils.split_dataset(np.arange(10), *sizes)


@pytest.mark.parametrize("dataset", [[np.ones(3), np.ones(4)], [], np.float32(1)])
def test_split_dataset_refuses_arrays(dataset):
    with pytest.raises(ShapeError, match="split_dataset"):
        utils.split_dataset(dataset, 0.5)


# get_file


@pytest.fixture
def server(tmp_path):
    """A web server over tmp_path/web that can also lie about lengths; yields its address."""
    web = tmp_path / "web"
    web.mkdir()
    (web / "data.bin").write_bytes(b"some data" * 1000)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(web))

        def do_GET(self):
            if self.path != "/short":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def digest(algorithm):
    return hashlib.new(algorithm, b"some data" * 1000).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_get_file_downloads_once(tmp_path, server, algorithm, capsys):
    arguments = {
        "origin": f"{server}/data.bin",
        "file_hash": digest(algorithm),
        "cache_dir": tmp_path / "cache",
    }
    path = utils.get_file(**arguments)
    assert path == str(tmp_path / "cache" / "datasets" / "data.bin")
    assert os.listdir(os.path.dirname(path)) == ["data.bin"]
    assert "Downloading data from" in capsys.readouterr().out
    (tmp_path / "web" / "data.bin").unlink()
    assert utils.get_file(**arguments) == path
    assert capsys.readouterr().out == ""


def test_get_file_replaces_a_damaged_file(tmp_path, server):
    path = tmp_path / "datasets" / "x"
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    utils.get_file("x", f"{server}/data.bin", file_hash=digest("sha256"), cache_dir=tmp_path)
    assert path.read_bytes() == b"some data" * 1000


def test_get_file_uses_the_home_folder(tmp_path, server, monkeypatch):
    monkeypatch.setenv("CNNENGINE_HOME", str(tmp_path / "home"))
    assert utils.get_file(origin=f"{server}/data.bin") == str(tmp_path / "home" / "datasets" / "data.bin")


@pytest.mark.parametrize(
    "page, reason", [("missing", "404"), ("short", "ended early"), ("data.bin", "not the expected one")]
)
def test_get_file_failure_leaves_nothing(tmp_path, server, page, reason):
    with pytest.raises(DatasetError, match=reason) as caught:
        utils.get_file(origin=f"{server}/{page}", file_hash="0" * 64, cache_dir=tmp_path)
    assert caught.value.path == str(tmp_path / "datasets" / page)
    assert os.listdir(tmp_path / "datasets") == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"origin": None},
        {"origin": "file:///etc/passwd"},
        {"origin": "http://x/"},
        {"origin": "http://x/a", "fname": "../a"},
        {"origin": "http://x/a", "file_hash": "abc"},
        {"origin": "http://x/a", "file_hash": "0" * 64, "hash_algorithm": "md5"},
        {"origin": "http://x/a", "hash_algorithm": "sha1"},
    ],
)
def test_get_file_refuses(tmp_path, arguments):
    with pytest.raises(ConfigError, match="get_file"):
        utils.get_file(**arguments, cache_dir=tmp_path)


# atomic files, console, errors


def test_atomic_write_replaces_or_leaves(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(RuntimeError), files.atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    with files.atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["f"]


def test_atomic_write_gives_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with files.atomic_write(tmp_path / "f"):
        pass
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_console_survives_odd_streams(monkeypatch):
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    monkeypatch.setattr(sys, "stdout", ascii_stream)
    console.write("━━ é")
    assert ascii_stream.buffer.getvalue() == b"== ?\n"
    ascii_stream.close()
    console.write("dropped")
    monkeypatch.setattr(sys, "stdout", None)
    console.write("dropped")


def test_missing_extra_names_the_install_command():
    text = missing_extra("matplotlib", "plots", "Drawing pictures")
    assert text.startswith("Drawing pictures needs matplotlib") and text.endswith('pip install "cnnengine[plots]"')


# Progbar


@pytest.fixture
def clock(monkeypatch):
    """Replaces time.time by a hand that is moved by the test."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.time", lambda: Clock.now)
    return Clock


_RUNS = {
    "plain": ({"target": 10}, [(1, 0.5), (2, 0.25), (3, 2.0), (10, 0.0001)], 0.1),
    "long": ({"target": 5000}, [(1, 0.5), (2, 0.25), (4000, 2.0), (5000, 1e-9)], 700.0),
    "minutes": ({"target": 90}, [(1, 0.5), (2, 0.25), (90, -2.0)], 1.5),
    "fast": ({"target": 3}, [(1, 0.5), (2, 0.25), (3, 2.0)], 0.0004),
    "narrow": ({"target": 7, "width": 5}, [(2, 3.0), (5, 4.0), (7, 5.0)], 0.06),
    "unknown": ({"target": None}, [(1, 1.0), (2, 2.0), (40, 3.0)], 0.2),
    "as given": ({"target": 4, "stateful_metrics": ["loss"]}, [(1, 1.0), (2, 2.0), (4, 3.0)], 0.2),
    "all as given": ({"target": 4, "stateless_metrics": []}, [(1, 1.0), (2, 2.0), (4, 3.0)], 0.2),
    "shorter line": ({"target": 4}, [(1, 123456.0), (2, 0.0), (4, 1.0)], 0.2),
    "one line": ({"target": 12, "verbose": 2}, [(1, 1.0), (12, 3.0)], 0.2),
    "silent": ({"target": 12, "verbose": 0}, [(1, 1.0), (12, 3.0)], 0.2),
}


@pytest.mark.parametrize("name", _RUNS)
def test_progbar_draws_what_keras_draws(keras, clock, capsys, name):
    options, updates, step = _RUNS[name]
    drawn = []
    for kind in (keras.utils.Progbar, utils.Progbar):
        clock.now = 1000.0
        bar = kind(**options)
        for current, loss in updates:
            clock.now += step
            bar.update(current, [("accuracy", loss / 3), ("loss", loss)])
        drawn.append(capsys.readouterr().out)
    assert drawn[1] == drawn[0]


def test_progbar_add_and_finalize_as_keras(keras, clock, capsys):
    drawn = []
    for kind in (keras.utils.Progbar, utils.Progbar):
        clock.now = 1000.0
        bar = kind(4, unit_name="sample")
        for n in (1, 2):
            clock.now += 0.3
            bar.add(n, [("loss", np.float32(0.125))])
        bar.update(4, [("loss", np.array([1.0, 2.0]))], finalize=True)
        drawn.append(capsys.readouterr().out)
    assert drawn[1] == drawn[0]


def test_progbar_line(clock, capsys):
    bar = utils.Progbar(4)
    clock.now += 1
    bar.update(2, [("loss", 0.5)])
    done, left = "\x1b[32m━━━━━━━━━━\x1b[0m", "\x1b[37m━━━━━━━━━━\x1b[0m"
    line = f"\r\x1b[1m2/4\x1b[0m {done}{left} \x1b[1m1s\x1b[0m 500ms/step - loss: 0.5000"
    assert capsys.readouterr().out == line


def test_progbar_refuses_both_lists():
    with pytest.raises(ConfigError):
        utils.Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_import_is_fast_and_light():
    heavy = "urllib.request, gzip, tempfile, http, inspect, csv"
    code = (
        "import numpy, sys; before = set(sys.modules)\n"
        "import cnnengine.callbacks, cnnengine.utils, cnnengine.datasets\n"
        f"print(*[name for name in '{heavy}'.split(', ') if name in set(sys.modules) - before])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
