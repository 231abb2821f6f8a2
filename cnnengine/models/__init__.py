"""Models: stacks and graphs of layers, training, evaluation, prediction."""

from cnnengine.models.functional import Functional
from cnnengine.models.model import Model
from cnnengine.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential"]
