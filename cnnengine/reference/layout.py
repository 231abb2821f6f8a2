"""Moving elements without changing them, in plain NumPy, the oracle of csrc/drivers/layout.c.

Descriptors give dims of the tensors from the outermost axis, `ndim` of them.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["concat", "gather", "one_hot", "pad", "scatter_add", "slice", "transpose", "unslice"]


def _region(d):
    """The index of the cells start, start + step, ..., `out` of them along each axis."""
    axes = zip(d.start[: d.ndim], d.step[: d.ndim], d.out[: d.ndim], strict=True)
    return np.ix_(*[start + step * np.arange(out) for start, step, out in axes])


def transpose(d, x, y):
    """y (dims) = x read at `stride`."""
    strides = [stride * x.itemsize for stride in d.stride[: d.ndim]]
    y[...] = as_strided(x.reshape(-1), d.dims[: d.ndim], strides, writeable=False).reshape(y.shape)


def pad(d, x, y):
    """y = x (dims) between `before` and `after` cells of value along each axis."""
    widths = list(zip(d.before[: d.ndim], d.after[: d.ndim], strict=True))
    y[...] = np.pad(x.reshape(d.dims[: d.ndim]), widths, constant_values=d.value).reshape(y.shape)


def slice(d, x, y):
    """y (out) = x (dims)[start : : step]."""
    y[...] = x.reshape(d.dims[: d.ndim])[_region(d)].reshape(y.shape)


def unslice(d, dy, dx):
    """dx (dims) = 0 but dx[start : : step] = dy (out)."""
    dx[...] = 0
    dx.reshape(d.dims[: d.ndim])[_region(d)] = dy.reshape(d.out[: d.ndim])


def concat(d, xs, y):
    """y (outer, sum of sizes) = the inputs (outer, sizes[i]) side by side."""
    parts = [x.reshape(d.outer, size) for x, size in zip(xs, d.sizes[: d.count], strict=True)]
    y[...] = np.concatenate(parts, 1).reshape(y.shape)


def _in_range(d, index):
    return (index >= 0) & (index < d.rows)


def gather(d, x, index, y):
    """y[i] = x[index[i]], a row of NaN where the index is out of range."""
    index, result = index.reshape(-1), np.full((d.count, d.cols), np.nan, y.dtype)
    valid = _in_range(d, index)
    result[valid] = x.reshape(d.rows, d.cols)[index[valid]]
    y[...] = result.reshape(y.shape)


def scatter_add(d, dy, index, dx):
    """dx = 0, then dx[index[i]] += dy[i]; an index out of range is skipped."""
    index, valid = index.reshape(-1), _in_range(d, index.reshape(-1))
    dx[...] = 0
    np.add.at(dx.reshape(d.rows, d.cols), index[valid], dy.reshape(d.count, d.cols)[valid])


def one_hot(d, index, y):
    """y[i][index[i]] = 1, all else 0."""
    y[...] = (index.reshape(-1, 1) == np.arange(d.cols)).reshape(y.shape)
