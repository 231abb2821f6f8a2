"""Metrics: values over several batches, configs and directions as Keras has them; updates traced into programs."""

import numpy as np
import pytest

from cnnengine import metrics, ops
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.trace import trace
from tests.support.keras_oracle import import_keras

RNG = np.random.default_rng(1)
N = 12


def _probs(rows=N, columns=5):
    values = RNG.uniform(0.05, 1, (rows, columns)).astype("float32")
    return values / values.sum(1, keepdims=True)


def _one_hot(rows=N, columns=5):
    return np.eye(columns, dtype="float32")[RNG.integers(0, columns, rows)]


PROBS, ONE_HOT, REAL = _probs(), _one_hot(), RNG.normal(size=(N, 5)).astype("float32")
CLASSES = RNG.integers(0, 5, N)
BITS, SHARES = RNG.integers(0, 2, (N, 1)).astype("float32"), RNG.uniform(0, 1, (N, 1)).astype("float32")
MANY_BITS = RNG.integers(0, 2, (N, 5)).astype("float32")
WEIGHTS = RNG.uniform(0, 2, N).astype("float32")

CASES = [
    ("Accuracy", {}, np.round(REAL), np.round(REAL[::-1])),
    ("BinaryAccuracy", {}, BITS, SHARES),
    ("BinaryAccuracy", {}, BITS[:, 0], SHARES),
    ("BinaryAccuracy", {"threshold": 0.3}, MANY_BITS, PROBS),
    ("CategoricalAccuracy", {}, ONE_HOT, PROBS),
    ("SparseCategoricalAccuracy", {}, CLASSES, PROBS),
    ("SparseCategoricalAccuracy", {}, CLASSES[:, None], PROBS),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, PROBS),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, CLASSES, PROBS),
    ("SparseTopKCategoricalAccuracy", {"k": 3, "from_sorted_ids": True}, CLASSES, np.argsort(-PROBS).astype("float32")),
    ("MeanSquaredError", {}, REAL, PROBS),
    ("MeanAbsoluteError", {}, REAL, PROBS),
    ("MeanAbsolutePercentageError", {}, REAL, PROBS),
    ("MeanSquaredLogarithmicError", {}, SHARES, SHARES[::-1].copy()),
    ("RootMeanSquaredError", {}, REAL, PROBS),
    ("LogCoshError", {}, REAL, PROBS),
    ("CosineSimilarity", {}, REAL, PROBS),
    ("Hinge", {}, MANY_BITS, REAL),
    ("SquaredHinge", {}, MANY_BITS, REAL),
    ("CategoricalHinge", {}, ONE_HOT, REAL),
    ("KLDivergence", {}, _probs(), PROBS),
    ("Poisson", {}, SHARES, SHARES[::-1].copy()),
    ("BinaryCrossentropy", {}, MANY_BITS, PROBS),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, MANY_BITS, REAL),
    ("CategoricalCrossentropy", {}, ONE_HOT, PROBS),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, REAL),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, REAL),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, CLASSES, PROBS),
    ("TruePositives", {}, BITS, SHARES),
    ("FalsePositives", {"thresholds": 0.3}, MANY_BITS, PROBS),
    ("TrueNegatives", {"thresholds": [0.1, 0.6]}, MANY_BITS, PROBS),
    ("FalseNegatives", {"thresholds": [0.1, 0.15, 0.6]}, BITS, SHARES),
    ("Precision", {}, BITS, SHARES),
    ("Precision", {"top_k": 2}, ONE_HOT, PROBS),
    ("Precision", {"thresholds": [0.1, 0.2], "class_id": 1}, ONE_HOT, PROBS),
    ("Recall", {}, BITS[:, 0], SHARES),
    ("Recall", {"top_k": 3, "class_id": 2}, ONE_HOT, PROBS),
    ("AUC", {}, BITS, SHARES),
    ("AUC", {"curve": "PR"}, BITS, SHARES),
    ("AUC", {"summation_method": "minoring", "num_thresholds": 31}, MANY_BITS, PROBS),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, MANY_BITS, PROBS),
    ("AUC", {"from_logits": True, "thresholds": [0.2, 0.5, 0.9]}, MANY_BITS, REAL),
    ("F1Score", {}, ONE_HOT, PROBS),
    ("F1Score", {"average": "micro", "threshold": 0.2}, MANY_BITS, PROBS),
    ("F1Score", {"average": "macro"}, ONE_HOT, PROBS),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, ONE_HOT, PROBS),
]


def _both(name, kwargs):
    keras = import_keras()
    return keras, getattr(metrics, name)(**kwargs), getattr(keras.metrics, name)(**kwargs)


def _tensors(keras, *arrays):
    return [None if a is None else keras.ops.convert_to_tensor(a) for a in arrays]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), CASES)
def test_values_equal_keras_over_two_batches(name, kwargs, y_true, y_pred, weighted):
    keras, ours, theirs = _both(name, kwargs)
    for part in (slice(0, 8), slice(8, N)):
        batch = y_true[part], y_pred[part], WEIGHTS[part] if weighted else None
        ours.update_state(*batch)
        theirs.update_state(*_tensors(keras, *batch))
    expected = keras.ops.convert_to_numpy(theirs.result())
    assert np.shape(ours.result()) == expected.shape
    np.testing.assert_allclose(ours.result(), expected, rtol=2e-5, atol=2e-6)
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    ours.reset_state()
    assert not any(v.numpy().any() for v in ours.variables)


