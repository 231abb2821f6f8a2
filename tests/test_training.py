"""fit, evaluate and their relatives: beside Keras's own, repeatable to the bit, and interrupted."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import cnnengine
from cnnengine import Input, Model, Sequential, callbacks, config, datasets, layers, losses, metrics, ops, optimizers
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.utils import set_random_seed
from tests.support.compare import assert_same_bits
from tests.support.keras_oracle import import_keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)
ONE_HOT = np.eye(3, dtype=np.float32)[Y]


def trainable_keras():
    """Keras with a backend that can train."""
    keras = import_keras()
    if keras.backend.backend() not in ("torch", "jax", "tensorflow"):
        pytest.skip("Keras's NumPy backend cannot train: pip install torch")
    return keras


def mlp(k=cnnengine, head="softmax", **dense):
    return k.Sequential([k.Input((6,)), k.layers.Dense(8, "tanh", **dense), k.layers.Dense(3, head)])


def classifier(loss="sparse_categorical_crossentropy", optimizer=None, **kwargs):
    model = mlp()
    model.set_weights([np.random.default_rng(i).normal(size=w.shape) * 0.5 for i, w in enumerate(model.get_weights())])
    model.compile(optimizer or optimizers.SGD(0.1), loss, **kwargs)
    return model


def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights()):
        assert_same_bits(a, b)


def assert_trains_alike(build, compile_, data, steps=2, tol=1e-4, **fit):
    """Histories and weights of ours and Keras's after the same epochs are close."""
    keras = trainable_keras()
    ours, theirs = build(cnnengine), build(keras)
    theirs.set_weights(ours.get_weights())
    ours.compile(**compile_(cnnengine))
    theirs.compile(**compile_(keras))
    fit = {"batch_size": 16, "epochs": steps, "shuffle": False, "verbose": 0} | fit
    mine, other = ours.fit(*data, **fit).history, theirs.fit(*data, **fit).history
    assert list(mine) == list(other)
    for name in mine:
        np.testing.assert_allclose(mine[name], other[name], rtol=tol, atol=tol, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
    return ours, theirs


# Beside Keras

OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.1}), ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}), ("Adam", {}), ("Adam", {"amsgrad": True}),
    ("AdamW", {"weight_decay": 0.1}), ("RMSprop", {}), ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"clipnorm": 0.05}), ("SGD", {"clipvalue": 0.01}), ("SGD", {"global_clipnorm": 0.05}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs"), OPTIMIZERS, ids=str)
def test_optimizers_train_as_keras_does(name, kwargs):
    assert_trains_alike(
        mlp,
        lambda k: {"optimizer": getattr(k.optimizers, name)(**kwargs), "loss": "sparse_categorical_crossentropy"},
        (X, Y),
    )


@pytest.mark.parametrize(
    ("loss", "head", "y"),
    [
        ("mse", "linear", ONE_HOT), ("mae", "linear", ONE_HOT), ("categorical_crossentropy", "softmax", ONE_HOT),
        ("sparse_categorical_crossentropy", "softmax", Y), ("binary_crossentropy", "sigmoid", ONE_HOT),
        ("huber", "linear", ONE_HOT), ("hinge", "tanh", ONE_HOT * 2 - 1), ("kl_divergence", "softmax", ONE_HOT),
        ("poisson", "exponential", ONE_HOT), ("log_cosh", "linear", ONE_HOT),
        ("cosine_similarity", "linear", ONE_HOT + 1),
    ],
)  # fmt: skip
def test_losses_train_as_keras_does(loss, head, y):
    assert_trains_alike(lambda k: mlp(k, head), lambda k: {"optimizer": "adam", "loss": loss}, (X, y))


@pytest.mark.parametrize("name", ["SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy"])
def test_losses_of_logits_train_as_keras_does(name):
    y = Y if name.startswith("Sparse") else ONE_HOT
    assert_trains_alike(
        lambda k: mlp(k, None),
        lambda k: {"optimizer": "adam", "loss": getattr(k.losses, name)(from_logits=True), "metrics": ["accuracy"]},
        (X, y),
    )


def test_cnn_trains_as_keras_does():
    x, y = RNG.normal(size=(32, 8, 8, 2)).astype(np.float32), RNG.integers(0, 3, 32)

    def build(k):
        a = k.Input((8, 8, 2))
        b = k.layers.Conv2D(4, 3, padding="same", activation="relu")(a)
        c = k.layers.BatchNormalization(momentum=0.8)(b)
        d = k.layers.Add()([k.layers.DepthwiseConv2D(3, padding="same")(c), b])
        e = k.layers.MaxPooling2D(2)(d)
        f = k.layers.GlobalAveragePooling2D()(
            k.layers.Conv2D(4, 3, strides=2, padding="same", kernel_regularizer="l2")(e)
        )
        return k.Model(a, k.layers.Dense(3, "softmax")(f))

    assert_trains_alike(
        build,
        lambda k: {
            "optimizer": k.optimizers.Adam(0.01), "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"],
        },
        (x, y), steps=3, tol=1e-3, validation_data=(x[:10], y[:10]),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fit",
    [
        {"class_weight": {0: 1.0, 1: 3.0}}, {"sample_weight": np.linspace(0, 2, 40, dtype=np.float32)},
        {"validation_split": 0.3}, {"validation_data": (X[:7], Y[:7], np.arange(7, dtype=np.float32))},
        {"batch_size": 7}, {"batch_size": 100}, {"initial_epoch": 1, "epochs": 3},
        {"validation_data": (X[:7], Y[:7]), "validation_batch_size": 3, "validation_freq": 2},
    ],
    ids=lambda fit: "-".join(fit),
)  # fmt: skip
def test_arguments_of_fit_mean_what_they_mean_in_keras(fit):
    assert_trains_alike(
        mlp,
        lambda k: {
            "optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"],
            "weighted_metrics": [k.metrics.SparseCategoricalCrossentropy(name="wce")],
        },
        (X, Y), **fit,
    )  # fmt: skip


