"""Optimizers and learning rate schedules."""

from cnnengine.core import registry
from cnnengine.core.errors import ConfigError
from cnnengine.optimizers import schedules
from cnnengine.optimizers.adam import Adam, AdamW
from cnnengine.optimizers.optimizer import Optimizer
from cnnengine.optimizers.rmsprop import RMSprop
from cnnengine.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize"]


def get(identifier):
    """An Optimizer from a name, a config or an Optimizer. Raises ConfigError."""
    found = registry.get(identifier, "keras.optimizers", "optimizer")
    if not isinstance(found, Optimizer):
        raise ConfigError(f"Expected an optimizer or its name. Received: {identifier!r}")
    return found


def serialize(optimizer):
    """The config of an optimizer."""
    return registry.serialize(optimizer)


def deserialize(config, custom_objects=None):
    """The optimizer of a config."""
    return registry.deserialize(config, custom_objects)
