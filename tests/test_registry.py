"""The table behind configs: what it finds, what it writes, what it refuses."""

import numpy as np
import pytest

from cnnengine.core import errors, registry
from tests.support.keras_oracle import import_keras


@registry.export("keras.test", aliases=("Thing2D", "keras.test.more"))
class ThingTwoD:
    def __init__(self, size=1, inner=None, dtype=None):
        self.size, self.inner, self.dtype = size, inner, dtype

    def get_config(self):
        return {"size": self.size, "inner": self.inner}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Own(ThingTwoD):
    pass


def own_function(x):
    return x


def test_found_under_every_name():
    for name in ("ThingTwoD", "Thing2D", "thing2d", "thing_two_d", "thingtwod"):
        assert registry.lookup("keras.test", name) is ThingTwoD
    assert registry.lookup("keras.test.more", "Thing2D") is ThingTwoD
    assert registry.lookup("keras.test", "other") is None


def test_round_trip():
    record = registry.serialize(ThingTwoD(3, inner={"a": (1, np.float32(2)), "b": [None, True]}))
    expected = {"size": 3, "inner": {"a": (1, 2.0), "b": [None, True]}}
    assert record == {
        "module": "keras.test", "class_name": "ThingTwoD", "config": expected, "registered_name": None,
    }  # fmt: skip
    assert registry.deserialize(record).size == 3


def test_values_written_as_keras_writes_them():
    keras = import_keras()
    values = [np.arange(3, dtype="float32"), np.float64(2), b"ab", slice(1, None, 2), Ellipsis, (1, 2), None]
    for value in values:
        assert registry.serialize(value) == keras.saving.serialize_keras_object(value)
    assert registry.serialize_dtype("float32")["config"] == {"name": "float32"}
    policy = keras.saving.serialize_keras_object(keras.layers.Dense(1).dtype_policy)
    assert registry.serialize_dtype("float32") == policy


def test_values_read():
    np.testing.assert_array_equal(
        registry.deserialize({"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "float32"}}), [1, 2]
    )
    record = {"class_name": "__slice__", "config": {"start": 1, "stop": 2, "step": None}}
    assert registry.deserialize(record) == slice(1, 2)
    assert registry.deserialize({"class_name": "__ellipsis__", "config": {}}) is Ellipsis
    assert registry.deserialize(registry.serialize_dtype("mixed_float16")) == "float32"
    assert registry.deserialize({"a": [1, "x"]}) == {"a": [1, "x"]}


def test_custom_class_needs_to_be_passed():
    record = registry.serialize(Own(4))
    assert record["registered_name"] == "Own" and record["module"] == __name__
    with pytest.raises(errors.UnsafeContent, match="Own"):
        registry.deserialize(record)
    assert registry.deserialize(record, {"Own": Own}).size == 4
    with registry.custom_object_scope({"Own": Own}):
        assert type(registry.deserialize(record)) is Own
    with pytest.raises(errors.UnsafeContent):
        registry.deserialize(record)


def test_registered_class():
    @registry.register_keras_serializable("pack", "Named")
    class Other(Own):
        pass

    try:
        record = registry.serialize(Other())
        assert record["registered_name"] == "pack>Named"
        assert type(registry.deserialize(record)) is Other
        assert registry.get_custom_objects()["pack>Named"] is Other
    finally:
        del registry.get_custom_objects()["pack>Named"]


def test_custom_function():
    record = registry.serialize(own_function)
    assert record["class_name"] == "function" and record["config"] == "own_function"
    assert registry.deserialize(record, {"own_function": own_function}) is own_function
    with pytest.raises(errors.UnsafeContent):
        registry.deserialize(record)
    with pytest.raises(errors.ConfigError, match="lambda"):
        registry.serialize(lambda x: x)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"class_name": "__lambda__", "config": {"value": ["4wE=", None, None]}}, errors.UnsafeContent),
        ({"module": "os", "class_name": "system", "config": {}}, errors.UnsafeContent),
        ({"module": "os", "class_name": "function", "config": "system"}, errors.UnsafeContent),
        ({"module": None, "class_name": "X", "config": {}}, errors.UnsafeContent),
        ({"module": "builtins", "class_name": "function", "config": "eval"}, errors.UnsupportedVersion),
        ({"module": "keras.test", "class_name": "LSTM", "config": {}}, errors.UnsupportedVersion),
        ({"module": "keras.test", "class_name": ["x"], "config": {}}, errors.CorruptFile),
        ({"module": "keras.test", "class_name": "ThingTwoD", "config": [1]}, errors.CorruptFile),
        ({"module": "keras.test", "class_name": "ThingTwoD", "config": {"nope": 1}}, errors.ConfigError),
        ({"class_name": "__numpy__", "config": {"value": [[1], [2, 3]], "dtype": "float32"}}, errors.CorruptFile),
        ({"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "float32"}}, errors.CorruptFile),
        ({"module": "keras.test", "class_name": "function", "config": {"a": 1}}, errors.CorruptFile),
        ({"module": "keras.test", "class_name": "function", "config": "ThingTwoD"}, errors.UnsupportedVersion),
    ],
)
def test_refused(config, error):
    with pytest.raises(error):
        registry.deserialize(config)


def test_modules_inside_keras():
    inner = "keras.src.backend.torch.test.torch_thing"
    record = {"module": inner, "class_name": "ThingTwoD", "config": {"size": 9}, "registered_name": "ThingTwoD"}
    assert registry.deserialize(record).size == 9
    with pytest.raises(errors.UnsupportedVersion):
        registry.deserialize(record | {"module": "keras.src.other"})


def test_arguments_of_other_versions():
    def config(**more):
        return {"module": "keras.test", "class_name": "ThingTwoD", "config": {"size": 2} | more}

    neutral = {"quantization_config": None, "renorm": False, "renorm_momentum": 0.9, "lora_rank": None, "ragged": False}
    assert registry.deserialize(config(**neutral)).size == 2
    assert registry.deserialize(config(dtype=registry.serialize_dtype("float32"))).dtype == "float32"
    with pytest.raises(errors.UnsupportedVersion, match="renorm"):
        registry.deserialize(config(renorm=True))


def test_shared_objects():
    config = registry.serialize(ThingTwoD(1)) | {"shared_object_id": 7}
    with registry.object_sharing():
        first, second = registry.deserialize([config, config])
    assert first is second
    first, second = registry.deserialize([config, config])
    assert first is not second


def test_get():
    assert registry.get(None, "keras.test", "thing") is None
    assert isinstance(registry.get("Thing2D", "keras.test", "thing"), ThingTwoD)
    assert isinstance(registry.get(ThingTwoD, "keras.test", "thing"), ThingTwoD)
    assert registry.get(own_function, "keras.test", "thing") is own_function
    assert registry.get({"class_name": "ThingTwoD", "config": {"size": 5}}, "keras.test", "thing").size == 5
    for bad in ("nothing", 3, {"size": 1}):
        with pytest.raises(errors.ConfigError, match=r"Expected .*ThingTwoD.* Received"):
            registry.get(bad, "keras.test", "thing")
