"""Train a small convolutional network on the handwritten digits that come with the package.

python -m cnnengine.examples.digits [--epochs N] [--out FOLDER] [--seed N]
"""

import argparse

import cnnengine as keras
from cnnengine.datasets import digits
from cnnengine.examples import plots
from cnnengine.examples.options import positive


def load():
    """Pictures as float32 (n, 8, 8, 1) from 0 to 1, and their labels."""
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    return (_prepared(x_train), y_train), (_prepared(x_test), y_test)


def _prepared(images):
    return images[..., None].astype("float32") / 16


def build_model():
    """Two convolutions, a pooling, and two dense layers: about 150,000 parameters."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def main(argv=None):
    options = _options(argv)
    keras.utils.set_random_seed(options.seed)
    (x_train, y_train), (x_test, y_test) = load()
    model = build_model()
    model.summary()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=32, epochs=options.epochs, validation_split=0.1)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    predictions = model.predict(x_test, verbose=0).argmax(axis=-1)
    print(f"Test accuracy: {accuracy:.2%} ({(predictions != y_test).sum()} of {len(y_test)} wrong)")
    plots.save_run(history.history, x_test[..., 0], y_test, predictions, options.out, "digits")


def _options(argv):
    parser = argparse.ArgumentParser(prog="python -m cnnengine.examples.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=positive, default=30, help="passes over the training data (default: 30)")
    parser.add_argument("--out", default="digits-results", help="folder of the pictures (default: digits-results)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, shuffling and dropout (default: 0)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
