"""Softmax, its logarithm, and softmax with crossentropy in one, along the last axis."""

from math import prod

from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, register, spec_of
from cnnengine.ops.elementwise import as_float


def _fields(ins, outs, attrs):
    shape = ins[0].shape
    return {"rows": prod(shape[:-1]), "cols": shape[-1], "sparse": int(attrs.get("sparse", 0))}


def _same(ins, attrs):
    if not ins[0].shape or ins[0].shape[-1] == 0:
        raise ShapeError(f"softmax needs a last axis of at least 1. Received: shape {ins[0].shape}")
    return [TensorSpec(ins[0].shape)]


_BY_SAMPLE = along_samples(0, when=lambda ins, attrs: len(ins[0].shape) > 1)

SOFTMAX = register(
    "softmax_fwd",
    _same,
    _fields,
    lambda node, dy: [bind(SOFTMAX_BWD, [node.outputs[0], dy])],
    reuse=True,
    by_sample=_BY_SAMPLE,
)
SOFTMAX_BWD = register("softmax_bwd", _same, _fields)
LOG_SOFTMAX = register(
    "log_softmax_fwd",
    _same,
    _fields,
    lambda node, dy: [bind(LOG_SOFTMAX_BWD, [node.outputs[0], dy])],
    reuse=True,
    by_sample=_BY_SAMPLE,
)
LOG_SOFTMAX_BWD = register("log_softmax_bwd", _same, _fields)

XENT = register(
    "softmax_xent_fwd",
    lambda ins, attrs: [TensorSpec(ins[0].shape[:-1]), TensorSpec(ins[0].shape)],
    _fields,
    lambda node, dloss, _: [bind(XENT_BWD, [node.outputs[1], node.inputs[1], dloss], **node.attrs), None],
)
XENT_BWD = register("softmax_xent_bwd", _same, _fields)


def softmax_last(x):
    """exp(x) / sum(exp(x)) along the last axis."""
    return bind(SOFTMAX, [as_float(x)])


def log_softmax_last(x):
    """x - log(sum(exp(x))) along the last axis."""
    return bind(LOG_SOFTMAX, [as_float(x)])


def softmax_crossentropy(logits, target, sparse):
    """-sum_j t_j log softmax(logits)_j along the last axis, without its gradient for the target.

    Args:
        logits: (..., classes).
        target: (..., classes) floats, or (...) int32 class numbers when `sparse`.

    Raises:
        ShapeError: when target and logits do not belong together.
    """
    logits, shape = as_float(logits), spec_of(logits).shape
    expected = shape[:-1] if sparse else shape
    if spec_of(target).shape != expected:
        raise ShapeError(f"Expected a target of shape {expected}. Received: {spec_of(target).shape}")
    return bind(XENT, [logits, target], sparse=bool(sparse))[0]
