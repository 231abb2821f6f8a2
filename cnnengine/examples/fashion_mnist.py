"""Train two dense networks and a convolutional one on Fashion-MNIST and compare them.

python -m cnnengine.examples.fashion_mnist [--model mlp-mse|mlp|cnn|all] [--epochs N] [--data FOLDER]
                                           [--plots FOLDER] [--seed N]
"""

import argparse
import time

import cnnengine as keras
from cnnengine.datasets import fashion_mnist
from cnnengine.examples import plots
from cnnengine.examples.options import positive

BATCH_SIZE = 128


def build_mlp():
    """784-512-512-10 with relu and softmax: 669,706 parameters."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(512, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def build_cnn():
    """Two convolutions with poolings and a dense layer: 421,642 parameters."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax"),
        ]
    )


# name: (how to build it, loss)
MODELS = {
    "mlp-mse": (build_mlp, "mse"),
    "mlp": (build_mlp, "categorical_crossentropy"),
    "cnn": (build_cnn, "categorical_crossentropy"),
}


class EpochTimer(keras.callbacks.Callback):
    """Measures the seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)


def load(path=None):
    """Pictures as float32 (n, 28, 28, 1) from 0 to 1, and their labels."""
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data(path)
    return (_prepared(x_train), y_train), (_prepared(x_test), y_test)


def _prepared(images):
    return images[..., None].astype("float32") / 255


def run(name, data, options):
    """Train and test one of `MODELS`; returns its row of the table."""
    (x_train, y_train), (x_test, y_test) = data
    build, loss = MODELS[name]
    keras.utils.set_random_seed(options.seed)
    model = build()
    model.summary()
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    timer = EpochTimer()
    one_hot = keras.utils.to_categorical
    history = model.fit(x_train, one_hot(y_train, 10), BATCH_SIZE, epochs=options.epochs, callbacks=[timer])
    _, test_accuracy = model.evaluate(x_test, one_hot(y_test, 10), BATCH_SIZE, verbose=0)
    if options.plots:
        predictions = model.predict(x_test, BATCH_SIZE, verbose=0).argmax(axis=-1)
        names = fashion_mnist.CLASS_NAMES
        plots.save_run(history.history, x_test[..., 0], y_test, predictions, options.plots, name, names)
    train_accuracy = history.history["accuracy"][-1]
    return name, loss, model.count_params(), min(timer.seconds), train_accuracy, test_accuracy


def print_table(rows):
    """One line a model; seconds are those of the fastest epoch, as the first one also builds the programs."""
    print(f"\n{'model':<9}{'loss':<26}{'parameters':>10}{'s/epoch':>9}{'training':>10}{'test':>8}")
    for name, loss, parameters, seconds, train_accuracy, test_accuracy in rows:
        print(f"{name:<9}{loss:<26}{parameters:>10,}{seconds:>9.2f}{train_accuracy:>10.2%}{test_accuracy:>8.2%}")


def main(argv=None):
    options = _options(argv)
    data = load(options.data)
    names = list(MODELS) if options.model == "all" else [options.model]
    print_table([run(name, data, options) for name in names])


def _options(argv):
    parser = argparse.ArgumentParser(
        prog="python -m cnnengine.examples.fashion_mnist", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all", help="which to train (default: all)")
    parser.add_argument("--epochs", type=positive, default=5, help="passes over the training data (default: 5)")
    parser.add_argument("--data", metavar="FOLDER", help="folder of the four IDX files (default: found or downloaded)")
    parser.add_argument("--plots", metavar="FOLDER", help="save training curves and misclassified pictures there")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, shuffling and dropout (default: 0)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
