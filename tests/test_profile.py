"""Profiles: every step timed, named after its layer, with its exact work; and the command that prints them."""

import json
import subprocess
import sys
from time import perf_counter

import numpy as np
import pytest

import cnnengine as keras
from cnnengine import __main__ as command
from cnnengine import config, layers
from cnnengine.core.errors import ConfigError, ModelFileError, ShapeError
from cnnengine.utils import profile, profile_command
from tests.support.compare import assert_same_bits

BATCH = 4
EXAMPLE = "cnnengine.examples.fashion_mnist"


def small_cnn():
    """A convolution with what can be fused into it, a pooling, and two dense layers."""
    x = keras.Input((12, 12, 8), name="pictures")
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.ReLU(name="relu")(y)
    y = layers.MaxPooling2D(2, name="pool")(y)
    y = layers.Flatten(name="flatten")(y)
    y = layers.Dense(20, activation="tanh", name="hidden")(y)
    y = layers.Dropout(0.5, name="dropout")(y)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="classes")(y), name="small")


def no_model():
    return {}


CONV = 2 * BATCH * 12 * 12 * 16 * 3 * 3 * 8
HIDDEN = 2 * BATCH * (6 * 6 * 16) * 20
CLASSES = 2 * BATCH * 20 * 3
WITH_WORK = ["conv", "pool", "hidden", "classes"]


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return small_cnn()


@pytest.fixture
def compiled(model):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def flops(result, layer):
    return sum(row.flops for row in result.layers()[layer])


# --- inference --------------------------------------------------------------------------------------------------------


def test_rows_have_the_layers_and_their_exact_work(model):
    result = profile(model, batch=BATCH, runs=3)
    assert list(result.layers()) == WITH_WORK
    assert [flops(result, layer) for layer in WITH_WORK] == [CONV, 0, HIDDEN, CLASSES]
    assert result.shapes == ((BATCH, 12, 12, 8),) and not result.training
    assert all(row.seconds >= 0 and row.nbytes > 0 for row in result.rows)
    assert result.seconds > 0 and result.peak > 0


def test_a_fused_step_says_what_it_does_and_for_whom(model):
    conv, pool, hidden, *_ = profile(model, batch=BATCH, runs=1).rows
    assert conv.layers == ("conv", "norm", "relu")
    assert conv.op == "conv2d_fwd" and conv.fused == ("bias", "relu", "batch norm", "packed")
    assert pool.layers == ("pool",) and pool.fused == () and pool.algorithm == ""
    assert hidden.fused == ("bias", "tanh", "packed")


@pytest.mark.parametrize(("setting", "name"), [("direct", "direct"), ("winograd", "winograd 4x4")])
def test_rows_name_the_algorithm(setting, name):
    x = keras.Input((16, 16, 16))
    model = keras.Model(x, layers.Conv2D(16, 3)(x))
    before = config.CONFIG.conv_algorithm
    config.set_conv_algorithm(setting)
    try:
        assert [row.algorithm for row in profile(model, runs=1).rows] == [name]
    finally:
        config.set_conv_algorithm(before)


def test_a_residual_addition_belongs_to_both_layers():
    x = keras.Input((8, 8, 4))
    y = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    model = keras.Model(x, layers.Add(name="sum")([x, y]))
    (row,) = profile(model, runs=1).rows
    assert row.layers == ("conv", "sum") and row.fused == ("bias", "addend", "packed")


def test_layers_inside_others_are_named_by_their_path():
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(4, name="inner")

        def call(self, x):
            return keras.ops.exp(self.dense(x))

    inner = keras.Sequential([keras.Input((4,)), Block(name="block")], name="nested")
    model = keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="top")])
    rows = profile(model, batch=3, runs=1).rows
    assert [(row.layers, row.op) for row in rows] == [
        (("nested/block/inner", "nested/block"), "matmul_fwd"),
        (("top",), "matmul_fwd"),
    ]


def test_models_that_have_not_seen_an_input_take_the_shape_given():
    model = keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    assert [row.flops for row in profile(model, (5, 4), runs=1).rows] == [2 * 5 * 4 * 3, 2 * 5 * 3 * 2]


