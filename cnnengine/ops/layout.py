"""Operations that move elements: transposition, padding, slicing, concatenation, gathering."""

from math import prod

from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, register, spec_of, with_first
from cnnengine.ops.elementwise import MAX_DIMS, as_float, as_words, cast
from cnnengine.ops.reduce import normal_axes
from cnnengine.ops.view import reshape_to


def _check_rank(shape, what):
    if len(shape) > MAX_DIMS:
        raise ShapeError(f"{what} takes tensors of at most {MAX_DIMS} axes. Received: shape {shape}")


def _transpose_fields(ins, outs, attrs):
    shape = ins[0].shape
    strides = [prod(shape[axis + 1 :]) for axis in attrs["perm"]]
    return {"ndim": len(shape), "dims": outs[0].shape, "stride": strides}


def _transpose_gradient(node, dy):
    perm = node.attrs["perm"]
    return [bind(TRANSPOSE, [dy], perm=tuple(sorted(range(len(perm)), key=perm.__getitem__)))]


TRANSPOSE = register(
    "transpose",
    lambda ins, attrs: [TensorSpec(tuple(ins[0].shape[axis] for axis in attrs["perm"]), ins[0].dtype)],
    _transpose_fields,
    _transpose_gradient,
    by_sample=along_samples(0, when=lambda ins, attrs: attrs["perm"][0] == 0),
)


def transpose_to(x, perm):
    """x with its axes in another order. Raises ShapeError."""
    x = as_words(x)
    shape = spec_of(x).shape
    given = tuple(perm)
    perm = tuple(normal_axes(axis, len(shape))[0] for axis in given)
    if sorted(perm) != list(range(len(shape))):
        raise ShapeError(f"axes must be a permutation of 0..{len(shape) - 1}. Received: {given}")
    _check_rank(shape, "transpose")
    moving = [axis for axis in perm if shape[axis] != 1]
    if moving == sorted(moving):  # only axes of length 1 move
        return reshape_to(x, tuple(shape[axis] for axis in perm))
    return bind(TRANSPOSE, [x], perm=perm)


def _pad_infer(ins, attrs):
    dims = zip(attrs["before"], ins[0].shape, attrs["after"])
    return [TensorSpec(tuple(before + dim + after for before, dim, after in dims))]


def _pad_fields(ins, outs, attrs):
    shape = ins[0].shape
    return {
        "ndim": len(shape),
        "dims": shape,
        "before": attrs["before"],
        "after": attrs["after"],
        "value": attrs["value"],
    }


def _pad_gradient(node, dy):
    shape = spec_of(node.inputs[0]).shape
    return [bind(SLICE, [dy], start=node.attrs["before"], step=(1,) * len(shape), out=shape)]


PAD = register(
    "pad",
    _pad_infer,
    _pad_fields,
    _pad_gradient,
    by_sample=along_samples(0, when=lambda ins, attrs: attrs["before"][0] == attrs["after"][0] == 0),
)


def pad_with(x, before, after, value=0.0):
    """x with `before[i]` cells of a value ahead of axis i and `after[i]` behind. Raises ShapeError."""
    x = as_float(x)
    if any(cells < 0 for cells in (*before, *after)):
        raise ShapeError(f"Padding must not be negative. Received: {list(zip(before, after))}")
    _check_rank(spec_of(x).shape, "pad")
    if not any((*before, *after)):
        return x
    return bind(PAD, [x], before=tuple(before), after=tuple(after), value=float(value))


def _slice_fields(ins, outs, attrs):
    shape = ins[0].shape
    return {"ndim": len(shape), "dims": shape, "start": attrs["start"], "step": attrs["step"], "out": attrs["out"]}


def _slice_gradient(node, dy):
    return [bind(UNSLICE, [dy], shape=spec_of(node.inputs[0]).shape, **node.attrs)]


def _unslice_fields(ins, outs, attrs):
    shape = attrs["shape"]
    return {"ndim": len(shape), "dims": shape, "start": attrs["start"], "step": attrs["step"], "out": attrs["out"]}


