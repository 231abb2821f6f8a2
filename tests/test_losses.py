"""Losses: values, reductions and configs as Keras has them; gradients through traced programs; checks of labels."""

import numpy as np
import pytest

from cnnengine import losses, ops
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import TensorSpec
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.gradients import gradients
from cnnengine.graph.trace import trace
from tests.support.keras_oracle import import_keras

RNG = np.random.default_rng(0)
PROBS = RNG.uniform(0.05, 1, (6, 4)).astype("float32")
PROBS /= PROBS.sum(1, keepdims=True)
ONE_HOT = np.eye(4, dtype="float32")[[0, 3, 1, 2, 2, 0]]
REAL = RNG.normal(size=(6, 4)).astype("float32")
SCORES = RNG.normal(size=(6, 4)).astype("float32") * 3
BINARY = RNG.integers(0, 2, (6, 4)).astype("float32")
UNIT = RNG.uniform(0.05, 0.95, (6, 4)).astype("float32")
CLASSES = np.array([0, 3, 1, 2, 2, 0])

CASES = [
    ("MeanSquaredError", {}, REAL, SCORES),
    ("MeanAbsoluteError", {}, REAL, SCORES),
    ("MeanAbsolutePercentageError", {}, REAL, SCORES),
    ("MeanSquaredLogarithmicError", {}, UNIT, SCORES),
    ("LogCosh", {}, REAL, SCORES * 20),
    ("Huber", {}, REAL, SCORES),
    ("Huber", {"delta": 0.3}, REAL, SCORES),
    ("CosineSimilarity", {}, REAL, SCORES),
    ("CosineSimilarity", {"axis": 0}, REAL, SCORES),
    ("Hinge", {}, BINARY, SCORES),
    ("Hinge", {}, 2 * BINARY - 1, SCORES),
    ("SquaredHinge", {}, BINARY, SCORES),
    ("CategoricalHinge", {}, ONE_HOT, SCORES),
    ("KLDivergence", {}, PROBS[::-1].copy(), PROBS),
    ("Poisson", {}, UNIT, PROBS),
    ("BinaryCrossentropy", {}, BINARY, UNIT),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, BINARY, SCORES),
    ("CategoricalCrossentropy", {}, ONE_HOT, PROBS),
    ("CategoricalCrossentropy", {}, ONE_HOT, UNIT),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, SCORES),
    ("CategoricalCrossentropy", {"from_logits": True, "axis": 0}, ONE_HOT, SCORES),
    ("SparseCategoricalCrossentropy", {}, CLASSES, PROBS),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, SCORES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES[:, None], SCORES),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, CLASSES, SCORES),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, np.array([0, -1, 3, -1, 1, 1]), PROBS),
    ("BinaryFocalCrossentropy", {}, BINARY, UNIT),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, BINARY, UNIT),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BINARY, SCORES),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, PROBS),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, SCORES),
    ("Dice", {}, BINARY, UNIT),
    ("Dice", {"axis": 1}, BINARY, UNIT),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, BINARY, UNIT),
]
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def _pair(name, kwargs):
    keras = import_keras()
    return keras, getattr(losses, name)(**kwargs), getattr(keras.losses, name)(**kwargs)


def _theirs(keras, loss, *arrays):
    tensors = [None if a is None else keras.ops.convert_to_tensor(a) for a in arrays]
    return keras.ops.convert_to_numpy(loss(*tensors))


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), CASES)
def test_values_equal_keras(name, kwargs, y_true, y_pred):
    keras, ours, theirs = _pair(name, kwargs)
    expected = _theirs(keras, theirs, y_true, y_pred)
    assert np.shape(ours(y_true, y_pred)) == expected.shape
    np.testing.assert_allclose(ours(y_true, y_pred), expected, rtol=1e-5, atol=1e-6)
    if "axis" not in kwargs and name not in ("Dice", "Tversky"):
        weights = np.array([1, 0, 2, 0.5, 3, 1], "float32")
        expected = _theirs(keras, theirs, y_true, y_pred, weights)
        np.testing.assert_allclose(ours(y_true, y_pred, weights), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "kwargs"), [case[:2] for case in CASES])
def test_configs_equal_keras(name, kwargs):
    keras, ours, theirs = _pair(name, kwargs)
    config, expected = ours.get_config(), theirs.get_config()
    assert config.items() >= expected.items()
    record, their_record = losses.serialize(ours), keras.losses.serialize(theirs)
    assert {**record, "config": None} == {**their_record, "config": None}
    assert losses.deserialize(their_record).get_config().items() >= expected.items()
    assert keras.losses.deserialize(record).get_config() == expected


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", [None, (6,), (6, 1), ()])
def test_reductions_equal_keras(reduction, weights):
    keras = import_keras()
    weights = None if weights is None else RNG.uniform(0, 2, weights).astype("float32")
    ours = losses.MeanSquaredError(reduction=reduction)(REAL, SCORES, weights)
    theirs = _theirs(keras, keras.losses.MeanSquaredError(reduction=reduction), REAL, SCORES, weights)
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


RANKS = [((6,), (6, 1)), ((6, 1), (6,)), ((6, 1), (6, 1)), ((6, 4), (6, 4, 1))]


@pytest.mark.parametrize(("true_shape", "pred_shape"), RANKS)
def test_ranks_are_matched_as_in_keras(true_shape, pred_shape):
    keras, ours, theirs = _pair("MeanSquaredError", {"reduction": "none"})
    y_true, y_pred = (RNG.normal(size=shape).astype("float32") for shape in (true_shape, pred_shape))
    expected = _theirs(keras, theirs, y_true, y_pred)
    assert np.shape(ours(y_true, y_pred)) == expected.shape
    np.testing.assert_allclose(ours(y_true, y_pred), expected, rtol=1e-5)


