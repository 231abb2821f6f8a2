"""Matrix products: y = act(op(a) op(b) + bias + addend)."""

from math import prod

from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, public, register, spec_of
from cnnengine.ops.elementwise import as_float, broadcast_shape, broadcast_to, checked_vector
from cnnengine.ops.reduce import reduce_axes
from cnnengine.ops.view import reshape_to

NO_ACT = {"act": 0, "alpha": 0.0, "beta": 0.0}


def _dims(a, b, attrs):
    """(batch, m, k, n) of the operands' specs."""
    a_rows, a_cols = a.shape[-2:]
    b_rows, b_cols = attrs.get("b_shape") or b.shape[-2:]
    m, k = (a_cols, a_rows) if attrs["ta"] else (a_rows, a_cols)
    k_b, n = (b_cols, b_rows) if attrs["tb"] else (b_rows, b_cols)
    if k != k_b:
        raise ShapeError(f"Inner dimensions of a matrix product must agree. Received: {a.shape} and {b.shape}")
    return prod(a.shape[:-2]), m, k, n


def _infer(ins, attrs):
    _, m, _, n = _dims(ins[0], ins[1], attrs)
    return [TensorSpec((*ins[0].shape[:-2], m, n))]


def _fields(ins, outs, attrs):
    batch, m, k, n = _dims(ins[0], ins[1], attrs)
    b_batched = int(attrs["b_batched"])
    ta, tb = int(attrs["ta"]), int(attrs["tb"])
    if not b_batched and not ta:
        batch, m = 1, batch * m  # rows of all products are rows of one
    epilogue = {key: attrs[key] for key in NO_ACT}
    return {
        "batch": batch, "m": m, "n": n, "k": k, "ta": ta, "tb": tb, "b_batched": b_batched,
        "packed": int(attrs.get("packed", 0)),
    } | epilogue  # fmt: skip


def _product(a, b, ta=False, tb=False, b_batched=False, bias=None):
    return bind(MATMUL, [a, b, bias, None], ta=ta, tb=tb, b_batched=b_batched, **NO_ACT)


def _gradient(node, dy):
    a, b, bias, _ = node.inputs
    ta, tb, batched = node.attrs["ta"], node.attrs["tb"], node.attrs["b_batched"]
    if not batched and len(spec_of(a).shape) > 2:  # one b for all: the rows of all products are rows of one
        a = reshape_to(a, (prod(spec_of(a).shape[:-1]), spec_of(a).shape[-1]))
        dy2 = reshape_to(dy, (prod(spec_of(dy).shape[:-1]), spec_of(dy).shape[-1]))
        da = reshape_to(_product(dy2, b, False, not tb), spec_of(node.inputs[0]).shape)
        db = _product(dy2, a, True) if tb else _product(a, dy2, True)
    else:
        da = _product(b, dy, tb, True, batched) if ta else _product(dy, b, False, not tb, batched)
        db = _product(dy, a, True, ta, batched) if tb else _product(a, dy, not ta, False, batched)
    dbias = None if bias is None else reduce_axes("sum", dy, tuple(range(len(spec_of(dy).shape) - 1)))
    return [da, db, dbias, None]


_ONE_B = along_samples(0, 3, when=lambda ins, attrs: not attrs["ta"])
_OWN_B = along_samples(0, 1, 3)


def _by_sample(ins, attrs, has_samples, n):
    return (_OWN_B if attrs["b_batched"] else _ONE_B)(ins, attrs, has_samples, n)


def _flops(f):
    return 2 * f["batch"] * f["m"] * f["n"] * f["k"]


MATMUL = register(
    "matmul_fwd",
    _infer,
    _fields,
    _gradient,
    flops=_flops,
    by_sample=_by_sample,
)


def _pack_infer(ins, attrs):
    return [TensorSpec((attrs["size"],))]


def _pack_fields(ins, outs, attrs):
    return attrs["fields"]


MATMUL_PACK = register("matmul_pack", _pack_infer, _pack_fields)


def dense(x, kernel, bias=None):
    """y = x kernel + bias over the last axis. Shapes (..., k), (k, n), (n,)."""
    x, kernel = as_float(x), as_float(kernel)
    shape = spec_of(x).shape
    if len(shape) < 1 or shape[-1] != spec_of(kernel).shape[0]:
        raise ShapeError(
            f"The last axis of the input must match the kernel's rows. "
            f"Expected: {spec_of(kernel).shape[0]}. Received: input shape {shape}"
        )
    bias = checked_vector(bias, spec_of(kernel).shape[1], "bias")
    rows = reshape_to(x, (prod(shape[:-1]), shape[-1]))
    return reshape_to(_product(rows, kernel, bias=bias), (*shape[:-1], spec_of(kernel).shape[1]))


def _matrices(x, batch):
    """The tensor as (batch product, rows, columns), leading axes repeated to `batch`."""
    shape = (*batch, *spec_of(x).shape[-2:])
    return reshape_to(broadcast_to(x, shape), (prod(batch), *shape[-2:]))


@public
def matmul(x1, x2):
    """Matrix product of the last two axes, the leading axes broadcast as in NumPy.

    Args:
        x1: tensor (..., m, k) or (k,).
        x2: tensor (..., k, n) or (k,).

    Returns:
        Tensor (..., m, n), without m or n where the operand had one axis.

    Raises:
        ShapeError: when the inner dimensions differ.

    Example:
        >>> ops.matmul(np.ones((2, 3)), np.ones((3, 4))).shape
        (2, 4)
    """
    x1, x2 = as_float(x1), as_float(x2)
    s1, s2 = spec_of(x1).shape, spec_of(x2).shape
    if not s1 or not s2:
        raise ShapeError(f"matmul needs tensors of at least one axis. Received: {s1} and {s2}")
    a = reshape_to(x1, (1, *s1)) if len(s1) == 1 else x1
    b = reshape_to(x2, (*s2, 1)) if len(s2) == 1 else x2
    if len(spec_of(b).shape) == 2:
        y = dense(a, b)
    else:
        batch = broadcast_shape(spec_of(a).shape[:-2], spec_of(b).shape[:-2])
        y = _product(_matrices(a, batch), _matrices(b, batch), b_batched=True)
        y = reshape_to(y, (*batch, *spec_of(y).shape[-2:]))
    shape = spec_of(y).shape
    shape = shape[:-1] if len(s2) == 1 else shape
    shape = (*shape[: len(shape) - 1 - (len(s2) > 1)], *shape[len(shape) - (len(s2) > 1) :]) if len(s1) == 1 else shape
    return reshape_to(y, shape)
