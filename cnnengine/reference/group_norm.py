"""Group normalisation in plain NumPy, the oracle of csrc/drivers/group_norm.c (Wu and He 2018).

Dims: x, y, dx, dy (n, pixels, c); mean, var (n, groups); gamma, beta, dgamma, dbeta (c).
"""

import numpy as np

__all__ = ["group_norm_bwd", "group_norm_fwd"]


def _mean(d, x):
    """Of each group of each image, 0 of no pixels: (n, 1, groups, 1)."""
    return x.sum((1, 3), keepdims=True) / max(d.pixels * d.c // d.groups, 1)


def _in_groups(d, x):
    return x.reshape(d.n, d.pixels, d.groups, d.c // d.groups)


def group_norm_fwd(d, x, gamma, beta, y, mean, var):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and biased variance of each group of each image."""
    centred = _in_groups(d, x) - _mean(d, _in_groups(d, x))
    variance = _mean(d, np.square(centred))
    mean[...] = _mean(d, _in_groups(d, x)).reshape(mean.shape)
    var[...] = variance.reshape(var.shape)
    result = (centred / np.sqrt(variance + d.epsilon)).reshape(d.n, d.pixels, d.c)
    if gamma is not None:
        result = result * gamma
    if beta is not None:
        result = result + beta
    y[...] = result.reshape(y.shape)


def group_norm_bwd(d, x, dy, mean, var, gamma, dx, dgamma, dbeta):
    """dx = (g - mean(g) - z mean(g z)) / sqrt(var + epsilon), z the normalised x, g = gamma dy, means over groups."""
    shape = (d.n, 1, d.groups, 1)
    scale = 1 / np.sqrt(var.reshape(shape) + d.epsilon)
    z = (_in_groups(d, x) - mean.reshape(shape)) * scale
    dy = dy.reshape(d.n, d.pixels, d.c)
    dgamma[...] = (dy * z.reshape(dy.shape)).sum((0, 1))
    dbeta[...] = dy.sum((0, 1))
    g = _in_groups(d, dy if gamma is None else dy * gamma)
    dx[...] = ((g - _mean(d, g) - z * _mean(d, g * z)) * scale).reshape(dx.shape)
