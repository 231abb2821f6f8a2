"""What the project exists for, end to end: the parts of a deep learning course, one after the other.

The names of the tests say which part they stand for: a neuron (1), judging a function (2), gradient descent (3), the
first model (4), layers with weights (5) and without (6), convolution (11) and pooling (12) by hand.
"""

import numpy as np
import pytest

from cnnengine import Input, Sequential, activations, datasets, layers, losses, optimizers
from cnnengine.core.errors import DatasetError
from cnnengine.utils import fit_standardization, normalize, set_random_seed, standardize, to_categorical

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def fashion():
    """Some of the real pictures as the seed's model takes them: rows of 784 numbers from 0 to 1, one-hot labels."""
    try:
        (x, y), (x_test, y_test) = datasets.fashion_mnist.load_data()
    except DatasetError as error:
        pytest.fail(f"Fashion-MNIST is missing; install it with: apt-get install dataset-fashion-mnist ({error})")
    assert x.shape == (60_000, 28, 28) and x_test.shape == (10_000, 28, 28)

    def flat(pictures):
        return pictures.reshape(-1, 784) / np.float32(255)

    return flat(x[:6000]), to_categorical(y[:6000], 10), flat(x_test[:1000]), to_categorical(y_test[:1000], 10)


# 1: a neuron is w x + b and an activation


def test_1_a_neuron_by_hand():
    neuron = layers.Dense(1, activation="sigmoid")
    neuron.build((None, 3))
    neuron.set_weights([np.array([[1.0], [-2.0], [0.5]]), np.array([0.25])])
    x = np.array([[2.0, 1.0, 4.0]], np.float32)
    assert neuron(x)[0, 0] == pytest.approx(1 / (1 + np.exp(-(2 - 2 + 2 + 0.25))), rel=1e-6)


def test_1_a_stack_of_linear_layers_is_one_linear_layer():
    stack = Sequential([Input((6,)), layers.Dense(9), layers.Dense(7), layers.Dense(4)])
    stack.set_weights([normal(*w.shape) for w in stack.weights])
    kernel, bias = np.eye(6, dtype=np.float32), np.zeros(6, np.float32)
    for layer in stack.layers:
        k, b = layer.get_weights()
        kernel, bias = kernel @ k, bias @ k + b
    one = layers.Dense(4)
    one.build((None, 6))
    one.set_weights([kernel, bias])
    x = normal(20, 6)
    np.testing.assert_allclose(stack(x), one(x), rtol=1e-4, atol=1e-4)
    bent = Sequential([Input((6,)), *[layers.Dense(units, "relu") for units in (9, 7, 4)]])
    bent.set_weights(stack.get_weights())
    assert not np.allclose(bent(x), np.maximum(one(x), 0), atol=0.1)


@pytest.mark.parametrize("name", ["sigmoid", "relu", "tanh", "softmax", "elu", "selu", "gelu", "silu", "softplus"])
def test_1_activations_by_name_function_and_layer_agree(name):
    x = normal(5, 6)
    expected = getattr(activations, name)(x)
    for layer in (layers.Activation(name), layers.Activation(getattr(activations, name))):
        np.testing.assert_array_equal(layer(x), expected)
    dense = Sequential([Input((6,)), layers.Dense(6, name, kernel_initializer="identity")])
    np.testing.assert_allclose(dense(x), expected, rtol=1e-5, atol=1e-6)


# 2: judging a function


def test_2_softmax_spreads_one_over_ten_digits():
    (x, _), _ = datasets.digits.load_data()
    model = Sequential([Input((8, 8)), layers.Flatten(), layers.Dense(10, "softmax")])
    shares = model.predict(x[:50], verbose=0)
    assert shares.shape == (50, 10) and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)