def test_regularizers_count_in_the_loss_and_in_evaluate():
    def build(k):
        # No bias starts at 0, where jax gives |x| the slope 1 and others 0.
        return mlp(k, kernel_regularizer="l2", bias_regularizer=k.regularizers.L1(0.1), bias_initializer="ones")

    ours, theirs = assert_trains_alike(build, lambda k: {"optimizer": "sgd", "loss": "mse"}, (X, ONE_HOT))
    assert ours.evaluate(X, ONE_HOT, verbose=0) == pytest.approx(theirs.evaluate(X, ONE_HOT, verbose=0), rel=1e-4)


def two_heads(k):
    a = k.Input((6,), name="in")
    b = k.layers.Dense(5, "relu")(a)
    return k.Model(a, [k.layers.Dense(3, "softmax", name="kind")(b), k.layers.Dense(1, name="size")(b)])


@pytest.mark.parametrize("form", ["list", "dict"])
def test_several_outputs_log_as_in_keras(form):
    y = {"kind": Y, "size": X[:, :1]}
    settings = {
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"}, "loss_weights": {"kind": 1.0, "size": 0.3},
        "metrics": {"kind": ["accuracy"], "size": ["mae"]},
    }  # fmt: skip
    if form == "list":
        y, settings = list(y.values()), {key: list(value.values()) for key, value in settings.items()}
    ours, theirs = assert_trains_alike(two_heads, lambda k: {"optimizer": "adam"} | settings, (X, y))
    mine, other = (m.evaluate(X, y, verbose=0, return_dict=True) for m in (ours, theirs))
    assert mine == pytest.approx(other, rel=1e-3) and list(mine) == list(other)


