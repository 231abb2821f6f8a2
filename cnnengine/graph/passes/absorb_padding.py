"""Zeros around an image become the border of the convolution or pooling that reads it.

A convolution takes cells outside the image for zero anyway, so a padding node before it is a copy for nothing. Pooling
takes them for absent: that makes no difference to a maximum over cells none of which is negative, behind a ReLU. Which
cell has it is another matter, so where that is asked, in training, pooling keeps its padding.

The gradient of a padding cuts the border off again. Behind the gradient of a convolution that is one with a border of
its own, which is not computed at all.
"""

from cnnengine.graph.graph import Node

_READERS = ("conv2d_fwd", "conv2d_bwd_weights", "depthwise2d_fwd", "depthwise2d_bwd_weights")
_WRITERS = ("conv2d_bwd_data", "depthwise2d_bwd_data")
_NEVER_NEGATIVE = ("relu", "relu6", "sigmoid", "exp", "abs", "square", "softplus")


def _reads_as_zero(node, image, users):
    """Whether the node would take cells outside the image for zeros, to the same effect."""
    if node.op.name != "max_pool2d_fwd":
        return node.op.name in _READERS
    maker = image.node
    is_positive = maker is not None and maker.op.name == "unary_fwd" and maker.attrs["func"] in _NEVER_NEGATIVE
    return is_positive and id(node.outputs[1]) not in users


def _padding_of(node, users):
    """The node that pads the image this one reads with zeros it does not need, its spatial axes alone; or None."""
    pad = node.inputs[0].node if node.inputs and node.inputs[0] is not None else None
    if pad is None or pad.op.name != "pad" or pad.attrs["value"] != 0:
        return None
    ends = [pad.attrs[side][axis] for side in ("before", "after") for axis in (0, -1)]
    return pad if not any(ends) and _reads_as_zero(node, pad.inputs[0], users) else None


def _windows_of(node):
    """Cells, strides, dilation and padding in front of a node's windows, each along all axes."""
    rank = len(node.attrs["pq"])
    if "size" in node.attrs:
        return node.attrs["size"], node.attrs["strides"], (1,) * rank, node.attrs["pads"]
    cells = node.attrs.get("w_shape") or node.inputs[1].shape
    return cells, *(node.attrs["window"][i * rank : (i + 1) * rank] for i in range(3))


def _widened(node, before, shape):
    """The node's attrs with padding `before` an image of this shape; None if a window would then see nothing of it."""
    cells, strides, dilation, pads = _windows_of(node)
    pads = tuple(own + more for own, more in zip(pads, before[1:-1]))
    for i, outputs in enumerate(node.attrs["pq"]):
        reach = (cells[i] - 1) * dilation[i] + 1
        if pads[i] >= reach or (outputs - 1) * strides[i] - pads[i] >= shape[i + 1]:
            return None
    if "size" in node.attrs:
        return node.attrs | {"pads": pads}
    attrs = node.attrs | {"window": (*strides, *dilation, *pads)}
    return attrs | {"x_shape": shape} if "x_shape" in attrs else attrs


def _with_border(node, users):
    """A node that reads a padded image as one that reads the image; or None."""
    pad = _padding_of(node, users)
    attrs = _widened(node, pad.attrs["before"], pad.inputs[0].shape) if pad else None
    if attrs is None:
        return None
    specs = [value.spec for value in node.outputs]
    return Node(node.op, [pad.inputs[0], *node.inputs[1:]], attrs, specs, origins=pad.origins + node.origins)


def _without_border(node, users):
    """A node that cuts a border off a convolution's gradient as one that computes what is left; or None."""
    whole = node.inputs[0].node if node.op.name == "slice" else None
    if whole is None or whole.op.name not in _WRITERS or users[id(node.inputs[0])] != 1:
        return None
    start, out, shape = node.attrs["start"], node.attrs["out"], node.inputs[0].shape
    is_spatial = out[0] == shape[0] and out[-1] == shape[-1] and all(step == 1 for step in node.attrs["step"])
    is_plain = all(value is None for value in whole.inputs[2:])
    attrs = _widened(whole, start, out) if is_spatial and is_plain else None
    if attrs is None:
        return None
    specs = [value.spec for value in node.outputs]
    return Node(whole.op, whole.inputs, attrs, specs, origins=whole.origins + node.origins)


def absorb_padding(graph):
    """The graph with paddings by zero taken into the nodes that read them, and no gradient of a padding."""
    out, table, users = [], {}, graph.users()
    for node in graph.nodes:
        other = _with_border(node, users) or _without_border(node, users)
        out.append(other or node)
        if other is not None:
            table |= {id(old): new for old, new in zip(node.outputs, other.outputs)}
    graph = graph.replaced(out)
    graph.substitute(table)
    return graph
