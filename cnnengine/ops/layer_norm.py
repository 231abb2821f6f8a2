"""Layer normalisation over the last axis (Ba, Kiros & Hinton 2016) and group normalisation over the positions and
neighbouring channels of a sample (Wu & He 2018)."""

from math import prod

from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.ops.base import along_samples, bind, register, spec_of
from cnnengine.ops.elementwise import as_float, checked_vector


def _gradient_of(backward):
    """The gradient of (y, mean, var); the part of the statistics is in `backward`, and nobody else reads them."""

    def gradient(node, dy, dmean, dvar):
        x, gamma, beta = node.inputs
        dx, dgamma, dbeta = bind(backward(), [x, dy, *node.outputs[1:], gamma], **node.attrs)
        return [dx, None if gamma is None else dgamma, None if beta is None else dbeta]

    return gradient


def _backward_infer(ins, attrs):
    channels = TensorSpec((ins[0].shape[-1],))
    return [TensorSpec(ins[0].shape), channels, channels]


def _layer_fields(ins, outs, attrs):
    shape = ins[0].shape
    return {"rows": prod(shape[:-1]), "c": shape[-1], "epsilon": attrs["epsilon"]}


def _layer_infer(ins, attrs):
    statistics = TensorSpec(ins[0].shape[:-1])
    return [TensorSpec(ins[0].shape), statistics, statistics]


def _group_fields(ins, outs, attrs):
    n, *positions, c = ins[0].shape
    return {"n": n, "pixels": prod(positions), "c": c, "groups": attrs["groups"], "epsilon": attrs["epsilon"]}


def _group_infer(ins, attrs):
    statistics = TensorSpec((ins[0].shape[0], attrs["groups"]))
    return [TensorSpec(ins[0].shape), statistics, statistics]


_BY_SAMPLE = along_samples(0, when=lambda ins, attrs: len(ins[0].shape) > 1)

LAYER_NORM = register(
    "layer_norm_fwd", _layer_infer, _layer_fields, _gradient_of(lambda: LAYER_NORM_BWD), by_sample=_BY_SAMPLE
)
LAYER_NORM_BWD = register("layer_norm_bwd", _backward_infer, _layer_fields)
GROUP_NORM = register(
    "group_norm_fwd", _group_infer, _group_fields, _gradient_of(lambda: GROUP_NORM_BWD), by_sample=_BY_SAMPLE
)
GROUP_NORM_BWD = register("group_norm_bwd", _backward_infer, _group_fields)


def layer_normalise(x, gamma=None, beta=None, epsilon=1e-3):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and biased variance along the last axis.

    Raises:
        ShapeError: for a scalar, an empty last axis, and a gamma or beta that is not one number an element of it.
    """
    x = as_float(x)
    shape = spec_of(x).shape
    if not shape or shape[-1] == 0:
        raise ShapeError(f"Layer normalisation needs a last axis of at least 1. Received: shape {shape}")
    gamma, beta = checked_vector(gamma, shape[-1], "gamma"), checked_vector(beta, shape[-1], "beta")
    return bind(LAYER_NORM, [x, gamma, beta], epsilon=float(epsilon))[0]


def group_normalise(x, groups, gamma=None, beta=None, epsilon=1e-3):
    """The same with mean and variance of each of `groups` groups of channels (the last axis) of a sample (the first).

    Raises:
        ShapeError: for less than two axes, groups that do not divide the channels, and as above.
    """
    x = as_float(x)
    shape = spec_of(x).shape
    if len(shape) < 2 or shape[-1] == 0 or groups < 1 or shape[-1] % groups:
        raise ShapeError(
            f"Group normalisation needs samples and channels, a multiple of groups={groups}. Received: shape {shape}"
        )
    gamma, beta = checked_vector(gamma, shape[-1], "gamma"), checked_vector(beta, shape[-1], "beta")
    return bind(GROUP_NORM, [x, gamma, beta], groups=groups, epsilon=float(epsilon))[0]
