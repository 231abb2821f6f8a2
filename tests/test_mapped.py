"""Models whose weights lie in the mapped file: load_model(..., mmap=True)."""

import ctypes
import io
import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cnnengine as ce
from cnnengine import saving
from cnnengine.core.errors import ConfigError, ModelFileError
from cnnengine.core.files import MappedFile
from cnnengine.core.variable import Variable
from cnnengine.saving import hdf5_read, hdf5_write
from tests.support.keras_oracle import import_keras


def network(keras):
    """Every way in which weights are used: packed, packed in bands, folded, depthwise, read in place, as a bias."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(64, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(64, 3, padding="same"),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),  # 1.2 million weights: large enough to be read in place
            layers.Dense(10),
        ]
    )


def images(count):
    return np.random.default_rng(count).standard_normal((count, 16, 16, 3), np.float32)


@pytest.fixture
def path(tmp_path):
    ce.utils.set_random_seed(0)
    model = network(ce)
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(images(4), np.zeros((4, 10), np.float32))
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def resident(path):
    """Bytes of a mapped file that this process holds in memory."""
    text = Path("/proc/self/smaps").read_text()
    return sum(int(kb) * 1024 for kb in re.findall(rf"{re.escape(str(path))}\n(?:\S+:.*\n)*?Rss:\s+(\d+) kB", text))


def with_weights(path, out, write):
    """A copy of a `.keras` file in which the weights are what `write` makes of them."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            write(new, name, data) if name.endswith(".h5") else new.writestr(name, data)
    return out


def deflated(archive, name, data):
    archive.writestr(name, data, zipfile.ZIP_DEFLATED)


def misaligned(archive, name, data):
    info = zipfile.ZipInfo(name)
    start = archive.fp.tell() + 30 + len(name) + 4
    info.extra = b"\xfe\xca" + (-start % 4 + 1).to_bytes(2, "little") + bytes(-start % 4 + 1)
    archive.writestr(info, data)


def halves(archive, name, data):
    root = hdf5_write.Group()
    for group, arrays in hdf5_read.read(data).items():
        for key, stored in arrays.items():
            value = np.asarray(stored)
            root.group(group).items[key] = value.astype("f2") if value.dtype == "f4" else value
    out = io.BytesIO()
    hdf5_write.write(out, root)
    archive.writestr(name, out.getvalue())


# --- what it is for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_predicts_the_same_bits(path, batch):
    expected = saving.load_model(path).predict_on_batch(images(batch))
    model = saving.load_model(path, mmap=True)
    for _ in range(2):
        np.testing.assert_array_equal(model.predict_on_batch(images(batch)), expected)


@pytest.mark.parametrize("isa", ce.config.isa_levels())
def test_another_isa_packs_again(path, isa):
    x, before = images(2), ce.config.get_isa()
    model, plain = saving.load_model(path, mmap=True), saving.load_model(path)
    model.predict_on_batch(x)
    try:
        ce.config.set_isa(isa)
        np.testing.assert_array_equal(model.predict_on_batch(x), plain.predict_on_batch(x))
    finally:
        ce.config.set_isa(before)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_holds_weights_once(path):
    model = saving.load_model(path, mmap=True)
    kernel = model.layers[3].kernel
    np.asarray(kernel).sum()
    assert resident(path) >= kernel.array.nbytes  # the helper sees what is read
    model.predict_on_batch(images(1))
    assert resident(path) < path.stat().st_size // 20  # pages around small values, which the system reads with them
    np.testing.assert_array_equal(model.get_weights()[6], kernel.numpy())
    assert resident(path) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_loading_reads_no_weights(path):
    model = saving.load_model(path, mmap=True)
    assert resident(path) < path.stat().st_size // 20
    assert len(model.get_weights()) == 14


@pytest.mark.parametrize("write", [deflated, misaligned, halves])
def test_weights_that_cannot_stay_in_the_file_are_read(path, tmp_path, write):
    other = with_weights(path, tmp_path / "other.keras", write)
    plain, model = saving.load_model(other), saving.load_model(other, mmap=True)
    assert all(variable._give_back is None for variable in model.variables)
    np.testing.assert_array_equal(model.predict_on_batch(images(2)), plain.predict_on_batch(images(2)))
    assert all(not variable.array.flags.writeable for variable in model.variables)


def test_file_of_keras(tmp_path):
    keras = import_keras()
    model = network(keras)
    model.save(tmp_path / "keras.keras")
    x = images(2)
    ours = saving.load_model(tmp_path / "keras.keras", mmap=True).predict_on_batch(x)
    np.testing.assert_array_equal(ours, saving.load_model(tmp_path / "keras.keras").predict_on_batch(x))
    np.testing.assert_allclose(ours, np.asarray(model.predict_on_batch(x)), atol=1e-5)


def test_own_files_are_aligned(path):
    for variable in saving.load_model(path, mmap=True).variables:
        assert variable.array.ctypes.data % hdf5_write.ALIGNMENT == 0, variable.path


# --- what it does not do ------------------------------------------------------------------------------------------


