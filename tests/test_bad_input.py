"""Whatever comes in: a typed error that says what was received, the process alive, weights and arrays as before."""

import numpy as np
import pytest

from cnnengine import Input, Model, Sequential, callbacks, initializers, layers, losses, metrics, ops, optimizers
from cnnengine.core.errors import CnnEngineError, ConfigError, DTypeError, ShapeError
from tests.support.compare import assert_same_bits

NAN, INF = float("nan"), float("inf")
NOT_INTS = [0, -1, 2.5, "3", None, True, NAN, INF, 2**31, 2**62, 10**30, [], (1, 2, 3), {}, b"2"]
NOT_NUMBERS = ["x", None, True, NAN, INF, -INF, [], (1,), {}, object()]


def network():
    model = Sequential(
        [
            Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, 12)


@pytest.fixture
def untouched():
    """A compiled model whose weights must be the same bits after the test."""
    model = network()
    before = model.get_weights()
    yield model
    for old, new in zip(before, model.get_weights()):
        assert_same_bits(new, old)
    assert int(model.optimizer.iterations.numpy()) == 0


# Arguments of layers

ARGUMENTS = [
    *[("Dense", {"units": 3}, "units", value) for value in NOT_INTS],
    *[("Conv2D", {"filters": 3, "kernel_size": 2}, "filters", value) for value in NOT_INTS],
    *[("Conv2D", {"filters": 4, "kernel_size": 2}, "groups", value) for value in [*NOT_INTS, 3]],
    *[
        (name, {"filters": 3, "kernel_size": 2} if name == "Conv2D" else {"kernel_size": 2}, key, value)
        for name in ("Conv2D", "DepthwiseConv2D")
        for key in ("kernel_size", "strides", "dilation_rate")
        for value in [*NOT_INTS, (0, 1), (1, -1), ("a", "b"), (1, 2.5), (1,)]
    ],
    *[("DepthwiseConv2D", {"kernel_size": 2}, "depth_multiplier", value) for value in NOT_INTS],
    *[("MaxPooling2D", {}, "pool_size", value) for value in NOT_INTS],
    *[("AveragePooling1D", {}, "strides", value) for value in NOT_INTS if value is not None],
    *[("RepeatVector", {}, "n", value) for value in NOT_INTS],
    *[
        (name, {"filters": 1, "kernel_size": 1} if name.startswith("Conv") else {}, "padding", value)
        for name in ("Conv1D", "Conv2D", "MaxPooling2D", "AveragePooling1D")
        for value in ("full", 1, None, NAN, "", [])
    ],
    ("Conv2D", {"filters": 1, "kernel_size": 1}, "padding", "causal"),
    ("DepthwiseConv1D", {"kernel_size": 1}, "padding", "causal"),
    *[("Conv2D", {"filters": 1, "kernel_size": 1}, "data_format", value) for value in ("last", 1, "", [])],
    *[("Flatten", {}, "data_format", value) for value in ("last", 1)],
    *[("Dropout", {}, "rate", value) for value in [*NOT_NUMBERS, -0.1, 1.1]],
    *[("Dropout", {"rate": 0.5}, "seed", value) for value in ("x", 1.5, NAN, [])],
    *[("Dropout", {"rate": 0.5}, "noise_shape", value) for value in ((None, 0), (None, "a"), (None, 1.5), 3, "ab")],
    *[("BatchNormalization", {}, "momentum", value) for value in [*NOT_NUMBERS, -0.1, 1.1]],
    *[("BatchNormalization", {}, "epsilon", value) for value in [*NOT_NUMBERS, -1e-3]],
    *[("BatchNormalization", {}, "axis", value) for value in ("x", 1.5, None, True, [1, 2], NAN)],
    *[(f"{kind}Normalization", {}, "epsilon", value) for kind in ("Layer", "Group") for value in [*NOT_NUMBERS, -1e-3]],
    *[("LayerNormalization", {}, "axis", value) for value in ("x", 1.5, None, True, [], [1.5], NAN)],
    *[("GroupNormalization", {}, "axis", value) for value in ("x", 1.5, None, True, [1, 2], NAN)],
    *[("GroupNormalization", {}, "groups", value) for value in ("x", 1.5, None, True, 0, -2, NAN)],
    ("LayerNormalization", {}, "rms_scaling", True),
    *[("LeakyReLU", {}, "negative_slope", value) for value in [*NOT_NUMBERS, -1.0]],
    *[("ReLU", {}, key, -1.0) for key in ("max_value", "negative_slope", "threshold")],
    *[("ReLU", {}, key, NAN) for key in ("max_value", "negative_slope", "threshold")],
    *[("ELU", {}, "alpha", value) for value in NOT_NUMBERS],
    *[("Softmax", {}, "axis", value) for value in ("x", 1.5, None, [], [1.5])],
    *[("Concatenate", {}, "axis", value) for value in ("x", 1.5, None, True)],
    *[("Reshape", {}, "target_shape", value) for value in ((0,), (-1, -1), (-2,), ("a",), (1.5,), None, "ab", (True,))],
    *[("Permute", {}, "dims", value) for value in ((0, 1), (1, 1), (1, 3), ("a",), None, (1.0, 2.0))],
    *[("ZeroPadding2D", {}, "padding", value) for value in (-1, (1, -1), 1.5, "a", None, (1, 2, 3), ((1, 2), "a"))],
    *[("ZeroPadding1D", {}, "padding", value) for value in (-1, (1, -1), 1.5, "a", None, (1, 2, 3))],
    *[("Activation", {}, "activation", value) for value in ("nothing", 3, [])],
    *[("Lambda", {}, "function", value) for value in ("x", None, 3)],
    *[
        ("Dense", {"units": 2}, key, value)
        for key, values in {
            "activation": ("nothing", 3), "kernel_initializer": ("nothing", 3), "kernel_regularizer": ("nothing", 3),
            "bias_constraint": ("nothing", 3), "activity_regularizer": ("nothing",), "name": (3, b"x"),
            "dtype": ("x", "int32"),
            "use_bias": ("x", None), "unknown": (1,),
        }.items()
        for value in values
    ],
    *[("InputLayer", {}, "shape", value) for value in ((-1,), (1.5,), ("a",), (0,), (True,), "ab", None)],
]  # fmt: skip


@pytest.mark.parametrize(("name", "good", "key", "value"), ARGUMENTS, ids=str)
def test_arguments_of_layers(name, good, key, value):
    with pytest.raises((ConfigError, ShapeError, DTypeError)) as caught:
        getattr(layers, name)(**(good | {key: value}))
    assert len(str(caught.value)) > 20


def test_strides_with_dilation():
    with pytest.raises(ConfigError, match="dilation_rate"):
        layers.Conv2D(2, 3, strides=2, dilation_rate=2)


# Shapes that do not fit a layer

SHAPES = [
    ("Conv2D", {"filters": 2, "kernel_size": 9}, (6, 6, 2)),
    ("Conv2D", {"filters": 2, "kernel_size": (1, 7)}, (6, 6, 2)),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "dilation_rate": 3}, (6, 6, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 4}, (6, 6, 6)),
    ("Conv2D", {"filters": 4, "kernel_size": 2}, (6, 6, 0)),
    ("Conv2D", {"filters": 4, "kernel_size": 2}, (0, 6, 2)), ("Conv2D", {"filters": 4, "kernel_size": 2}, (6, 6)),
    ("DepthwiseConv2D", {"kernel_size": 7}, (6, 6, 2)), ("MaxPooling2D", {"pool_size": 7}, (6, 6, 2)),
    ("AveragePooling1D", {"pool_size": 7}, (6, 2)), ("Dense", {"units": 2}, (0,)), ("Dense", {"units": 2}, ()),
    ("BatchNormalization", {"axis": 3}, (4, 2)), ("BatchNormalization", {}, (4, 0)),
    ("LayerNormalization", {"axis": [1, 5]}, (4, 2)), ("LayerNormalization", {"axis": [1, -2]}, (4, 2)),
    ("LayerNormalization", {}, (4, 0)), ("GroupNormalization", {"groups": 3}, (4, 4)),
    ("GroupNormalization", {"groups": 1, "axis": 0}, (4, 4)), ("Softmax", {"axis": 5}, (4,)),
    ("Reshape", {"target_shape": (5,)}, (6,)), ("Permute", {"dims": (2, 1)}, (3,)), ("RepeatVector", {"n": 2}, (3, 4)),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 7)}, (3,)),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 1)}, (3,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "shape"), SHAPES, ids=str)
