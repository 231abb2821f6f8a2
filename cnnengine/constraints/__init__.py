"""Conditions that weights are brought back to after each step of training, as keras.constraints."""

from cnnengine import ops
from cnnengine.core import registry
from cnnengine.core.checks import checked_axes, checked_number
from cnnengine.core.config import epsilon
from cnnengine.core.registry import export, serialize

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "serialize"]

_MODULE = "keras.constraints"


@export("keras", aliases=(_MODULE,))
class Constraint:
    """Base of constraints: called on a weight, gives the value it shall have instead."""

    def __call__(self, w):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, w)")

    def get_config(self):
        """Arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _norms(w, axis):
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


@export(_MODULE)
class MaxNorm(Constraint):
    """w * min(norm, max_value) / norm.

    Args:
        max_value: largest norm.
        axis: axes the norm is taken over: 0 for a Dense kernel, [0, 1, 2] for one of Conv2D.
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value = checked_number(max_value, "MaxNorm: max_value", low=0)
        self.axis = checked_axes(axis, "MaxNorm: axis")

    def __call__(self, w):
        norms = _norms(w, self.axis)
        return ops.multiply(w, ops.divide(ops.clip(norms, 0.0, self.max_value), ops.add(norms, epsilon())))

    def get_config(self):
        return {"max_value": self.max_value, "axis": self.axis}


@export(_MODULE)
class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, w):
        return ops.maximum(w, 0.0)


@export(_MODULE)
class UnitNorm(Constraint):
    """w / norm, the norm taken over `axis` as in MaxNorm."""

    def __init__(self, axis=0):
        self.axis = checked_axes(axis, "UnitNorm: axis")

    def __call__(self, w):
        return ops.divide(w, ops.add(_norms(w, self.axis), epsilon()))

    def get_config(self):
        return {"axis": self.axis}


@export(_MODULE)
class MinMaxNorm(Constraint):
    """w * ((1 - rate) * norm + rate * clip(norm, min_value, max_value)) / norm.

    Args:
        min_value, max_value: smallest and largest norm.
        rate: 1 for a strict constraint, below 1 for a step towards it.
        axis: as in MaxNorm.
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value = checked_number(min_value, "MinMaxNorm: min_value", low=0)
        self.max_value = checked_number(max_value, "MinMaxNorm: max_value", low=self.min_value)
        self.rate = checked_number(rate, "MinMaxNorm: rate", low=0, high=1)
        self.axis = checked_axes(axis, "MinMaxNorm: axis")

    def __call__(self, w):
        norms = _norms(w, self.axis)
        clipped = ops.multiply(ops.clip(norms, self.min_value, self.max_value), self.rate)
        desired = ops.add(clipped, ops.multiply(norms, 1.0 - self.rate))
        return ops.multiply(w, ops.divide(desired, ops.add(norms, epsilon())))

    def get_config(self):
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


def get(identifier):
    """The constraint of a name such as "max_norm", a config, or any callable. None gives None. Raises ConfigError."""
    return registry.get(identifier, _MODULE, "constraint")


def deserialize(config, custom_objects=None):
    """The constraint that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)
