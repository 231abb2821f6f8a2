"""Drop nodes whose results nobody reads."""


def drop_dead_code(graph):
    """The graph without nodes that neither an output nor an update depends on."""
    needed = {id(value) for value in graph.outputs}
    for node in graph.updates:
        needed.update(id(value) for value in node.inputs if value is not None)
    kept = []
    for node in reversed(graph.nodes):
        if any(id(value) in needed for value in node.outputs):
            kept.append(node)
            needed.update(id(value) for value in node.inputs if value is not None)
    return graph.replaced(reversed(kept))
