"""From configs, as Keras 3 and config_write.py write them, to models."""

import inspect
from collections import defaultdict, deque

from cnnengine.core import registry
from cnnengine.core.errors import CorruptFile, UnsupportedVersion
from cnnengine.layers import FunctionLayer, InputLayer, Layer
from cnnengine.layers.symbolic import KerasTensor
from cnnengine.models import Functional
from cnnengine.saving import operations

_BASE = ("name", "trainable", "dtype")  # what Layer.get_config gives


def functional_from_config(cls, config):
    """The functional model of a config.

    Raises:
        ModelFileError: the config contradicts itself.
    """
    layers, queues = {}, {}
    for record in _checked_list(config.get("layers"), "layers"):
        layer, constants = _layer_of(record)
        name = record.get("name", layer.name)
        if name in layers:
            raise CorruptFile(f"Two layers of a model have one name: {name!r}")
        layers[name] = layer
        queues[name] = (deque(_checked_list(record.get("inbound_nodes"), "inbound_nodes")), constants)
    nodes = _make_calls(layers, queues)

    def tensor(place):
        name, node, index = place
        shift = isinstance(layers.get(name), Functional)
        return _output(nodes, name, node - shift, index)

    inputs, outputs = (_map_places(tensor, config.get(key)) for key in ("input_layers", "output_layers"))
    return _named(Functional(inputs, outputs), config)


def _named(model, config):
    if isinstance(config.get("name"), str):
        model.name = config["name"]
    if config.get("trainable") is False:
        model.trainable = False
    return model


def _checked_list(value, what):
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        if what == "inbound_nodes" and isinstance(value, list):
            raise UnsupportedVersion("The model was written by Keras 2: its graph is in a form that is not understood")
        raise CorruptFile(f"{what} must be a list of objects. Received: {value!r:.200}")
    return value


def _layer_of(record):
    """(layer, arguments of its calls that the class of an operation holds)"""
    if operations.is_operation(record):
        return operations.from_record(record)
    layer = registry.deserialize({key: value for key, value in record.items() if key != "inbound_nodes"})
    if not isinstance(layer, Layer):
        raise CorruptFile(f"Expected a layer. Received: {type(layer).__name__}")
    return layer, {}


def _make_calls(layers, queues):
    """Repeat all calls of a model, each as soon as the tensors it takes are there.

    Returns:
        {name of a layer: its calls in this model}
    """
    nodes = {name: layer._nodes[:1] if isinstance(layer, InputLayer) else [] for name, layer in layers.items()}
    waiting, ready = defaultdict(list), deque(layers)
    while ready:
        name = ready.popleft()
        queue, constants = queues[name]
        while queue:
            missing = _missing(queue[0], nodes)
            if missing is not None:
                waiting[missing].append(name)
                break
            _call(layers[name], queue.popleft(), constants, nodes)
            nodes[name].append(layers[name]._nodes[-1])
            ready.extend(waiting.pop((name, len(nodes[name]) - 1), ()))
    left = sorted(name for name, (queue, _) in queues.items() if queue)
    if left:
        raise CorruptFile(f"The graph of the model has loops, or calls without a beginning, at the layers {left[:10]}")
    return nodes


def _histories(data):
    """All (layer, call, output) that stand for tensors in the arguments of a call."""
    if isinstance(data, list):
        return [found for item in data for found in _histories(item)]
    if not isinstance(data, dict):
        return []
    if data.get("class_name") == "__keras_tensor__":
        return [_history(data)]
    return [found for item in data.values() for found in _histories(item)]


def _history(data):
    history = data["config"]["keras_history"]
    if len(history) != 3 or not isinstance(history[0], str) or not all(type(i) is int and i >= 0 for i in history[1:]):
        raise CorruptFile(f"Expected [layer, call, output]. Received: {history!r:.200}")
    return tuple(history)


def _missing(node, nodes):
    """The first (layer, call) that a call needs and that has not been made; None when all are there."""
    for name, call, _ in _histories([node.get("args"), node.get("kwargs")]):
        if name not in nodes:
            raise CorruptFile(f"A call takes the output of a layer that the model does not have: {name!r}")
        if call >= len(nodes[name]):
            return name, call
    return None


def _output(nodes, name, call, index):
    if name not in nodes or not 0 <= call < len(nodes[name]) or not 0 <= index < len(nodes[name][call].outputs):
        raise CorruptFile(f"The model names an output that does not exist: {[name, call, index]}")
    return nodes[name][call].outputs[index]


def _call(layer, node, constants, nodes):
    def revive(data):
        if isinstance(data, dict) and data.get("class_name") == "__keras_tensor__":
            return _output(nodes, *_history(data))
        if isinstance(data, list):
            return [revive(item) for item in data]
        if isinstance(data, dict) and "class_name" not in data:
            return {key: revive(value) for key, value in data.items()}
        return registry.deserialize(data)

    args, kwargs = revive(node.get("args", [])), revive(node.get("kwargs", {}))
    if isinstance(layer, FunctionLayer):
        args = [tuple(arg) if isinstance(arg, list) and not _has_tensor(arg) else arg for arg in args]
        kwargs = constants | operations.known_arguments(layer.function, kwargs)
    before = len(layer._nodes)
    layer(*args, **{key: value for key, value in kwargs.items() if value is not None})
    if len(layer._nodes) != before + 1:
        raise CorruptFile(f'A call of the layer "{layer.name}" takes no tensor')


def _has_tensor(item):
    return isinstance(item, KerasTensor) or (isinstance(item, list) and any(_has_tensor(each) for each in item))


def _map_places(function, structure):
    """The structure with each [layer, call, output] replaced."""
    if isinstance(structure, dict):
        return {key: _map_places(function, value) for key, value in structure.items()}
    if not isinstance(structure, list):
        raise CorruptFile(f"Expected [layer, call, output] or lists of it. Received: {structure!r:.200}")
    if len(structure) == 3 and isinstance(structure[0], str) and all(type(i) is int for i in structure[1:]):
        return function(structure)
    return [_map_places(function, item) for item in structure]


def sequential_from_config(cls, config):
    """The Sequential of a config."""
    model = cls(name=config.get("name"))
    for record in _checked_list(config.get("layers"), "layers"):
        model.add(_layer_of(record)[0], rebuild=False)
    model._rebuild()
    shape = config.get("build_input_shape")
    if not model.built and shape and model.layers:
        model.build(tuple(shape))
    return _named(model, config)


def model_from_config(cls, config):
    """A model of an own class; name and the like are set afterwards where its `__init__` does not take them."""
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return cls(**config)
    model = cls(**{key: value for key, value in config.items() if key in parameters or key not in _BASE})
    return _named(model, {key: value for key, value in config.items() if key not in parameters})


def compile_from_config(model, config):
    """Compile a model as `compile_config` or Keras wrote it down."""
    optimizer = config.get("optimizer")
    if isinstance(optimizer, dict):
        optimizer = registry.deserialize(_of_keras(optimizer), module="keras.optimizers")
    arguments = {
        key: registry.deserialize(config[key])
        for key in ("loss", "loss_weights", "metrics", "weighted_metrics")
        if config.get(key) is not None
    }
    model.compile(optimizer or "rmsprop", **arguments)
    if model.built:
        model.optimizer.build(model.trainable_weights)


def _of_keras(record):
    """Keras writes an optimizer under the module of its backend: keras.src.backend.torch.optimizers.torch_adam."""
    module = record.get("module")
    if isinstance(module, str) and module.startswith("keras.src.") and ".optimizers" in module:
        return record | {"module": "keras.optimizers", "registered_name": None}
    return record
