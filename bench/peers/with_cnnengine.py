"""cnnengine: its network is the one that all others are made from."""

import numpy as np

import cnnengine as keras
from bench.peers.graph import describe
from bench.peers.networks import NETWORKS, optimizer_settings

FILE = "network.keras"


def prepare(folder, name):
    """Give the network weights and write it, as Keras's file and as plain data."""
    model = NETWORKS[name].build(keras)
    _set_weights(model, np.random.default_rng(0))
    model.save(folder / FILE)
    describe(model).save(folder)


def _set_weights(model, rng):
    """Random weights with which activations keep their size, and which all matter to the result."""
    for layer in model.layers:
        layer.set_weights([_weight(v.name, v.shape, rng) for v in layer.weights])
        if hasattr(layer, "moving_mean"):
            layer.momentum = 0.0  # so that one batch in training mode sets the moving averages to its own
    if any(hasattr(layer, "moving_mean") for layer in model.layers):
        model(rng.standard_normal((4, *model.inputs[0].shape[1:]), np.float32), training=True)


def _weight(name, shape, rng):
    if name == "gamma":
        return rng.uniform(0.5, 1.5, shape)
    if name == "moving_variance":
        return np.ones(shape)
    depthwise = len(shape) == 4 and shape[-1] == 1
    inputs = np.prod(shape[:2] if depthwise else shape[:-1])
    scale = np.sqrt(2 / inputs) if name.endswith("kernel") else 0.1
    return rng.standard_normal(shape, np.float32) * np.float32(scale)


def predictor(folder, x, threads, variant):
    keras.config.set_num_threads(threads)
    model = keras.saving.load_model(folder / FILE, mmap=True)
    return lambda: model.predict_on_batch(x)


def trainer(folder, x, y, threads, variant, optimizer):
    keras.config.set_num_threads(threads)
    model = keras.saving.load_model(folder / FILE)
    kind, settings = optimizer_settings(optimizer)
    model.compile(getattr(keras.optimizers, kind)(**settings), "sparse_categorical_crossentropy")
    return lambda: model.train_on_batch(x, y)
