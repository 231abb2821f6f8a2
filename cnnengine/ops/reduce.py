"""Reductions over axes, and argmax."""

from math import prod

import numpy as np

from cnnengine.core.codes import REDUCE
from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import OPS, along_samples, bind, register, spec_of
from cnnengine.ops.view import reshape_to


def normal_axes(axis, ndim):
    """Sorted non-negative axes from an int, a sequence or None (all). Raises ShapeError."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, (list, tuple, range)) else (axis,)
    if any(not isinstance(i, (int, np.integer)) or not -ndim <= i < ndim for i in axes):
        raise ShapeError(f"axis must be between {-ndim} and {ndim - 1} for a tensor of rank {ndim}. Received: {axis!r}")
    out = sorted(int(i) % ndim for i in axes)
    if len(set(out)) != len(out):
        raise ShapeError(f"Each axis may be named once. Received: {axis!r} for a tensor of rank {ndim}")
    return out


def _infer(ins, attrs):
    shape, first, last = ins[0].shape, attrs["first"], attrs["last"]
    return [TensorSpec(shape[:first] + shape[last + 1 :], "float32")]


def _fields(ins, outs, attrs):
    shape, first, last = ins[0].shape, attrs["first"], attrs["last"]
    return {
        "outer": prod(shape[:first]),
        "red": prod(shape[first : last + 1]),
        "inner": prod(shape[last + 1 :]),
        "func": REDUCE[attrs["func"]],
        "scale": attrs["scale"],
    }


def _spread(value, node):
    """A reduced tensor repeated over the axes that were reduced."""
    shape, first, last = spec_of(node.inputs[0]).shape, node.attrs["first"], node.attrs["last"]
    kept = shape[:first] + (1,) * (last - first + 1) + shape[last + 1 :]
    return bind(OPS["broadcast"], [reshape_to(value, kept)], shape=shape)


def _binary(func, a, b):
    return bind(OPS["binary"], [a, b], func=func)


def _unary(func, x, alpha=0.0):
    return bind(OPS["unary_fwd"], [x], func=func, alpha=alpha, beta=0.0)


def _gradient(node, dy):
    func, x, y = node.attrs["func"], node.inputs[0], node.outputs[0]
    if node.attrs["scale"] != 1.0:
        dy = _unary("affine", dy, node.attrs["scale"])
    if func == "sum":
        return [_spread(dy, node)]
    if func == "sum_squares":
        return [_binary("multiply", _unary("affine", x, 2.0), _spread(dy, node))]
    if func == "prod":
        return [_binary("divide", _spread(_binary("multiply", dy, y), node), x)]
    chosen = _binary("equal", x, _spread(y, node))  # max and min: equal shares to all that are the extremum
    count = bind(REDUCE_OP, [chosen], func="sum", scale=1.0, first=node.attrs["first"], last=node.attrs["last"])
    return [_binary("multiply", chosen, _spread(_binary("divide", dy, count), node))]


_BY_SAMPLE = along_samples(0, when=lambda ins, attrs: attrs["first"] > 0)

REDUCE_OP = register("reduce", _infer, _fields, _gradient, by_sample=_BY_SAMPLE)


def _runs(axes):
    """Neighbouring axes as (first, last), from the last run to the first."""
    runs = []
    for axis in axes:
        if runs and runs[-1][1] == axis - 1:
            runs[-1][1] = axis
        else:
            runs.append([axis, axis])
    return runs[::-1]


def reduce_axes(func, x, axis, keepdims=False, scale=1.0):
    """f over the given axes (None: all), a sum times `scale`; `func` is a name of codes.REDUCE. Raises ShapeError."""
    shape = spec_of(x).shape
    axes = normal_axes(axis, len(shape))
    if func in ("max", "min") and any(shape[i] == 0 for i in axes):
        raise ShapeError(f"Cannot take the {func} over an axis of length 0. Received: shape {shape}, axis {axis}")
    runs = _runs(axes)
    for i, (first, last) in enumerate(runs):
        # A sum of squares squares only once; the scale belongs to the last pass.
        part = "sum" if func == "sum_squares" and i > 0 else func
        x = bind(REDUCE_OP, [x], func=part, first=first, last=last, scale=scale if i == len(runs) - 1 else 1.0)
    if keepdims:
        x = reshape_to(x, tuple(1 if i in axes else dim for i, dim in enumerate(shape)))
    return x


def _argmax_infer(ins, attrs):
    shape, axis = ins[0].shape, attrs["first"]
    if shape[axis] == 0:
        raise ShapeError(f"argmax needs at least one element along axis {axis}. Received: shape {shape}")
    return [TensorSpec(shape[:axis] + shape[axis + 1 :], "int32")]


def _argmax_fields(ins, outs, attrs):
    return _fields(ins, outs, attrs | {"func": "max", "scale": 1.0})


ARGMAX = register("argmax", _argmax_infer, _argmax_fields, lambda node, dy: [None], by_sample=_BY_SAMPLE)
