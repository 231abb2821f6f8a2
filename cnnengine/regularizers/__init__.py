"""Penalties on weights and outputs, added to the loss, as keras.regularizers."""

from cnnengine import ops
from cnnengine.core import registry
from cnnengine.core.checks import checked_choice, checked_number
from cnnengine.core.config import epsilon
from cnnengine.core.errors import ShapeError
from cnnengine.core.registry import export, serialize

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "serialize"]

_MODULE = "keras.regularizers"


@export("keras", aliases=(_MODULE,))
class Regularizer:
    """Base of penalties: called on a tensor, gives a number. Subclasses define `__call__` and `get_config`."""

    def __call__(self, x):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, x)")

    def get_config(self):
        """Arguments that make an equal regularizer."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@export(_MODULE, aliases=("l1_l2",))
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x**2).

    Args:
        l1, l2: at least 0; None means 0.

    Raises:
        ConfigError.
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = float(checked_number(l1 or 0.0, "L1L2: l1", low=0))
        self.l2 = float(checked_number(l2 or 0.0, "L1L2: l2", low=0))

    def __call__(self, x):
        penalties = []
        if self.l1:
            penalties.append(ops.multiply(ops.sum(ops.absolute(x)), self.l1))
        if self.l2:
            penalties.append(ops.multiply(ops.sum(ops.square(x)), self.l2))
        return sum(penalties[1:], penalties[0]) if penalties else ops.zeros(())

    def get_config(self):
        return {"l1": self.l1, "l2": self.l2}


@export(_MODULE)
class L1(Regularizer):
    """l1 * sum(|x|)."""

    def __init__(self, l1=0.01):
        self.l1 = float(checked_number(0.01 if l1 is None else l1, "L1: l1", low=0))

    def __call__(self, x):
        return ops.multiply(ops.sum(ops.absolute(x)), self.l1)

    def get_config(self):
        return {"l1": self.l1}


@export(_MODULE)
class L2(Regularizer):
    """l2 * sum(x**2)."""

    def __init__(self, l2=0.01):
        self.l2 = float(checked_number(0.01 if l2 is None else l2, "L2: l2", low=0))

    def __call__(self, x):
        return ops.multiply(ops.sum(ops.square(x)), self.l2)

    def get_config(self):
        return {"l2": self.l2}


@export(_MODULE)
class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |cosine| between the rows (or columns) of a matrix, each pair once.

    Args:
        factor: at least 0.
        mode: "rows" or "columns".

    Raises:
        ConfigError; ShapeError when called on something else than a matrix.
    """

    def __init__(self, factor=0.01, mode="rows"):
        self.factor = float(checked_number(factor, "OrthogonalRegularizer: factor", low=0))
        self.mode = checked_choice(mode, "OrthogonalRegularizer: mode", ("rows", "columns"))

    def __call__(self, x):
        if len(x.shape) != 2:
            raise ShapeError(f"OrthogonalRegularizer: expected a matrix. Received: shape {tuple(x.shape)}")
        rows = x if self.mode == "rows" else ops.transpose(x)
        size = rows.shape[0]
        squares = ops.sum(ops.square(rows), axis=1, keepdims=True)
        rows = ops.multiply(rows, ops.rsqrt(ops.maximum(squares, epsilon() ** 2)))
        cosines = ops.absolute(ops.matmul(rows, ops.transpose(rows)))
        off_diagonal = ops.multiply(cosines, 1.0 - ops.one_hot(ops.arange(size), size))
        pairs = size * (size - 1) / 2
        return ops.multiply(ops.sum(off_diagonal), 0.5 * self.factor / pairs if pairs else 0.0)

    def get_config(self):
        return {"factor": self.factor, "mode": self.mode}


def get(identifier):
    """The regularizer of a name such as "l2", a config, or any callable. None gives None. Raises ConfigError."""
    return registry.get(identifier, _MODULE, "regularizer")


def deserialize(config, custom_objects=None):
    """The regularizer that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)