def test_shapes_that_do_not_fit(name, kwargs, shape):
    layer = getattr(layers, name)(**kwargs)
    with pytest.raises(CnnEngineError, match=f'{name} "{layer.name}"'):
        layer(np.zeros((2, *shape), np.float32), training=True) if name == "Dropout" else layer(np.zeros((2, *shape)))


@pytest.mark.parametrize(
    ("name", "kwargs", "shape"), [case for case in SHAPES if case[0] != "Dropout" and 0 not in case[2]], ids=str
)
def test_shapes_that_do_not_fit_while_a_model_is_built(name, kwargs, shape):
    layer = getattr(layers, name)(**kwargs)
    with pytest.raises(CnnEngineError, match=f'{name} "{layer.name}"'):
        layer(Input(shape))


def test_a_built_layer_keeps_its_channels():
    layer = layers.Conv2D(4, 3)
    layer(np.zeros((1, 5, 5, 2), np.float32))
    with pytest.raises(ShapeError, match=r'Conv2D "conv2d.*": Expected 2 along axis'):
        layer(np.zeros((1, 5, 5, 3), np.float32))


@pytest.mark.parametrize("make", [
    lambda: layers.Dense(2**31 - 1)(np.zeros((1, 2**12), np.float32)),
    lambda: layers.ZeroPadding2D(2**30)(np.zeros((1, 1, 1, 1), np.float32)),
    lambda: layers.RepeatVector(2**31 - 1)(np.zeros((2**10, 2**10), np.float32)),
    lambda: Sequential([Input((4,)), layers.RepeatVector(2**31 - 1), layers.Reshape((-1,))])(np.zeros((2**12, 4))),
])  # fmt: skip
def test_huge_sizes_fail_before_memory_is_taken(make):
    with pytest.raises((ShapeError, MemoryError)):
        make()


