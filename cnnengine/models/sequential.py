"""Models that are a plain stack of layers."""

from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.core.tree import flatten
from cnnengine.layers.input_layer import InputLayer
from cnnengine.layers.layer import Layer
from cnnengine.layers.symbolic import KerasTensor
from cnnengine.models.functional import Functional
from cnnengine.models.model import Model


@export("keras", aliases=("keras.models",))
class Sequential(Model):
    """A stack of layers, each with one input and one output.

    Args:
        layers: list of layers; the first may be an Input (then all weights are made at once).
        name: of the model.

    Raises:
        ConfigError.

    Example:
        >>> model = Sequential([Input((784,)), layers.Dense(512, activation="relu"), layers.Dense(10)])
    """

    def __new__(cls, *args, **kwargs):
        return Layer.__new__(cls)

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(name=name)
        self._functional = None
        self.__dict__["_stack_calls"] = []
        layers = [] if layers is None else layers
        for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
            self.add(layer, rebuild=False)
        self._rebuild()
        if not trainable:
            self.trainable = False

    @property
    def layers(self):
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def add(self, layer, rebuild=True):
        """Put a layer on top. Raises ConfigError."""
        if isinstance(layer, KerasTensor) and layer.node.is_input:
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise ConfigError(f"Sequential takes layers. Received: {layer!r}")
        if any(layer.name == other.name for other in self._layers):
            raise ConfigError(f'Layers of a model must have different names. Received twice: "{layer.name}"')
        if isinstance(layer, InputLayer) and self._layers:
            raise ConfigError("An Input can only be the first layer of a Sequential")
        if not self._layers and not isinstance(layer, InputLayer):
            self._add_entry(layer)
        self._layers.append(layer)
        if rebuild:
            self._rebuild()

    def _add_entry(self, layer):
        """An InputLayer for a first layer that knows its input: by `input_shape` or because it is a built model."""
        shape, dtype = layer._legacy_shape, "float32"
        if shape is None and isinstance(layer, Model) and layer.built and hasattr(layer, "inputs"):
            shape, dtype = layer.inputs[0].shape, layer.inputs[0].dtype
        if shape is not None:
            self._layers.append(InputLayer(batch_shape=shape, dtype=dtype))

    def pop(self, rebuild=True):
        """Take the top layer off and return it."""
        if not self.layers:
            raise ConfigError(f'Model "{self.name}" has no layers to take off')
        layer = self._layers.pop()
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self):
        """Make the functional model inside, as soon as the input's shape is known."""
        self._changed()
        self._functional, self.built = None, False
        if len(self._layers) > 1 and isinstance(self._layers[0], InputLayer):
            self._connect(self._layers[0])

    def _connect(self, entry):
        x = entry.output
        for layer in self._layers:
            if layer is not entry:
                x = self._output_of(layer, x)
        if len(flatten(x)) != 1:
            raise ConfigError("Every layer of a Sequential must have exactly one output")
        functional = Functional(entry.output, x, name=self.name)
        self.__dict__["_functional"] = functional  # not a layer inside of its own
        self.built = True

    def _output_of(self, layer, x):
        """The layer's output for x: of an earlier call on it, so that adding layers does not call those below again."""
        for node in layer._nodes:
            if node.inputs == [x] and len(node.outputs) == 1 and any(node is known for known in self._stack_calls):
                return node.outputs[0]
        y = layer(x)
        self._stack_calls.append(layer._nodes[-1])
        return y

    def build(self, input_shape=None):
        """Make all weights for an input of this shape, the batch included (None for an open dimension)."""
        if self.built or not self._layers:
            return
        if input_shape is None:
            raise ConfigError(f'Model "{self.name}": build needs the input shape, the batch included')
        self._connect(InputLayer(batch_shape=(None, *input_shape[1:])))

    def _build_for(self, args):
        if not self.built and args and hasattr(args[0], "shape"):
            self._connect_for(args[0].shape, getattr(args[0], "dtype", "float32"))

    def _build_from(self, spec):
        self._connect_for(spec.shape, spec.dtype)

    def _connect_for(self, shape, dtype):
        entry = InputLayer(batch_shape=(None, *shape[1:]), dtype=dtype if dtype == "int32" else "float32")
        self._connect(entry)

    def call(self, inputs, training=None, mask=None):
        if self._functional is not None:
            return self._functional.call(inputs, training)
        for layer in self._layers:
            inputs = layer(inputs)
        return inputs

    def compute_output_spec(self, inputs, **kwargs):
        if self._functional is None:
            return self._infer((inputs,), kwargs)
        return self._functional.compute_output_spec(inputs, **kwargs)

    def compute_output_shape(self, input_shape):
        if self._functional is not None:
            return self._functional.compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def _track_contents(self):
        pass  # all layers are known by the graph

    def _in_order(self, inputs):
        return inputs if self._functional is None else self._functional._in_order(inputs)

    def _input_dtypes(self, count):
        return ["float32"] * count if self._functional is None else self._functional._input_dtypes(count)

    def _of_functional(self, name):
        if self._functional is None:
            raise ConfigError(f'Model "{self.name}" has no {name} yet: build it by calling it or model.build(shape)')
        return getattr(self._functional, name)

    @property
    def inputs(self):
        return self._of_functional("inputs")

    @property
    def outputs(self):
        return self._of_functional("outputs")

    @property
    def input(self):
        return self._of_functional("input")

    @property
    def output(self):
        return self._of_functional("output")

    @property
    def input_shape(self):
        return self._of_functional("input_shape")

    @property
    def output_shape(self):
        return self._of_functional("output_shape")

    @property
    def input_names(self):
        return self._of_functional("input_names")

    @property
    def output_names(self):
        return self._of_functional("output_names")
