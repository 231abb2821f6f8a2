"""Any function as a layer, and the layer that does nothing."""

import inspect

from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.layers.activations import Elementwise
from cnnengine.layers.layer import Layer


@export("keras.layers")
class Lambda(Layer):
    """function(x, **arguments), for a function over `cnnengine.ops` and operators.

    A model with a Lambda can be saved as weights only: a file never holds code.

    Args:
        function: takes the tensor (or list of tensors).
        output_shape: shape without the batch, or a function of the input shape; found out by itself when None.
        arguments: dict of further arguments.
    """

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        if not callable(function):
            raise ConfigError(f"Lambda takes a function. Received: {function!r}")
        self.function = function
        self._output_shape = output_shape
        self.arguments = dict(arguments or {})
        try:
            self._function_takes_training = "training" in inspect.signature(function).parameters
        except (TypeError, ValueError):
            self._function_takes_training = False

    def call(self, inputs, training=None):
        extra = {"training": training} if self._function_takes_training else {}
        return self.function(inputs, **(self.arguments | extra))

    def compute_output_spec(self, *args, **kwargs):
        return self._infer(args, kwargs)

    def get_config(self):
        raise ConfigError(
            f'Lambda "{self.name}" holds a Python function, which is never written to a file. '
            "Save the weights (model.save_weights), or write a Layer subclass and pass it as custom_objects."
        )


@export("keras.layers")
class Identity(Elementwise):
    """x."""

    def call(self, inputs):
        return inputs