# Arrays

WRONG_TYPES = [
    np.array([["a"] * 6] * 6), np.full((2, 6, 6, 2), object()), np.zeros((2, 6, 6, 2), np.complex64),
    np.zeros((2, 6, 6, 2), [("a", "f4")]), np.zeros((2, 6, 6, 2), "M8[s]"), "text", None, object(), 3.5, b"x",
]  # fmt: skip
WRONG_SHAPES = [(2, 6, 6, 3), (2, 5, 6, 2), (2, 6, 6), (2, 6, 6, 2, 2), (6,), (), (0, 6, 6, 3), (2, 0, 6, 2)]


@pytest.mark.parametrize("x", WRONG_TYPES, ids=lambda x: type(x).__name__ + str(getattr(x, "dtype", "")))
@pytest.mark.parametrize("method", ["__call__", "predict", "predict_on_batch", "fit", "evaluate", "train_on_batch"])
def test_wrong_types(untouched, method, x):
    args = (x, np.zeros(2, int)) if method in ("fit", "evaluate", "train_on_batch") else (x,)
    with pytest.raises(CnnEngineError):
        getattr(untouched, method)(*args)


@pytest.mark.parametrize("shape", WRONG_SHAPES, ids=str)
@pytest.mark.parametrize("method", ["__call__", "predict", "predict_on_batch", "fit", "evaluate", "train_on_batch"])
def test_wrong_shapes(untouched, method, shape):
    x = np.zeros(shape, np.float32)
    args = (x, np.zeros(shape[:1], int)) if method in ("fit", "evaluate", "train_on_batch") else (x,)
    with pytest.raises(CnnEngineError, match="Received"):
        getattr(untouched, method)(*args)


WRONG_TARGETS = {
    "too large": lambda y: np.where(y == 2, 3, y), "negative": lambda y: y - 1, "huge": lambda y: y + 2**40,
    "fraction": lambda y: y + 0.5, "nan": lambda y: np.where(y == 1, NAN, y), "text": lambda y: y.astype(str),
    "object": lambda y: np.full(len(y), object()), "complex": lambda y: y + 1j, "too few": lambda y: y[:-1],
    "none": lambda y: None, "two columns": lambda y: np.stack([y, y], 1), "two arrays": lambda y: [y, y],
    "unknown name": lambda y: {"nothing": y}, "scalar": lambda y: 1, "only the last": lambda y: np.append(y[:-1], 99),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_TARGETS)
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_wrong_targets_are_refused_before_anything_is_computed(untouched, data, method, kind):
    x, y = data
    kwargs = {"verbose": 0, "batch_size": 4} if method in ("fit", "evaluate") else {}
    with pytest.raises(CnnEngineError) as caught:
        getattr(untouched, method)(x, WRONG_TARGETS[kind](y), **kwargs)
    if kind in ("too large", "negative", "huge", "only the last"):
        assert isinstance(caught.value, ValueError) and "from 0 to 2" in str(caught.value)