def test_on_batch_returns_the_batchs_own_metrics_as_in_keras():
    keras = trainable_keras()
    ours, theirs = mlp(), mlp(keras)
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for i in range(3):
        x, y = X[i * 10 : i * 10 + 10], Y[i * 10 : i * 10 + 10]
        for method in ("test_on_batch", "train_on_batch"):
            theirs.reset_metrics()  # not all versions do it themselves
            np.testing.assert_allclose(getattr(ours, method)(x, y), getattr(theirs, method)(x, y), rtol=1e-4)
    by_name = ours.test_on_batch(X, Y, return_dict=True)
    assert by_name == dict(zip(ours.metrics_names, ours.test_on_batch(X, Y), strict=True))


# Histories, callbacks, forms of results


class Recorder(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def _note(hook):
        def method(self, *args):
            self.calls.append((hook, *(arg if isinstance(arg, int) else sorted(arg or {}) for arg in args)))

        return method

    for _hook in ("train_begin", "train_end", "epoch_begin", "epoch_end", "train_batch_begin", "train_batch_end",
                  "test_begin", "test_end", "test_batch_begin", "test_batch_end"):  # fmt: skip
        locals()[f"on_{_hook}"] = _note(_hook)


def test_order_of_callbacks():
    recorder = Recorder()
    model = classifier(metrics=["accuracy"])
    history = model.fit(
        X[:20], Y[:20], batch_size=10, epochs=2, verbose=0, callbacks=[recorder], validation_data=(X[:5], Y[:5])
    )
    epoch = ["epoch_begin", *["train_batch_begin", "train_batch_end"] * 2, "epoch_end"]
    names = [call[0] for call in recorder.calls if not call[0].startswith("test")]
    assert names == ["train_begin", *epoch, *epoch, "train_end"]
    assert ("epoch_end", 1, ["accuracy", "loss", "val_accuracy", "val_loss"]) in recorder.calls
    assert ("train_batch_end", 1, ["accuracy", "loss"]) in recorder.calls
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == [0, 1] and model.history is history


def test_validation_leaves_training_metrics_alone():
    with_, without = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    one = with_.fit(X, Y, epochs=3, verbose=0, shuffle=False, validation_data=(X[:3], Y[:3])).history
    other = without.fit(X, Y, epochs=3, verbose=0, shuffle=False).history
    assert one["loss"] == other["loss"] and one["accuracy"] == other["accuracy"]
    assert_same_weights(with_, without)


def test_forms_of_evaluate():
    model = classifier()
    loss = model.evaluate(X, Y, verbose=0)
    assert isinstance(loss, float)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss}
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    both = model.evaluate(X, Y, verbose=0, batch_size=7)
    assert isinstance(both, list) and both[0] == pytest.approx(loss, rel=1e-5)
    assert both[1] == pytest.approx((model.predict(X, verbose=0).argmax(1) == Y).mean())
    assert model.metrics_names == ["loss", "accuracy"]
    assert len(model.metrics) == 2


def test_metrics_without_weights_and_with():
    weight = np.zeros(40, np.float32)
    weight[:10] = 1
    model = classifier(metrics=["accuracy"], weighted_metrics=["acc"])
    logs = model.evaluate(X, Y, sample_weight=weight, verbose=0, return_dict=True)
    right = model.predict(X, verbose=0).argmax(1) == Y
    assert logs["accuracy"] == pytest.approx(right.mean()) and logs["acc"] == pytest.approx(right[:10].mean())


def test_own_loss_and_metric_functions():
    def far(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred), axis=-1)

    class Doubled(losses.Loss):
        def call(self, y_true, y_pred):
            return 2.0 * ops.mean(ops.square(y_true - y_pred), axis=-1)

    model = mlp(head=None)
    model.compile("sgd", Doubled(), metrics=[far, metrics.MeanSquaredError(name="m")])
    logs = model.evaluate(X, ONE_HOT, verbose=0, return_dict=True)
    error = model.predict(X, verbose=0) - ONE_HOT
    assert logs["m"] == pytest.approx((error**2).mean(), rel=1e-5)
    assert logs["loss"] == pytest.approx(2 * logs["m"], rel=1e-5)
    assert logs["far"] == pytest.approx(abs(error).max(-1).mean(), rel=1e-5)
    model.compile("sgd", far)
    assert model.evaluate(X, ONE_HOT, verbose=0) == pytest.approx(logs["far"], rel=1e-5)


