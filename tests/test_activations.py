"""Activation functions by name, compared with Keras."""

import numpy as np
import pytest

from cnnengine import activations
from cnnengine.core import registry
from cnnengine.core.errors import ConfigError, ShapeError
from tests.support.keras_oracle import import_keras

NAMES = sorted(set(registry.known("keras.activations")) - {"linear", "threshold"})
X = np.concatenate([np.linspace(-8, 8, 41), [-3, -1, -0.5, 0, 0.5, 1, 3]]).astype("float32").reshape(4, 12)


@pytest.mark.parametrize("name", NAMES)
def test_values_equal_keras(name):
    keras = import_keras()
    expected = keras.ops.convert_to_numpy(keras.activations.get(name)(keras.ops.convert_to_tensor(X)))
    np.testing.assert_allclose(activations.get(name)(X), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"negative_slope": 0.1},
        {"max_value": 2.0},
        {"max_value": 6},
        {"threshold": 1.0},
        {"negative_slope": 0.3, "max_value": 2.0, "threshold": -1.0},
        {"negative_slope": 0.3, "max_value": 2.0},
    ],
)
def test_general_relu_equals_keras(kwargs):
    keras = import_keras()
    expected = keras.ops.convert_to_numpy(keras.activations.relu(keras.ops.convert_to_tensor(X), **kwargs))
    np.testing.assert_allclose(activations.relu(X, **kwargs), expected, rtol=1e-6, atol=1e-6)


def test_defaults():
    assert activations.leaky_relu(np.float32([-1]))[0] == np.float32(-0.2)
    np.testing.assert_allclose(activations.gelu(np.float32([1])), [0.8413447], rtol=1e-5)
    np.testing.assert_array_equal(activations.threshold(X, 1.0, -2.0), np.where(X > 1, X, -2))


def test_names_and_configs():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.serialize(activations.silu) == "silu"
    assert activations.serialize(activations.exponential) == "exponential"
    for name in NAMES:
        assert activations.deserialize(activations.serialize(activations.get(name))) is activations.get(name)
    assert activations.get({"module": "builtins", "class_name": "function", "config": "tanh"}) is activations.tanh


def test_refused():
    with pytest.raises(ConfigError, match="activation"):
        activations.get("reluu")
    with pytest.raises(ConfigError):
        activations.relu(X, negative_slope=float("nan"))
    with pytest.raises(ShapeError):
        activations.glu(X[:, :3])
