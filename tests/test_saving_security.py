"""Files from strangers: nothing is run, imported, opened or allocated for them; only typed errors come out."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cnnengine as ce
from cnnengine import layers as L
from cnnengine import saving
from cnnengine.core import errors
from cnnengine.saving import archive, hdf5_read, hdf5_write, strict_json
from cnnengine.saving.source import as_source

MODEL_FILE_KINDS = (errors.ModelFileError, OSError)


def small_model():
    x = ce.Input((4,), name="entry")
    y = L.Dense(3, name="first", activation="relu")(x)
    model = ce.Model(x, L.Add(name="sum")([y, L.Dense(3, name="second")(x)]), name="small")
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The bytes of a whole file."""
    model = small_model()
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    path = tmp_path_factory.mktemp("model") / "m.keras"
    model.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, about double names
        for name, content in members.items() if isinstance(members, dict) else members:
            out.writestr(name, content)
    return file.getvalue()


def load(data, tmp_path, **options):
    (tmp_path / "x.keras").write_bytes(data)
    return saving.load_model(tmp_path / "x.keras", **options)


def with_config(members, change):
    """The file with a changed config."""
    config = json.loads(members["config.json"])
    change(config)
    return packed(members | {"config.json": json.dumps(config)})


def first_layer(config):
    return next(layer for layer in config["config"]["layers"] if layer["name"] == "first")


# --- configs --------------------------------------------------------------------------------------------------------


