"""Batch normalisation in plain NumPy, the oracle of csrc/drivers/batch_norm.c (Ioffe and Szegedy 2015).

Dims: x, y, dx, dy, addend (rows, c), all images and positions being rows; the others (c).
"""

from types import SimpleNamespace

import numpy as np

from cnnengine.core.codes import UNARY
from cnnengine.reference.elementwise import activate

__all__ = ["batch_norm_bwd", "batch_norm_fwd", "batch_norm_stats"]


def batch_norm_stats(d, x, mean, var):
    """Mean and biased variance of each channel, 0 of no rows."""
    x, rows = x.reshape(d.rows, d.c), max(d.rows, 1)
    mean[...] = x.sum(0) / rows
    var[...] = np.square(x - mean).sum(0) / rows


def batch_norm_fwd(d, x, mean, var, gamma, beta, addend, y):
    """y = act((x - mean) / sqrt(var + epsilon) * gamma + beta + addend)."""
    result = (x.reshape(d.rows, d.c) - mean) / np.sqrt(var + d.epsilon)
    if gamma is not None:
        result *= gamma
    if beta is not None:
        result += beta
    if addend is not None:
        result += addend.reshape(d.rows, d.c)
    y[...] = activate(d, result).reshape(y.shape)


def batch_norm_bwd(d, x, dy, mean, var, gamma, beta, dx, dgamma, dbeta):
    """Gradients through the batch's own statistics if training = 1, else with constant ones; first that of act."""
    x, dy = x.reshape(d.rows, d.c), dy.reshape(d.rows, d.c)
    if d.act:
        y = np.empty_like(x)
        batch_norm_fwd(SimpleNamespace(**{**vars(d), "act": 0}), x, mean, var, gamma, beta, None, y)
        dy = dy * ((y > 0) & (y < (6 if d.act == UNARY["relu6"] else np.inf)))
    scale = 1 / np.sqrt(var + d.epsilon)
    normalised = (x - mean) * scale
    dgamma[...] = (dy * normalised).sum(0)
    dbeta[...] = dy.sum(0)
    result = dy
    if d.training and d.rows:
        result = dy - (dbeta + normalised * dgamma) / d.rows
    if gamma is not None:
        scale = scale * gamma
    dx[...] = (result * scale).reshape(dx.shape)