@pytest.mark.parametrize(("name", "kwargs"), [case[:2] for case in CASES])
def test_config_and_direction_equal_keras(name, kwargs):
    keras, ours, theirs = _both(name, {**kwargs, "name": "m"})
    expected = theirs.get_config()
    assert ours.get_config().items() >= {k: v for k, v in expected.items() if k != "thresholds"}.items()
    assert (ours._direction or "down") == (getattr(theirs, "_direction", None) or "down")
    record, their_record = metrics.serialize(ours), keras.metrics.serialize(theirs)
    assert {**record, "config": None} == {**their_record, "config": None}
    assert metrics.deserialize(their_record).get_config().keys() >= expected.keys()
    assert keras.metrics.deserialize(record).get_config().keys() == expected.keys()


SHAPES = [((), None), ((6,), None), ((6, 3), None), ((6, 3), (6,)), ((6, 3), (6, 3)), ((6,), ())]


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_reductions_equal_keras(name, shapes):
    keras, ours, theirs = _both(name, {})
    values = RNG.normal(size=shapes[0]).astype("float32")
    weights = None if shapes[1] is None else RNG.uniform(0, 1, shapes[1]).astype("float32")
    for _ in range(2):
        ours.update_state(values, weights)
        theirs.update_state(*_tensors(keras, values, weights))
    np.testing.assert_allclose(ours.result(), keras.ops.convert_to_numpy(theirs.result()), rtol=1e-5)


def test_empty_mean():
    assert metrics.Mean().result() == 0 and metrics.AUC().result() == 0 and metrics.F1Score().result() == 0
    assert metrics.Precision().result() == 0


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), CASES)
def test_traced_equals_eager(name, kwargs, y_true, y_pred):
    traced, eager = getattr(metrics, name)(**kwargs), getattr(metrics, name)(**kwargs)
    y_true = y_true.astype("int32") if y_true.dtype.kind == "i" else y_true

    def step(tracer, true, pred, weights):
        traced.update_state(true, pred, weights)
        return []

    specs = [TensorSpec(y_true.shape, y_true.dtype.name), TensorSpec(y_pred.shape), TensorSpec((N,))]
    program = NativeProgram(trace(step, specs).graph)
    for _ in range(2):
        program.run([np.ascontiguousarray(y_true), np.ascontiguousarray(y_pred), WEIGHTS])
        eager.update_state(y_true, y_pred, WEIGHTS)
    np.testing.assert_allclose(traced.result(), eager.result(), rtol=1e-5, atol=1e-6)


def test_names():
    for name, cls in (("mse", metrics.MeanSquaredError), ("mean_squared_error", metrics.MeanSquaredError),
                      ("binary_accuracy", metrics.BinaryAccuracy), ("AUC", metrics.AUC)):  # fmt: skip
        assert type(metrics.get(name)) is cls
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    assert metrics.serialize(metrics.binary_accuracy) == "binary_accuracy"
    with pytest.raises(ConfigError, match="metric"):
        metrics.get("precisionn")


def test_resolve():
    resolve = metrics.resolve
    assert type(resolve("accuracy", (8,), (8, 10))) is metrics.SparseCategoricalAccuracy
    assert type(resolve("accuracy", (8, 1), (8, 10))) is metrics.SparseCategoricalAccuracy
    assert type(resolve("acc", (8, 10), (8, 10))) is metrics.CategoricalAccuracy
    assert type(resolve("accuracy", (8,), (8, 1))) is metrics.BinaryAccuracy
    assert resolve("acc", (8, 1), (8, 1)).name == "acc"
    assert resolve("mae", (8, 1), (8, 1)).name == "mae"
    assert resolve("crossentropy", (8,), (8, 10)).name == "crossentropy"
    wrapped = resolve(metrics.mean_squared_error, (8, 1), (8, 1))
    assert wrapped.name == "mean_squared_error" and wrapped._direction == "down"
    again = metrics.deserialize(metrics.serialize(wrapped))
    assert again._fn is metrics.mean_squared_error
    with pytest.raises(ConfigError):
        resolve(None, (8, 1), (8, 1))


def test_own_metric():
    class Largest(metrics.Metric):
        def __init__(self, name="largest", dtype=None):
            super().__init__(name=name, dtype=dtype)
            self.peak = self.add_variable((), "zeros", name="peak")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.peak.assign(ops.maximum(self.peak, ops.max(y_pred)))

        def result(self):
            return self.peak.numpy()

    metric = Largest()
    assert metric(REAL, REAL) == REAL.max()
    assert repr(metric) == "<Largest name=largest>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.AUC(num_thresholds=1),
        lambda: metrics.AUC(curve="PRC"),
        lambda: metrics.AUC(multi_label=True),
        lambda: metrics.Precision(thresholds=1.5),
        lambda: metrics.Recall(top_k=-1),
        lambda: metrics.F1Score(average="some"),
        lambda: metrics.F1Score(threshold=0.0),
        lambda: metrics.TopKCategoricalAccuracy(k=0),
        lambda: metrics.BinaryAccuracy(threshold=float("nan")),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ConfigError, match=r"expected .* Received"):
        make()


def test_bad_shapes():
    with pytest.raises(ShapeError):
        metrics.F1Score().update_state(BITS[:, 0], SHARES[:, 0])
    with pytest.raises(ShapeError):
        metrics.Precision().update_state(BITS, PROBS)
