"""Training steps and predictions of whole networks: the C kernels beside the same programs on the NumPy reference."""

from math import prod

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


def _products(model):
    """Multiply-adds of each layer with a kernel, for one picture."""
    kernels = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    return [layer.count_params() and prod(layer.kernel.shape) * prod(layer.output.shape[1:-1]) for layer in kernels]


@pytest.mark.parametrize("implementation", ["native", "reference"])
@pytest.mark.parametrize("network", NETWORKS)
def test_training_step(take, network, implementation, batch=128):
    model, (x, y) = _model(network, implementation), _pictures(batch)
    first, *others = _products(model)
    # Backward for the weights and for the data cost as much as forward; nobody asks for the gradient of the pictures.
    flops = 2 * batch * (2 * first + 3 * sum(others))
    shape = f"{network}: batch {batch}, Adam"
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
    model, (x, _) = _model(network, implementation), _pictures(batch)
    flops, shape = 2 * batch * sum(_products(model)), f"{network}: batch {batch}"
    take(
        lambda: model.predict_on_batch(x),
        implementation,
        f"predict {shape}",
        flops,
        op="predict",
        shape=shape,
        roof="peak",
    )
