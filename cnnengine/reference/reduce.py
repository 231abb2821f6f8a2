"""Reductions in plain NumPy, the oracle of csrc/drivers/reduce.c.

Dims: x (outer, red, inner), y (outer, inner).
"""

import numpy as np

from cnnengine.core.codes import REDUCE

__all__ = ["argmax", "reduce"]

_FUNCTION = {
    "sum": lambda x: x.sum(1),
    "max": lambda x: x.max(1, initial=-np.inf),
    "min": lambda x: x.min(1, initial=np.inf),
    "prod": lambda x: x.prod(1),
    "sum_squares": lambda x: np.square(x).sum(1),
}
_FUNCTIONS = [_FUNCTION[name] for name in REDUCE]


def reduce(d, x, y):
    """y[o][i] = scale * f over j of x[o][j][i]."""
    y[...] = (d.scale * _FUNCTIONS[d.func](x.reshape(d.outer, d.red, d.inner))).reshape(y.shape)


def argmax(d, x, y):
    """y[o][i] = the first j with the largest x[o][j][i], a NaN being the largest."""
    y[...] = x.reshape(d.outer, d.red, d.inner).argmax(1).reshape(y.shape)