def test_models_of_several_inputs_take_a_list_of_shapes():
    a, b = keras.Input((None, 3)), keras.Input((2,), dtype="int32")
    model = keras.Model([a, b], [layers.Dense(2, name="d")(a), keras.ops.cast(b, "float32") * 2.0])
    result = profile(model, [(2, 7, 3), (2, 2)], runs=1)
    assert result.shapes == ((2, 7, 3), (2, 2)) and flops(result, "d") == 2 * 2 * 7 * 3 * 2


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", config.isa_levels())
@pytest.mark.parametrize("threads", [1, 2])
def test_times_of_the_steps_sum_to_that_of_the_run(model, isa, threads):
    before = config.get_isa(), config.get_num_threads()
    config.set_isa(isa)
    config.set_num_threads(threads)
    try:
        x = np.ones((64, 12, 12, 8), np.float32)
        program, _ = model._forward_program(model._as_inputs(x)[1], None, False)
        expected, shares = program.run([x])[0], []
        for _ in range(20):
            step_ns = np.full(len(program.steps), -1, np.int64)
            start = perf_counter()
            (y,) = program.run([x], step_ns)
            whole = perf_counter() - start
            assert_same_bits(y, expected)
            assert (step_ns >= 0).all() and step_ns.sum() / 1e9 <= whole
            shares.append(step_ns.sum() / 1e9 / whole)
        assert max(shares) > 0.5  # other processes may come between, but not always
    finally:
        config.set_isa(before[0])
        config.set_num_threads(before[1])


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_training_step_has_rows_for_layers_loss_metrics_and_optimizer(compiled):
    result = profile(compiled, batch=BATCH, training=True, runs=2)
    assert set(result.layers()) == {
        "conv", "norm", "pool", "hidden", "dropout", "classes", "loss", "metrics", "optimizer",
    }  # fmt: skip
    assert {row.op for row in result.layers()["norm"] if "relu" in row.layers} == {"batch_norm_fwd", "batch_norm_bwd"}
    assert flops(result, "conv") == 2 * CONV  # nobody asks for the gradient of the pictures
    assert flops(result, "hidden") == 3 * HIDDEN and flops(result, "classes") == 3 * CLASSES
    assert {row.op for row in result.layers()["conv"]} == {"conv2d_fwd", "conv2d_bwd_weights"}
    assert any(row.op == "adam_update" for row in result.layers()["optimizer"])


def test_profiling_leaves_the_model_as_it_was(compiled):
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, 12, 12, 8), np.float32), rng.integers(0, 3, BATCH)
    compiled.train_on_batch(x, y)
    logs = compiled.get_metrics_result()
    before = [v.numpy() for v in (*compiled.weights, *compiled.optimizer.variables)]
    profile(compiled, batch=BATCH, training=True, runs=2)
    for variable, value in zip((*compiled.weights, *compiled.optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert compiled.get_metrics_result() == logs


@pytest.mark.parametrize("loss", ["crossentropy", "sparse_categorical_crossentropy", "mse"])
def test_targets_are_made_for_any_loss_and_decide_nothing(model, loss):
    model.compile("sgd", loss)
    assert profile(model, batch=2, training=True, runs=1).layers()["loss"]
    y = np.zeros((2, 3)) if loss == "mse" else np.zeros(2, int)  # another form than the profile's for "crossentropy"
    assert np.isfinite(model.train_on_batch(np.ones((2, 12, 12, 8)), y))


def test_every_output_gets_a_target():
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(3, name="a")(x), layers.Dense(1, name="b")(x)])
    model.compile("sgd", ["mse", None])
    result = profile(model, batch=2, training=True, runs=1)
    assert flops(result, "a") == 2 * 2 * 2 * 4 * 3


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("by", ["step", "layer"])
def test_tables_fit(compiled, by, width):
    result = profile(compiled, batch=BATCH, training=True, runs=1)
    lines = result.table(by, width=width).splitlines()
    assert max(map(len, lines)) == width
    names = [line.split()[0] for line in lines if line[0] != " "]
    assert [name for name in names if name in result.layers()] == list(result.layers())
    assert any(line.startswith("  adam_update") for line in lines) == (by == "step")
    assert "sum of steps" in lines[-2] and "whole program" in lines[-1]


def test_tables_are_sorted_by_time(compiled):
    result = profile(compiled, batch=BATCH, training=True, runs=1)
    names = [line.split()[0] for line in result.table("layer", "time").splitlines()]
    times = [sum(row.seconds for row in result.layers()[name]) for name in names if name in result.layers()]
    assert len(times) == len(result.layers()) and times == sorted(times, reverse=True)


def test_long_names_keep_their_end():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="a_very_long_name_of_a_layer_" * 4 + "end")(x))
    text = profile(model, runs=1).table(width=80)
    assert "…" in text and "layer_end " in text and max(map(len, text.splitlines())) == 80


