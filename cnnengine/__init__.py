"""cnnengine: convolutional networks on CPUs, with Keras 3's API over vectorised C kernels.

`import cnnengine as keras` runs a CNN user's script. See README.md.
"""

__version__ = "0.1.0"

from cnnengine import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    saving,
    utils,
)
from cnnengine.core import errors
from cnnengine.core.variable import Variable
from cnnengine.layers import Input, InputSpec, Layer
from cnnengine.layers.symbolic import KerasTensor
from cnnengine.models import Functional, Model, Sequential

__all__ = [
    "Functional", "Input", "InputSpec", "KerasTensor", "Layer", "Model", "Sequential", "Variable", "activations",
    "backend", "callbacks", "config", "constraints", "datasets", "errors", "initializers", "layers", "losses",
    "metrics", "models", "ops", "optimizers", "random", "regularizers", "saving", "utils",
]  # fmt: skip
