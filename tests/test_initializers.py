"""Initializers: distributions, fans and configs as Keras has them, repeatable by seed."""

import copy
import pickle

import numpy as np
import pytest

from cnnengine import initializers
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.seeds import set_random_seed
from tests.support.keras_oracle import import_keras

SHAPES = [(), (5,), (4, 6), (3, 4, 6), (3, 3, 8, 16), (3, 3, 8, 1)]
RANDOM = [
    initializers.RandomNormal, initializers.TruncatedNormal, initializers.RandomUniform, initializers.VarianceScaling,
    initializers.GlorotNormal, initializers.GlorotUniform, initializers.HeNormal, initializers.HeUniform,
    initializers.LecunNormal, initializers.LecunUniform,
]  # fmt: skip
ALL = [*RANDOM, initializers.Orthogonal, *[getattr(initializers, n) for n in ("Zeros", "Ones", "Constant", "Identity")]]


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_equal_keras(shape):
    import_keras()
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)


@pytest.mark.parametrize("cls", RANDOM, ids=lambda cls: cls.__name__)
def test_distribution_equals_keras(cls):
    keras = import_keras()
    theirs = keras.ops.convert_to_numpy(getattr(keras.initializers, cls.__name__)(seed=1)((40, 40, 3, 5)))
    ours = cls(seed=1)((40, 40, 3, 5))
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    assert abs(ours.mean() - theirs.mean()) < 0.03 * theirs.std()
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
    if "Normal" not in cls.__name__ or cls is not initializers.RandomNormal:
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.02)


def test_known_limits():
    values = initializers.GlorotUniform(seed=3)((300, 300))
    assert np.abs(values).max() <= np.sqrt(6 / 600)
    values = initializers.TruncatedNormal(mean=1.0, stddev=0.5, seed=3)((10000,))
    assert values.min() >= 0.0 and values.max() <= 2.0
    variance = initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=3)((50, 400)).var()
    np.testing.assert_allclose(variance, 3 / 400, rtol=0.03)


def test_orthogonal():
    for shape in ((6, 4), (4, 6), (3, 3, 2, 5)):
        w = initializers.Orthogonal(gain=2.0, seed=1)(shape).reshape(-1, shape[-1])
        gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_constants():
    np.testing.assert_array_equal(initializers.Constant(2)((2, 2)), [[2, 2], [2, 2]])
    np.testing.assert_array_equal(initializers.get(np.arange(4.0))((2, 4)), [np.arange(4)] * 2)
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), [[3, 0, 0], [0, 3, 0]])
    assert initializers.Ones()((2,), dtype="int32").dtype == np.int32


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_config_equals_keras_and_round_trips(cls):
    keras = import_keras()
    ours, theirs = cls(), getattr(keras.initializers, cls.__name__)()
    expected = {key: value for key, value in theirs.get_config().items() if key not in ("input_axes", "output_axes")}
    assert ours.get_config().items() >= expected.items()  # Keras leaves out Identity's gain
    record, expected_record = initializers.serialize(ours), keras.initializers.serialize(theirs)
    for key in ("module", "class_name", "registered_name"):
        assert record[key] == expected_record[key]
    assert type(initializers.deserialize(expected_record)) is cls
    assert type(keras.initializers.deserialize(record)) is type(theirs)


def test_seeds():
    fixed = initializers.HeNormal(seed=5)
    np.testing.assert_array_equal(fixed((3, 4)), fixed((3, 4)))
    np.testing.assert_array_equal(fixed((3, 4)), fixed.clone()((3, 4)))
    free = initializers.HeNormal()
    np.testing.assert_array_equal(free((3, 4)), free((3, 4)))
    assert not np.array_equal(free((3, 4)), free.clone()((3, 4)))
    assert not np.array_equal(initializers.get("he_normal")((3, 4)), initializers.get("he_normal")((3, 4)))
    set_random_seed(7)
    first = initializers.get("glorot_uniform")((3, 4))
    set_random_seed(7)
    np.testing.assert_array_equal(first, initializers.get("glorot_uniform")((3, 4)))


def test_a_copy_draws_the_same_numbers():
    for copied in (copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        one = initializers.GlorotUniform()
        other = copied(one)
        np.testing.assert_array_equal(other((3, 4)), one((3, 4)))
        assert other.get_config() == one.get_config() == {"seed": None}
    one.seed = 3
    np.testing.assert_array_equal(one((3, 4)), initializers.GlorotUniform(seed=3)((3, 4)))


def test_names():
    for name in ("zeros", "ones", "glorot_uniform", "GlorotUniform", "he_normal", "orthogonal", "identity", "normal"):
        assert isinstance(initializers.get(name), initializers.Initializer)
    assert type(initializers.get("uniform")) is initializers.RandomUniform
    assert initializers.get(None) is None
    with pytest.raises(ConfigError, match="initializer"):
        initializers.get("glorot")


@pytest.mark.parametrize(
    "make",
    [
        lambda: initializers.VarianceScaling(scale=0),
        lambda: initializers.VarianceScaling(scale=-1.0),
        lambda: initializers.VarianceScaling(scale=float("nan")),
        lambda: initializers.VarianceScaling(scale="big"),
        lambda: initializers.VarianceScaling(mode="fan"),
        lambda: initializers.VarianceScaling(distribution="gauss"),
        lambda: initializers.RandomNormal(stddev=-1),
        lambda: initializers.RandomUniform(1.0, 0.0),
        lambda: initializers.GlorotUniform(seed="a"),
        lambda: initializers.Constant("a"),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ConfigError, match=r"(?i)received"):
        make()


def test_bad_shapes():
    for shape in ((-1,), (1 << 41,), (2.5,)):
        with pytest.raises(ShapeError):
            initializers.Zeros()(shape)
    with pytest.raises(ShapeError):
        initializers.Identity()((3,))
    with pytest.raises(ShapeError):
        initializers.Orthogonal()((3,))
    assert initializers.GlorotUniform()((0, 3)).shape == (0, 3)
