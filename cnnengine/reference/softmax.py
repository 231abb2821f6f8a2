"""Softmax and its crossentropy in plain NumPy, the oracle of csrc/drivers/softmax.c.

Dims: x, y, prob (rows, cols), loss (rows); t (rows, cols) probabilities, or (rows) class numbers when sparse.
"""

import numpy as np

__all__ = [
    "log_softmax_bwd",
    "log_softmax_fwd",
    "softmax_bwd",
    "softmax_fwd",
    "softmax_xent_bwd",
    "softmax_xent_fwd",
]


def _log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def _targets(d, t, dtype):
    """The targets as probabilities (rows, cols); a row of NaN where the class number is out of range."""
    if not d.sparse:
        return t.reshape(d.rows, d.cols)
    classes = t.reshape(d.rows, 1)
    hit = (classes == np.arange(d.cols)).astype(dtype)
    return np.where((classes >= 0) & (classes < d.cols), hit, np.nan).astype(dtype)


def softmax_fwd(d, x, y):
    """y = exp(x - max) / sum, along each row."""
    x = x.reshape(d.rows, d.cols)
    x = np.exp(x - x.max(1, keepdims=True))
    y[...] = (x / x.sum(1, keepdims=True)).reshape(y.shape)


def softmax_bwd(d, y, dy, dx):
    """dx = y (dy - sum(y dy))."""
    y, dy = y.reshape(d.rows, d.cols), dy.reshape(d.rows, d.cols)
    dx[...] = (y * (dy - (y * dy).sum(1, keepdims=True))).reshape(dx.shape)


def log_softmax_fwd(d, x, y):
    """y = x - max - log(sum(exp(x - max))), along each row."""
    y[...] = _log_softmax(x.reshape(d.rows, d.cols)).reshape(y.shape)


def log_softmax_bwd(d, y, dy, dx):
    """dx = dy - exp(y) sum(dy)."""
    y, dy = y.reshape(d.rows, d.cols), dy.reshape(d.rows, d.cols)
    dx[...] = (dy - np.exp(y) * dy.sum(1, keepdims=True)).reshape(dx.shape)


def softmax_xent_fwd(d, x, t, loss, prob):
    """loss = -sum_j t_j log_softmax(x)_j, prob = softmax(x); a class with t_j = 0 does not count even at -inf."""
    logs, t = _log_softmax(x.reshape(d.rows, d.cols)), _targets(d, t, x.dtype)
    loss[...] = -np.where(t != 0, t * logs, 0).sum(1).reshape(loss.shape)
    softmax_fwd(d, x, prob)


def softmax_xent_bwd(d, prob, t, dloss, dx):
    """dx = (prob sum(t) - t) dloss."""
    t, prob = _targets(d, t, prob.dtype), prob.reshape(d.rows, d.cols)
    dx[...] = ((prob * t.sum(1, keepdims=True) - t) * dloss.reshape(d.rows, 1)).reshape(dx.shape)
