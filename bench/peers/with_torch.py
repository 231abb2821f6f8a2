"""PyTorch: eager, channels-last, jit-frozen, compiled.

The network is made with torch.fx, whose modules run Python code as one would write it by hand.
"""

import operator
from collections import Counter

import torch
from torch import fx, nn

from bench.peers.graph import INPUT, Graph, channels_first
from bench.peers.networks import optimizer_settings

FILE = "torch.pt"
# what PyTorch calls the weights
NAMES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
NAMES |= {"bias": "bias", "moving_variance": "running_var"}


def prepare(folder):
    graph = channels_first(Graph.load(folder))
    state = {f"{node.name}.{NAMES[key]}": torch.tensor(x) for node in graph.nodes for key, x in node.weights.items()}
    state |= {f"{n.name}.num_batches_tracked": torch.tensor(0) for n in graph.nodes if n.op == "batch_norm"}
    torch.save(state, folder / FILE)


def network(folder, training=False):
    """The module with its weights; in training without the softmax at the end, which is part of the loss."""
    graph = Graph.load(folder)
    if training and graph.nodes[-1].op == "softmax":
        del graph.nodes[-1]
    with torch.device("meta"):
        module = build(graph)
    module.load_state_dict(torch.load(folder / FILE, mmap=True), assign=True)
    return module.train(training)


def build(graph):
    """The graph as a module whose weights are not set yet."""
    users = Counter(name for node in graph.nodes for name in node.inputs)
    modules, code = {}, fx.Graph()
    values = {INPUT: code.placeholder("x")}
    for node in graph.nodes:
        inputs = tuple(values[name] for name in node.inputs)
        # In place where nobody else looks, as torchvision does it.
        alone = INPUT not in node.inputs and all(users[name] == 1 for name in node.inputs[:1])
        if node.op in FUNCTIONS:
            values[node.name] = code.call_function(FUNCTIONS[node.op][alone], inputs)
        else:
            modules[node.name] = MODULES[node.op](node, alone)
            values[node.name] = code.call_module(node.name, inputs)
    code.output(values[graph.nodes[-1].name])
    return fx.GraphModule(modules, code)


def _conv(node, alone):
    k_h, k_w, channels, filters = node.weights["kernel"].shape
    groups = node.attrs["groups"]
    return nn.Conv2d(
        channels * groups, filters, (k_h, k_w), node.attrs["strides"], node.attrs["padding"],
        groups=groups, bias="bias" in node.weights,
    )  # fmt: skip


def _batch_norm(node, alone):
    attrs = node.attrs
    return nn.BatchNorm2d(len(node.weights["gamma"]), eps=attrs["epsilon"], momentum=1 - attrs["momentum"])


def _global_average_pool(node, alone):
    pool = nn.AdaptiveAvgPool2d(1)
    return pool if node.attrs["keepdims"] else nn.Sequential(pool, nn.Flatten())


# For new memory, and in place; of a product the first factor may be the smaller one.
FUNCTIONS = {"add": (operator.add, operator.iadd), "multiply": (operator.mul, operator.mul)}
MODULES = {
    "conv": _conv,
    "batch_norm": _batch_norm,
    "dense": lambda node, alone: nn.Linear(*node.weights["kernel"].shape),
    "relu": lambda node, alone: nn.ReLU(inplace=alone),
    "relu6": lambda node, alone: nn.ReLU6(inplace=alone),
    "swish": lambda node, alone: nn.SiLU(inplace=alone),
    "sigmoid": lambda node, alone: nn.Sigmoid(),
    "softmax": lambda node, alone: nn.Softmax(1),
    "max_pool": lambda node, alone: nn.MaxPool2d(*(tuple(node.attrs[key]) for key in ("size", "strides", "padding"))),
    "global_average_pool": _global_average_pool,
    "flatten": lambda node, alone: nn.Flatten(),
    "dropout": lambda node, alone: nn.Dropout(node.attrs["rate"]),
}


def _settings(threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def _laid_out(x, variant):
    """The pictures as the variant likes them: (n, c, h, w), in memory too unless it wants channels last."""
    x = torch.from_numpy(x).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=_format(variant))


def _format(variant):
    return torch.contiguous_format if variant in ("eager", "jit-frozen") else torch.channels_last


def predictor(folder, x, threads, variant):
    _settings(threads)
    module, x = network(folder).to(memory_format=_format(variant)), _laid_out(x, variant)
    with torch.inference_mode():
        if variant == "jit-frozen":
            module = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(module, x)))
        if variant == "compiled":
            import torch._inductor.config as inductor  # large, and only this variant needs it

            inductor.freezing = True  # weights are constants: folds batch norm and packs them
            module = torch.compile(module)

    def run():
        with torch.inference_mode():
            return module(x).numpy()

    return run


def trainer(folder, x, y, threads, variant, optimizer):
    _settings(threads)
    module = network(folder, training=True).to(memory_format=_format(variant))
    x, y = _laid_out(x, variant), torch.from_numpy(y).long()
    step = _optimizer(module, optimizer)
    forward = torch.compile(module) if variant == "compiled" else module

    def run():
        step.zero_grad()
        loss = nn.functional.cross_entropy(forward(x), y)
        loss.backward()
        step.step()
        return loss.item()

    return run


def _optimizer(module, name):
    kind, settings = optimizer_settings(name)
    settings = settings | {"lr": settings["learning_rate"], "fused": True}
    del settings["learning_rate"]
    return getattr(torch.optim, kind)(module.parameters(), **settings)
