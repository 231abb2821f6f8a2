"""model.summary() beside Keras's own, character for character."""

import re

import numpy as np
import pytest

import cnnengine
from cnnengine.core.errors import ConfigError
from tests.support.keras_oracle import import_keras


def summary_of(model, **kwargs):
    """The lines that summary prints, without colours and spaces at their ends."""
    texts = []
    model.summary(print_fn=lambda text, **_: texts.append(text), **kwargs)
    assert len(texts) == 1
    plain = re.sub(r"\x1b\[[0-9;]*m", "", texts[0])
    return [line.rstrip() for line in plain.split("\n") if line.strip()]


def seeds_mlp(k):
    return k.Sequential(
        [
            k.Input((784,)),
            k.layers.Dense(512, activation="relu", name="first"),
            k.layers.Dense(512, activation="relu", name="second"),
            k.layers.Dense(10, activation="softmax", name="digits"),
        ],
        name="seed",
    )


def cnn(k):
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(32, 3, name="conv"),
            k.layers.BatchNormalization(name="norm"),
            k.layers.MaxPooling2D(2, name="a_layer_with_quite_a_long_name"),
            k.layers.Dropout(0.5, name="drop"),
            k.layers.Flatten(name="flat"),
            k.layers.Dense(10, name="out"),
        ],
        name="cnn",
    )


def branched(k):
    x = k.Input((16, 16, 3), name="image")
    a = k.layers.Conv2D(4, 3, padding="same", name="left")(x)
    b = k.layers.Conv2D(4, 1, name="right")(x)
    c = k.layers.Concatenate(name="joined")([a, b])
    d = k.layers.GlobalAveragePooling2D(name="pool")(c)
    return k.Model(x, [k.layers.Dense(3, name="kind")(d), k.layers.Dense(1, name="size")(d)], name="branched")


def nested(k):
    inner = k.Sequential(
        [k.Input((8,)), k.layers.Dense(4, name="in_1"), k.layers.BatchNormalization(name="in_2")], name="inner"
    )
    return k.Sequential([k.Input((8,)), inner, k.layers.Dense(2, name="top")], name="outer")


def nested_functional(k):
    x = k.Input((8,), name="x")
    inner_x = k.Input((8,), name="inner_x")
    inner = k.Model(inner_x, k.layers.Dense(8, name="in_1")(inner_x), name="inner")
    return k.Model(x, k.layers.Add(name="sum")([inner(x), x]), name="outer")


def frozen(k):
    model = cnn(k)
    model.layers[0].trainable = False
    return model


def straight(k):
    x = k.Input((8,), name="x")
    return k.Model(x, k.layers.Dense(2, name="y")(x), name="straight")


def unbuilt(k):
    return k.Sequential([k.layers.Dense(4, name="a"), k.layers.Dense(2, name="b")], name="unbuilt")


CASES = [
    (seeds_mlp, {}), (cnn, {}), (branched, {}), (nested, {}), (nested, {"expand_nested": True}), (frozen, {}),
    (nested_functional, {}), (frozen, {"show_trainable": True}),
    (branched, {"show_trainable": True}), (straight, {}), (unbuilt, {}), (cnn, {"line_length": 70}),
    (cnn, {"layer_range": ["norm", "drop"]}),
    (nested, {"expand_nested": True, "show_trainable": True}),
]  # fmt: skip


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("build", "kwargs"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_equals_keras(build, kwargs, columns, monkeypatch):
    keras = import_keras()
    monkeypatch.setenv("COLUMNS", str(columns))
    ours, theirs = summary_of(build(cnnengine), **kwargs), summary_of(build(keras), **kwargs)
    assert "\n".join(ours) == "\n".join(theirs)


@pytest.mark.parametrize("build", [seeds_mlp, branched])
def test_optimizer_counts_once_it_is_built_as_in_keras(build, monkeypatch):
    keras = import_keras()
    monkeypatch.setenv("COLUMNS", "80")
    texts = []
    for k in (cnnengine, keras):
        model = build(k)
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        texts.append(summary_of(model)[-4:])
    assert texts[0] == texts[1]


def test_the_seeds_numbers(capsys):
    seeds_mlp(cnnengine).summary()
    text = capsys.readouterr().out
    for number in ("669,706", "401,920", "262,656", "5,130"):
        assert number in text


def test_nested_models_show_their_connections(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = summary_of(nested_functional(cnnengine), expand_nested=True)
    assert any(re.search(r"   └ in_1 \(Dense\) .* inner_x\[0\]\[0\]", line) for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for build in (seeds_mlp, branched, nested):
        assert max(map(len, summary_of(build(cnnengine)))) <= columns


def test_subclassed_model_shows_what_it_has():
    class Own(cnnengine.Model):
        def __init__(self):
            super().__init__(name="own")
            self.a, self.b = cnnengine.layers.Dense(4, name="a"), cnnengine.layers.Dense(2, name="b")

        def call(self, x):
            return self.b(self.a(x))

    model = Own()
    assert any("unbuilt" in line for line in summary_of(model))
    model(np.zeros((3, 5), np.float32))
    lines = summary_of(model)
    assert any("24" in line and "a (Dense)" in line for line in lines)
    assert " Total params: 34 (136.00 B)" in lines


def test_unknown_range():
    with pytest.raises(ConfigError, match="norm"):
        summary_of(cnn(cnnengine), layer_range=["nothing", "drop"])
    with pytest.raises(ConfigError, match="two names"):
        summary_of(cnn(cnnengine), layer_range=["norm"])
