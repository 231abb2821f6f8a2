"""What every layer keeps: shapes, configs, weights and results as Keras has them, training, freezing, errors."""

import inspect
import json
import pickle

import numpy as np
import pytest

from cnnengine import Model, config, layers, optimizers
from cnnengine.core.errors import CnnEngineError
from cnnengine.core.registry import deserialize
from cnnengine.core.tree import flatten
from tests.support.compare import assert_same_bits
from tests.support.keras_oracle import import_keras
from tests.support.layer_cases import CASES

# Layers that need no case: bases, the entry of a model, layers around a function (see test_layers.py).
SPECIAL = {"FunctionLayer", "InputLayer", "Lambda", "Layer"}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
_WEIGHTED = [case for case in CASES if case.name in ("BatchNormalization", "Dense") or "Conv" in case.name]
weighted_cases = pytest.mark.parametrize("case", _WEIGHTED, ids=lambda case: case.id)


class Scale(layers.Layer):
    """x times a weight, so that there is something to learn in front of any layer."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


# What only some versions of Keras write, and what it means there when it is left out.
_DRIFT = {
    "quantization_config": None, "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "input_axes": None,
    "output_axes": None,
}  # fmt: skip


def plain(value):
    """A config as it would be read back from a file, without what only some versions of Keras write."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in _DRIFT or v != _DRIFT[k]}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return float(np.float32(value)) if isinstance(value, float) else value


def built(case):
    layer = case.make()
    layer(case.symbolic())
    return layer


def randomised(layer, seed=1):
    """The layer with weights that are neither zeros nor ones; variances stay positive."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.2, 1.0, w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


def trainer_of(case, layer):
    """A compiled model that learns through the layer, its inputs and targets."""
    x = case.symbolic()
    scaled = [Scale()(tensor) for tensor in flatten(x)]
    model = Model(x, layer(scaled if len(scaled) > 1 else scaled[0]))
    model.compile(optimizers.SGD(0.1), "mse")
    inputs = case.inputs()
    target = np.random.default_rng(2).normal(size=model(inputs).shape).astype(np.float32)
    return model, inputs, target


@pytest.fixture
def reference():
    config.set_backend("reference")
    yield
    config.set_backend("native")


def test_every_layer_has_a_case():
    exported = [value for value in vars(layers).values() if inspect.isclass(value) and issubclass(value, layers.Layer)]
    assert {cls.__name__ for cls in exported} == {case.name for case in CASES} | SPECIAL


@every_case
@pytest.mark.parametrize("batch", [None, 1])
def test_symbolic_shape_is_that_of_results(case, batch):
    layer = case.make()
    y = layer(case.symbolic(batch))
    assert y.shape[0] == batch
    shapes = [(batch, *shape) for shape in case.shapes]
    assert tuple(layer.compute_output_shape(shapes if len(shapes) > 1 else shapes[0])) == y.shape
    assert layer.output_shape == y.shape
    model = Model(layer.input, y)
    for size in (1, 3, 0) if batch is None else (1,):
        inputs = case.inputs(size)
        for result in (layer(inputs), model(inputs), model.predict(inputs, verbose=0)):
            assert result.shape == (size, *y.shape[1:]) and result.dtype == np.float32


@every_case
def test_one_result_by_layer_model_and_reference(case, reference):
    layer = randomised(built(case))
    model = Model(layer.input, layer.output)
    inputs = case.inputs()
    expected = layer(inputs)
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-5, atol=1e-6)
    config.set_backend("native")
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-5, atol=1e-5)
    assert_same_bits(model(inputs), model.predict(inputs, batch_size=2, verbose=0))


@every_case
def test_config_round_trip(case):
    layer = built(case)
    copy = type(layer).from_config(layer.get_config())
    assert plain(copy.get_config()) == plain(layer.get_config())
    assert pickle.loads(pickle.dumps(layer.get_config())) == layer.get_config()
    copy.build_from_config(json.loads(json.dumps(layer.get_build_config())))
    assert [w.shape for w in copy.weights] == [w.shape for w in layer.weights]
    copy.set_weights(layer.get_weights())
    assert_same_bits(copy(case.inputs()), layer(case.inputs()))


@every_case
def test_equals_keras(case):
    keras = import_keras()
    if "Average" in case.name and case.kwargs.get("padding") == "same" and keras.backend.backend() == "torch":
        pytest.skip("there Keras pads with copies of the border; see test_layers.py for the mean of the cells inside")
    layer = randomised(built(case))
    twin = getattr(keras.layers, case.name)(**case.kwargs)
    twin.build([(None, *shape) for shape in case.shapes] if len(case.shapes) > 1 else (None, *case.shapes[0]))
    assert [w.shape for w in twin.weights] == [w.shape for w in layer.weights]
    assert [w.name for w in twin.weights] == [w.name for w in layer.weights]
    assert [w.trainable for w in twin.weights] == [w.trainable for w in layer.weights]
    twin.set_weights(layer.get_weights())
    expected = keras.ops.convert_to_numpy(twin(case.inputs(), training=False))
    np.testing.assert_allclose(layer(case.inputs()), expected, rtol=1e-4, atol=1e-5)


@every_case
def test_config_is_that_of_keras(case):
    keras = import_keras()
    named = {"name": "same"} | case.kwargs
    ours = getattr(layers, case.name)(**named)
    theirs = getattr(keras.layers, case.name)(**named)
    assert plain(ours.get_config()) == plain(theirs.get_config())
    again = deserialize(keras.layers.serialize(theirs))
    assert plain(again.get_config()) == plain(ours.get_config())
    assert plain(type(theirs).from_config(ours.get_config()).get_config()) == plain(ours.get_config())


@every_case
def test_step_moves_trainable_weights_and_only_those(case):
    model, x, y = trainer_of(case, case.make())
    before = model.get_weights()
    model.train_on_batch(x, y)
    moved = {v.path: not np.array_equal(a, b) for v, a, b in zip(model.weights, before, model.get_weights())}
    is_statistic = {v.path: "moving" in v.name for v in model.weights}
    assert moved == {v.path: v.trainable or is_statistic[v.path] for v in model.weights}
    assert all(np.isfinite(w).all() for w in model.get_weights())


@weighted_cases
def test_frozen_weights_keep_their_bits(case):
    model, x, y = trainer_of(case, case.make(trainable=False))
    layer = model.layers[-1]
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == len(layer.weights) > 0
    before, scale = layer.get_weights(), model.layers[-2].get_weights()
    for _ in range(3):
        model.train_on_batch(x, y)
    for old, new in zip(before, layer.get_weights()):
        assert_same_bits(new, old)
    assert not np.array_equal(scale[0], model.layers[-2].get_weights()[0])


@every_case
def test_wrong_type_names_the_layer(case):
    layer = case.make()
    arrays = [array.astype(str) for array in flatten(case.inputs())]
    with pytest.raises(CnnEngineError, match=f'{case.name} "{layer.name}": '):
        layer(arrays if len(arrays) > 1 else arrays[0])


@pytest.mark.parametrize("case", [case for case in CASES if case.wrong is not None], ids=lambda case: case.id)
def test_wrong_shape_names_the_layer(case):
    layer = case.make()
    for wrong in (np.zeros((2, *case.wrong), np.float32), layers.Input(case.wrong)):
        with pytest.raises(CnnEngineError, match=f'{case.name} "{layer.name}": .*Received'):
            layer(wrong)