def test_wrong_targets_from_a_generator(untouched, data):
    x, y = data
    with pytest.raises(ValueError, match="from 0 to 2"):
        untouched.fit(((x, label) for label in [y + 5]), verbose=0)
    for batch in [(x, y[:3]), (x, y, y, y), (x.astype(str), y), (x, None), (x[:0], y[:0])]:
        with pytest.raises(CnnEngineError):
            untouched.fit(iter([batch]), verbose=0)


WRONG_FIT = [
    {"batch_size": 0}, {"batch_size": -1}, {"batch_size": 2.5}, {"batch_size": "x"}, {"batch_size": NAN},
    {"epochs": -1},
    {"epochs": 1.5}, {"epochs": "x"}, {"epochs": None}, {"initial_epoch": -1}, {"initial_epoch": "x"},
    {"validation_split": 1.0}, {"validation_split": -0.1}, {"validation_split": NAN}, {"validation_split": "x"},
    {"validation_split": 0.99}, {"steps_per_epoch": 0}, {"steps_per_epoch": 1.5}, {"validation_freq": 0},
    {"validation_freq": "x"}, {"class_weight": {0: NAN}}, {"class_weight": {0: "x"}}, {"class_weight": 3},
    {"class_weight": {0: 1.0}, "sample_weight": np.ones(12)}, {"sample_weight": np.ones(5)},
    {"sample_weight": np.full(12, "x")}, {"sample_weight": {"nothing": np.ones(12)}}, {"callbacks": ["x"]},
    {"callbacks": [callbacks.EarlyStopping]}, {"validation_data": (np.zeros((3, 6, 6, 3)), np.zeros(3))},
    {"validation_data": (np.zeros((3, 6, 6, 2)), np.full(3, 7))}, {"validation_data": 3}, {"validation_data": ()},
    {"shuffle": "x"}, {"verbose": "x"},
    {"validation_steps": 0, "validation_data": (np.zeros((3, 6, 6, 2)), np.zeros(3))},
]  # fmt: skip


@pytest.mark.parametrize(
    "kwargs", WRONG_FIT, ids=lambda kwargs: "-".join(f"{k}={str(v)[:30]}" for k, v in kwargs.items())
)
def test_arguments_of_fit(untouched, data, kwargs):
    with pytest.raises(CnnEngineError):
        untouched.fit(*data, **({"verbose": 0, "epochs": 2} | kwargs))


WRONG_COMPILE = [
    {"optimizer": "nothing"}, {"optimizer": 3}, {"optimizer": None}, {"loss": "nothing"}, {"loss": 3},
    {"loss": ["mse", "x"]},
    {"loss": {"a": "nothing"}},
]  # fmt: skip


@pytest.mark.parametrize("kwargs", WRONG_COMPILE, ids=str)
def test_arguments_of_compile(kwargs):
    with pytest.raises(ConfigError):
        network().compile(**({"optimizer": "sgd", "loss": "mse"} | kwargs))


LATE = [
    {"metrics": ["nothing"]}, {"metrics": 3}, {"loss": ["mse", "mse"]}, {"loss": {"nothing": "mse"}},
    {"loss_weights": ["a"]},
    {"loss_weights": [1.0, 2.0]}, {"loss_weights": NAN}, {"metrics": {"nothing": ["mse"]}}, {"loss": None},
]  # fmt: skip


@pytest.mark.parametrize("kwargs", LATE, ids=str)
def test_arguments_of_compile_that_need_the_outputs(data, kwargs):
    x, y = data
    model = network()
    before = model.get_weights()
    with pytest.raises(ConfigError):
        model.compile(**({"optimizer": "sgd", "loss": "mse"} | kwargs))
        model.fit(x, np.eye(3)[y], verbose=0)
    for old, new in zip(before, model.get_weights()):
        assert_same_bits(new, old)


def test_not_compiled(data):
    model = Sequential([Input((6, 6, 2)), layers.Flatten(), layers.Dense(3)])
    for call in (
        lambda: model.fit(*data), lambda: model.evaluate(*data), lambda: model.train_on_batch(*data),
        lambda: model.test_on_batch(*data),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="compile"):
            call()


