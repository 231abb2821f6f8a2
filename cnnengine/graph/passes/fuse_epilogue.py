"""Take an activation or a residual addition into the operation that makes its argument.

A product, convolution or normalisation stores act(result + bias + addend) in the same pass. An addition is taken when
the other operand has the same shape; an activation when nobody else reads the argument, which in training holds for
those whose derivative reads the result.
"""

from cnnengine.core.codes import UNARY
from cnnengine.graph.graph import Node

# Where an operation takes an addend (the index of that input), None: it takes none.
_ADDEND = {"conv2d_fwd": 3, "conv2d_bwd_data": 3, "matmul_fwd": 3, "batch_norm_fwd": 5, "depthwise2d_fwd": None}


def _takes_more(value, users):
    """The node behind a value if it may still be given an epilogue: nobody else reads it, and no act was applied."""
    node = value.node if value is not None else None
    if node is None or node.op.name not in _ADDEND or users.get(id(value)) != 1 or node.attrs["act"] != 0:
        return None
    return node


def _with_activation(node, users):
    producer = _takes_more(node.inputs[0], users)
    if producer is None:
        return None
    attrs = producer.attrs | {
        "act": UNARY[node.attrs["func"]],
        "alpha": node.attrs["alpha"],
        "beta": node.attrs["beta"],
    }
    origins = producer.origins + node.origins
    return Node(producer.op, producer.inputs, attrs, [node.outputs[0].spec], origins=origins), producer


def _with_addend(node, users):
    a, b = node.inputs
    if node.attrs["func"] != "add" or a.spec != b.spec:
        return None
    # The later of two candidates: its inputs and the other operand are then certainly there.
    for value, other in ((b, a), (a, b)):
        producer = _takes_more(value, users)
        if (
            producer is None
            or _ADDEND[producer.op.name] is None
            or producer.inputs[_ADDEND[producer.op.name]] is not None
        ):
            continue
        inputs = list(producer.inputs)
        inputs[_ADDEND[producer.op.name]] = other
        origins = producer.origins + node.origins
        return Node(producer.op, inputs, producer.attrs, [producer.outputs[0].spec], origins=origins), producer
    return None


_RULES = {"unary_fwd": _with_activation, "binary": _with_addend}


def fuse_epilogue(graph):
    """The graph with activations and additions taken into their producers.

    The fused node stands where the activation or addition stood, so all its inputs have been made by then.
    """
    users, out, gone, table = graph.users(), [], set(), {}
    for node in graph.nodes:
        node.inputs = [table.get(id(value), value) for value in node.inputs]
        rule = _RULES.get(node.op.name)
        found = rule(node, users) if rule else None
        if found is None:
            out.append(node)
            continue
        fused, producer = found
        gone.add(id(producer))
        table[id(node.outputs[0])] = fused.outputs[0]
        users[id(fused.outputs[0])] = users.get(id(node.outputs[0]), 0)
        out.append(fused)
    graph = graph.replaced(node for node in out if id(node) not in gone)
    graph.substitute(table)
    return graph
