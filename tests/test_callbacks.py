"""Callbacks on made-up models and logs, and their decisions beside those of Keras's own."""

import csv
import warnings

import numpy as np
import pytest

from cnnengine import callbacks
from cnnengine.core.errors import ConfigError
from tests.support.keras_oracle import import_keras


@pytest.fixture(scope="module")
def keras():
    return import_keras()


class FakeOptimizer:
    learning_rate = 0.1


class FakeMetric:
    def __init__(self, name, direction):
        self.name, self._direction = name, direction


class FakeModel:
    """What callbacks need of a model: weights that count the epochs, an optimizer, metrics, saving."""

    def __init__(self):
        self.optimizer = FakeOptimizer()
        self.metrics = [FakeMetric("accuracy", "up"), FakeMetric("mae", "down")]
        self.stop_training = False
        self.weights = -1
        self.saved = []

    def get_weights(self):
        return [np.array(self.weights)]

    def set_weights(self, weights):
        self.weights = int(weights[0])

    def save(self, path, overwrite):
        self.saved.append(("model", path))

    def save_weights(self, path, overwrite):
        self.saved.append(("weights", path))


def train(callback, values, monitor="val_loss", model=None):
    """Run `callback` over epochs that log `values`; returns the model, and the learning rate of each epoch."""
    model = model or FakeModel()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.weights = epoch
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {} if value is None else {monitor: value})
        rates.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return model, rates