def test_a_target_of_the_wrong_size(data):
    x, _ = data
    model = Sequential([Input((6, 6, 2)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    for y in (np.zeros((12, 4)), np.zeros((12, 3, 2)), np.zeros(12)):
        with pytest.raises(ShapeError, match="Received"):
            model.fit(x, y, verbose=0)
    for old, new in zip(before, model.get_weights()):
        assert_same_bits(new, old)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("rate", [NAN, INF, -0.1, "x", 1, None, [], True])
def test_learning_rates(name, rate):
    with pytest.raises((ConfigError, TypeError)):
        getattr(optimizers, name)(learning_rate=rate)


@pytest.mark.parametrize(
    "get", [optimizers.get, losses.get, metrics.get, initializers.get], ids=lambda get: get.__module__
)
@pytest.mark.parametrize("name", ["nothing", "", 3, 2.5, [], {}, {"class_name": "Nothing", "config": {}}], ids=str)
def test_unknown_names(get, name):
    with pytest.raises(CnnEngineError):
        get(name)


def test_models_of_wrong_parts():
    x = Input((3,))
    for make in (
        lambda: Model(x, 3), lambda: Model(3, x), lambda: Model([], []), lambda: Model(x, None),
        lambda: Sequential("Dense"),
        lambda: Sequential(3), lambda: layers.Add()([x, Input((4,))]), lambda: layers.Add()([]),
        lambda: layers.Dense(3)(None),
        lambda: layers.Dense(3)("x"), lambda: layers.Dense(3)(), lambda: Model(x, x, name=3),
        lambda: Input(shap=(3,)), lambda: layers.Layer().add_weight((3,), colour="red"),
    ):  # fmt: skip
        with pytest.raises(CnnEngineError):
            make()


def test_number_of_inputs():
    a, b = Input((3,)), Input((3,))
    model = Model([a, b], a + b)
    x = np.zeros((2, 3), np.float32)
    for wrong in (x, [x], [x, x, x], {"a": x}):
        with pytest.raises(CnnEngineError, match="Received"):
            model(wrong)
    with pytest.raises(ShapeError, match="same number of samples"):
        model.predict([x, x[:1]], verbose=0)


def test_arrays_of_the_caller_stay_as_they_are(data):
    x, y = data[0].copy(), data[1].copy()
    model = network()
    model.fit(x, y, epochs=2, batch_size=5, verbose=0, class_weight={0: 2.0}, validation_split=0.2)
    model.evaluate(x, y, verbose=0)
    assert_same_bits(x, data[0])
    assert_same_bits(y, data[1])


@pytest.mark.parametrize("shape", ["x", ("x",), (1.5,), None, (5, -1), (None,), (2**40, 2**40)], ids=str)
def test_shapes_of_new_tensors(shape):
    for make in (ops.zeros, ops.ones, lambda s: ops.full(s, 1.0), lambda s: ops.reshape(np.zeros((3, 4)), s)):
        with pytest.raises(ShapeError):
            make(shape)


def test_fill_values():
    np.testing.assert_array_equal(ops.full((2,), 2**24 + 1, "int32"), [2**24 + 1] * 2)
    np.testing.assert_array_equal(ops.full((2, 2), [1.0, 2.0]), [[1, 2], [1, 2]])
    for value in ("x", None, 1j, object()):
        with pytest.raises(DTypeError):
            ops.full((2,), value)


@pytest.mark.parametrize("weights", [None, 3, "x", {}, [], [None] * 8, ["x"] * 8], ids=str)
def test_weights_that_do_not_fit(untouched, weights):
    with pytest.raises((ShapeError, DTypeError)):
        untouched.set_weights(weights)


@pytest.mark.parametrize("base", [Model, layers.Layer])
def test_a_call_that_returns_nothing(base):
    class Nothing(base):
        def call(self, x):
            return None

    for x in (np.zeros((2, 3), np.float32), Input((3,))):
        with pytest.raises(ConfigError, match="Received: None"):
            Nothing()(x) if base is Model else Sequential([Nothing()])(x)


def test_sample_weights_must_be_finite():
    model = Sequential([Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    weights = np.array([1.0, np.nan, 1.0, 1.0], np.float32)
    with pytest.raises(ConfigError, match="sample_weight must be finite"):
        model.fit(np.ones((4, 3)), np.ones((4, 1)), sample_weight=weights, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
