"""Batch normalisation over the last axis (Ioffe & Szegedy 2015)."""

from math import prod

from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, register
from cnnengine.ops.elementwise import as_float, checked_vector
from cnnengine.ops.matmul import NO_ACT


def _fields(x, attrs):
    fields = {"rows": prod(x.shape[:-1]), "c": x.shape[-1], "training": int(attrs.get("training", 0))}
    return fields | {"epsilon": attrs["epsilon"]} | {key: attrs.get(key, default) for key, default in NO_ACT.items()}


def _channel(spec):
    return TensorSpec((spec.shape[-1],))


STATS = register(
    "batch_norm_stats",
    lambda ins, attrs: [_channel(ins[0]), _channel(ins[0])],
    lambda ins, outs, attrs: _fields(ins[0], {"epsilon": 0.0}),
    # Their part of the gradient is in batch_norm_bwd with training = 1.
    lambda node, dmean, dvar: [None],
)


def _gradient(node, dy):
    x, mean, var, gamma, beta, _ = node.inputs
    attrs = {"epsilon": node.attrs["epsilon"], "training": node.attrs["training"]}
    dx, dgamma, dbeta = bind(BATCH_NORM_BWD, [x, dy, mean, var, gamma, None], **attrs)
    return [dx, None, None, None if gamma is None else dgamma, None if beta is None else dbeta, None]


BATCH_NORM = register(
    "batch_norm_fwd",
    lambda ins, attrs: [TensorSpec(ins[0].shape)],
    lambda ins, outs, attrs: _fields(ins[0], attrs),
    _gradient,
    reuse=True,
    by_sample=along_samples(0, 5),
)
BATCH_NORM_BWD = register(
    "batch_norm_bwd",
    lambda ins, attrs: [TensorSpec(ins[0].shape), _channel(ins[0]), _channel(ins[0])],
    lambda ins, outs, attrs: _fields(ins[0], attrs),
)


def batch_stats(x):
    """(mean, biased variance) of each channel over all other axes."""
    return bind(STATS, [as_float(x)])


def batch_normalise(x, mean, var, gamma=None, beta=None, epsilon=1e-3, training=False):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the last axis.

    With `training` the gradient flows through mean and var, which must be batch_stats(x).
    """
    x = as_float(x)
    vectors = {"mean": mean, "var": var, "gamma": gamma, "beta": beta}
    inputs = [x, *(checked_vector(v, x.shape[-1], name) for name, v in vectors.items()), None]
    return bind(BATCH_NORM, inputs, epsilon=float(epsilon), training=bool(training), **NO_ACT)
