"""The gradient of a ReLU goes into that of the normalisation before it.

Batch normalisation's gradient reads its input x twice anyway, and from x it can be told what the ReLU let pass: neither
is the ReLU's result read then, nor its gradient written.
"""

from cnnengine.core.codes import UNARY
from cnnengine.graph.graph import Node

_WITH_BOUNDS = ("relu", "relu6")


def _activation_of(node, users):
    """The nodes of an activation's gradient and of its normalisation, behind the dy that a node reads; or None."""
    value = node.inputs[1]
    gradient = value.node
    if gradient is None or gradient.op.name != "unary_bwd" or gradient.attrs["func"] not in _WITH_BOUNDS:
        return None
    forward = gradient.inputs[1].node
    if users[id(value)] != 1 or forward is None or forward.op.name != "batch_norm_fwd":
        return None
    x, _, mean, var, gamma, _ = node.inputs
    same = all(one is other for one, other in zip(forward.inputs, (x, mean, var, gamma)))
    plain = forward.inputs[5] is None and forward.attrs["epsilon"] == node.attrs["epsilon"]
    is_its = forward.attrs["act"] == UNARY[gradient.attrs["func"]]
    return (gradient, forward) if same and plain and is_its else None


def fuse_activation_gradient(graph):
    """The graph with gradients of ReLU and ReLU6 taken into those of the batch normalisations they follow."""
    users, out, table = graph.users(), [], {}
    for node in graph.nodes:
        found = _activation_of(node, users) if node.op.name == "batch_norm_bwd" else None
        if found is None:
            out.append(node)
            continue
        gradient, forward = found
        x, _, mean, var, gamma, _ = node.inputs
        inputs = [x, gradient.inputs[2], mean, var, gamma, forward.inputs[4]]
        attrs = node.attrs | {"act": UNARY[gradient.attrs["func"]]}
        specs, origins = [value.spec for value in node.outputs], node.origins + gradient.origins
        fused = Node(node.op, inputs, attrs, specs, origins=origins)
        table |= {id(old): new for old, new in zip(node.outputs, fused.outputs)}
        out.append(fused)
    graph = graph.replaced(out)
    graph.substitute(table)
    return graph
