"""Depthwise convolution in plain NumPy, the oracle of csrc/drivers/depthwise2d.c and its neighbour.

Each tap of the kernel is one multiply-add of whole images.

Dims: x (n, h, w, c), w (r, s, c, m), y (n, p, q, c*m) with channel c*m + j from kernel j.
"""

import numpy as np

from cnnengine.reference.elementwise import epilogue
from cnnengine.reference.windows import inside, padded, taps, windows

__all__ = ["depthwise2d_bwd_data", "depthwise2d_bwd_weights", "depthwise2d_fwd"]


def _dilation(d):
    return d.dilation_h, d.dilation_w


def depthwise2d_fwd(d, x, w, bias, y):
    """y = act(x * w + bias), each channel with its own m kernels."""
    view = windows(padded(x, d, _dilation(d)), d, _dilation(d))
    w = w.reshape(d.r, d.s, d.c, d.m)
    total = np.zeros((d.n, d.p, d.q, d.c, d.m), y.dtype)
    for i, j in taps(d):
        total += view[:, :, :, i, j, :, None] * w[i, j]
    y[...] = epilogue(d, total.reshape(d.n, d.p, d.q, d.c * d.m), bias).reshape(y.shape)


def depthwise2d_bwd_data(d, dy, w, dx):
    """dx = the transpose of the convolution, applied to dy."""
    dy = dy.reshape(d.n, d.p, d.q, d.c, d.m)
    w = w.reshape(d.r, d.s, d.c, d.m)
    image = padded(np.zeros((d.n, d.h, d.w, d.c), dx.dtype), d, _dilation(d))
    view = windows(image, d, _dilation(d))
    for i, j in taps(d):
        view[:, :, :, i, j] += (dy * w[i, j]).sum(-1)
    dx[...] = inside(image, d).reshape(dx.shape)


def depthwise2d_bwd_weights(d, x, dy, dw):
    """dw = the windows of x times dy, summed over images and positions."""
    view = windows(padded(x, d, _dilation(d)), d, _dilation(d))
    dy = dy.reshape(d.n, d.p, d.q, d.c, d.m)
    dw = dw.reshape(d.r, d.s, d.c, d.m)
    for i, j in taps(d):
        dw[i, j] = (view[:, :, :, i, j, :, None] * dy).sum((0, 1, 2))
