"""Gradients as more nodes of the same graph: reverse accumulation (Griewank & Walther 2008, chapter 3)."""

from cnnengine.core.context import in_layer
from cnnengine.core.errors import ConfigError
from cnnengine.ops.elementwise import binary, fill


def _reached(graph, wrt):
    """Ids of the values that depend on one of `wrt`."""
    reached = {id(value) for value in wrt}
    for node in graph.nodes:
        if any(value is not None and id(value) in reached for value in node.inputs):
            reached.update(id(value) for value in node.outputs)
    return reached


def gradients(graph, loss, wrt):
    """Append the nodes that compute d loss / d value for each of `wrt`. Call while the graph's tracer records.

    Args:
        graph: the Graph that holds them.
        loss: a Value of shape ().
        wrt: Values, of variables or inputs.

    Returns:
        Values, None where the loss does not depend on it.

    Raises:
        ConfigError: when an operation on the way has no derivative.
    """
    if loss.shape != ():
        raise ConfigError(f"The loss must be one number. Received: shape {loss.shape}")
    graph.forward = graph.forward or len(graph.nodes)
    reached = _reached(graph, wrt)
    sums = {id(loss): fill((), 1.0)}
    for node in reversed(list(graph.nodes)):
        arriving = [sums.get(id(value)) for value in node.outputs]
        if all(dy is None for dy in arriving) or not any(id(v) in reached for v in node.outputs):
            continue
        if node.op.gradient is None:
            raise ConfigError(f"{node.op.name} has no derivative, but the loss depends on it")
        layer, _ = node.origins[0]
        with in_layer(layer):
            for value, dx in zip(node.inputs, node.op.gradient(node, *arriving)):
                if value is not None and dx is not None and id(value) in reached:
                    before = sums.get(id(value))
                    sums[id(value)] = dx if before is None else binary("add", before, dx)
    return [sums.get(id(value)) for value in wrt]
