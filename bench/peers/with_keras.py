"""Keras on TensorFlow: the network as a graph, and compiled by XLA."""

import keras
import tensorflow as tf

from bench.peers.networks import optimizer_settings

FILE = "network.keras"


def _load(folder, threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return keras.saving.load_model(folder / FILE, compile=False)


def predictor(folder, x, threads, variant):
    model, x = _load(folder, threads), tf.constant(x)
    function = tf.function(lambda x: model(x, training=False), jit_compile=variant == "xla")
    return lambda: function(x).numpy()


def trainer(folder, x, y, threads, variant, optimizer):
    model = _load(folder, threads)
    kind, settings = optimizer_settings(optimizer)
    loss = "sparse_categorical_crossentropy"
    model.compile(getattr(keras.optimizers, kind)(**settings), loss, jit_compile=variant == "xla")
    x, y = tf.constant(x), tf.constant(y)
    return lambda: model.train_on_batch(x, y)
