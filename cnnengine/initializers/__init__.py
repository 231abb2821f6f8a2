"""First values of weights: `get("he_normal")((3, 3, 16, 32))`, as keras.initializers."""

import numpy as np

from cnnengine.core import registry
from cnnengine.core.registry import serialize
from cnnengine.initializers.constant import Constant, Identity, Ones, Zeros
from cnnengine.initializers.initializer import Initializer
from cnnengine.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "Initializer", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "RandomInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal",
    "VarianceScaling", "Zeros", "compute_fans", "deserialize", "get", "serialize",
]  # fmt: skip

_MODULE = "keras.initializers"


def get(identifier):
    """The initializer of a name, a config, an array, or any callable(shape, dtype). None gives None.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(identifier, (np.ndarray, np.generic)):
        return Constant(identifier)
    return registry.get(identifier, _MODULE, "initializer")


def deserialize(config, custom_objects=None):
    """The initializer that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)
