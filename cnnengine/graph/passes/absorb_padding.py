"""Zeros around an image become the border of the convolution that reads it.

A convolution takes cells outside the image for zero anyway, so a padding node before it is a copy for nothing. Pooling
takes them for absent, so it keeps its padding.
"""

from cnnengine.graph.graph import Node

_READERS = ("conv2d_fwd", "conv2d_bwd_weights", "depthwise2d_fwd", "depthwise2d_bwd_weights")


def _padding_of(node):
    """The node that pads the image a convolution reads with zeros, its spatial axes alone; or None."""
    pad = node.inputs[0].node if node.op.name in _READERS else None
    if pad is None or pad.op.name != "pad" or pad.attrs["value"] != 0:
        return None
    ends = [pad.attrs[side][axis] for side in ("before", "after") for axis in (0, -1)]
    return None if any(ends) else pad


def _widened(node, pad):
    """The convolution's attrs with the padding as its own; None if a window would then see nothing of the image."""
    shape, rank = pad.inputs[0].shape, len(node.attrs["pq"])
    strides, dilation, pads = (node.attrs["window"][i * rank : (i + 1) * rank] for i in range(3))
    pads = tuple(own + more for own, more in zip(pads, pad.attrs["before"][1:-1]))
    kernel = node.attrs.get("w_shape") or node.inputs[1].shape
    for i in range(rank):
        reach = (kernel[i] - 1) * dilation[i] + 1
        if pads[i] >= reach or (node.attrs["pq"][i] - 1) * strides[i] - pads[i] >= shape[i + 1]:
            return None
    attrs = node.attrs | {"window": (*strides, *dilation, *pads)}
    return attrs | {"x_shape": shape} if "x_shape" in attrs else attrs


def absorb_padding(graph):
    """The graph with paddings by zero taken into the convolutions that read them."""
    out, table = [], {}
    for node in graph.nodes:
        pad = _padding_of(node)
        attrs = _widened(node, pad) if pad else None
        if attrs is None:
            out.append(node)
            continue
        inputs = [pad.inputs[0], *node.inputs[1:]]
        wider = Node(node.op, inputs, attrs, [value.spec for value in node.outputs], origins=pad.origins + node.origins)
        table |= {id(old): new for old, new in zip(node.outputs, wider.outputs)}
        out.append(wider)
    graph = graph.replaced(out)
    graph.substitute(table)
    return graph
