"""Convolution in plain NumPy, the oracle of csrc/drivers/conv2d.c and its neighbours.

Windows are copied to the rows of a matrix (im2col), which is multiplied by the matrix of the filters.

Dims: x (n, f, h, w, c), w (t, r, s, c/groups, k), y (n, o, p, q, k); f, t and o may be missing where they are 1. Packed
weights are w as it was stored.
"""

import numpy as np

from cnnengine.reference.elementwise import epilogue
from cnnengine.reference.windows import inside, padded, taps, windows

__all__ = ["conv2d_bwd_data", "conv2d_bwd_data_pack", "conv2d_bwd_weights", "conv2d_fwd", "conv2d_into", "conv2d_pack"]


def _frames(d, tap):
    """The output frames whose window has its tap in a frame of the input, and those frames."""
    outputs = np.arange(d.o)
    inputs = outputs * d.stride_f + tap * d.dilation_f - d.pad_f
    inside = (inputs >= 0) & (inputs < d.f)
    return outputs[inside], inputs[inside]


def _columns(d, x):
    """The windows of x, one a row: (groups, n*o*p*q, t*r*s*c/groups)."""
    dilation, x = (d.dilation_h, d.dilation_w), x.reshape(d.n, d.f, d.h, d.w, d.c)
    view = np.zeros((d.n, d.o, d.p, d.q, d.t, d.r, d.s, d.c), x.dtype)
    for tap in range(d.t):
        outputs, inputs = _frames(d, tap)
        frames = x[:, inputs].reshape(d.n * len(inputs), d.h, d.w, d.c)
        cells = windows(padded(frames, d, dilation), d, dilation)
        view[:, :, :, :, tap][:, outputs] = cells.reshape(d.n, len(outputs), *cells.shape[1:])
    view = view.reshape(d.n * d.o * d.p * d.q, d.t * d.r * d.s, d.groups, d.c // d.groups)
    return view.transpose(2, 0, 1, 3).reshape(d.groups, len(view), d.t * d.r * d.s * (d.c // d.groups))


def _filters(d, w):
    """The filters, one a column: (groups, t*r*s*c/groups, k/groups)."""
    taps_of_filter = d.t * d.r * d.s * (d.c // d.groups)
    w = w.reshape(-1)[: taps_of_filter * d.k].reshape(taps_of_filter, d.groups, d.k // d.groups)
    return w.transpose(1, 0, 2)


def _rows(d, y):
    """Output positions as rows: (groups, n*o*p*q, k/groups)."""
    return y.reshape(d.n * d.o * d.p * d.q, d.groups, d.k // d.groups).transpose(1, 0, 2)


def conv2d_fwd(d, x, w, bias, addend, y):
    """y = act(x * w + bias + addend)."""
    product = np.matmul(_columns(d, x), _filters(d, w)).transpose(1, 0, 2)
    y[...] = epilogue(d, product.reshape(*y.shape), bias, addend)


def conv2d_into(d, x, w, bias, base, y):
    """y = base, but for k channels from y_at on, which are act(x * w + bias)."""
    if base is not None:
        y[...] = base
    own = np.empty((*y.shape[:-1], d.k), y.dtype)
    conv2d_fwd(d, x, w, bias, None, own)
    y[..., d.y_at : d.y_at + d.k] = own


def conv2d_bwd_data(d, dy, w, bias, addend, dx):
    """dx = act(the transpose of the convolution, applied to dy, + bias + addend)."""
    dilation = (d.dilation_h, d.dilation_w)
    columns = np.matmul(_rows(d, dy), _filters(d, w).swapaxes(1, 2))
    columns = np.moveaxis(columns.reshape(d.groups, d.n, d.o, d.p, d.q, d.t, d.r, d.s, d.c // d.groups), 0, -2)
    columns = columns.reshape(d.n, d.o, d.p, d.q, d.t, d.r, d.s, d.c)
    total = np.zeros((d.n, d.f, d.h, d.w, d.c), dx.dtype)
    for tap in range(d.t):
        outputs, inputs = _frames(d, tap)
        arriving = columns[:, :, :, :, tap][:, outputs].reshape(d.n * len(outputs), d.p, d.q, d.r, d.s, d.c)
        image = padded(np.zeros((len(arriving), d.h, d.w, d.c), dx.dtype), d, dilation)
        view = windows(image, d, dilation)
        for i, j in taps(d):
            view[:, :, :, i, j] += arriving[:, :, :, i, j]
        total[:, inputs] += inside(image, d).reshape(d.n, len(inputs), d.h, d.w, d.c)
    dx[...] = epilogue(d, total.reshape(dx.shape), bias, addend)


def conv2d_bwd_weights(d, x, dy, dw):
    """dw = the windows of x times dy, summed over images and positions."""
    product = np.matmul(_columns(d, x).swapaxes(1, 2), _rows(d, dy))
    dw[...] = product.transpose(1, 0, 2).reshape(dw.shape)


def conv2d_pack(d, w, packed):
    """packed = w."""
    packed.reshape(-1)[: w.size] = w.reshape(-1)


def conv2d_bwd_data_pack(d, w, packed):
    """packed = w."""
    conv2d_pack(d, w, packed)
