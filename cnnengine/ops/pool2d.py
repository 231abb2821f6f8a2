"""Maximum and average over windows."""

from cnnengine.core.errors import ShapeError
from cnnengine.core.shapes import window_shape
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, register, spec_of
from cnnengine.ops.elementwise import as_float
from cnnengine.ops.view import reshape_to

MAX_TAPS = 256  # the kernels keep the chosen cell of a window in one byte, and their lists of cells on the stack


def _fields_of(x_shape, attrs):
    names = ("n", "h", "w", "c", "r", "s", "p", "q", "stride_h", "stride_w", "pad_t", "pad_l")
    return dict(zip(names, (*x_shape, *attrs["size"], *attrs["pq"], *attrs["strides"], *attrs["pads"])))


def _pooled(ins, attrs, dtype="float32"):
    n, _, _, c = ins[0].shape
    return TensorSpec((n, *attrs["pq"], c), dtype)


def _fields(ins, outs, attrs):
    return _fields_of(ins[0].shape, attrs)


def _backward_fields(ins, outs, attrs):
    return _fields_of(attrs["x_shape"], attrs)


def _backward_attrs(node):
    return node.attrs | {"x_shape": spec_of(node.inputs[0]).shape}


MAX_POOL = register(
    "max_pool2d_fwd",
    lambda ins, attrs: [_pooled(ins, attrs), _pooled(ins, attrs, "uint8")],
    _fields,
    lambda node, dy, _: [bind(MAX_POOL_BWD, [dy, node.outputs[1]], **_backward_attrs(node))],
    by_sample=along_samples(0),
)
MAX_POOL_BWD = register("max_pool2d_bwd", lambda ins, attrs: [TensorSpec(attrs["x_shape"])], _backward_fields)
AVG_POOL = register(
    "avg_pool2d_fwd",
    lambda ins, attrs: [_pooled(ins, attrs)],
    _fields,
    lambda node, dy: [bind(AVG_POOL_BWD, [dy], **_backward_attrs(node))],
    by_sample=along_samples(0),
)
AVG_POOL_BWD = register("avg_pool2d_bwd", lambda ins, attrs: [TensorSpec(attrs["x_shape"])], _backward_fields)


def _attrs(x, size, strides, padding):
    shape = spec_of(x).shape
    if len(shape) != 4 or 0 in shape[1:]:
        raise ShapeError(f"Expected an input (batch, height, width, channels), only the batch empty. Received: {shape}")
    pq, pads = window_shape(shape[1:3], size, strides, (1, 1), padding, "pooling window")
    return {"size": tuple(size), "strides": tuple(strides), "pads": pads, "pq": pq}


def _separably(pool, x, size, strides, padding):
    """Pooling with any window: a large one first along one axis, then along the other.

    That is right for maxima, and for means because the valid cells of a window are a rectangle.
    """
    if max(size) > MAX_TAPS:
        raise ShapeError(
            f"A pooling window has at most {MAX_TAPS} cells along an axis. Received: pool_size {tuple(size)}"
        )
    x = as_float(x)
    if size[0] * size[1] <= MAX_TAPS:
        return pool(x, _attrs(x, size, strides, padding))
    x = pool(x, _attrs(x, (size[0], 1), (strides[0], 1), padding))
    return pool(x, _attrs(x, (1, size[1]), (1, strides[1]), padding))


def max_pool2d(x, size, strides, padding="valid"):
    """Maximum of each window; cells of padding never win. x (n, h, w, c). Raises ShapeError."""
    return _separably(lambda x, attrs: bind(MAX_POOL, [x], **attrs)[0], x, size, strides, padding)


def avg_pool2d(x, size, strides, padding="valid"):
    """Mean of the valid cells of each window. x (n, h, w, c). Raises ShapeError."""
    return _separably(lambda x, attrs: bind(AVG_POOL, [x], **attrs), x, size, strides, padding)


def in_any_rank(pool, x, size, strides, padding):
    """max_pool2d or avg_pool2d with one, two or three spatial axes: in three over frames first, then along the frames.

    That is right for the reason that `_separably` has. Raises ShapeError.
    """
    x = as_float(x)
    shape, rank = spec_of(x).shape, len(size)
    if rank == 2 or 0 in shape[1:]:
        return pool(x, size, strides, padding)
    if rank == 1:
        y = pool(reshape_to(x, (shape[0], 1, *shape[1:])), (1, *size), (1, *strides), padding)
        return reshape_to(y, (shape[0], *spec_of(y).shape[2:]))
    y = pool(reshape_to(x, (shape[0] * shape[1], *shape[2:])), size[1:], strides[1:], padding)
    p, q, c = spec_of(y).shape[1:]
    y = pool(reshape_to(y, (*shape[:2], p * q, c)), (size[0], 1), (strides[0], 1), padding)
    return reshape_to(y, (shape[0], spec_of(y).shape[1], p, q, c))