SLICE = register(
    "slice",
    lambda ins, attrs: [TensorSpec(attrs["out"], ins[0].dtype)],
    _slice_fields,
    _slice_gradient,
    by_sample=along_samples(0, change=with_first("out"), when=lambda ins, attrs: attrs["step"][0] == 1),
)
UNSLICE = register(
    "unslice",
    lambda ins, attrs: [TensorSpec(attrs["shape"])],
    _unslice_fields,
    lambda node, ddx: [bind(SLICE, [ddx], **{key: node.attrs[key] for key in ("start", "step", "out")})],
)


def slice_with(x, start, step, out):
    """Cells start[i], start[i] + step[i], ... of each axis, out[i] of them; steps may be negative."""
    x = as_words(x)
    shape = spec_of(x).shape
    _check_rank(shape, "slicing")
    if tuple(out) == shape and all(s == 1 for s in step):
        return x
    return bind(SLICE, [x], start=tuple(start), step=tuple(step), out=tuple(out))


def _concat_infer(ins, attrs):
    axis, first = attrs["axis"], ins[0].shape
    for spec in ins[1:]:
        if len(spec.shape) != len(first) or any(a != b for i, (a, b) in enumerate(zip(spec.shape, first)) if i != axis):
            raise ShapeError(f"Shapes must agree except along axis {axis}. Received: {[spec.shape for spec in ins]}")
    total = sum(spec.shape[axis] for spec in ins)
    return [TensorSpec(first[:axis] + (total,) + first[axis + 1 :], ins[0].dtype)]


def _concat_fields(ins, outs, attrs):
    axis = attrs["axis"]
    sizes = [prod(spec.shape[axis:]) for spec in ins]
    return {"count": len(ins), "outer": prod(ins[0].shape[:axis]), "sizes": sizes}


def _concat_gradient(node, dy):
    axis, shape, start, grads = node.attrs["axis"], spec_of(dy).shape, 0, []
    for x in node.inputs:
        out = spec_of(x).shape
        at = tuple(start if i == axis else 0 for i in range(len(shape)))
        grads.append(bind(SLICE, [dy], start=at, step=(1,) * len(shape), out=out))
        start += out[axis]
    return grads


CONCAT = register(
    "concat",
    _concat_infer,
    _concat_fields,
    _concat_gradient,
    variadic=True,
    by_sample=lambda ins, attrs, has_samples, n: attrs if attrs["axis"] > 0 and all(has_samples) else None,
)


def concat_along(xs, axis):
    """Tensors side by side along one axis; of different dtypes as float32. Raises ShapeError."""
    xs = [as_words(x) for x in xs]
    if not xs:
        raise ShapeError("Expected at least one tensor to concatenate. Received: none")
    if len({spec_of(x).dtype for x in xs}) > 1:
        xs = [cast(x, "float32") for x in xs]
    axis = normal_axes(axis, len(spec_of(xs[0]).shape))[0]
    while len(xs) > 1:
        xs = [bind(CONCAT, xs[:MAX_DIMS], axis=axis), *xs[MAX_DIMS:]]
    return xs[0]


def _gather_infer(ins, attrs):
    return [TensorSpec(ins[1].shape + ins[0].shape[1:])]


def _gather_fields(ins, outs, attrs):
    return {"rows": ins[0].shape[0], "cols": prod(ins[0].shape[1:]), "count": ins[1].size}


def _scatter_fields(ins, outs, attrs):
    return {"rows": attrs["shape"][0], "cols": prod(attrs["shape"][1:]), "count": ins[1].size}


GATHER = register(
    "gather",
    _gather_infer,
    _gather_fields,
    lambda node, dy: [bind(SCATTER_ADD, [dy, node.inputs[1]], shape=spec_of(node.inputs[0]).shape), None],
)
SCATTER_ADD = register(
    "scatter_add",
    lambda ins, attrs: [TensorSpec(attrs["shape"])],
    _scatter_fields,
    lambda node, ddx: [bind(GATHER, [ddx, node.inputs[1]]), None],
)
ONE_HOT = register(
    "one_hot",
    lambda ins, attrs: [TensorSpec((*ins[0].shape, attrs["cols"]))],
    lambda ins, outs, attrs: {"rows": 0, "cols": attrs["cols"], "count": ins[0].size},
    lambda node, dy: [None],
)
