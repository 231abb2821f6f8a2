"""A pointwise, a depthwise and a pointwise convolution become one operation where the maps in between are large.

Such a block widens its input several times before the depthwise convolution and narrows it again behind it. Joined,
only a few rows of the wide maps exist at a time, in a core's own cache. In return every few rows read the weights
again, and threads that share an image make some rows twice. That pays where the maps of the whole batch leave those
caches, and each image's is larger than the weights.

This pass is for inference only: in training the maps are needed for the gradients.
"""

from math import prod

from cnnengine.graph.graph import Node
from cnnengine.ops.conv2d import is_pointwise
from cnnengine.ops.depthwise_block import DEPTHWISE_BLOCK_FWD

LARGE_MAP = 1 << 18  # elements of the whole batch's map: a MB does not stay in a core's own cache
ROOM = 1 << 16  # elements that the rows of one output row may have; a strip in C has no fewer


def _is_pointwise(node):
    return node.op.name == "conv2d_fwd" and len(node.attrs["x_shape"]) == 4 and is_pointwise(node.attrs)


def _maker(value, users, is_wanted):
    """The node behind a value if it is of the wanted kind and nobody else reads the value; or None."""
    node = value.node
    return node if node is not None and users.get(id(value)) == 1 and is_wanted(node) else None


def _is_depthwise(node):
    return node.op.name == "depthwise2d_fwd" and node.inputs[1].shape[3] == 1


def _is_expansion(node):
    return _is_pointwise(node) and node.inputs[3] is None


def _is_large(value, *pointwise):
    """Whether a map is not worth keeping whole between the pointwise convolutions that make and read it."""
    weights = sum(prod(node.attrs["w_shape"]) for node in pointwise)
    return value.spec.size >= max(LARGE_MAP, value.shape[0] * weights)


def _fits(depthwise):
    """Whether the rows that one output row takes fit into a strip."""
    x, y = depthwise.inputs[0], depthwise.outputs[0]
    reach = (depthwise.inputs[1].shape[0] - 1) * depthwise.attrs["window"][2] + 1
    return reach * x.shape[2] * x.shape[3] + y.shape[2] * y.shape[3] <= ROOM


def _block(project, users):
    """(the joined node, the nodes it replaces), or None."""
    depthwise = _maker(project.inputs[0], users, _is_depthwise) if _is_pointwise(project) else None
    if depthwise is None or not _fits(depthwise):
        return None
    wide = depthwise.inputs[0]
    expand = _maker(wide, users, _is_expansion)
    if expand is None or not _is_large(wide, expand, project):
        expand = None
        if not _is_large(depthwise.outputs[0], project):
            return None
    parts = [part for part in (expand, depthwise, project) if part is not None]
    inputs = [*(expand.inputs[:3] if expand else (wide, None, None)), *depthwise.inputs[1:], *project.inputs[1:]]
    attrs = {"expand": expand and expand.attrs, "depthwise": depthwise.attrs, "project": project.attrs}
    origins = tuple(origin for part in parts for origin in part.origins)
    specs = [project.outputs[0].spec]
    return Node(DEPTHWISE_BLOCK_FWD, inputs, attrs, specs, origins=origins), parts


def join_depthwise_blocks(graph):
    """The graph with depthwise blocks of large maps as one node each; it stands where the last of the three stood."""
    users, out, gone, table = graph.users(), [], set(), {}
    for node in graph.nodes:
        node.inputs = [table.get(id(value), value) for value in node.inputs]
        found = _block(node, users)
        if found is not None:
            node, parts = found
            gone.update(map(id, parts))
            table[id(parts[-1].outputs[0])] = node.outputs[0]
            users[id(node.outputs[0])] = users.get(id(parts[-1].outputs[0]), 0)
        out.append(node)
    graph = graph.replaced(node for node in out if id(node) not in gone)
    graph.substitute(table)
    return graph