def test_nb_epoch_is_the_old_name():
    assert len(classifier().fit(X, Y, nb_epoch=3, verbose=0).epoch) == 3


def test_progress_is_shown(capsys):
    model = classifier(metrics=["accuracy"])
    model.fit(X, Y, epochs=2, verbose=2)
    text = capsys.readouterr().out
    assert "Epoch 2/2" in text and "accuracy: " in text and "loss: " in text
    model.evaluate(X, Y)
    assert "accuracy" in capsys.readouterr().out
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


# Where data come from


class Pieces:
    """What a PyDataset has: a length and batches by number."""

    def __init__(self, size=10):
        self.size, self.ends = size, 0

    def __len__(self):
        return 40 // self.size

    def __getitem__(self, i):
        part = slice(i * self.size, (i + 1) * self.size)
        return X[part], Y[part]

    def on_epoch_end(self):
        self.ends += 1


def batches():
    while True:
        yield from (Pieces()[i] for i in range(4))


def test_all_sources_train_alike():
    expected = classifier()
    expected.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    pieces, by_piece, endless, listed = Pieces(), classifier(), classifier(), classifier()
    by_piece.fit(pieces, epochs=2, verbose=0)
    endless.fit(batches(), steps_per_epoch=4, epochs=2, verbose=0)
    listed.fit([X], [Y], batch_size=10, epochs=2, shuffle=False, verbose=0)
    assert pieces.ends == 2
    for model in (by_piece, endless, listed):
        assert_same_weights(model, expected)
    assert by_piece.evaluate(pieces, verbose=0) == expected.evaluate(X, Y, batch_size=10, verbose=0)
    assert_same_bits(by_piece.predict(pieces, verbose=0), expected.predict(X, verbose=0))


def test_steps_limit_an_epoch():
    model, recorder = classifier(), Recorder()
    model.fit(X, Y, batch_size=10, steps_per_epoch=2, epochs=1, shuffle=False, verbose=0, callbacks=[recorder])
    assert [call[1] for call in recorder.calls if call[0] == "train_batch_end"] == [0, 1]
    twin = classifier()
    twin.fit(X[:20], Y[:20], batch_size=10, shuffle=False, verbose=0)
    assert_same_weights(model, twin)


def test_generator_may_give_weights_and_be_validated():
    data = [(X[:10], Y[:10], np.ones(10)), (X[10:20], Y[10:20], np.zeros(10))]
    model = classifier()
    logs = model.fit(iter(data), epochs=1, verbose=0, validation_data=Pieces()).history
    assert list(logs) == ["loss", "val_loss"]
    with pytest.raises(ConfigError, match="beside"):
        model.fit(batches(), Y, verbose=0)
    with pytest.raises(ShapeError, match="no samples"):
        model.fit(iter(data), epochs=2, verbose=0)


def test_last_batch_may_be_short():
    model, sizes = classifier(), []

    class Count(layers.Layer):
        def call(self, x):
            sizes.append(x.shape[0])
            return x

    counted = Sequential([Input((6,)), Count(), model])
    counted.compile("sgd", "sparse_categorical_crossentropy")
    counted.fit(X, Y, batch_size=16, verbose=0)
    assert {16, 8} <= set(sizes)


# Stopping


def test_stop_training():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    model, twin = classifier(), classifier()
    history = model.fit(X, Y, batch_size=10, epochs=5, shuffle=False, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0]
    twin.fit(X[:20], Y[:20], batch_size=10, shuffle=False, verbose=0)
    assert_same_weights(model, twin)
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_early_stopping_restores_weights():
    model = classifier(optimizer=optimizers.SGD(5.0))
    stop = callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    history = model.fit(X, Y, epochs=50, verbose=0, callbacks=[stop])
    assert len(history.epoch) < 50


