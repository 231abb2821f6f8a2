"""Elementwise operations: functions of one and two tensors with broadcasting, selection, casts, filling."""

import numpy as np

from cnnengine.core.codes import BINARY, DTYPE, UNARY
from cnnengine.core.errors import ShapeError
from cnnengine.core.needs import READS_X, READS_Y
from cnnengine.core.spec import TensorSpec, checked_spec, standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.ops.base import along_samples, bind, public, register, spec_of, to_array, to_tensor
from cnnengine.ops.reduce import reduce_axes
from cnnengine.ops.view import reshape_to

_TESTS = frozenset("isnan isfinite equal not_equal greater greater_equal less less_equal".split())
_STORAGE_CODE = {"float32": "float32", "bool": "float32", "int32": "int32", "uint8": "uint8"}
MAX_DIMS = 6


def as_float(x):
    """The tensor in float32: integers are cast, traced bools are floats already."""
    if not isinstance(x, TensorLike):
        return to_array(x, "float32")
    return cast(x, "float32") if spec_of(x).dtype in ("int32", "uint8") else x


def as_words(x):
    """The tensor with 4 bytes an element, which can be moved whatever they mean: only uint8 is cast."""
    x = to_tensor(x)
    return as_float(x) if spec_of(x).dtype == "uint8" else x


def checked_vector(x, size, name):
    """The tensor in float32, which must be one number a channel; None stays None. Raises ShapeError."""
    x = None if x is None else as_float(x)
    if x is not None and spec_of(x).shape != (size,):
        raise ShapeError(f"{name}: expected shape ({size},). Received: shape {spec_of(x).shape}")
    return x


# --- one argument ---------------------------------------------------------------------------------------------


def _unary_infer(ins, attrs):
    return [TensorSpec(ins[0].shape, "bool" if attrs["func"] in _TESTS else "float32")]


def _unary_fields(ins, outs, attrs):
    return {"count": outs[0].size, "func": UNARY[attrs["func"]], "alpha": attrs["alpha"], "beta": attrs["beta"]}


def _unary_gradient(node, dy):
    func = node.attrs["func"]
    if func in ("sign", "floor", "ceil", "round", "isnan", "isfinite"):
        return [None]
    x = node.inputs[0] if func in READS_X else None
    y = node.outputs[0] if func in READS_Y else None
    return [bind(UNARY_BWD, [x, y, dy], **node.attrs)]


UNARY_FWD = register("unary_fwd", _unary_infer, _unary_fields, _unary_gradient, reuse=True, by_sample=along_samples(0))
UNARY_BWD = register("unary_bwd", lambda ins, attrs: [TensorSpec(ins[2].shape)], _unary_fields, reuse=True)


def unary(func, x, alpha=0.0, beta=0.0):
    """y = f(x) with a line of unary.def; `alpha` and `beta` are its parameters."""
    return bind(UNARY_FWD, [as_float(x)], func=func, alpha=float(alpha), beta=float(beta))


# --- two arguments, broadcast ---------------------------------------------------------------------------------


def broadcast_shape(a, b):
    """Shape of a and b together by NumPy's rule. Raises ShapeError."""
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ShapeError(f"Shapes must be equal or broadcast to each other. Received: {a} and {b}") from None


def _strides(shape, out_shape):
    """Element strides of `shape` seen as `out_shape`, 0 on repeated axes."""
    padded = (1,) * (len(out_shape) - len(shape)) + tuple(shape)
    strides, step = [], 1
    for dim in reversed(padded):
        strides.append(0 if dim == 1 else step)
        step *= dim
    return strides[::-1]


def merge_axes(dims, *strides):
    """Fewest axes that walk the same elements: neighbours are joined where every operand's strides allow it.

    Returns:
        (dims, strides of the first operand, ...), as lists.
    """
    out = []
    for dim, *steps in zip(dims, *strides):
        if dim == 1:
            continue
        if out and all(before == step * dim for before, step in zip(out[-1][1:], steps)):
            out[-1] = [out[-1][0] * dim, *steps]
        else:
            out.append([dim, *steps])
    out = out or [[1] + [0] * len(strides)]
    if len(out) > MAX_DIMS:
        raise ShapeError(
            f"Too many separate axes after broadcasting: at most {MAX_DIMS}. Received: shape {tuple(dims)}"
        )
    return [list(column) for column in zip(*out)]


def _binary_infer(ins, attrs):
    return [TensorSpec(broadcast_shape(ins[0].shape, ins[1].shape), "bool" if attrs["func"] in _TESTS else "float32")]


def _binary_fields(ins, outs, attrs):
    shape = outs[0].shape
    dims, a, b = merge_axes(shape, _strides(ins[0].shape, shape), _strides(ins[1].shape, shape))
    if outs[0].size == 0:
        dims, a, b = [0], [0], [0]
    return {"func": BINARY[attrs["func"]], "ndim": len(dims), "dims": dims, "stride_a": a, "stride_b": b}


def _sum_to(dy, shape):
    """The gradient of a broadcast: dy summed over the axes that `shape` repeats."""
    from_shape = spec_of(dy).shape
    if from_shape == tuple(shape):
        return dy
    lead = len(from_shape) - len(shape)
    axes = [i for i, dim in enumerate(from_shape) if i < lead or (shape[i - lead] == 1 and dim != 1)]
    return reshape_to(reduce_axes("sum", dy, axes), shape)