def test_a_profile_of_training_leaves_what_compile_was_told(model):
    model.compile("sgd", "mse", recompute=True)
    profile(model, training=True, runs=1)
    assert model._recompute and isinstance(model.optimizer, keras.optimizers.SGD)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors_say_what_is_missing(model):
    with pytest.raises(ConfigError, match="must be compiled first"):
        profile(model, training=True)
    with pytest.raises(ShapeError, match=r'Input "pictures": expected shape \(None, 12, 12, 8\)'):
        profile(model, (1, 12, 12))
    with pytest.raises(ShapeError, match=r"expected 1 input tensor\(s\). Received: 2"):
        profile(model, [(1, 12, 12, 8), (1, 2)])
    with pytest.raises(ShapeError, match="tuple of ints"):
        profile(model, (1, "12", 12, 8))
    with pytest.raises(ConfigError, match="runs"):
        profile(model, runs=0)
    with pytest.raises(ConfigError, match="no input shape of its own yet"):
        profile(keras.Sequential([layers.Dense(2)]))
    x = keras.Input((None, 3))
    with pytest.raises(ConfigError, match="several sizes"):
        profile(keras.Model(x, layers.Dense(2)(x)))


def test_the_reference_is_not_profiled(model):
    config.set_backend("reference")
    try:
        with pytest.raises(ConfigError, match="backend 'native'"):
            profile(model)
    finally:
        config.set_backend("native")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing.keras", "There is no such file"),
        (EXAMPLE, "module:function"),
        ("no_such_module:build", "Cannot import 'no_such_module'"),
        (f"{EXAMPLE}:nothing", "has no function 'nothing'"),
        (f"{EXAMPLE}:BATCH_SIZE", "has no function 'BATCH_SIZE'"),
        (f"{EXAMPLE}:print_table", "missing a required argument: 'rows'"),
        (f"{EXAMPLE}:argparse", "has no function 'argparse'"),
        ("builtins:dict", "cannot be called without arguments"),
        (f"{__name__}:no_model", "Expected: a cnnengine.Model. Received: dict"),
        ("nothing.py:build", "There is no such file"),
        (__file__, "must end in '.keras'"),
    ],
)
def test_what_is_no_model_is_said(text, message):
    with pytest.raises(ConfigError, match=message):
        profile_command.find_model(text)


def test_a_damaged_file_is_said(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(ModelFileError):
        profile_command.find_model(str(path))


# --- the command ------------------------------------------------------------------------------------------------------


def test_models_come_from_files_and_functions(model, tmp_path):
    model.save(tmp_path / "small.keras")
    script = tmp_path / "networks.py"
    script.write_text("from tests.test_profile import small_cnn\n")
    for text in (f"{tmp_path}/small.keras", f"{script}:small_cnn", f"{__name__}:small_cnn"):
        assert profile_command.find_model(text).name == "small"


def test_command_prints_a_table_and_writes_json(model, tmp_path, capsys):
    model.save(tmp_path / "small.keras")
    out = tmp_path / "profile.json"
    command.main(["profile", f"{tmp_path}/small.keras", "--shape", "2,12,12,8", "--runs", "1", "--json", str(out)])
    text = capsys.readouterr().out
    assert text.startswith('Model "small": inference on 2x12x12x8;') and "conv2d_fwd" in text
    data = json.loads(out.read_text())
    assert data["shapes"] == [[2, 12, 12, 8]] and data["rows"][0]["layers"] == ["conv", "norm", "relu"]


def test_command_compiles_what_is_not_compiled(capsys):
    threads = config.get_num_threads()
    try:
        options = "--batch 8 --train --threads 1 --runs 1 --by layer --sort time".split()
        command.main(["profile", f"{EXAMPLE}:build_cnn", *options])
    finally:
        config.set_num_threads(threads)
    text = capsys.readouterr().out
    assert "a training step on 8x28x28x1; 1 thread(s)" in " ".join(text.split()) and "optimizer" in text


def test_command_says_errors_without_a_traceback():
    run = subprocess.run(
        [sys.executable, "-m", "cnnengine", "profile", f"{EXAMPLE}:build_mlp", "--shape", "1x2"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and run.stdout == ""
    assert "expected shape (None, 28, 28, 1). Received: (1, 2)" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "1xa"], "expected numbers such as 32x28x28x1"),
        (["--shape", "1x2", "--batch", "3"], "not allowed with"),
        (["--by", "colour"], "invalid choice"),
    ],
)
def test_command_refuses_wrong_options(options, message, capsys):
    with pytest.raises(SystemExit) as exit:
        command.main(["profile", f"{EXAMPLE}:build_mlp", *options])
    assert exit.value.code == 2 and message in capsys.readouterr().err


def test_command_looks_for_the_folder_of_its_file_first(capsys):
    with pytest.raises(SystemExit):
        command.main(["profile", f"{EXAMPLE}:build_mlp", "--json", "/no/such/folder/x.json"])
    assert "no folder for the file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["profile", "--help"]])
def test_help_fits_a_narrow_terminal(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
