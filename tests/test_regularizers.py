"""Regularizers and constraints, compared with Keras."""

import numpy as np
import pytest

from cnnengine import constraints, regularizers
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.variable import Variable
from tests.support.keras_oracle import import_keras

W = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")

REGULARIZERS = [
    ("L1", {}), ("L1", {"l1": 0.2}), ("L2", {}), ("L2", {"l2": 0.3}), ("L1L2", {}), ("L1L2", {"l1": 0.1, "l2": 0.4}),
    ("OrthogonalRegularizer", {}), ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]  # fmt: skip
CONSTRAINTS = [
    ("MaxNorm", {}), ("MaxNorm", {"max_value": 0.5, "axis": 1}), ("MaxNorm", {"max_value": 1, "axis": [0, 1]}),
    ("NonNeg", {}), ("UnitNorm", {}), ("UnitNorm", {"axis": 1}), ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.9, "rate": 0.4, "axis": 1}),
]  # fmt: skip


def _numpy(keras, x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize(("name", "kwargs"), REGULARIZERS)
def test_regularizer_equals_keras(name, kwargs):
    keras = import_keras()
    ours, theirs = getattr(regularizers, name)(**kwargs), getattr(keras.regularizers, name)(**kwargs)
    expected = _numpy(keras, theirs(keras.ops.convert_to_tensor(W)))
    np.testing.assert_allclose(ours(W), expected, rtol=1e-5)
    np.testing.assert_allclose(ours(Variable(W)), expected, rtol=1e-5)
    assert np.shape(ours(W)) == ()
    assert ours.get_config() == pytest.approx(theirs.get_config())
    assert type(regularizers.deserialize(keras.regularizers.serialize(theirs))) is type(ours)
    assert type(keras.regularizers.deserialize(regularizers.serialize(ours))) is type(theirs)


@pytest.mark.parametrize(("name", "kwargs"), CONSTRAINTS)
def test_constraint_equals_keras(name, kwargs):
    keras = import_keras()
    ours, theirs = getattr(constraints, name)(**kwargs), getattr(keras.constraints, name)(**kwargs)
    expected = _numpy(keras, theirs(keras.ops.convert_to_tensor(W)))
    np.testing.assert_allclose(ours(Variable(W)), expected, rtol=1e-5, atol=1e-7)
    assert ours.get_config() == theirs.get_config()
    assert constraints.deserialize(keras.constraints.serialize(theirs)).get_config() == ours.get_config()


def test_names():
    assert regularizers.get("l2").l2 == 0.01
    assert type(regularizers.get("l1_l2")) is regularizers.L1L2
    assert regularizers.get("OrthogonalRegularizer").mode == "rows"
    assert constraints.get("max_norm").max_value == 2
    assert type(constraints.get("non_neg")) is constraints.NonNeg
    assert regularizers.get(None) is None and constraints.get(None) is None
    assert regularizers.get(abs) is abs
    for module in (regularizers, constraints):
        with pytest.raises(ConfigError):
            module.get("l3")


@pytest.mark.parametrize(
    "make",
    [
        lambda: regularizers.L2(-1),
        lambda: regularizers.L2(float("nan")),
        lambda: regularizers.L1("x"),
        lambda: regularizers.L1L2(l1=float("inf")),
        lambda: regularizers.OrthogonalRegularizer(mode="diagonal"),
        lambda: constraints.MaxNorm(-1),
        lambda: constraints.MaxNorm(axis="x"),
        lambda: constraints.MinMaxNorm(2.0, 1.0),
        lambda: constraints.MinMaxNorm(rate=2.0),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ConfigError, match=r"expected .* Received"):
        make()


def test_orthogonal_takes_matrices_only():
    with pytest.raises(ShapeError):
        regularizers.OrthogonalRegularizer()(W.reshape(2, 2, 5))
