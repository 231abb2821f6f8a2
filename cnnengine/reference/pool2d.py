"""Maximum and average pooling in plain NumPy, the oracle of csrc/drivers/pool2d.c.

Dims: x (n, h, w, c), window (r, s), y and index (n, p, q, c). Padding cells never win and never count.
"""

import numpy as np

from cnnengine.reference.windows import inside, padded, taps, windows

__all__ = ["avg_pool2d_bwd", "avg_pool2d_fwd", "max_pool2d_bwd", "max_pool2d_fwd"]


def _valid(d):
    """Which taps of which windows lie in the image: (1, p, q, r, s, 1)."""
    return windows(padded(np.ones((1, d.h, d.w, 1), bool), d), d)


def max_pool2d_fwd(d, x, y, index):
    """y = maximum over the window, index = its tap: the first of equals, a NaN before all; -inf and 0 if empty."""
    view, valid = windows(padded(x, d), d), _valid(d)
    best = np.full((d.n, d.p, d.q, d.c), -np.inf, x.dtype)
    chosen = np.zeros(best.shape, np.uint8)
    found = np.zeros(best.shape, bool)
    for tap, (i, j) in enumerate(taps(d)):
        value = view[:, :, :, i, j]
        better = valid[:, :, :, i, j] & (~found | (value > best) | (np.isnan(value) & ~np.isnan(best)))
        best[better] = value[better]
        chosen[better] = tap
        found |= better
    y[...] = best.reshape(y.shape)
    index[...] = chosen.reshape(index.shape)


def max_pool2d_bwd(d, dy, index, dx):
    """dx = for each cell the sum of dy over the windows that chose it."""
    dy, index = dy.reshape(d.n, d.p, d.q, d.c), index.reshape(d.n, d.p, d.q, d.c)
    image = padded(np.zeros((d.n, d.h, d.w, d.c), dx.dtype), d)
    view = windows(image, d)
    for tap, (i, j) in enumerate(taps(d)):
        view[:, :, :, i, j] += np.where(index == tap, dy, 0)
    dx[...] = inside(image, d).reshape(dx.shape)


def _counts(d, dtype):
    """Number of valid cells of each window, 1 where there is none so that the mean is 0: (1, p, q, 1)."""
    return np.maximum(_valid(d).sum((3, 4)), 1).astype(dtype)


def avg_pool2d_fwd(d, x, y):
    """y = mean over the valid cells of the window, 0 of none."""
    view = windows(padded(x, d), d)
    total = np.zeros((d.n, d.p, d.q, d.c), y.dtype)
    for i, j in taps(d):
        total += view[:, :, :, i, j]
    y[...] = (total / _counts(d, y.dtype)).reshape(y.shape)


def avg_pool2d_bwd(d, dy, dx):
    """dx = for each cell the sum of dy / count over the windows it lies in."""
    share = dy.reshape(d.n, d.p, d.q, d.c) / _counts(d, dy.dtype)
    image = padded(np.zeros((d.n, d.h, d.w, d.c), dx.dtype), d)
    view = windows(image, d)
    for i, j in taps(d):
        view[:, :, :, i, j] += share
    dx[...] = inside(image, d).reshape(dx.shape)