def test_weighted_positions():
    keras, ours, theirs = _pair("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 0})
    y_true, y_pred = RNG.integers(0, 3, (2, 5)), RNG.normal(size=(2, 5, 3)).astype("float32")
    weights = RNG.uniform(0, 1, (2, 5)).astype("float32")
    np.testing.assert_allclose(
        ours(y_true, y_pred, weights), _theirs(keras, theirs, y_true, y_pred, weights), rtol=1e-5
    )


def test_softmax_and_sigmoid_are_trained_on_their_arguments():
    """A saturated softmax still has a gradient: traced, the loss sees the scores behind the probabilities."""

    def step(tracer, x, t):
        probs = ops.softmax(x)
        loss = losses.CategoricalCrossentropy()(t, probs)
        return [loss, *gradients(tracer.graph, loss, [x])]

    spec = TensorSpec((1, 2))
    loss, dx = NativeProgram(trace(step, [spec, spec]).graph).run([np.float32([[50, -50]]), np.float32([[0, 1]])])
    np.testing.assert_allclose(loss, 100, rtol=1e-6)
    np.testing.assert_allclose(dx, [[1, -1]], rtol=1e-6)


GRADIENT_CASES = [case for case in CASES if case[0] not in ("MeanAbsolutePercentageError", "KLDivergence")]


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), GRADIENT_CASES)
def test_traced_equals_eager_and_gradient_equals_difference(name, kwargs, y_true, y_pred):
    loss = getattr(losses, name)(**kwargs, reduction="sum")
    y_true = y_true.astype("int32") if y_true.dtype.kind == "i" else y_true

    def step(tracer, pred, true):
        value = loss(true, pred)
        value = value if value.shape == () else ops.sum(value)
        return [value, *gradients(tracer.graph, value, [pred])]

    specs = [TensorSpec(y_pred.shape), TensorSpec(y_true.shape, y_true.dtype.name)]
    value, dx = NativeProgram(trace(step, specs).graph).run([y_pred, y_true])
    np.testing.assert_allclose(value, np.sum(loss(y_true, y_pred)), rtol=1e-5)
    direction = RNG.normal(size=y_pred.shape).astype("float32")
    h = np.float32(2e-3)
    up, down = (float(np.sum(loss(y_true, y_pred + s * h * direction))) for s in (1, -1))
    np.testing.assert_allclose(np.sum(dx * direction), (up - down) / (2 * h), rtol=0.03, atol=0.02)


def test_names():
    assert losses.get("mse") is losses.mean_squared_error
    assert losses.get("sparse_categorical_crossentropy") is losses.sparse_categorical_crossentropy
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert losses.get(None) is None
    assert losses.serialize(losses.mean_absolute_error) == "mean_absolute_error"
    assert losses.deserialize("mae") is losses.mean_absolute_error
    with pytest.raises(ConfigError, match="loss"):
        losses.get("mean_square")


def test_resolve():
    resolve = losses.resolve
    assert resolve("crossentropy", (8,), (8, 10)).fn is losses.sparse_categorical_crossentropy
    assert resolve("crossentropy", (8, 1), (8, 10)).fn is losses.sparse_categorical_crossentropy
    assert resolve("ce", (8, 10), (8, 10)).fn is losses.categorical_crossentropy
    assert resolve("crossentropy", (8, 1), (8, 1)).fn is losses.binary_crossentropy
    assert resolve("mse", (8, 1), (8, 1)).name == "mse"
    loss = losses.Huber()
    assert resolve(loss, (8, 1), (8, 1)) is loss


def test_custom_loss():
    def furthest(y_true, y_pred):
        return ops.max(ops.absolute(y_true - y_pred), axis=-1)

    ours = losses.resolve(furthest, REAL.shape, SCORES.shape)
    assert ours.name == "furthest"
    np.testing.assert_allclose(ours(REAL, SCORES), np.abs(REAL - SCORES).max(-1).mean(), rtol=1e-6)
    again = losses.deserialize(losses.serialize(ours), {"furthest": furthest})
    assert again.fn is furthest


@pytest.mark.parametrize(
    ("labels", "bad"),
    [([0, 1, 3], "3"), ([0, -1], "-1"), ([0.5, 1.0], "0.5"), ([[0, 1], [2, 7]], "7"), ([np.nan, 1.0], "nan")],
)
def test_labels_out_of_range_are_named(labels, bad):
    loss = losses.SparseCategoricalCrossentropy()
    assert loss.integer_targets
    with pytest.raises(ConfigError, match=f"from 0 to 2.*Received: {bad} at index"):
        loss.check_targets(np.array(labels), 3)
    with pytest.raises(ValueError, match="Received"):
        losses.resolve("sparse_categorical_crossentropy", (2,), (2, 3)).check_targets(np.array(labels), 3)


def test_labels_in_range_pass():
    losses.SparseCategoricalCrossentropy().check_targets(np.array([0, 2, 1], "uint8"), 3)
    losses.SparseCategoricalCrossentropy().check_targets(np.array([[0.0], [2.0]]), 3)
    losses.SparseCategoricalCrossentropy(ignore_class=255).check_targets(np.array([0, 255]), 3)
    losses.SparseCategoricalCrossentropy().check_targets(np.zeros((0,)), 3)
    assert not losses.MeanSquaredError().integer_targets
    with pytest.raises(ConfigError):
        losses.SparseCategoricalCrossentropy().check_targets(np.array(["a"]), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: losses.MeanSquaredError(reduction="average"),
        lambda: losses.Huber(delta=float("nan")),
        lambda: losses.CategoricalCrossentropy(label_smoothing=2.0),
        lambda: losses.BinaryCrossentropy(label_smoothing="a"),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ConfigError, match=r"expected .* Received"):
        make()