_BINARY_GRADIENTS = {
    "add": lambda a, b, y, dy: (dy, dy),
    "subtract": lambda a, b, y, dy: (dy, unary("negative", dy)),
    "multiply": lambda a, b, y, dy: (binary("multiply", dy, b), binary("multiply", dy, a)),
    "divide": lambda a, b, y, dy: (
        binary("divide", dy, b),
        unary("negative", binary("divide", binary("multiply", dy, y), b)),
    ),
    "maximum": lambda a, b, y, dy: _split_by(binary("greater", a, b), binary("equal", a, b), dy),
    "minimum": lambda a, b, y, dy: _split_by(binary("less", a, b), binary("equal", a, b), dy),
    "power": lambda a, b, y, dy: (
        binary("multiply", dy, binary("multiply", b, binary("power", a, unary("affine", b, 1.0, -1.0)))),
        binary("multiply", dy, binary("multiply", y, unary("log", a))),
    ),
    "mod": lambda a, b, y, dy: (
        dy,
        unary("negative", binary("multiply", dy, binary("floor_divide", a, b))),
    ),
    "squared_difference": lambda a, b, y, dy: _difference_gradient(unary("affine", binary("subtract", a, b), 2.0), dy),
}


def _split_by(first, tie, dy):
    """Gradients of max and min: to the chosen argument, half to each at a tie."""
    half = binary("add", first, unary("affine", tie, 0.5))
    to_a = binary("multiply", dy, half)
    return to_a, binary("subtract", dy, to_a)


def _difference_gradient(twice, dy):
    to_a = binary("multiply", dy, twice)
    return to_a, unary("negative", to_a)


def _binary_gradient(node, dy):
    rule = _BINARY_GRADIENTS.get(node.attrs["func"])
    if rule is None:
        return [None, None]
    a, b = node.inputs
    return [_sum_to(g, spec_of(x).shape) for g, x in zip(rule(a, b, node.outputs[0], dy), (a, b))]


def _by_sample(ins, attrs, has_samples, n):
    """Samples meet only their like: axis 0 is the first one of the result, and has length 1 where it is no sample's."""
    rank = max(len(x.shape) for x in ins)
    is_first = [len(x.shape) == rank and (has or x.shape[0] != 1) for x, has in zip(ins, has_samples)]
    return attrs if is_first == list(has_samples) else None


BINARY_OP = register("binary", _binary_infer, _binary_fields, _binary_gradient, reuse=True, by_sample=_by_sample)


def binary(func, a, b):
    """y = f(a, b) with a line of binary.def, broadcast by NumPy's rule."""
    return bind(BINARY_OP, [as_float(a), as_float(b)], func=func)


# --- select, fill, broadcast, cast ------------------------------------------------------------------------------


def _select_gradient(node, dy):
    cond = node.inputs[0]
    zero = fill(spec_of(dy).shape, 0.0)
    return [None, bind(SELECT, [cond, dy, zero]), bind(SELECT, [cond, zero, dy])]


SELECT = register(
    "select",
    lambda ins, attrs: [TensorSpec(ins[1].shape)],
    lambda ins, outs, attrs: {"count": outs[0].size},
    _select_gradient,
)

FILL = register(
    "fill",
    lambda ins, attrs: [TensorSpec(attrs["shape"])],
    lambda ins, outs, attrs: {"count": outs[0].size, "value": attrs["value"]},
)


def fill(shape, value):
    """A float32 tensor of one value."""
    return bind(FILL, [], shape=checked_spec(shape).shape, value=float(value))


def _broadcast_fields(ins, outs, attrs):
    dims, strides = merge_axes(outs[0].shape, _strides(ins[0].shape, outs[0].shape))
    return {"ndim": len(dims), "dims": dims if outs[0].size else [0], "stride_a": strides if outs[0].size else [0]} | (
        {} if outs[0].size else {"ndim": 1}
    )


BROADCAST = register(
    "broadcast",
    lambda ins, attrs: [TensorSpec(attrs["shape"], ins[0].dtype)],
    _broadcast_fields,
    lambda node, dy: [_sum_to(dy, spec_of(node.inputs[0]).shape)],
)


@public
def broadcast_to(x, shape):
    """x repeated to `shape` by NumPy's rule. Raises ShapeError."""
    x, shape = as_words(x), checked_spec(shape).shape
    if broadcast_shape(spec_of(x).shape, shape) != shape:
        raise ShapeError(f"Expected a shape that broadcasts to {shape}. Received: {spec_of(x).shape}")
    return x if spec_of(x).shape == shape else bind(BROADCAST, [x], shape=shape)


def select(cond, a, b):
    """a where cond, else b, broadcast together."""
    cond, a, b = as_float(cond), as_float(a), as_float(b)
    shape = broadcast_shape(spec_of(cond).shape, broadcast_shape(spec_of(a).shape, spec_of(b).shape))
    return bind(SELECT, [broadcast_to(x, shape) for x in (cond, a, b)])


def _cast_fields(ins, outs, attrs):
    codes = [DTYPE[_STORAGE_CODE[spec.dtype]] for spec in (ins[0], outs[0])]
    return {"count": outs[0].size, "from": codes[0], "to": codes[1]}


def _cast_gradient(node, dy):
    return [dy if spec_of(node.inputs[0]).dtype == "float32" else None]


CAST = register(
    "cast",
    lambda ins, attrs: [TensorSpec(ins[0].shape, attrs["dtype"])],
    _cast_fields,
    _cast_gradient,
    by_sample=along_samples(0),
)


@public
def cast(x, dtype):
    """x in another dtype; to an integer it is cut towards zero. Raises DTypeError."""
    x, dtype = to_tensor(x), standard_dtype(dtype)
    have = spec_of(x).dtype
    if have == dtype:
        return x
    if dtype == "bool":
        return binary("not_equal", x, 0.0)
    return bind(CAST, [x], dtype=dtype)
