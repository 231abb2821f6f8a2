"""Scale the filters of a 1x1 convolution in place of the map that it reads.

Squeeze and excitation (Hu et al. 2018) multiplies each channel of a map by a factor, another one for each sample.
Before a 1x1 convolution, sum over c of (x_c s_c) w_ck = x_c (s_c w_ck): the filters can be multiplied instead. They are
few beside the map of a network's first layers, and no pass over the map is left. Each sample is then a product of its
own. Factors that all samples share are left alone: of one sample they would look like its own.

This pass is for inference only: a gradient asks for the map.
"""

from math import prod

from cnnengine.core.context import in_layer, tracing
from cnnengine.graph.passes.recorder import Recorder
from cnnengine.ops import math
from cnnengine.ops.base import bind
from cnnengine.ops.conv2d import is_pointwise
from cnnengine.ops.matmul import MATMUL, NO_ACT
from cnnengine.ops.view import reshape_to

# Pixels for each filter from which on it pays (Zen 5): the filters are made, and packed, for each sample.
_LEAST_PIXELS = 4


def _scaled_map(node, users, varying):
    """(the map, one factor a channel and sample) behind a 1x1 convolution with enough pixels; None for other nodes."""
    if node.op.name != "conv2d_fwd" or not is_pointwise(node.attrs):
        return None
    if prod(node.attrs["pq"]) < _LEAST_PIXELS * node.outputs[0].shape[-1]:
        return None
    value = node.inputs[0]
    scale = value.node
    if scale is None or scale.op.name != "binary" or scale.attrs["func"] != "multiply" or users.get(id(value)) != 1:
        return None
    one_pixel = (value.shape[0], *(1 for _ in node.attrs["pq"]), value.shape[-1])
    for x, factors in (scale.inputs, scale.inputs[::-1]):
        if x.spec == value.spec and factors.shape == one_pixel and id(factors) in varying:
            return x, factors
    return None


def _with_scaled_filters(conv, x, factors):
    """The nodes in place of a convolution of x times factors; the last one makes the result."""
    (n, *_, c), (*_, k), pixels = x.shape, conv.outputs[0].shape, prod(conv.attrs["pq"])
    _, w, bias, addend = conv.inputs
    recorder, epilogue = Recorder(), {key: conv.attrs[key] for key in NO_ACT}
    with tracing(recorder), in_layer(conv.origins[0][0]):
        filters = math.multiply(reshape_to(factors, (n, c, 1)), reshape_to(w, (c, k)))
        addend = None if addend is None else reshape_to(addend, (n, pixels, k))
        rows = [reshape_to(x, (n, pixels, c)), filters, bias, addend]
        y = bind(MATMUL, rows, ta=False, tb=False, b_batched=True, **epilogue)
        y.node.origins = conv.origins + conv.inputs[0].node.origins
        reshape_to(y, conv.outputs[0].shape)
    return recorder.nodes


def _varying(graph):
    """Ids of the values that depend on the graph's inputs."""
    varying = {id(value) for value in graph.inputs}
    for node in graph.nodes:
        if any(id(value) in varying for value in node.inputs):
            varying.update(id(value) for value in node.outputs)
    return varying


def scale_filters(graph):
    """The graph with factors of a map's channels multiplied into the filters that read it, where these are fewer."""
    users, varying, out, table = graph.users(), _varying(graph), [], {}
    for node in graph.nodes:
        node.inputs = [table.get(id(value), value) for value in node.inputs]
        found = _scaled_map(node, users, varying)
        out.extend(_with_scaled_filters(node, *found) if found else [node])
        if found:
            table[id(node.outputs[0])] = out[-1].outputs[0]
    graph = graph.replaced(out)
    graph.substitute(table)
    return graph
