"""How training changes the weights, as keras.optimizers; `schedules` has learning rates that depend on the step."""

from cnnengine.core import registry
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import serialize
from cnnengine.optimizers import schedules
from cnnengine.optimizers.adagrad import Adadelta, Adagrad
from cnnengine.optimizers.adam import Adam, Adamax, AdamW, Nadam
from cnnengine.optimizers.optimizer import Optimizer
from cnnengine.optimizers.rmsprop import RMSprop
from cnnengine.optimizers.sgd import SGD

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "Optimizer", "RMSprop", "deserialize", "get",
    "schedules", "serialize",
]  # fmt: skip

_MODULE = "keras.optimizers"


def get(identifier):
    """The optimizer of a name such as "adam", a config, or an Optimizer. None gives None.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        identifier = registry.lookup(_MODULE, identifier.lower()) or identifier
    found = registry.get(identifier, _MODULE, "optimizer")
    if found is not None and not isinstance(found, Optimizer):
        raise ConfigError(f"Expected an Optimizer, or a name or config of one. Received: {identifier!r}")
    return found


def deserialize(config, custom_objects=None):
    """The optimizer that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)
