"""Models made from symbolic tensors."""

from cnnengine import ops
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.core.spec import TensorSpec
from cnnengine.core.tree import flatten, map_structure, pack_like
from cnnengine.layers.input_layer import InputLayer
from cnnengine.layers.symbolic import KerasTensor
from cnnengine.models.graph_walk import calls_behind, layers_by_depth
from cnnengine.models.model import Model, check_inputs


@export("keras.src.models.functional")
class Functional(Model):
    """What Model(inputs, outputs) makes: the calls between symbolic inputs and outputs, run in order."""

    def __init__(self, inputs, outputs, name=None, trainable=True, **kwargs):
        if not flatten(inputs) or not flatten(outputs):
            raise ConfigError("A model needs at least one input and one output. Received: none")
        for tensor in flatten((inputs, outputs)):
            if not isinstance(tensor, KerasTensor):
                raise ConfigError(f"Model takes symbolic tensors, made by Input and layers. Received: {tensor!r}")
        inputs, outputs = _starting_at_inputs(inputs, outputs)
        super().__init__(name=name, trainable=True, **kwargs)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._inputs, self._outputs = flatten(inputs), flatten(outputs)
        self._dtypes = [tensor.dtype for tensor in self._inputs]
        if len({id(tensor) for tensor in self._inputs}) != len(self._inputs):
            raise ConfigError("Each input of a model may be listed only once")
        self._calls, first_seen = calls_behind(self._outputs, self._inputs)
        self._layers = layers_by_depth(self._calls, first_seen, self._inputs)
        self._check_names()
        self.built = True
        if not trainable:
            self.trainable = False

    def _check_names(self):
        names = [layer.name for layer in self._layers]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ConfigError(f"Layers of a model must have different names. Received twice: {double}")

    @property
    def inputs(self):
        return list(self._inputs)

    @property
    def outputs(self):
        return list(self._outputs)

    @property
    def input(self):
        return self._inputs_struct

    @property
    def output(self):
        return self._outputs_struct

    @property
    def input_names(self):
        return [tensor.node.layer.name for tensor in self._inputs]

    @property
    def output_names(self):
        return [tensor.node.layer.name for tensor in self._outputs]

    def _input_dtypes(self, count):
        check_inputs(len(self._inputs), count, self.name)
        return self._dtypes

    def call(self, inputs, training=None, mask=None):
        leaves = self._leaves(inputs)
        check_inputs(len(self._inputs), len(leaves), self.name)
        table = {id(t): self._fitted(value, t) for t, value in zip(self._inputs, leaves)}
        for node in self._calls:
            args, kwargs = _looked_up((node.args, node.kwargs), table)
            outputs = flatten(node.layer(*args, **kwargs))
            table |= {id(tensor): value for tensor, value in zip(node.outputs, outputs)}
        return pack_like(self._outputs_struct, [table[id(tensor)] for tensor in self._outputs])

    def _leaves(self, inputs):
        """The tensors in the order of the model's inputs; a dict names them by its own keys or by input layers."""
        if not isinstance(inputs, dict):
            return flatten(inputs)
        by_key = isinstance(self._inputs_struct, dict)
        names = sorted(self._inputs_struct) if by_key else self.input_names
        if any(name not in inputs for name in names):
            raise ConfigError(f'Model "{self.name}": expected inputs named {names}. Received: {sorted(inputs)}')
        return flatten([inputs[name] for name in names])

    def _track_contents(self):
        pass  # all layers are known by the graph

    def _in_order(self, inputs):
        leaves = self._leaves(inputs)
        return leaves[0] if len(leaves) == 1 else leaves

    def _fitted(self, value, tensor):
        """The value with one axis of length 1 more or less where the input asks for it; checked against the input."""
        shape, want = value.shape, tensor.shape
        if len(shape) == len(want) + 1 and shape[-1] == 1:
            value = ops.squeeze(value, -1)
        elif len(shape) == len(want) - 1 and want[-1] == 1:
            value = ops.expand_dims(value, -1)
        if len(value.shape) != len(want) or any(
            w not in (None, s) and s is not None for s, w in zip(value.shape, want)
        ):
            raise ShapeError(f'Input "{tensor.node.layer.name}": expected shape {want}. Received: {tuple(shape)}')
        return value

    def compute_output_spec(self, inputs, **kwargs):
        shapes = [tensor.shape for tensor in flatten(inputs)]
        if shapes == [tensor.shape for tensor in self._inputs]:
            return map_structure(lambda tensor: TensorSpec(tensor.shape, tensor.dtype), self._outputs_struct)
        return self._infer((inputs,), kwargs)

    def compute_output_shape(self, input_shape):
        from_shape = [tuple(tensor.shape) for tensor in self._inputs]
        given = [tuple(input_shape)] if len(from_shape) == 1 else [tuple(shape) for shape in input_shape]
        if given == from_shape:
            return map_structure(lambda tensor: tensor.shape, self._outputs_struct)
        return super().compute_output_shape(input_shape)

    def _build_for(self, args):
        pass


def _looked_up(structure, table):
    """The structure with each tensor that `table` knows (by id) replaced."""
    return map_structure(lambda x: table.get(id(x), x), structure)


def _starting_at_inputs(inputs, outputs):
    """Let a model begin at tensors that no InputLayer made, by copying the calls behind them onto fresh inputs."""
    flat = flatten(inputs)
    if all(tensor.node.is_input for tensor in flat):
        return inputs, outputs
    fresh = [
        tensor if tensor.node.is_input else InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype).output
        for tensor in flat
    ]
    calls, _ = calls_behind(flatten(outputs), flat)
    table = {id(old): new for old, new in zip(flat, fresh)}
    for node in calls:
        args, kwargs = _looked_up((node.args, node.kwargs), table)
        made = flatten(node.layer(*args, **kwargs))
        table |= {id(old): new for old, new in zip(node.outputs, made)}
    return pack_like(inputs, fresh), _looked_up(outputs, table)


Model.functional_class = Functional
