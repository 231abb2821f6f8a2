"""Updates in place in plain NumPy, the oracle of csrc/drivers/update.c.

g the gradient, hyper[0] the learning rate of this step; w, m, v, mom are read and written.
"""

import numpy as np

__all__ = [
    "adam_update",
    "assign",
    "assign_add",
    "ema_update",
    "momentum_update",
    "rmsprop_update",
    "sgd_update",
]


def sgd_update(d, g, hyper, w):
    """w -= lr g."""
    w -= hyper[0] * g


def momentum_update(d, g, hyper, w, v):
    """v = momentum v - lr g; w += momentum v - lr g when nesterov, else v."""
    step = hyper[0] * g
    v[...] = d.momentum * v - step
    w += d.momentum * v - step if d.nesterov else v


def adam_update(d, g, hyper, w, m, v):
    """m += (g - m)(1 - beta1); v += (g^2 - v)(1 - beta2); w -= lr m / (sqrt(v) + epsilon).

    Kingma and Ba 2015, with the correction of the bias in lr.
    """
    m += (g - m) * (1 - d.beta1)
    v += (np.square(g) - v) * (1 - d.beta2)
    w -= hyper[0] * m / (np.sqrt(v) + d.epsilon)


def rmsprop_update(d, g, hyper, w, v, mom):
    """v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + epsilon), through mom when momentum > 0."""
    v[...] = d.rho * v + (1 - d.rho) * np.square(g)
    step = hyper[0] * g / np.sqrt(v + d.epsilon)
    if d.momentum > 0:
        mom[...] = d.momentum * mom + step
        step = mom
    w -= step


def ema_update(d, x, v):
    """v = v momentum + x (1 - momentum)."""
    v[...] = v * d.momentum + x * (1 - d.momentum)


def assign(d, x, v):
    """v = x."""
    v[...] = x.reshape(v.shape)


def assign_add(d, x, v):
    """v += x."""
    v += x.reshape(v.shape)
