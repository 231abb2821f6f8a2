"""Layer normalisation in plain NumPy, the oracle of csrc/drivers/layer_norm.c (Ba, Kiros and Hinton 2016).

Dims: x, y, dx, dy (rows, c); mean, var (rows); gamma, beta, dgamma, dbeta (c).
"""

import numpy as np

__all__ = ["layer_norm_bwd", "layer_norm_fwd"]


def layer_norm_fwd(d, x, gamma, beta, y, mean, var):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and biased variance of each row."""
    x = x.reshape(d.rows, d.c)
    mean[...] = x.mean(1).reshape(mean.shape)
    var[...] = x.var(1).reshape(var.shape)
    result = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + d.epsilon)
    if gamma is not None:
        result = result * gamma
    if beta is not None:
        result = result + beta
    y[...] = result.reshape(y.shape)


def layer_norm_bwd(d, x, dy, mean, var, gamma, dx, dgamma, dbeta):
    """dx = (g - mean(g) - z mean(g z)) / sqrt(var + epsilon), z = (x - mean) / sqrt(var + epsilon), g = gamma dy."""
    x, dy = x.reshape(d.rows, d.c), dy.reshape(d.rows, d.c)
    scale = 1 / np.sqrt(var.reshape(d.rows, 1) + d.epsilon)
    z = (x - mean.reshape(d.rows, 1)) * scale
    dgamma[...] = (dy * z).sum(0)
    dbeta[...] = dy.sum(0)
    g = dy if gamma is None else dy * gamma
    dx[...] = ((g - g.mean(1, keepdims=True) - z * (g * z).mean(1, keepdims=True)) * scale).reshape(dx.shape)
