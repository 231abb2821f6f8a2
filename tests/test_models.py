"""Building and running models: stacks, graphs, subclasses; one result however and in whatever batch they are run."""

import threading

import numpy as np
import pytest

from cnnengine import Input, Model, Sequential, backend, config, layers, ops, optimizers
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.engine.program import ReferenceProgram
from tests.support.compare import assert_same_bits
from tests.support.keras_oracle import import_keras

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def small_cnn():
    return Sequential(
        [
            Input((8, 8, 3)),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def twin_of(build):
    """A model of ours and the same of Keras's with the same weights; `build` takes either module."""
    import cnnengine

    keras = import_keras()
    ours, theirs = build(cnnengine), build(keras)
    for model in (ours, theirs):
        assert [w.shape for w in model.weights] == [w.shape for w in ours.weights]
    ours.set_weights([RNG.uniform(0.2, 1, w.shape).astype(np.float32) for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


# Sequential


def test_the_seeds_first_model_has_669706_parameters():
    model = Sequential(
        [Input((784,)), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(10, "softmax")]
    )
    assert model.count_params() == 669_706
    assert [layer.count_params() for layer in model.layers] == [401_920, 262_656, 5_130]
    assert model.input_shape == (None, 784) and model.output_shape == (None, 10)


def test_sequential_without_input_builds_when_it_sees_data():
    model = Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(ConfigError, match="build"):
        model.count_params()
    with pytest.raises(ConfigError, match="input"):
        _ = model.inputs
    assert model(normal(5, 4)).shape == (5, 2)
    assert model.built and model.count_params() == 3 * 5 + 2 * 4
    assert model.predict(normal(7, 4), verbose=0).shape == (7, 2)


@pytest.mark.parametrize("first", [{"input_shape": (4,)}, {"input_dim": 4}, {"batch_input_shape": (None, 4)}])
def test_sequential_knows_the_older_ways_to_give_the_shape(first):
    model = Sequential([layers.Dense(3, **first), layers.Dense(2)])
    assert model.built and model.input_shape == (None, 4)


def test_sequential_builds_for_a_shape():
    model = Sequential([layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    model.build((None, 8, 8, 3))
    assert model.output_shape == (None, 4) and model.count_params() == 112


def test_a_call_like_the_last_one_sees_what_has_changed():
    """Each of these comes after two calls on an array, of which the second takes the first one's program."""
    model = Sequential([Input((4,)), layers.Dense(4, name="dense")])
    x = np.random.default_rng(0).standard_normal((6, 8), np.float32)
    whole = x[:, :4].copy()

    def check(array):
        first = model.predict_on_batch(whole)
        assert_same_bits(model.predict_on_batch(whole), first)
        kernel, bias = model.get_layer("dense").get_weights()
        expected = array.astype(np.float64) @ kernel + bias
        out = model.predict_on_batch(array)
        np.testing.assert_allclose(out, expected * (2.0 if len(model.layers) > 1 else 1.0), rtol=1e-5, atol=1e-5)

    check(whole)
    check(whole[:3])
    check(x[:, 1::2])  # the same shape, but not contiguous
    check(whole.astype(np.float64))
    check(np.arange(24).reshape(6, 4))
    model.set_weights([2 * w for w in model.get_weights()])
    check(whole)
    before = config.backend(), config.get_isa()
    try:
        config.set_backend("reference")
        check(whole)
        assert isinstance(model._programs.last[1], ReferenceProgram)
        config.set_backend("native")
        config.set_isa("generic")
        check(whole)
    finally:
        config.set_backend(before[0])
        config.set_isa(before[1])
    model.add(layers.Lambda(lambda y: y * 2.0))
    check(whole)


def test_a_call_like_the_last_one_keeps_the_form_of_outputs():
    inputs = Input((4,))
    model = Model(inputs, {"twice": layers.Add()([inputs, inputs])})
    for _ in range(3):
        out = model.predict_on_batch(np.ones((2, 4), np.float32))
        np.testing.assert_array_equal(out["twice"], np.full((2, 4), 2.0))


def test_add_and_pop_follow_the_stack():
    model = Sequential(name="stack")
    model.add(Input((4,)))
    model.add(layers.Dense(3))
    model.add(layers.Dense(2, name="top"))
    x = normal(2, 4)
    first = model(x)
    assert first.shape == (2, 2) and [layer.name for layer in model.layers][-1] == "top"
    assert model.pop().name == "top"
    assert model(x).shape == (2, 3) and model.output_shape == (None, 3)
    model.add(layers.Dense(5))
    assert model.predict(x, verbose=0).shape == (2, 5)
    assert len(model.layers) == 2


def test_features_of_a_stack_that_grew_layer_by_layer():
    model = Sequential()
    for layer in (layers.Dense(5, "relu", input_shape=(4,)), layers.Dense(3, name="feature"), layers.Dense(2)):
        model.add(layer)
    x = normal(6, 4)
    features, head = Model(model.input, model.get_layer("feature").output), Model(model.layers[1].output, model.output)
    assert features(x).shape == (6, 3)
    np.testing.assert_allclose(head(features(x)), model(x), rtol=1e-5, atol=1e-6)
    assert len(model.layers[0]._nodes) == 1


def test_pop_of_an_empty_stack_is_an_error():
    with pytest.raises(ConfigError, match="no layers"):
        Sequential().pop()


def test_duplicate_names_are_refused():
    with pytest.raises(ConfigError, match='"same"'):
        Sequential([layers.Dense(2, name="same"), layers.Dense(2, name="same")])
    x = Input((3,))
    with pytest.raises(ConfigError, match="same"):
        Model(x, layers.Dense(2, name="same")(layers.Dense(2, name="same")(x)))


def test_sequential_takes_layers_only():
    for wrong in ("Dense", 3, None, layers.Dense, np.zeros(3)):
        with pytest.raises(ConfigError, match="takes layers"):
            Sequential([wrong])
    with pytest.raises(ConfigError, match="first"):
        Sequential([layers.Dense(2), Input((3,))])


def test_nested_models_are_layers():
    inner = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)], name="inner")
    outer = Sequential([inner, layers.Dense(5)])
    assert outer.built and outer.input_shape == (None, 4)
    x = normal(2, 4)
    kernel, bias = outer.layers[1].get_weights()
    np.testing.assert_allclose(outer(x), inner(x) @ kernel + bias, rtol=1e-5, atol=1e-6)
    assert outer.count_params() == inner.count_params() + 15
    assert outer.get_layer("inner") is inner


# Functional


def test_several_inputs_and_outputs_as_lists():
    a, b = Input((3,), name="a"), Input((4,), name="b")
    joined = layers.Concatenate()([a, b])
    model = Model([a, b], [layers.Dense(2, name="left")(joined), layers.Dense(1, name="right")(joined)])
    x, y = normal(5, 3), normal(5, 4)
    out = model([x, y])
    assert isinstance(out, list) and [o.shape for o in out] == [(5, 2), (5, 1)]
    assert model.input_names == ["a", "b"] and model.output_names == ["left", "right"]
    assert model.input_shape == [(None, 3), (None, 4)] and model.output_shape == [(None, 2), (None, 1)]
    by_name = model({"a": x, "b": y})
    as_tuple = model.predict((x, y), verbose=0)
    for one, two, three in zip(out, by_name, as_tuple):
        assert_same_bits(two, one)
        assert_same_bits(three, one)


def test_inputs_and_outputs_as_dicts():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    model = Model({"p": a, "q": b}, {"sum": a + b, "difference": a - b})
    x, y = normal(2, 3), normal(2, 3)
    out = model({"q": y, "p": x})
    np.testing.assert_allclose(out["sum"], x + y, rtol=1e-6)
    np.testing.assert_allclose(out["difference"], x - y, rtol=1e-6)
    predicted = model.predict({"p": x, "q": y}, batch_size=1, verbose=0)
    assert set(predicted) == {"sum", "difference"}
    assert_same_bits(predicted["difference"], out["difference"])
    with pytest.raises(ConfigError, match="Received"):
        model({"p": x, "z": y})


def test_order_of_inputs_by_name_does_not_matter():
    last, first = Input((3,), name="z"), Input((3,), name="a", dtype="int32")
    model = Model([last, first], last - 2 * ops.cast(first, "float32"))
    x, y = normal(2, 3), np.array([[1, 2, 3], [4, 5, 6]])
    expected = x - 2 * y
    for inputs in ([x, y], {"a": y, "z": x}, (x, y)):
        np.testing.assert_allclose(model(inputs), expected, rtol=1e-6)
    model.compile(loss="mse")
    for inputs in ([x, y], {"a": y, "z": x}):
        assert model.evaluate(inputs, expected, verbose=0) == pytest.approx(0, abs=1e-10)


def test_shared_layers_share_weights():
    a, b = Input((3,)), Input((3,))
    shared = layers.Dense(2)
    model = Model([a, b], layers.Subtract()([shared(a), shared(b)]))
    assert model.count_params() == 8 and len(model.layers) == 4
    x = normal(4, 3)
    np.testing.assert_array_equal(model([x, x]), np.zeros((4, 2)))
    assert shared.output is model.layers[-1].input[0]  # of the first call, as in Keras
    with pytest.raises(ConfigError, match="never called"):
        _ = layers.Dense(2).output


def test_sub_models_from_intermediate_tensors_share_weights():
    base = small_cnn()
    features = Model(base.inputs, base.layers[3].output)
    tail = Model(base.layers[3].output, base.output)
    x = normal(3, 8, 8, 3)
    assert features(x).shape == (3, 2, 2, 5)
    np.testing.assert_allclose(tail(features(x)), base(x), rtol=1e-5, atol=1e-6)
    base.set_weights([w * 2 for w in base.get_weights()])
    np.testing.assert_allclose(tail(features(x)), base(x), rtol=1e-5, atol=1e-6)


def test_a_model_applied_to_symbolic_tensors_is_a_layer():
    base = small_cnn()
    x = Input((8, 8, 3))
    model = Model(x, layers.Dense(2)(base(x)))
    data = normal(3, 8, 8, 3)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(data), base(data) @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_arithmetic_on_symbolic_tensors():
    a, b = Input((4,)), Input((4,))
    y = (2 * a - b / 3 + 1.5) * (-b) + a**2 + (a @ ops.ones((4, 4))) + abs(a) - (1 - b)
    x, z = normal(3, 4), normal(3, 4)
    expected = (2 * x - z / 3 + 1.5) * (-z) + x**2 + x @ np.ones((4, 4)) + abs(x) - (1 - z)
    np.testing.assert_allclose(Model([a, b], y)([x, z]), expected, rtol=1e-4, atol=1e-5)


def test_operations_on_symbolic_tensors():
    a = Input((4, 6))
    y = ops.concatenate([ops.mean(a, axis=1), ops.max(a[:, 1:3, ::2], axis=1)], axis=-1)
    assert y.shape == (None, 9)
    x = normal(3, 4, 6)
    expected = np.concatenate([x.mean(1), x[:, 1:3, ::2].max(1)], -1)
    np.testing.assert_allclose(Model(a, ops.relu(y))(x), np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert backend.int_shape(a) == (None, 4, 6)


def test_arrays_in_the_graph_are_constants():
    a = Input((3,))
    constant = np.array([1.0, 2.0, 3.0], np.float32)
    model = Model(a, a * constant)
    constant[:] = 0
    np.testing.assert_allclose(model(np.ones((2, 3))), [[1, 2, 3]] * 2)


def test_disconnected_and_wrong_graphs():
    a, b = Input((3,)), Input((3,), name="lost")
    with pytest.raises(ConfigError, match="lost"):
        Model(a, a + b)
    with pytest.raises(ConfigError, match="symbolic"):
        Model(a, normal(2, 3))
    with pytest.raises(ConfigError, match="once"):
        Model([a, a], a + a)


def test_an_input_may_be_an_output():
    a = Input((3,))
    x = normal(2, 3)
    same, double = Model(a, [a, a * 2])(x)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_allclose(double, x * 2)


def test_deep_graphs_need_no_recursion():
    x = y = Input((2,))
    for _ in range(1500):
        y = y + 1.0
    np.testing.assert_allclose(Model(x, y)(np.zeros((1, 2), np.float32)), [[1500, 1500]])


def test_inputs_of_one_axis_more_or_less():
    model = Sequential([Input((1,)), layers.Dense(2)])
    np.testing.assert_array_equal(model(np.arange(3)), model(np.arange(3)[:, None]))
    flat = Model(x := Input(()), ops.expand_dims(x, -1) * 2)
    np.testing.assert_array_equal(flat(np.ones((3, 1))), 2 * np.ones((3, 1)))


def test_layers_and_weights_in_keras_order():
    def build(k):
        x = k.Input((6, 6, 2))
        a = k.layers.Conv2D(3, 3, padding="same", name="a")(x)
        b = k.layers.BatchNormalization(name="b")(a)
        c = k.layers.Conv2D(3, 1, name="c")(x)
        d = k.layers.Add(name="d")([c, b])
        inner = k.Sequential([k.layers.Dense(4, name="i1"), k.layers.BatchNormalization(name="i2")], name="inner")
        e = inner(k.layers.GlobalAveragePooling2D(name="g")(d))
        f = k.layers.Dense(2, name="f")(k.layers.Flatten(name="flat")(a))
        return k.Model(x, [k.layers.Dense(2, name="e")(e), f])

    ours, theirs = twin_of(build)
    assert [layer.name for layer in ours.layers[1:]] == [layer.name for layer in theirs.layers[1:]]
    assert [w.path.split("/")[-2:] for w in ours.weights] == [w.path.split("/")[-2:] for w in theirs.weights]
    for group in ("trainable_weights", "non_trainable_weights"):
        assert [w.shape for w in getattr(ours, group)] == [w.shape for w in getattr(theirs, group)]
    x = normal(3, 6, 6, 2)
    for mine, other in zip(ours(x), theirs.predict(x, verbose=0)):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


# Subclassing


class Block(Model):
    """Layers in a list and a dict, one of them used twice, and the training argument."""

    def __init__(self):
        super().__init__()
        self.stack = [layers.Dense(4, "relu"), layers.Dense(4)]
        self.heads = {"a": layers.Dense(2), "b": layers.Dense(3)}
        self.norm = layers.BatchNormalization()
        self.modes = []

    def call(self, x, training=False):
        self.modes.append(training)
        for layer in self.stack:
            x = layer(x)
        x = self.norm(x, training=training)
        return {name: head(x) for name, head in self.heads.items()}


def test_subclassed_model_finds_layers_in_lists_and_dicts():
    model = Block()
    out = model(normal(5, 3))
    assert {name: y.shape for name, y in out.items()} == {"a": (5, 2), "b": (5, 3)}
    assert len(model.layers) == 5 and model.count_params() == 16 + 20 + 16 + 10 + 15
    assert len(model.trainable_weights) == 10 and len(model.non_trainable_weights) == 2


def test_layers_put_into_containers_later_are_found():
    class Growing(Model):
        def __init__(self):
            super().__init__()
            self.blocks, self.named = [], {}
            for _ in range(3):
                self.blocks.append([layers.Dense(4), layers.BatchNormalization()])
            self.head = layers.Dense(2)
            self.named["side"] = layers.Dense(4)

        def call(self, x):
            x = self.named["side"](x)
            for dense, norm in self.blocks:
                x = norm(dense(x))
            return self.head(x)

    model = Growing()
    model(normal(2, 4))
    assert len(model.layers) == 8 and len(model.weights) == 3 * 6 + 4
    assert model.layers[0] is model.blocks[0][0] and model.layers[-2] is model.head
    model.trainable = False
    assert not model.named["side"].trainable and model.trainable_weights == []


def test_subclassed_model_is_told_the_mode():
    model = Block()
    x = normal(16, 3)
    inference = model(x)["a"]
    assert set(model.modes) == {False}
    training = model(x, training=True)["a"]
    assert True in model.modes and not np.allclose(training, inference)
    assert not np.array_equal(model.norm.moving_mean.numpy(), np.zeros(4))
    np.testing.assert_allclose(model.predict(x, verbose=0)["a"], model(x)["a"])


def test_subclassed_model_builds_for_a_shape():
    model = Block()
    model.build((None, 3))
    assert model.built and len(model.weights) == 12


def test_subclassed_model_with_own_weights_and_loss_learns():
    class Offset(Model):
        def __init__(self):
            super().__init__()
            self.shift = self.add_weight(shape=(2,), initializer="zeros", name="shift")

        def call(self, x):
            self.add_loss(0.5 * ops.sum(ops.square(self.shift - 3.0)))
            return x + self.shift

    model = Offset()
    model.compile(optimizers.SGD(0.1), "mse")
    x = np.zeros((4, 2), np.float32)
    assert model.evaluate(x, x, verbose=0) == pytest.approx(9.0)
    model.fit(x, x, epochs=1, verbose=0)
    np.testing.assert_allclose(model.shift.numpy(), 0.3, rtol=1e-5)


def test_model_in_a_model():
    class Outer(Model):
        def __init__(self):
            super().__init__()
            self.inner = Sequential([layers.Dense(4, "relu"), layers.Dense(2)])

        def call(self, x):
            return self.inner(x) * 2

    model = Outer()
    x = normal(3, 5)
    np.testing.assert_allclose(model(x), model.inner(x) * 2, rtol=1e-5)
    assert model.count_params() == 24 + 10


def test_call_without_definition_is_explained():
    with pytest.raises(NotImplementedError, match="call"):
        Model()(normal(1, 2))


# What models have


def test_get_layer():
    model = small_cnn()
    name = model.layers[2].name
    assert model.get_layer(name) is model.get_layer(index=2) is model.layers[2]
    for wrong in ({}, {"name": name, "index": 2}, {"index": 9}, {"name": "nothing"}):
        with pytest.raises(ConfigError, match=r"Received|Existing"):
            model.get_layer(**wrong)


def test_set_weights_is_all_or_nothing():
    model = small_cnn()
    before = model.get_weights()
    for wrong in (before[:-1], [*before, before[0]], [w.T if w.ndim == 2 else w + 1 for w in before]):
        with pytest.raises(ShapeError, match="Received"):
            model.set_weights(wrong)
        for old, new in zip(before, model.get_weights()):
            assert_same_bits(new, old)
    with pytest.raises((DTypeError, ConfigError)):
        model.set_weights([*(w + 1 for w in before[:-1]), np.full(before[-1].shape, "x")])
    for old, new in zip(before, model.get_weights()):
        assert_same_bits(new, old)


def test_get_weights_are_copies():
    model = small_cnn()
    x = normal(2, 8, 8, 3)
    before = model(x)
    for weight in model.get_weights():
        weight[...] = 0
    assert_same_bits(model(x), before)


def test_new_weights_are_used_at_once():
    model = small_cnn()
    x = normal(2, 8, 8, 3)
    model.predict(x, verbose=0)
    model.layers[0].kernel.assign(np.zeros((3, 3, 3, 6)))
    other = small_cnn()
    other.set_weights(model.get_weights())
    assert_same_bits(model.predict(x, verbose=0), other.predict(x, verbose=0))


def test_trainable_reaches_down_and_counts():
    model = small_cnn()
    total, fixed = len(model.weights), len(model.non_trainable_weights)
    assert (total, fixed) == (10, 2)
    model.trainable = False
    assert all(not layer.trainable for layer in model.layers) and model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 8
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 6


# One result


@pytest.fixture(scope="module")
def cnn():
    model = small_cnn()
    model.set_weights([RNG.uniform(-0.5, 1, w.shape).astype(np.float32) ** 2 for w in model.get_weights()])
    return model


def test_all_ways_to_run_give_the_same_bits(cnn):
    x = normal(11, 8, 8, 3)
    y = cnn(x)
    for other in (
        cnn.predict(x, verbose=0), cnn.predict(x, batch_size=3, verbose=0), cnn.predict_on_batch(x),
        cnn(x, training=False),
        np.concatenate([cnn(x[i : i + 1]) for i in range(11)]),
        cnn.predict((x[i : i + 2] for i in range(0, 11, 2)), verbose=0),
        cnn.predict(x[::-1], batch_size=4, verbose=0)[::-1],
    ):  # fmt: skip
        assert_same_bits(np.ascontiguousarray(other), y)


def test_no_samples_give_no_results(cnn):
    x = np.zeros((0, 8, 8, 3), np.float32)
    for y in (cnn(x), cnn.predict(x, verbose=0), cnn.predict_on_batch(x)):
        assert y.shape == (0, 4) and y.dtype == np.float32


def test_numbers_of_any_type_and_layout(cnn):
    whole = RNG.integers(0, 255, (3, 8, 8, 3))
    expected = cnn(whole.astype(np.float32))
    for dtype in (np.uint8, np.int16, np.int64, np.float64, np.float16, ">f4", ">i8"):
        assert_same_bits(cnn(whole.astype(dtype)), expected)
    x = normal(6, 8, 8, 3)
    expected = cnn(x)
    wide = np.zeros((6, 8, 8, 6), np.float32)
    wide[..., ::2] = x
    for same in (wide[..., ::2], np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], np.array(x.tolist())):
        assert_same_bits(cnn(same), expected)
    x.setflags(write=False)
    assert_same_bits(cnn(x), expected)
    copy = x.copy()
    cnn.predict(x, verbose=0)
    assert_same_bits(x, copy)


def test_bools_are_numbers():
    model = Sequential([Input((3,)), layers.Dense(2)])
    mask = np.array([[True, False, True]])
    np.testing.assert_array_equal(model(mask), model(mask.astype(np.float32)))


def test_nan_stays_in_its_sample(cnn):
    x = normal(4, 8, 8, 3)
    expected = cnn(x)
    x[1] = np.nan
    y = cnn(x)
    assert np.isnan(y[1]).all()
    assert_same_bits(y[[0, 2, 3]], expected[[0, 2, 3]])


def test_many_threads_may_predict(cnn):
    inputs = [normal(1 + i % 3, 8, 8, 3) for i in range(8)]
    expected = [cnn(x) for x in inputs]
    wrong = []

    def work(i):
        for _ in range(30):
            if not np.array_equal(cnn.predict(inputs[i], verbose=0), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_many_threads_may_build():
    """The first calls of a model that is not built yet come from several threads at once."""
    for _ in range(5):
        model = Sequential([layers.Dense(16, "relu"), layers.Dense(3)])
        x, results = normal(4, 6), []
        start = threading.Barrier(4)

        def work(model=model, x=x, results=results, start=start):
            start.wait()
            results.append(model(x))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(model.weights) == 4 and len(results) == 4
        for result in results[1:]:
            assert_same_bits(result, results[0])
