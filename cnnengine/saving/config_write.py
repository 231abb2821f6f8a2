"""From models to their configs, as Keras 3 writes them."""

from collections import Counter
from contextlib import contextmanager
from threading import local

from cnnengine.core import registry
from cnnengine.core.errors import ConfigError
from cnnengine.core.tree import map_structure
from cnnengine.layers import FunctionLayer, InputLayer
from cnnengine.layers.symbolic import KerasTensor
from cnnengine.models import Functional, Sequential
from cnnengine.saving import operations

# --- objects that stand in several places -----------------------------------------------------------------------


class _Shared(local):
    numbers = None  # id of a layer that several models hold -> its shared_object_id, while one config is written


_SHARED = _Shared()


@contextmanager
def sharing(model):
    """Inside, layers that several models within `model` have in common are marked as one."""
    if _SHARED.numbers is not None:
        yield
        return
    counts = Counter()
    todo, seen = [model], set()
    while todo:
        here = todo.pop()
        counts[id(here)] += 1
        if id(here) not in seen and isinstance(here, (Functional, Sequential)):
            todo.extend(_members(here))
        seen.add(id(here))
    _SHARED.numbers = {key: i for i, (key, count) in enumerate(counts.items(), 1) if count > 1}
    try:
        yield
    finally:
        _SHARED.numbers = None


def _members(model):
    entry = _entry(model) if isinstance(model, Sequential) else None
    return model._layers if entry is None or entry in model._layers else [entry, *model._layers]


def _record(layer):
    record = registry.serialize(layer)
    number = (_SHARED.numbers or {}).get(id(layer))
    return record if number is None else record | {"shared_object_id": number}


# --- writing ------------------------------------------------------------------------------------------------------


def _calls_of(model):
    """{id of a layer: its calls in this model, in order}; an InputLayer's only one makes its tensor."""
    own = {id(node) for node in model._calls}
    return {
        id(layer): [node for node in layer._nodes if id(node) in own or isinstance(layer, InputLayer)]
        for layer in model._layers
    }


def functional_config(model):
    """Config of a functional model: layers with their calls, and where inputs and outputs are.

    Raises:
        ConfigError: for what cannot be written: Lambda layers, unnamed functions.
    """
    calls = _calls_of(model)
    index = {id(node): i for nodes in calls.values() for i, node in enumerate(nodes)}

    def tensor(x):
        if not isinstance(x, KerasTensor):
            return x
        history = [x.node.layer.name, index[id(x.node)], x.index]
        config = {"shape": x.shape, "dtype": x.dtype, "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": config}

    def write(args):
        return registry.serialize(map_structure(tensor, args))

    def place(x):
        # A functional model counts the call that made it, so its calls in other models start at 1.
        return [x.node.layer.name, index[id(x.node)] + isinstance(x.node.layer, Functional), x.index]

    with sharing(model):
        layers = [_layer_record(layer, calls[id(layer)], write) for layer in model._layers]
    return {
        "name": model.name,
        "trainable": model._trainable,
        "layers": layers,
        "input_layers": map_structure(place, model._inputs_struct),
        "output_layers": map_structure(place, model._outputs_struct),
    }


def _layer_record(layer, nodes, write):
    if isinstance(layer, FunctionLayer):
        return operations.to_record(layer, nodes, write)
    inbound = [{"args": write(list(node.args)), "kwargs": write(dict(node.kwargs))} for node in nodes if node.inputs]
    return _record(layer) | {"name": layer.name, "inbound_nodes": inbound}


def _entry(model):
    """The InputLayer of a Sequential, or None before it knows its input."""
    return None if model._functional is None else model._functional._inputs[0].node.layer


def sequential_config(model):
    """Config of a Sequential: its layers, the InputLayer first."""
    with sharing(model):
        layers = [_record(layer) for layer in _members(model)]
    config = {"name": model.name, "trainable": model._trainable, "dtype": registry.serialize_dtype("float32")}
    return config | {"layers": layers, **({"build_input_shape": model.input_shape} if model._functional else {})}


def sequential_build_config(model):
    """The shape of a Sequential's input, or None."""
    return {"input_shape": model.input_shape} if model._functional else None


def compile_config(model):
    """What the model was compiled with, as plain data; None without.

    Raises:
        ConfigError: for a loss or metric that cannot be written.
    """
    if not model.compiled:
        return None
    out = {}
    for key, value in model._compile_args.items():
        try:
            out[key] = registry.serialize(value)
        except ConfigError as error:
            raise ConfigError(f"The {key} of compile cannot be written to a file. {error}") from error
    return out | {"run_eagerly": False, "steps_per_execution": 1, "jit_compile": False}