CODE = {"class_name": "__lambda__", "config": {"value": "4wEAAAAAAAAA"}}
NAMES = [
    ("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("keras.src.utils.file_utils", "get_file"),
    ("keras.layers", "TFSMLayer"), ("cnnengine.layers", "Dense"), (None, "Anything"), ("this", "Thing"),
]  # fmt: skip


@pytest.mark.parametrize("module, name", NAMES)
def test_unknown_classes_are_not_looked_for(module, name, members, tmp_path):
    def change(config):
        first_layer(config).update(module=module, class_name=name, registered_name=name)

    before = set(sys.modules)
    with pytest.raises((errors.UnsafeContent, errors.UnsupportedVersion)):
        load(with_config(members, change), tmp_path)
    assert "this" not in set(sys.modules) - before


@pytest.mark.parametrize("safe_mode", [True, False])
def test_code_is_refused(safe_mode, members, tmp_path):
    def activation(config):
        first_layer(config)["config"]["activation"] = CODE

    def layer(config):
        first_layer(config).update(class_name="Lambda", config={"function": CODE, "name": "first"})

    def loss(config):
        config["compile_config"]["loss"] = CODE

    for change in (activation, layer, loss):
        with pytest.raises(errors.UnsafeContent):
            load(with_config(members, change), tmp_path, safe_mode=safe_mode)


def test_paths_and_addresses_are_not_opened(members, tmp_path, monkeypatch):
    def change(config):
        first_layer(config)["config"]["kernel_initializer"] = "http://localhost:1/x.npy"

    monkeypatch.setattr("socket.socket", lambda *_: pytest.fail("the network is used"))
    with pytest.raises(errors.ModelFileError):
        load(with_config(members, change), tmp_path)


def _set(config, path, value):
    for key in path[:-1]:
        config = config[key]
    config[path[-1]] = value


LAYERS = ("config", "layers")
CHANGES = {
    "units_negative": ((*LAYERS, 1, "config", "units"), -1),
    "units_text": ((*LAYERS, 1, "config", "units"), "3"),
    "units_other": ((*LAYERS, 1, "config", "units"), 2),
    "no_layers": (LAYERS, []),
    "layers_text": (LAYERS, "all"),
    "layer_null": ((*LAYERS, 1), None),
    "no_inbound": ((*LAYERS, 1, "inbound_nodes"), []),
    "inbound_number": ((*LAYERS, 1, "inbound_nodes"), 3),
    "inbound_old": ((*LAYERS, 1, "inbound_nodes"), [[["entry", 0, 0, {}]]]),
    "args_null": ((*LAYERS, 1, "inbound_nodes", 0, "args"), None),
    "args_number": ((*LAYERS, 1, "inbound_nodes", 0, "args"), [3]),
    "history_unknown": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), ["nobody", 0, 0]),
    "history_late": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), ["entry", 7, 0]),
    "history_negative": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), ["entry", -1, 0]),
    "history_output": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), ["entry", 0, 5]),
    "history_loop": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), ["sum", 0, 0]),
    "history_text": ((*LAYERS, 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"), "entry"),
    "names_double": ((*LAYERS, 1, "name"), "second"),
    "outputs": (("config", "output_layers"), [["sum", 3, 0]]),
    "outputs_null": (("config", "output_layers"), None),
    "inputs_not": (("config", "input_layers"), [["sum", 0, 0]]),
    "shape": ((*LAYERS, 0, "config", "batch_shape"), [None, "four"]),
    "shape_huge": ((*LAYERS, 0, "config", "batch_shape"), [None, 2**62]),
    "build_shape": ((*LAYERS, 1, "build_config"), {"input_shape": [None, 99]}),
    "build_text": ((*LAYERS, 1, "build_config"), "shape"),
    "optimizer": (("compile_config", "optimizer"), {"class_name": "SGD", "config": 3}),
    "metrics": (("compile_config", "metrics"), ["no such metric", {"class_name": 7, "config": {}}]),
    "not_a_model": (("class_name",), "InputLayer"),
    "class_number": (("class_name",), 3),
}


@pytest.mark.parametrize("case", CHANGES)
def test_damaged_configs(case, members, tmp_path):
    with pytest.raises(errors.ModelFileError):
        load(with_config(members, lambda config: _set(config, *CHANGES[case])), tmp_path)


def test_weights_that_the_file_cannot_hold_are_not_made(members, tmp_path):
    def change(config):
        first_layer(config)["config"]["units"] = 50_000_000
        first_layer(config)["build_config"] = {"input_shape": [None, 4]}

    tracemalloc.start()
    with pytest.raises(errors.TooLarge):
        load(with_config(members, change), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_weights_of_a_model_that_was_not_built(members, tmp_path):
    unbuilt = ce.Sequential([L.Dense(3)])
    with pytest.raises(errors.CorruptFile, match="load_weights"):
        load(packed(members | {"config.json": unbuilt.to_json()}), tmp_path)


# --- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, error",
    [
        ("[" * 100_000, errors.TooLarge),
        ('{"a":' * 70 + "1" + "}" * 70, errors.TooLarge),
        ("[" + "{}," * 600_000 + "{}]", errors.TooLarge),
        (" " * (strict_json.MAX_BYTES + 1), errors.TooLarge),
        ('{"a": 1, "a": 2}', errors.CorruptFile),
        ('{"a": NaN}', errors.CorruptFile),
        ('{"a": -Infinity}', errors.CorruptFile),
        ('{"a": 1e999}', errors.CorruptFile),
        ('{"a": ' + "9" * 100_000 + "}", errors.CorruptFile),
        ('{"a": ', errors.CorruptFile),
        ("", errors.CorruptFile),
        ("[1]", errors.CorruptFile),
        (b"\xff\xfe{}", errors.CorruptFile),
        ('{"class_name": "Model"}', errors.CorruptFile),
    ],
)
def test_json(text, error, members, tmp_path):
    with pytest.raises(error):
        load(packed(members | {"config.json": text}), tmp_path)


def test_brackets_in_strings_are_no_nesting():
    assert strict_json.parse(json.dumps({"a": "[" * 1000 + '\\"' + "{" * 1000}), "text")["a"].startswith("[[[")


# --- zip ------------------------------------------------------------------------------------------------------------


def test_other_files(tmp_path):
    for content in (b"", b"PK", b"\x89HDF\r\n\x1a\n", b"{}", os.urandom(1000), pickle.dumps(1)):
        with pytest.raises(errors.ModelFileError):
            load(content, tmp_path)
        (tmp_path / "x.weights.h5").write_bytes(content)
        with pytest.raises(errors.ModelFileError):
            small_model().load_weights(tmp_path / "x.weights.h5")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_unsafe_names(name, members, tmp_path):
    with pytest.raises(errors.UnsafeContent, match="unsafe name"):
        load(packed(members | {name: b"x"}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]


def test_double_names(members, tmp_path):
    with pytest.raises(errors.UnsafeContent, match="two members"):
        load(packed([*members.items(), ("config.json", "{}")]), tmp_path)


def test_bomb(members, tmp_path):
    bomb = packed(members | {"model.weights.h5": bytes(300 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(errors.TooLarge):
        load(bomb, tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_packed_by_another_program(members, data, tmp_path):
    a = load(packed(members, compression=zipfile.ZIP_DEFLATED), tmp_path).get_weights()
    for x, y in zip(a, load(data, tmp_path).get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    with pytest.raises(errors.UnsupportedVersion):
        load(packed(members, compression=zipfile.ZIP_LZMA), tmp_path)


def test_encrypted(data, tmp_path):
    changed = bytearray(data)
    changed[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(errors.UnsafeContent, match="encrypted"):
        load(bytes(changed), tmp_path)


def test_overlapping_members(data, tmp_path):
    changed, places = bytearray(data), []
    at = data.index(b"PK\1\2")
    while at >= 0:
        places.append(at)
        at = data.find(b"PK\1\2", at + 4)
    changed[places[1] + 42 : places[1] + 46] = struct.pack("<I", 0)
    with pytest.raises((errors.UnsafeContent, errors.TruncatedFile)):
        load(bytes(changed), tmp_path)


def test_something_in_front(data, tmp_path):
    with pytest.raises(errors.ModelFileError):
        load(b"#!/bin/sh\n" + data, tmp_path)


def test_missing_members(members, tmp_path):
    for name in ("config.json", "model.weights.h5"):
        with pytest.raises(errors.CorruptFile, match=name):
            load(packed({key: value for key, value in members.items() if key != name}), tmp_path)


def test_pickled_weights_are_not_read(members, tmp_path):
    without = {key: value for key, value in members.items() if not key.endswith(".h5")}
    file = io.BytesIO()
    np.savez(file, **{"layers/dense": {"0": np.ones(3)}})
    with pytest.raises(errors.UnsupportedVersion, match="pickled"):
        load(packed(without | {"model.weights.npz": file.getvalue()}), tmp_path)


def test_read_gives_only_what_is_wanted(data):
    assert list(archive.read(data, ("config.json",))) == ["config.json"]


# --- HDF5 -----------------------------------------------------------------------------------------------------------


def h5_file(make, **options):
    h5py = pytest.importorskip("h5py")
    file = io.BytesIO()
    with h5py.File(file, "w", **options) as h5:
        make(h5py, h5)
    return file.getvalue()


REFUSED = {
    "soft_link": (lambda h5py, h5: h5.__setitem__("a", h5py.SoftLink("/b")), errors.UnsafeContent),
    "external_link": (lambda h5py, h5: h5.__setitem__("a", h5py.ExternalLink("o.h5", "/b")), errors.UnsafeContent),
    "external_storage": (
        lambda h5py, h5: h5.create_dataset("a", shape=(9,), dtype="f4", external="/etc/passwd"),
        errors.UnsafeContent,
    ),
    "virtual": (
        lambda h5py, h5: h5.create_virtual_dataset("a", h5py.VirtualLayout((3,), "f4")), errors.ModelFileError,
    ),
    "chunks": (lambda h5py, h5: h5.create_dataset("a", data=np.ones(9), chunks=(3,)), errors.UnsupportedVersion),
    "gzip": (lambda h5py, h5: h5.create_dataset("a", data=np.ones(9), compression="gzip"), errors.UnsupportedVersion),
    "text": (lambda h5py, h5: h5.__setitem__("a", "text"), errors.UnsupportedVersion),
    "objects": (
        lambda h5py, h5: h5.create_dataset("a", shape=(2,), dtype=h5py.ref_dtype), errors.ModelFileError,
    ),
    "declared_only": (lambda h5py, h5: h5.create_dataset("a", shape=(1 << 40,), dtype="f4"), errors.CorruptFile),
    "named_type": (lambda h5py, h5: h5.__setitem__("a", np.dtype("f4")), errors.ModelFileError),
    "hard_link_loop": (lambda h5py, h5: h5.create_group("a").__setitem__("b", h5), errors.CorruptFile),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_hdf5_refused(case, tmp_path):
    make, error = REFUSED[case]
    (tmp_path / "x.weights.h5").write_bytes(h5_file(make))
    model = small_model()
    before = model.get_weights()
    with pytest.raises(error):
        model.load_weights(tmp_path / "x.weights.h5")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_hdf5_of_newer_layout():
    with pytest.raises(errors.UnsupportedVersion):
        hdf5_read.read(h5_file(lambda _, h5: h5.create_group("a"), libver="latest"))


def test_checksum():
    root = hdf5_write.Group()
    root.group("layers/dense/vars").items["0"] = np.arange(100, dtype=np.float32)
    file = io.BytesIO()
    hdf5_write.write(file, root)
    data = bytearray(file.getvalue())
    data[data.index(np.float32(50).tobytes())] ^= 1
    with pytest.raises(errors.CorruptFile, match="checksum"):
        hdf5_read.read(bytes(data))


def test_headers_that_overlap_are_not_read_again_and_again():
    # An object's header continued in thousands of places 8 bytes apart, each with one message of 64 KB.
    count, length = 3000, 65535
    places = [16 + 24 * count + 8 * i for i in range(count)]
    header = struct.pack("<BxHII4x", 1, 2 * count, 1, 24 * count)
    blocks = b"".join(struct.pack("<HHB3xQQ", 0x10, 16, 0, place, 8 + length) for place in places)
    tail = struct.pack("<HHB3x", 0x0D, length, 0) * count
    file = hdf5_read._File(as_source(header + blocks + tail + bytes(length)))
    tracemalloc.start()
    try:
        with pytest.raises(errors.CorruptFile, match="overlap"):
            file.messages(0)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_model_and_file(tmp_path):
    """Model 32 MB, file 32 MB: the weights are there once."""
    pytest.importorskip("resource")
    model = ce.Sequential([ce.Input((2000,)), L.Dense(4000, use_bias=False)])
    model.save(tmp_path / "m.keras")
    size = os.path.getsize(tmp_path / "m.keras")
    code = (
        "import resource, sys, cnnengine\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "model = cnnengine.saving.load_model(sys.argv[1])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)"
    )
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "m.keras"], capture_output=True, text=True, check=True)
    assert int(out.stdout) < 1.5 * size


def test_killed_while_saving(tmp_path):
    """At any moment the name holds a whole file."""
    code = (
        "import sys, cnnengine as ce\n"
        "model = ce.Sequential([ce.Input((300,)), ce.layers.Dense(300)])\n"
        "model.save(sys.argv[1])\n"
        "print('saved', flush=True)\n"
        "while True: model.save(sys.argv[1])"
    )
    for delay in (0.0, 0.003, 0.007, 0.011):
        path = tmp_path / "m.keras"
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        assert saving.load_model(path).built


# --- flipped and missing bytes ---------------------------------------------------------------------------------------

FLIPS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4)
MANY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def damaged(data, flips, keep):
    changed = bytearray(data)
    for place, mask in flips:
        changed[int(place * len(data))] ^= mask
    return bytes(changed[: int(keep * len(data))]) if keep is not None else bytes(changed)


KEEP = st.none() | st.floats(0, 1)


@MANY
@given(flips=FLIPS, keep=KEEP)
def test_damaged_model_files(flips, keep, data, tmp_path):
    with suppress(*MODEL_FILE_KINDS):
        load(damaged(data, flips, keep), tmp_path)


@MANY
@given(flips=FLIPS)
def test_damaged_configs_with_right_checksums(flips, members, tmp_path):
    with suppress(*MODEL_FILE_KINDS):
        load(packed(members | {"config.json": damaged(members["config.json"], flips, None)}), tmp_path)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**40)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "keras", "keras.layers", "Dense", "relu", "first", "function", "__keras_tensor__"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "module", "name", "args", "kwargs", "layers"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def _paths(item, path=()):
    yield path
    entries = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, value in entries:
        yield from _paths(value, (*path, key))


@MANY
@given(place=st.floats(0, 1, exclude_max=True), value=VALUES)
def test_configs_with_one_other_value(place, value, members, tmp_path):
    config = json.loads(members["config.json"])
    paths = list(_paths(config))[1:]
    _set(config, paths[int(place * len(paths))], value)
    with suppress(*MODEL_FILE_KINDS):
        load(packed(members | {"config.json": json.dumps(config)}), tmp_path)


@MANY
@given(flips=FLIPS, keep=KEEP)
def test_damaged_weight_files(flips, keep, members, tmp_path):
    content, model = members["model.weights.h5"], small_model()
    changed = damaged(content, flips, keep)
    (tmp_path / "x.weights.h5").write_bytes(changed)
    before = model.get_weights()
    try:
        model.load_weights(tmp_path / "x.weights.h5")
        assert hdf5_write.CHECKSUM.encode() not in changed or changed == content
    except MODEL_FILE_KINDS:
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@MANY
@given(flips=FLIPS, keep=KEEP)
def test_damaged_weight_files_without_checksum(flips, keep):
    def make(_, h5):
        for i in range(12):
            h5.create_group(f"layers/dense_{i}/vars").attrs["name"] = "dense"
            h5[f"layers/dense_{i}/vars/0"] = np.ones(3, np.float32)

    with suppress(errors.ModelFileError):
        hdf5_read.read(damaged(h5_file(make), flips, keep))