class Recorder(callbacks.Callback):
    """Writes down every hook that is called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *args: self.calls.append((name, *args))
        return super().__getattribute__(name)


# CallbackList, Callback, History

_EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")
_RUN_HOOKS = tuple(f"on_{mode}_{end}" for mode in ("train", "test", "predict") for end in ("begin", "end"))
_BATCH_HOOKS = tuple(f"on_{mode}_batch_{end}" for mode in ("train", "test", "predict") for end in ("begin", "end"))


@pytest.mark.parametrize("hook", _EPOCH_HOOKS + _BATCH_HOOKS + _RUN_HOOKS)
def test_list_calls_every_hook(hook):
    recorder = Recorder()
    group = callbacks.CallbackList([recorder])
    args = () if hook in _RUN_HOOKS else (3,)
    getattr(group, hook)(*args, {"loss": 1})
    assert recorder.calls == [(hook, *args, {"loss": 1.0})]


def test_list_skips_hooks_nobody_overrides():
    group = callbacks.CallbackList([callbacks.EarlyStopping()], add_history=True)
    assert group.listens("on_epoch_end") and not group.listens("on_test_batch_end")

    def logs():
        raise AssertionError("nobody reads them")

    for hook in _BATCH_HOOKS:
        getattr(group, hook)(0, logs)


def test_list_sees_the_older_names_of_batch_hooks():
    class Old(callbacks.Callback):
        seen = ()

        def on_batch_end(self, batch, logs=None):
            self.seen += (batch,)

    old = Old()
    group = callbacks.CallbackList(old)
    group.on_train_batch_end(4)
    group.on_test_batch_end(5)
    assert old.seen == (4,)


def test_list_accepts_functions_set_on_an_instance():
    seen = []
    callback = callbacks.Callback()
    callback.on_epoch_end = lambda epoch, logs: seen.append((epoch, logs))
    callbacks.CallbackList([[callback]]).on_epoch_end(2, {"loss": 3})
    assert seen == [(2, {"loss": 3.0})]


def test_list_gives_plain_sorted_logs():
    recorder = Recorder()
    outputs = np.ones((2, 3))
    logs = {"z": np.float32(0.5), "a": {"y": np.array(2), "x": 1}, "outputs": outputs, "name": "n"}
    callbacks.CallbackList([recorder]).on_epoch_end(0, logs)
    received = recorder.calls[0][2]
    assert list(received) == ["x", "y", "name", "outputs", "z"]
    assert received["outputs"] is outputs and received["name"] == "n"
    assert all(type(received[key]) is float for key in "xyz")


def test_list_passes_one_dict_to_all():
    reduce = callbacks.ReduceLROnPlateau(monitor="loss")
    group = callbacks.CallbackList([reduce], add_history=True, model=FakeModel())
    group.on_train_begin()
    group.on_epoch_end(0, {"loss": 1.0})
    assert group.callbacks[-1].history == {"learning_rate": [0.1], "loss": [1.0]}


def test_list_sets_model_params_and_defaults():
    model, recorder = FakeModel(), Recorder()
    group = callbacks.CallbackList(
        [recorder], add_history=True, add_progbar=True, model=model, verbose=1, epochs=2, steps=3
    )
    assert [type(c).__name__ for c in group.callbacks] == ["Recorder", "History", "ProgbarLogger"]
    assert model.history is group.callbacks[1]
    assert recorder.model is model and recorder.params == {"verbose": 1, "epochs": 2, "steps": 3}
    history, logger = callbacks.History(), callbacks.ProgbarLogger()
    assert callbacks.CallbackList([history, logger], add_history=True, add_progbar=True).callbacks == [
        history,
        logger,
    ]


@pytest.mark.parametrize("wrong", ["EarlyStopping", callbacks.EarlyStopping, [3]])
def test_list_refuses_what_is_no_callback(wrong):
    with pytest.raises(ConfigError, match="callbacks"):
        callbacks.CallbackList(wrong)


def test_history():
    history = callbacks.History()
    model, _ = train(history, [3.0, 2.0])
    assert model.history is history
    assert history.history == {"val_loss": [3.0, 2.0]} and history.epoch == [0, 1]
    train(history, [1.0])
    assert history.history == {"val_loss": [3.0, 2.0, 1.0]} and history.epoch == [0]


def test_lambda_callback():
    seen = []
    callback = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch),
        on_test_begin=lambda logs: seen.append("test"),
        extra=7,
    )
    group = callbacks.CallbackList([callback])
    group.on_epoch_end(1)
    group.on_test_begin()
    group.on_train_begin()
    assert seen == [1, "test"] and callback.extra == 7
    with pytest.raises(ConfigError, match="on_train_end"):
        callbacks.LambdaCallback(on_train_end=3)


# EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, TerminateOnNaN

_SERIES = {
    "falls": [5, 4, 3, 2, 1],
    "rises": [1, 2, 3, 4, 5],
    "flat": [1] * 8,
    "valley": [5, 3, 2, 2.5, 2.6, 1.9, 2.1, 2.2, 2.3, 2.4],
    "noise": list(np.random.default_rng(3).normal(size=30)),
    "missing": [3, None, 2, None, None, 4, 5, 6],
    "nan": [3, float("nan"), 2, float("nan"), float("nan"), 1],
    "nan first": [float("nan"), 3, 2, 1],
}
_STOPPING = [
    {},
    {"patience": 2},
    {"patience": 3, "min_delta": 0.5},
    {"patience": 2, "min_delta": -0.5, "mode": "max"},
    {"patience": 2, "baseline": 2.2},
    {"patience": 2, "start_from_epoch": 3, "restore_best_weights": True},
    {"patience": 4, "restore_best_weights": True},
    {"patience": 1, "mode": "max", "restore_best_weights": True, "verbose": 1},
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", _STOPPING, ids=str)
@pytest.mark.parametrize("name", _SERIES)
def test_early_stopping_decides_as_keras(keras, capsys, name, options):
    outcomes = []
    for kind in (keras.callbacks.EarlyStopping, callbacks.EarlyStopping):
        callback = kind(**options)
        model, _ = train(callback, _SERIES[name])
        state = (callback.wait, callback.stopped_epoch, callback.best_epoch, repr(callback.best))
        outcomes.append((model.weights, model.stop_training, state, capsys.readouterr().out))
    assert outcomes[1] == outcomes[0]


_PLATEAU = [
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "min_lr": 0.02, "verbose": 1},
    {"patience": 2, "mode": "max", "min_delta": 0.3},
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", _PLATEAU, ids=str)
@pytest.mark.parametrize("name", _SERIES)
def test_reduce_lr_decides_as_keras(keras, capsys, name, options):
    outcomes = []
    for kind in (keras.callbacks.ReduceLROnPlateau, callbacks.ReduceLROnPlateau):
        callback = kind(**options)
        _, rates = train(callback, _SERIES[name])
        outcomes.append((rates, callback.wait, callback.cooldown_counter, capsys.readouterr().out))
    assert outcomes[1] == outcomes[0]


def test_direction_comes_from_the_metric():
    model, _ = train(callbacks.EarlyStopping("val_accuracy", patience=2), [0.5, 0.6, 0.7, 0.8], "val_accuracy")
    assert not model.stop_training
    model, _ = train(callbacks.EarlyStopping("mae", patience=2), [0.5, 0.6, 0.7, 0.8], "mae")
    assert model.stop_training and model.weights == 2
    with pytest.raises(ConfigError, match="fairness"):
        train(callbacks.EarlyStopping("fairness"), [1.0], "fairness")


def test_early_stopping_can_be_used_twice():
    callback = callbacks.EarlyStopping(patience=1)
    train(callback, [1, 2, 3])
    model, _ = train(callback, [9, 8, 7])
    assert not model.stop_training and callback.best == 7


def test_missing_metric_warns_with_what_there_is():
    callback = callbacks.EarlyStopping("val_loss")
    with pytest.warns(UserWarning, match=r"'val_loss', which was not logged. Available: loss"):
        train(callback, [1.0], "loss")


def test_unknown_mode_warns():
    with pytest.warns(UserWarning, match="mode"):
        assert callbacks.EarlyStopping(mode="best").mode == "auto"


@pytest.mark.parametrize("factor", [1.0, 2.0, float("nan")])
def test_reduce_lr_refuses_factor(factor):
    with pytest.raises(ConfigError, match="factor"):
        callbacks.ReduceLROnPlateau(factor=factor)


def test_learning_rate_scheduler(capsys):
    _, rates = train(callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), [1, 1, 1])
    assert rates == [0.05, 0.025, 0.0125]
    _, rates = train(callbacks.LearningRateScheduler(lambda epoch: float(epoch), verbose=1), [1, 1])
    assert rates == [0.0, 1.0]
    assert "\nEpoch 2: LearningRateScheduler setting learning rate to 1.0.\n" in capsys.readouterr().out


def test_learning_rate_scheduler_logs_the_rate():
    callback, logs = callbacks.LearningRateScheduler(lambda epoch, rate: rate), {}
    callback.set_model(FakeModel())
    callback.on_epoch_end(0, logs)
    assert logs == {"learning_rate": 0.1}


def test_learning_rate_scheduler_refuses():
    with pytest.raises(ConfigError, match="must return a float"):
        train(callbacks.LearningRateScheduler(lambda epoch, rate: "fast"), [1])

    def broken(epoch, rate):
        raise TypeError("inside the schedule")

    with pytest.raises(TypeError, match="inside the schedule"):
        train(callbacks.LearningRateScheduler(broken), [1])


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), np.float32("-inf")])
def test_terminate_on_nan(loss, capsys):
    callback = callbacks.TerminateOnNaN()
    model = FakeModel()
    group = callbacks.CallbackList([callback], model=model)
    group.on_train_batch_end(0, {"loss": 1.0})
    assert not model.stop_training
    group.on_train_batch_end(7, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 7: Invalid loss, terminating training\n"
    with pytest.raises(RuntimeError, match="batch 7"):
        callbacks.TerminateOnNaN(raise_error=True).on_batch_end(7, {"loss": loss})


# CSVLogger


def write_log(kind, path, epochs, **options):
    callback = kind(path, **options)
    callback.set_model(FakeModel())
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_end(epoch, dict(logs))
    callback.on_train_end()


@pytest.mark.parametrize("options", [{}, {"separator": ";"}, {"append": True}], ids=str)
@pytest.mark.parametrize(
    "epochs",
    [
        [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.25, "accuracy": 0.5, "val_loss": 1.0}],
        [{"val_loss": 1.0, "loss": 0.5}, {"loss": 0.25}],
        [{"loss": [1, 2], "text": "a,b", "array": np.arange(3)}],
        [{}],
    ],
)
def test_csv_logger_writes_what_keras_writes(keras, tmp_path, epochs, options):
    for name, kind in (("expected", keras.callbacks.CSVLogger), ("received", callbacks.CSVLogger)):
        for _ in range(2):  # the second run overwrites or appends
            write_log(kind, tmp_path / name, epochs, **options)
    assert (tmp_path / "received").read_bytes() == (tmp_path / "expected").read_bytes()


def test_csv_logger_flushes_every_row(tmp_path):
    callback = callbacks.CSVLogger(tmp_path / "log.csv")
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 0.5})
    with open(tmp_path / "log.csv", newline="") as file:
        assert list(csv.reader(file)) == [["epoch", "loss", "val_loss"], ["0", "0.5", "NA"]]
    callback.on_train_end()


# ModelCheckpoint


def checkpoint(tmp_path, values, monitor="val_loss", name="{epoch:02d}.keras", **options):
    callback = callbacks.ModelCheckpoint(tmp_path / "new" / name, **options)
    model, _ = train(callback, values, monitor)
    return [(kind, path.removeprefix(f"{tmp_path}/new/")) for kind, path in model.saved]


def test_checkpoint_every_epoch(tmp_path):
    assert checkpoint(tmp_path, [1, 2]) == [("model", "01.keras"), ("model", "02.keras")]
    assert (tmp_path / "new").is_dir()


def test_checkpoint_weights_with_logs_in_the_name(tmp_path):
    saved = checkpoint(tmp_path, [0.5], name="{epoch}-{val_loss:.2f}.weights.h5", save_weights_only=True)
    assert saved == [("weights", "1-0.50.weights.h5")]


def test_checkpoint_best_only(tmp_path, capsys):
    saved = checkpoint(tmp_path, [3, 4, 2, 2], save_best_only=True, verbose=1)
    assert [path for _, path in saved] == ["01.keras", "03.keras"]
    out = capsys.readouterr().out
    assert "\nEpoch 3: val_loss improved from 3.00000 to 2.00000, saving model to" in out
    assert "\nEpoch 2: val_loss did not improve from 3.00000\n" in out


def test_checkpoint_threshold_and_direction(tmp_path):
    options = {"save_best_only": True, "initial_value_threshold": 0.6}
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="accuracy", **options)
    model, _ = train(callback, [0.5, 0.7, 0.6, 0.8], "accuracy")
    assert [path.rsplit("/", 1)[1] for _, path in model.saved] == ["2.keras", "4.keras"]


def test_checkpoint_without_its_metric_saves_and_warns(tmp_path):
    with pytest.warns(UserWarning, match="the model is saved"):
        assert len(checkpoint(tmp_path, [1.0], "loss", save_best_only=True)) == 1


@pytest.mark.parametrize("every", [1, 2, 4])
def test_checkpoint_by_batches(tmp_path, every):
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=every)
    model = FakeModel()
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(4):
            callback.on_train_batch_end(batch, {"loss": 1.0})
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert len(model.saved) == 8 // every
    assert model.saved[-1][1].endswith("/2-4.keras")


def test_checkpoint_counts_batches_that_are_reported_in_groups(tmp_path):
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=5)
    callback.set_model(FakeModel())
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in (3, 7):  # groups of four
            callback.on_train_batch_end(batch, {})
    assert [path.rsplit("/", 1)[1] for _, path in callback.model.saved] == ["1-8.keras", "2-8.keras"]


@pytest.mark.parametrize(
    "path, options",
    [
        ("a.h4", {}),
        ("a.keras", {"save_weights_only": True}),
        ("a.h5", {"save_weights_only": True}),
        ("a.keras", {"save_freq": "batch"}),
        ("a.keras", {"save_freq": 0}),
        ("a.keras", {"save_freq": True}),
    ],
)
def test_checkpoint_refuses(path, options):
    with pytest.raises(ConfigError, match="ModelCheckpoint"):
        callbacks.ModelCheckpoint(path, **options)


def test_checkpoint_refuses_unknown_fields_and_folders(tmp_path):
    with pytest.raises(KeyError, match="speed"):
        checkpoint(tmp_path, [1.0], name="{speed}.keras")
    (tmp_path / "new" / "folder.keras").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match="folder"):
        checkpoint(tmp_path, [1.0], name="folder.keras")


# ProgbarLogger


@pytest.fixture
def clock(monkeypatch):
    """Replaces time.time by a hand that is moved by the test."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.time", lambda: Clock.now)
    return Clock


