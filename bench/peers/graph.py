"""The layer graph of a built model as plain data, from which other engines' networks are made.

A network is a list of nodes, each after those it takes from, in terms every engine has: `conv`, `batch_norm`, `relu`,
`relu6`, `swish`, `sigmoid`, `softmax`, `max_pool`, `global_average_pool`, `flatten`, `dense`, `dropout`, `add`,
`multiply`. Activations of a layer are nodes of their own, and zero padding is part of the window that follows it.
Nothing else is changed: whether batch norm is folded is up to each engine.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

INPUT = "input"


@dataclass
class Node:
    """One operation: its name, the names of the nodes it takes, numbers in `attrs`, arrays by name in `weights`."""

    op: str
    name: str
    inputs: list
    attrs: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)


@dataclass
class Graph:
    """Nodes in order; the last one is the output. `shape` is (h, w, c) of one input."""

    shape: tuple
    nodes: list

    def save(self, folder):
        """Write graph.json, and all arrays one after the other into graph.bin."""
        nodes, offset = [], 0
        with open(Path(folder, "graph.bin"), "wb") as file:
            for node in self.nodes:
                places = {}
                for key, x in node.weights.items():
                    places[key] = [offset, *x.shape]
                    file.write(np.ascontiguousarray(x, np.float32))
                    offset += x.size
                nodes.append(asdict(Node(node.op, node.name, node.inputs, node.attrs)) | {"weights": places})
        Path(folder, "graph.json").write_text(json.dumps({"shape": self.shape, "nodes": nodes}))

    @classmethod
    def load(cls, folder):
        """What `save` wrote; an array is read from the file when somebody looks into it."""
        data = json.loads(Path(folder, "graph.json").read_text())
        floats = np.memmap(Path(folder, "graph.bin"), np.float32, "r")
        nodes = [Node(**node) for node in data["nodes"]]
        for node in nodes:
            for key, (offset, *shape) in node.weights.items():
                node.weights[key] = floats[offset : offset + math.prod(shape)].reshape(shape)
        return cls(tuple(data["shape"]), nodes)


def describe(model):
    """The Graph of a built Sequential or functional model that calls each layer once.

    Raises:
        ValueError: for a layer or padding that the nodes cannot express.
    """
    names, pads, nodes = {id(model.inputs[0]): INPUT}, {}, []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [names[id(tensor)] for tensor in sources]
        if kind == "ZeroPadding2D":
            pads[id(layer.output)] = _symmetric(layer.get_config()["padding"], layer.name)
            names[id(layer.output)] = inputs[0]
            continue
        if kind not in LAYERS:
            raise ValueError(f"No node for a layer of the kind {kind}; there are {', '.join(LAYERS)}")
        padding = pads.get(id(sources[0]))
        if padding and not _takes_padding(layer, kind, nodes, inputs[0]):
            raise ValueError(f'Zero padding in front of "{layer.name}" cannot be part of it')
        nodes += LAYERS[kind](layer, inputs, padding)
        names[id(layer.output)] = nodes[-1].name
    return Graph(tuple(model.inputs[0].shape[1:]), nodes)


def _takes_padding(layer, kind, nodes, source):
    """Whether a layer can do the padding in front of it itself. A maximum can where it sees no negative numbers."""
    if kind == "MaxPooling2D" and not any(node.name == source and node.op in ("relu", "relu6") for node in nodes):
        return False
    return kind in WINDOWS and layer.get_config()["padding"] == "valid"


def _symmetric(padding, name):
    (top, bottom), (left, right) = padding
    if top != bottom or left != right:
        raise ValueError(f'"{name}": padding must be symmetric, as not every engine has another. Received: {padding}')
    return [top, left]


def _window(layer, size, padding):
    """Attributes of a window: its size, strides and padding of each side of an axis."""
    config = layer.get_config()
    strides = list(config["strides"])
    if config["padding"] == "same":
        extents = layer.input.shape[1:3]
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(extents, strides, size)]
        padding = _symmetric([(n // 2, n - n // 2) for n in total], layer.name)
    return {"size": list(size), "strides": strides, "padding": padding or [0, 0]}


def _arrays(layer):
    return {variable.name: np.array(variable.numpy()) for variable in layer.weights}


def _activated(node, activation):
    """The node, and one for its activation unless that is linear."""
    op = _activation_op(activation, node.name)
    return [node] if op == "linear" else [node, Node(op, f"{node.name}_{op}", [node.name])]


def _activation_op(activation, name):
    """What its node is called: by Keras silu and swish are one function of two names."""
    activation = activation if isinstance(activation, str) else activation["config"]
    op = "swish" if activation == "silu" else activation
    if op not in ("linear", "relu", "swish", "sigmoid", "softmax"):
        raise ValueError(f'No node for the activation "{activation}" of "{name}"')
    return op


def _activation(layer, inputs, padding):
    op = _activation_op(layer.get_config()["activation"], layer.name)
    if op == "linear":
        raise ValueError(f'"{layer.name}" computes nothing')
    return [Node(op, layer.name, inputs)]


def _conv(layer, inputs, padding):
    config, weights = layer.get_config(), _arrays(layer)
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    if depthwise:
        # One filter a channel: (h, w, c, 1) becomes (h, w, 1, c), a convolution of c groups.
        kernel = weights.pop("kernel" if "kernel" in weights else "depthwise_kernel")
        weights = {"kernel": kernel.swapaxes(2, 3)} | weights  # in the order of a layer: the bias is second
    attrs = _window(layer, config["kernel_size"], padding)
    attrs["groups"] = layer.input.shape[-1] if depthwise else config["groups"]
    return _activated(Node("conv", layer.name, inputs, attrs, weights), config["activation"])


def _dense(layer, inputs, padding):
    return _activated(Node("dense", layer.name, inputs, {}, _arrays(layer)), layer.get_config()["activation"])


def _batch_norm(layer, inputs, padding):
    config = layer.get_config()
    attrs = {"epsilon": config["epsilon"], "momentum": config["momentum"]}
    return [Node("batch_norm", layer.name, inputs, attrs, _arrays(layer))]


def _relu(layer, inputs, padding):
    limit = layer.get_config()["max_value"]
    if limit not in (None, 6):
        raise ValueError(f'"{layer.name}": no node for a ReLU up to {limit}')
    return [Node("relu6" if limit else "relu", layer.name, inputs)]


def _max_pool(layer, inputs, padding):
    return [Node("max_pool", layer.name, inputs, _window(layer, layer.get_config()["pool_size"], padding))]


def _global_average_pool(layer, inputs, padding):
    return [Node("global_average_pool", layer.name, inputs, {"keepdims": layer.get_config()["keepdims"]})]


def _flatten(layer, inputs, padding):
    return [Node("flatten", layer.name, inputs, {"shape": list(layer.input.shape[1:])})]


def _dropout(layer, inputs, padding):
    return [Node("dropout", layer.name, inputs, {"rate": layer.get_config()["rate"]})]


def _plain(op):
    return lambda layer, inputs, padding: [Node(op, layer.name, inputs)]


LAYERS = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _conv,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "ReLU": _relu,
    "Activation": _activation,
    "MaxPooling2D": _max_pool,
    "GlobalAveragePooling2D": _global_average_pool,
    "Flatten": _flatten,
    "Dropout": _dropout,
    "Add": _plain("add"),
    "Multiply": _plain("multiply"),
}
KEEP_PLACES = ("dropout", "relu", "relu6", "swish", "sigmoid")  # between a Flatten and a Dense
WINDOWS = ("Conv2D", "DepthwiseConv2D", "MaxPooling2D")


def channels_first(graph):
    """The same graph with the weights of engines that keep channels before rows and columns.

    Filters become (k, c, h, w), matrices (outputs, inputs), and rows of a matrix behind a Flatten change places, as
    flattening takes the channels first there.
    """
    by_name = {node.name: node for node in graph.nodes}
    nodes = [Node(n.op, n.name, n.inputs, n.attrs, dict(n.weights)) for n in graph.nodes]
    for node in nodes:
        if node.op == "conv":
            node.weights["kernel"] = np.ascontiguousarray(node.weights["kernel"].transpose(3, 2, 0, 1))
        if node.op == "dense":
            kernel, source = node.weights["kernel"], by_name.get(node.inputs[0])
            while source is not None and source.op in KEEP_PLACES:
                source = by_name.get(source.inputs[0])
            if source is not None and source.op == "flatten":
                h, w, c = source.attrs["shape"]
                kernel = kernel.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(h * w * c, -1)
            node.weights["kernel"] = np.ascontiguousarray(kernel.T)
    return Graph(graph.shape, nodes)
