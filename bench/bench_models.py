"""Training steps and predictions of whole networks: the C kernels beside the same programs on the NumPy reference."""

import numpy as np
import pytest

import cnnengine as keras
from cnnengine.examples.fashion_mnist import build_cnn, build_mlp

NETWORKS = {"MLP": build_mlp, "MNIST CNN": build_cnn}


def _model(network, implementation):
    keras.config.set_backend(implementation)
    keras.utils.set_random_seed(0)
    model = NETWORKS[network]()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _pictures(batch):
    rng = np.random.default_rng(0)
    return rng.random((batch, 28, 28, 1), np.float32), rng.integers(0, 10, batch, np.int32)


def _flops(network, batch, training=False):
    """Multiplications and additions of the definition, as the steps of the program in C count them."""
    rows = keras.utils.profile(_model(network, "native"), batch=batch, training=training, runs=1).rows
    return sum(row.flops for row in rows)


@pytest.mark.parametrize("implementation", ["native", "reference"])
@pytest.mark.parametrize("network", NETWORKS)
def test_training_step(take, network, implementation, batch=128):
    flops, shape = _flops(network, batch, training=True), f"{network}: batch {batch}, Adam"
    model, (x, y) = _model(network, implementation), _pictures(batch)
    take(
        lambda: model.train_on_batch(x, y),
        implementation,
        f"train {shape}",
        flops,
        op="training step",
        shape=shape,
        roof="peak",
    )


@pytest.mark.parametrize("implementation", ["native", "reference"])
@pytest.mark.parametrize("batch", [1, 128])
@pytest.mark.parametrize("network", NETWORKS)
def test_predict(take, network, batch, implementation):
    flops, shape = _flops(network, batch), f"{network}: batch {batch}"
    model, (x, _) = _model(network, implementation), _pictures(batch)
    take(
        lambda: model.predict_on_batch(x),
        implementation,
        f"predict {shape}",
        flops,
        op="predict",
        shape=shape,
        roof="peak",
    )