def fit(group, clock, steps, epochs=2):
    """The calls a training loop makes: batches, a validation, the end of the epoch."""
    group.on_train_begin()
    for epoch in range(epochs):
        group.on_epoch_begin(epoch)
        for batch in range(steps):
            clock.now += 0.02
            group.on_train_batch_end(batch, {"accuracy": 0.5, "loss": 1.0 / (batch + 1)})
        group.on_test_begin()
        group.on_test_batch_end(0, {"loss": 1.0})
        group.on_test_end({"loss": 1.0})
        group.on_epoch_end(epoch, {"accuracy": 0.5, "loss": 0.25, "val_loss": 0.75})
    group.on_train_end()


@pytest.mark.parametrize("verbose", ["auto", 0, 1, 2])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("epochs", [1, 2])
def test_progress_of_fit_as_keras(keras, clock, capsys, verbose, known, epochs):
    drawn = []
    for module in (keras.callbacks, callbacks):
        clock.now = 1000.0
        params = {"verbose": verbose, "epochs": epochs, "steps": 12 if known else None}
        logger = module.ProgbarLogger()  # not in a list: that of Keras calls it from another thread
        logger.set_params(params)
        fit(logger, clock, 12, epochs)
        drawn.append(capsys.readouterr().out)
    assert drawn[1] == drawn[0]