def change(model, how):
    y = np.zeros((4, 10), np.float32)
    changes = {
        "assign": lambda: model.layers[0].kernel.assign(np.zeros((3, 3, 3, 64))),
        "assign_add": lambda: model.layers[0].bias.assign_add(np.ones(64)),
        "set_weights": lambda: model.set_weights([np.zeros_like(w) for w in model.get_weights()]),
        "train_on_batch": lambda: model.train_on_batch(images(4), y),
        "fit": lambda: model.fit(images(4), y, verbose=0),
        "moving averages": lambda: model(images(4), training=True),
        "eager moving averages": lambda: model.layers[1](np.ones((2, 16, 16, 64), np.float32), training=True),
        "dropout": lambda: model.layers[5](np.ones((2, 4), np.float32), training=True),
    }
    return changes[how]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    "how",
    ["assign", "assign_add", "set_weights", "train_on_batch", "fit", "moving averages", "eager moving averages",
     "dropout"],
)  # fmt: skip
def test_weights_cannot_be_changed(path, how, backend):
    model = saving.load_model(path, mmap=True)
    before = model.get_weights()
    ce.config.set_backend(backend)
    try:
        with pytest.raises(ConfigError, match=r'Variable ".+" is read-only.*mmap=True'):
            change(model, how)()
    finally:
        ce.config.set_backend("native")
    for value, expected in zip(model.get_weights(), before):
        np.testing.assert_array_equal(value, expected)


def test_weights_of_a_file_cannot_be_loaded_into_it(path, tmp_path):
    model = saving.load_model(path, mmap=True)
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ConfigError, match="read-only"):
        model.load_weights(tmp_path / "model.weights.h5")


def test_plain_models_can_be_changed(path):
    for how in ("assign", "set_weights", "fit", "moving averages", "dropout"):
        change(saving.load_model(path), how)()


def test_nothing_is_set_where_a_part_is_read_only(path, tmp_path):
    model = ce.Sequential([ce.Input((16, 16, 3)), ce.layers.Conv2D(3, 1), *saving.load_model(path, mmap=True).layers])
    model.save_weights(tmp_path / "model.weights.h5")
    before = model.get_weights()
    model.layers[0].kernel.assign(before[0] + 1)
    for change_all in (lambda: model.set_weights(before), lambda: model.load_weights(tmp_path / "model.weights.h5")):
        with pytest.raises(ConfigError, match="read-only"):
            change_all()
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before[0] + 1)


def test_the_optimizer_is_read_as_always(path):
    model = saving.load_model(path, mmap=True)
    model.optimizer.learning_rate = 0.5
    assert float(model.optimizer.learning_rate) == 0.5 and int(model.optimizer.iterations) == 1


class FailsToLoad(ce.layers.Layer):
    """A layer that loads its state in a way of its own, and cannot."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        store["scale"] = self.scale.numpy()

    def load_own_variables(self, store):
        raise RuntimeError("the reason")


def test_the_reason_of_a_failed_load_is_shown(tmp_path):
    model = ce.Sequential([ce.Input((4,)), ce.layers.Dense(8), FailsToLoad()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(RuntimeError, match="the reason"):
        saving.load_model(tmp_path / "model.keras", {"FailsToLoad": FailsToLoad}, mmap=True)


# --- around it ----------------------------------------------------------------------------------------------------


def test_evaluate(path):
    x, y = images(6), np.ones((6, 10), np.float32)
    mapped, plain = saving.load_model(path, mmap=True), saving.load_model(path)
    assert mapped.evaluate(x, y, verbose=0) == plain.evaluate(x, y, verbose=0)


def test_file_may_be_replaced_and_removed(path):
    model = saving.load_model(path, mmap=True)
    expected = saving.load_model(path).predict_on_batch(images(2))
    network(ce).save(path)  # a new file of this name
    path.unlink()
    np.testing.assert_array_equal(model.predict_on_batch(images(2)), expected)
    model.save(path)
    np.testing.assert_array_equal(saving.load_model(path).predict_on_batch(images(2)), expected)


def test_copies_are_plain_models(path):
    mapped = saving.load_model(path, mmap=True)
    copy = pickle.loads(pickle.dumps(mapped))
    np.testing.assert_array_equal(copy.predict_on_batch(images(2)), mapped.predict_on_batch(images(2)))
    copy.layers[0].kernel.assign(np.zeros((3, 3, 3, 64)))


@pytest.mark.parametrize("damage", ["empty", "cut", "changed"])
def test_damaged_files_are_refused(path, damage):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "changed": data}[damage])
    with pytest.raises(ModelFileError):
        saving.load_model(path, mmap=True)


@pytest.mark.skipif(sys.platform != "linux", reason="locks pages")
def test_pages_that_cannot_be_given_back(path):
    model, plain = saving.load_model(path, mmap=True), saving.load_model(path)
    kernel, libc = model.layers[3].kernel.array, ctypes.CDLL(None)
    if libc.mlock(ctypes.c_void_p(kernel.ctypes.data), ctypes.c_size_t(kernel.nbytes)):
        pytest.skip("this process may not lock memory")
    np.testing.assert_array_equal(model.predict_on_batch(images(1)), plain.predict_on_batch(images(1)))


def test_leaving_a_file_keeps_the_value(tmp_path):
    values = np.arange(3 << 20, dtype=np.float32).reshape(3, -1)  # more than is copied at a time, and a rest
    (tmp_path / "data").write_bytes(b"0123" + values.tobytes())
    variable = Variable.zeros(values.shape)
    with open(tmp_path / "data", "rb") as file:
        variable.lie_in(*MappedFile(file).array(4, values.shape, np.float32))
    mapped = variable.array
    variable.leave_file()
    np.testing.assert_array_equal(variable.array, values)
    assert not np.shares_memory(variable.array, mapped) and not variable.array.flags.writeable
    variable.leave_file()
    variable.release()
    np.testing.assert_array_equal(variable.array, values)