def test_2_losses_rank_functions():
    """The nearer the shares are to the truth, the smaller is each loss."""
    truth = to_categorical([2], 10)
    guesses = [truth * share + (1 - truth) * (1 - share) / 9 for share in (0.1, 0.4, 0.7, 0.95)]
    for loss in ("mse", "mae", "categorical_crossentropy", "binary_crossentropy", "kl_divergence", "huber"):
        values = [float(np.mean(losses.get(loss)(truth, guess.astype(np.float32)))) for guess in guesses]
        assert values == sorted(values, reverse=True) and values[-1] < values[0] / 2, loss
    assert float(losses.MeanSquaredError()(np.zeros((1, 2)), np.array([[1.0, 3.0]]))) == 5.0


# 3: gradient descent


def test_3_one_weight_by_hand():
    """L(w) = (2 w - 4)**2 has slope 4 (2 w - 4): with rate 0.05 each step is w <- w - 0.2 (2 w - 4)."""
    model = Sequential([Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizers.SGD(learning_rate=0.05), "mse")
    x, y = np.array([[2.0]], np.float32), np.array([[4.0]], np.float32)
    way, heights, w = [0.0], [], 0.0
    for _ in range(30):
        heights.append(model.train_on_batch(x, y))
        w -= 0.2 * (2 * w - 4)
        way.append(float(model.get_weights()[0][0, 0]))
        assert way[-1] == pytest.approx(w, rel=1e-5)
    assert way[1:4] == pytest.approx([0.8, 1.28, 1.568])
    assert heights[:3] == pytest.approx([16.0, 5.76, 2.0736], rel=1e-5)
    assert heights == sorted(heights, reverse=True) and way[-1] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", optimizers.SGD(0.01, momentum=0.9)])
def test_3_repeat_until_flat(optimizer):
    model = Sequential([Input((1,)), layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.optimizer.learning_rate = 0.05
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    losses_ = model.fit(x, 3 * x - 1, epochs=150, batch_size=32, verbose=0).history["loss"]
    assert losses_[-1] < 1e-2 * losses_[0]


# 4: the first model


def seeds_model():
    model = Sequential()
    model.add(layers.Dense(512, activation="relu", input_shape=(784,)))
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def test_4_the_first_model(fashion, capsys):
    x_train, y_train, x_test, y_test = fashion
    set_random_seed(0)
    model = seeds_model()
    model.summary()
    assert "Total params: 669,706" in capsys.readouterr().out
    model.compile(loss="mse", optimizer="rmsprop", metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=128, nb_epoch=3, verbose=1, validation_data=(x_test, y_test))
    shown = capsys.readouterr().out
    assert "Epoch 3/3" in shown and "val_accuracy" in shown
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    assert accuracy > 0.75 and loss < 0.04


def test_4_crossentropy_learns_it_too(fashion):
    x_train, y_train, x_test, y_test = fashion
    set_random_seed(0)
    model = seeds_model()
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=128, epochs=3, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.78


# 5: layers with weights, and data made ready for them


def test_5_layers_with_weights_learn_together():
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    mean, std = fit_standardization(x[..., None])
    x, x_test = (standardize(part[..., None], mean, std) for part in (x, x_test))
    set_random_seed(2)
    model = Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            layers.Conv2D(32, 1, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=6, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.93


def test_5_normalisation_and_standardisation():
    x = RNG.normal(50, 12, (200, 7))
    np.testing.assert_allclose(np.linalg.norm(normalize(x), axis=-1), 1)
    z = standardize(x, *fit_standardization(x))
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-4)


# 6: layers without weights


def test_6_layers_without_weights():
    x = normal(4, 6, 6, 3)
    for layer in (
        layers.Activation("tanh"), layers.MaxPooling2D(2), layers.AveragePooling2D(2), layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5), layers.Flatten(),
    ):  # fmt: skip
        layer(x)
        assert layer.count_params() == 0
    np.testing.assert_allclose(layers.GlobalAveragePooling2D()(x), x.mean((1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_6_regularisation_keeps_weights_small(penalty):
    x, y = normal(64, 20), normal(64, 1)

    def size_after_training(regularizer):
        set_random_seed(0)
        model = Sequential([Input((20,)), layers.Dense(1, kernel_regularizer=regularizer)])
        model.compile(optimizers.SGD(0.05), "mse")
        model.fit(x, y, epochs=60, batch_size=64, verbose=0)
        return abs(model.get_weights()[0]).sum()

    assert size_after_training(penalty) < 0.99 * size_after_training(None)


# 11: convolution by hand

RED = [[1, 1, 1], [0, 1, 2], [0, 1, 2]]
GREEN = [[2, 2, 1], [1, 0, 0], [0, 0, 1]]
BLUE = [[1, 1, 0], [0, 0, 0], [1, 1, 0]]
FILTERS = [
    [[-1, 1, 0], [-1, 0, 1], [-1, 1, -1]],
    [[1, 0, 1], [1, 1, 2], [1, 0, 1]],
    [[-1, -1, -1], [2, 1, 2], [0, 1, 1]],
]


def test_11_the_worked_rgb_convolution():
    """Each colour has its own filter; 1 + 5 - 1 and a bias of 0 make 5."""
    picture = np.stack([RED, GREEN, BLUE], axis=-1)[None].astype(np.float32)
    kernel = np.stack(FILTERS, axis=-1)[..., None]
    for color, part in enumerate([1, 5, -1]):
        conv = layers.Conv2D(1, 3)
        conv.build((None, 3, 3, 1))
        conv.set_weights([kernel[:, :, color : color + 1], np.zeros(1)])
        assert conv(picture[..., color : color + 1]).item() == part
    conv = layers.Conv2D(1, 3)
    conv.build((None, 3, 3, 3))
    conv.set_weights([kernel, np.zeros(1)])
    assert conv(picture).item() == 1 + 5 - 1 + 0 == 5


@pytest.mark.parametrize("filters", [1, 6, 17])
def test_11_n_filters_give_n_maps(filters):
    assert layers.Conv2D(filters, 3)(normal(2, 8, 8, 3)).shape == (2, 6, 6, filters)


@pytest.mark.parametrize("size", [7, 8, 28])
def test_11_stride_1_keeps_the_size_and_stride_2_halves_it(size):
    x = normal(1, size, size, 2)
    assert layers.Conv2D(4, 3, strides=1, padding="same")(x).shape == (1, size, size, 4)
    assert layers.Conv2D(4, 3, strides=2, padding="same")(x).shape == (1, -(-size // 2), -(-size // 2), 4)


# 12: pooling by hand


def test_12_the_worked_maximum_is_9():
    edges = np.array([[1, 4, 0, 2], [9, 3, 5, 1], [2, 6, 7, 8], [0, 1, 3, 4]], np.float32)
    pooled = layers.MaxPooling2D(2)(edges[None, :, :, None])[0, :, :, 0]
    assert pooled[0, 0] == 9
    np.testing.assert_array_equal(pooled, [[9, 5], [6, 8]])


def test_12_three_of_eight_shifts_leave_the_maximum_where_it_is():
    def pooled(row, column):
        picture = np.zeros((1, 8, 8, 1), np.float32)
        picture[0, row, column] = 1
        return layers.MaxPooling2D(2)(picture)

    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    for row in (2, 3):
        for column in (2, 3):
            same = [
                shift
                for shift in shifts
                if np.array_equal(pooled(row + shift[0], column + shift[1]), pooled(row, column))
            ]
            assert len(shifts) == 8 and len(same) == 3


def test_12_maximum_keeps_texture_and_average_keeps_background():
    """Bright threads on a slowly changing ground: one kind of pooling sees the threads, the other the ground."""
    ground = np.tile(np.linspace(0.2, 0.6, 32, dtype=np.float32), (32, 1))
    threads = np.zeros((32, 32), np.float32)
    threads[::4, ::4] = 1
    picture = (ground + threads)[None, :, :, None]
    largest, mean = (layer(4)(picture)[0, :, :, 0] for layer in (layers.MaxPooling2D, layers.AveragePooling2D))
    ground_of_window = ground.reshape(8, 4, 8, 4).mean((1, 3))
    assert abs(mean - ground_of_window).max() < 0.07
    assert abs(largest - ground_of_window).min() > 0.9
