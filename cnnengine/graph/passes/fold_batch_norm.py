"""Fold batch normalisation with constant statistics into the convolution or product before it.

conv(x, w) + b, then (y - mean) / sqrt(var + eps) * gamma + beta, is conv(x, w * a) + (b - mean) * a + beta with
a = gamma / sqrt(var + eps), one factor an output channel. The nodes that make w * a depend on variables alone, so
they run once for each state of the weights, not in each run.
"""

from cnnengine.core.context import in_layer, tracing
from cnnengine.core.variable import Variable
from cnnengine.graph.graph import Node
from cnnengine.graph.passes.recorder import Recorder
from cnnengine.ops import math
from cnnengine.ops.view import reshape_to

# The shape of one factor a channel beside the weights.
_FOLDABLE = {
    "conv2d_fwd": lambda w: w.shape[-1:],
    "conv2d_bwd_data": lambda w: (w.shape[-2], 1),
    "depthwise2d_fwd": lambda w: w.shape[2:],
    "matmul_fwd": lambda w: w.shape[1:],
}


def _is_fixed(value):
    return value is None or isinstance(value.source, Variable)


def _can_fold(norm, users):
    x, *stats, addend = norm.inputs
    producer = x.node
    return (
        not norm.attrs["training"]
        and addend is None
        and producer is not None
        and producer.op.name in _FOLDABLE
        and users.get(id(x)) == 1
        and producer.attrs["act"] == 0
        and (producer.op.name == "depthwise2d_fwd" or producer.inputs[3] is None)
        and not (producer.op.name == "matmul_fwd" and (producer.attrs["tb"] or producer.attrs["b_batched"]))
        and all(_is_fixed(value) for value in (*stats, producer.inputs[1], producer.inputs[2]))
    )


def _folded(norm):
    """The nodes that replace a producer and its normalisation; the last one makes the result."""
    producer = norm.inputs[0].node
    _, mean, var, gamma, beta, _ = norm.inputs
    x, w, bias, *rest = producer.inputs
    recorder = Recorder()
    layer, _ = norm.origins[0]
    with tracing(recorder), in_layer(layer):
        factor = math.rsqrt(math.add(var, norm.attrs["epsilon"]))
        factor = factor if gamma is None else math.multiply(factor, gamma)
        shift = math.multiply(math.negative(mean) if bias is None else math.subtract(bias, mean), factor)
        shift = shift if beta is None else math.add(shift, beta)
        scaled = math.multiply(w, reshape_to(factor, _FOLDABLE[producer.op.name](w)))
    origins = producer.origins + norm.origins
    node = Node(producer.op, [x, scaled, shift, *rest], producer.attrs, [norm.outputs[0].spec], origins=origins)
    return [*recorder.nodes, node]


def fold_batch_norm(graph):
    """The graph with every normalisation by constant statistics folded where its producer allows it."""
    users, out, gone, table = graph.users(), [], set(), {}
    for norm in graph.nodes:
        if norm.op.name == "batch_norm_fwd" and _can_fold(norm, users):
            nodes = _folded(norm)
            gone.add(id(norm.inputs[0].node))
            table[id(norm.outputs[0])] = nodes[-1].outputs[0]
            norm.outputs[0].node = nodes[-1]  # later foldings look at the producer through the old value
            out.extend(nodes)
        else:
            out.append(norm)
    graph = graph.replaced(node for node in out if id(node) not in gone)
    graph.substitute(table)
    return graph
