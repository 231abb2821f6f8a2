"""A network as an ONNX file, with an open batch size named N."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bench.peers.graph import INPUT, Graph, channels_first

FILE = "network.onnx"


def prepare(folder):
    """Write the file unless another peer did."""
    if not (folder / FILE).exists():
        onnx.save(to_onnx(Graph.load(folder)), folder / FILE)


def to_onnx(graph):
    """The network as an onnx.ModelProto: float input (N, c, h, w), output (N, classes)."""
    graph = channels_first(graph)
    nodes, arrays = [], []

    def constant(name, x):
        arrays.append(numpy_helper.from_array(np.ascontiguousarray(x), name))
        return name

    names = {INPUT: INPUT}
    for node in graph.nodes:
        inputs, names[node.name] = [names[name] for name in node.inputs], node.name
        if node.op == "dropout":
            names[node.name] = inputs[0]  # nothing happens there in inference
            continue
        kind, weights, attributes = KINDS[node.op](node)
        inputs += [constant(f"{node.name}/{key}", x) for key, x in weights.items()]
        if node.op == "swish":  # x sigmoid(x), which the engines know when they see it
            nodes.append(helper.make_node("Sigmoid", inputs, [f"{node.name}_gate"], f"{node.name}_gate"))
            inputs = [*inputs, f"{node.name}_gate"]
        loses_axes = node.op == "global_average_pool" and not node.attrs["keepdims"]
        output = f"{node.name}_4d" if loses_axes else node.name
        nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        if output != node.name:  # ONNX keeps the map, of one pixel
            nodes.append(helper.make_node("Flatten", [output], [node.name], node.name))
    output = names[graph.nodes[-1].name]
    classes = next(len(n.weights["kernel"]) for n in reversed(graph.nodes) if n.op == "dense")
    height, width, channels = graph.shape
    made = helper.make_graph(
        nodes, "network", [_floats(INPUT, ["N", channels, height, width])], [_floats(output, ["N", classes])], arrays
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _floats(name, shape):
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _window(node):
    attrs = node.attrs
    return {"kernel_shape": attrs["size"], "strides": attrs["strides"], "pads": attrs["padding"] * 2}


def _batch_norm(node):
    weights = {key: node.weights[key] for key in ("gamma", "beta", "moving_mean", "moving_variance")}
    return "BatchNormalization", weights, {"epsilon": node.attrs["epsilon"]}


def _relu6(node):
    return "Clip", {"least": np.float32(0), "most": np.float32(6)}, {}


# op: function of a node that gives ONNX's operator, constants in its order, attributes
KINDS = {
    "conv": lambda node: ("Conv", node.weights, _window(node) | {"group": node.attrs["groups"]}),
    "dense": lambda node: ("Gemm", node.weights, {"transB": 1}),
    "batch_norm": _batch_norm,
    "relu": lambda node: ("Relu", {}, {}),
    "relu6": _relu6,
    "swish": lambda node: ("Mul", {}, {}),
    "sigmoid": lambda node: ("Sigmoid", {}, {}),
    "softmax": lambda node: ("Softmax", {}, {"axis": 1}),
    "max_pool": lambda node: ("MaxPool", {}, _window(node)),
    "global_average_pool": lambda node: ("GlobalAveragePool", {}, {}),
    "flatten": lambda node: ("Flatten", {}, {}),
    "add": lambda node: ("Add", {}, {}),
    "multiply": lambda node: ("Mul", {}, {}),
}