def test_a_callback_that_raises_leaves_the_last_step():
    class Raise(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    model, twin = classifier(), classifier()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, shuffle=False, verbose=0, callbacks=[Raise()])
    twin.fit(X[:20], Y[:20], batch_size=10, shuffle=False, verbose=0)
    assert_same_weights(model, twin)
    model.fit(X[20:], Y[20:], batch_size=10, shuffle=False, verbose=0)
    twin.fit(X[20:], Y[20:], batch_size=10, shuffle=False, verbose=0)
    assert_same_weights(model, twin)


def test_ctrl_c_during_fit_leaves_a_usable_model():
    script = """
        import os, signal, threading, time
        import numpy as np
        from cnnengine import Input, Sequential, layers
        x = np.random.default_rng(0).normal(size=(64, 32, 32, 16)).astype("f4")
        y = np.zeros(64, int)
        model = Sequential([Input((32, 32, 16))] + [layers.Conv2D(64, 3, padding="same") for _ in range(6)]
                           + [layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.train_on_batch(x[:8], y[:8])
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which the parent may have told it to ignore
        sent = []
        def interrupt():
            time.sleep(0.7)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            model.fit(x, y, batch_size=64, epochs=10_000, verbose=0)
        except KeyboardInterrupt:
            late = time.monotonic() - sent[0]
        before = model.get_weights()
        assert all(np.isfinite(w).all() for w in before)
        steps = int(model.optimizer.iterations.numpy())
        model.train_on_batch(x[:8], y[:8])
        assert int(model.optimizer.iterations.numpy()) == steps + 1
        assert np.isfinite(model.predict(x[:8], verbose=0)).all()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # fit has left it as it was
        print("late", late < 1.5, late)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "late True" in done.stdout, done.stdout


# The same bits


def digits_model():
    return Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def seeded_run(x, y, seed=3, **fit):
    set_random_seed(seed)
    model = digits_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=48, epochs=2, verbose=0, **fit).history
    return model, history


@pytest.fixture(scope="module")
def digits():
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    return (x / 16.0)[..., None].astype(np.float32), y, (x_test / 16.0)[..., None].astype(np.float32), y_test


@pytest.fixture
def threads():
    before = config.get_num_threads()
    yield config.set_num_threads
    config.set_num_threads(before)


@pytest.mark.parametrize("isa", config.isa_levels())
def test_same_seed_same_bits_for_any_threads(digits, threads, isa):
    before = config.get_isa()
    config.set_isa(isa)
    try:
        results = []
        for count in (1, 2, 3, 1):
            threads(count)
            results.append(seeded_run(digits[0][:200], digits[1][:200]))
    finally:
        config.set_isa(before)
    for model, history in results[1:]:
        assert history == results[0][1]
        assert_same_weights(model, results[0][0])
    other, _ = seeded_run(digits[0][:200], digits[1][:200], seed=4)
    assert not np.array_equal(other.get_weights()[0], results[0][0].get_weights()[0])


def test_shuffling_changes_the_order_each_epoch():
    order = []

    class Look(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            order.append(float(logs["loss"]))

    class Means(Model):
        def call(self, x):
            self.add_loss(ops.mean(x))
            return x * self.one

        def __init__(self):
            super().__init__()
            self.one = self.add_weight(shape=(), initializer="ones")

    model = Means()
    model.compile(optimizers.SGD(0.0), "mse")
    x = np.arange(8, dtype=np.float32)[:, None]
    model.fit(x, x, batch_size=1, epochs=2, verbose=0, callbacks=[Look()])
    first, second = np.array(order[:8]), np.array(order[8:])
    assert first[-1] == pytest.approx(3.5) and second[-1] == pytest.approx(3.5)
    assert not np.array_equal(first, second) and not np.array_equal(first, np.sort(first))


def test_native_and_reference_train_alike(digits):
    x, y = digits[0][:96], digits[1][:96]
    native, history = seeded_run(x, y)
    config.set_backend("reference")
    try:
        reference, other = seeded_run(x, y)
    finally:
        config.set_backend("native")
    np.testing.assert_allclose(history["loss"], other["loss"], rtol=1e-4)
    for a, b in zip(native.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4)


# Learning rates, freezing, real data


def test_schedules_are_followed():
    schedule = optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.0])
    model = classifier(optimizer=optimizers.SGD(schedule))
    before = model.get_weights()
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    after = model.get_weights()
    assert not np.array_equal(before[0], after[0])
    model.train_on_batch(X, Y)
    for a, b in zip(after, model.get_weights()):
        assert_same_bits(b, a)


def test_schedule_trains_as_in_keras():
    def settings(k):
        schedule = k.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
        return {"optimizer": k.optimizers.SGD(schedule), "loss": "sparse_categorical_crossentropy"}

    assert_trains_alike(mlp, settings, (X, Y), steps=3)


def test_learning_rate_may_be_set_between_epochs():
    model = classifier()
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights()):
        assert_same_bits(b, a)
    rates = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[rates])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_freezing_after_compile_is_honoured():
    model = classifier()
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert_same_bits(after[0], before[0])
    assert not np.array_equal(after[2], before[2])


def test_compile_again_starts_anew():
    model = classifier(optimizer="adam")
    model.fit(X, Y, epochs=2, verbose=0)
    weights = model.get_weights()
    model.compile("sgd", "mse")
    for a, b in zip(weights, model.get_weights()):
        assert_same_bits(b, a)
    assert list(model.fit(X, ONE_HOT, verbose=0).history) == ["loss"]


def test_empty_epochs_and_empty_data():
    model = classifier()
    before = model.get_weights()
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    for a, b in zip(before, model.get_weights()):
        assert_same_bits(b, a)
    for empty in (model.fit, model.evaluate):
        with pytest.raises(ShapeError, match="no samples"):
            empty(X[:0], Y[:0], verbose=0)
    with pytest.raises(ShapeError, match="empty batch"):
        model.train_on_batch(X[:0], Y[:0])


def test_real_digits_are_learned(digits):
    x, y, x_test, y_test = digits
    set_random_seed(1)
    model = Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=32, epochs=8, verbose=0, validation_split=0.1).history
    assert history["loss"][-1] < history["loss"][0] / 5
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.97


def test_a_model_without_trainable_weights_warns_and_stays_as_it_is():
    model = Sequential([Input((3,)), layers.BatchNormalization(), layers.Dense(2)])
    model.trainable = False
    model.compile("adam", "mse", metrics=["mae"])
    before = model.get_weights()
    with pytest.warns(UserWarning, match="no trainable weights"):
        history = model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    assert set(history.history) == {"loss", "mae"}
    for old, new in zip(before, model.get_weights()):
        assert_same_bits(new, old)


def test_a_generator_that_ends_within_an_epoch_stops_training():
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    batches = ((np.ones((4, 3)), np.ones((4, 2))) for _ in range(5))
    with pytest.warns(UserWarning, match="ended after 2 of 3 batches"):
        history = model.fit(batches, steps_per_epoch=3, epochs=4, verbose=0)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations.numpy()) == 5


def test_metrics_of_equal_name_are_kept_apart():
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae", metrics.MeanAbsoluteError(name="mae")], weighted_metrics=["mae"])
    weights = np.arange(1.0, 5.0)
    logs = model.fit(np.eye(4, 3), np.eye(4, 2), sample_weight=weights, verbose=0).history
    assert set(logs) == {"loss", "mae", "mae_1", "weighted_mae"}
    assert logs["mae"] == logs["mae_1"] != logs["weighted_mae"]
