"""The order of calls and layers in a layer graph, without recursion (models may be very deep)."""

from cnnengine.core.errors import ConfigError


def calls_behind(outputs, inputs):
    """All CallNodes between `inputs` and `outputs`, each after those that make its inputs.

    Raises:
        ConfigError: when an output does not depend on the inputs alone.
    """
    known = {id(tensor) for tensor in inputs}
    order, done, first_seen = [], set(), {}
    todo = [(tensor.node, False) for tensor in reversed(outputs) if id(tensor) not in known]
    while todo:
        node, ready = todo.pop()
        if ready:
            if id(node) not in done:
                done.add(id(node))
                order.append(node)
            continue
        if id(node) in done:
            continue
        if node.is_input:
            raise ConfigError(
                f'The graph is disconnected: an output depends on the input "{node.layer.name}", '
                "which is not among the model's inputs"
            )
        first_seen.setdefault(id(node.layer), len(first_seen))
        todo.append((node, True))
        pending = [t.node for t in node.inputs if id(t) not in known and id(t.node) not in done]
        todo.extend((source, False) for source in reversed(pending))
    return order, first_seen


def layers_by_depth(order, first_seen, inputs):
    """Layers in Keras's order: by decreasing depth (distance to the outputs), ties by first visit."""
    node_depth, layer_depth, by_id = {}, {}, {}
    for node in reversed(order):
        depth = max(node_depth.get(id(node), 0), layer_depth.get(id(node.layer), 0))
        node_depth[id(node)] = layer_depth[id(node.layer)] = depth
        by_id[id(node.layer)] = node.layer
        for tensor in node.inputs:
            source = id(tensor.node)
            node_depth[source] = max(depth + 1, node_depth.get(source, 0))
    for tensor in inputs:
        layer = tensor.node.layer
        by_id.setdefault(id(layer), layer)
        layer_depth[id(layer)] = max(node_depth.get(id(tensor.node), 0), layer_depth.get(id(layer), 0))
        first_seen.setdefault(id(layer), len(first_seen))
    return sorted(by_id.values(), key=lambda layer: (-layer_depth[id(layer)], first_seen[id(layer)]))