def test_progress_of_evaluate_and_predict_as_keras(keras, clock, capsys):
    drawn = []
    for module in (keras.callbacks, callbacks):
        clock.now = 1000.0
        logger = module.ProgbarLogger()
        logger.set_params({"verbose": 1, "epochs": 1, "steps": 3})
        for mode, logs in (("test", {"loss": 0.5}), ("predict", {"outputs": np.ones(3)})):
            getattr(logger, f"on_{mode}_begin")()
            for batch in range(3):
                clock.now += 0.1
                getattr(logger, f"on_{mode}_batch_end")(batch, logs)
            getattr(logger, f"on_{mode}_end")(logs if mode == "test" else None)
        drawn.append(capsys.readouterr().out)
    assert drawn[1] == drawn[0]


def test_batch_logs_are_computed_only_for_drawings(clock, capsys):
    computed = []
    group = callbacks.CallbackList([], add_progbar=True, verbose=1, epochs=1, steps=100)
    group.on_train_begin()
    group.on_epoch_begin(0)
    for batch in range(100):
        clock.now += 0.01
        group.on_train_batch_end(batch, lambda: computed.append(1) or {"loss": 1.0})
    assert 10 <= len(computed) <= 21


def test_callbacks_do_not_warn_by_themselves():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(callbacks.EarlyStopping(patience=1), [3, 2, 1])
