"""Fully connected layer."""

from cnnengine import activations, constraints, initializers, regularizers
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export, serialize
from cnnengine.core.shapes import int_tuple
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer
from cnnengine.ops.matmul import dense


class KernelLayer(Layer):
    """What layers with kernels and a bias share: the arguments around them, and their config.

    Args:
        parts: the prefixes of the arguments, one a weight.
    """

    parts = ("kernel", "bias")

    def __init__(self, activation, use_bias, options, kwargs):
        super().__init__(activity_regularizer=options.pop("activity_regularizer", None), **kwargs)
        if not isinstance(use_bias, (bool, int)):
            raise ConfigError(f"use_bias must be a bool. Received: {use_bias!r}")
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias = None
        for part in self.parts:
            setattr(self, f"{part}_initializer", initializers.get(options[f"{part}_initializer"]))
            setattr(self, f"{part}_regularizer", regularizers.get(options[f"{part}_regularizer"]))
            setattr(self, f"{part}_constraint", constraints.get(options[f"{part}_constraint"]))

    def _add_part(self, part, name, shape):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{part}_initializer"),
            regularizer=getattr(self, f"{part}_regularizer"),
            constraint=getattr(self, f"{part}_constraint"),
        )

    def _activated(self, y):
        return y if self.activation is None else self.activation(y)

    def get_config(self):
        config = super().get_config() | {
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for part in self.parts:
            for kind in ("initializer", "regularizer", "constraint"):
                config[f"{part}_{kind}"] = serialize(getattr(self, f"{part}_{kind}"))
        return config


@export("keras.layers")
class Dense(KernelLayer):
    """y = activation(x kernel + bias), over the last axis.

    Args:
        units: size of the last axis of the output.
        activation: name or function; None for none.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: name or Initializer.
        kernel_regularizer, bias_regularizer: name, Regularizer or None.
        kernel_constraint, bias_constraint: name, Constraint or None.

    Input (..., k), output (..., units); kernel (k, units), bias (units,).

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> layers.Dense(10, activation="softmax")
    """

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        for neutral in ("lora_rank", "lora_alpha", "quantization_config"):
            kwargs.pop(neutral, None)
        super().__init__(activation, use_bias, options, kwargs)
        self.units = int_tuple(units, 1, "units")[0]
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        size = input_shape[-1]
        if not size:
            raise ShapeError(f"The last axis of the input must be known and not empty. Received: shape {input_shape}")
        self.kernel = self._add_part("kernel", "kernel", (size, self.units))
        if self.use_bias:
            self.bias = self._add_part("bias", "bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        self.built = True

    def call(self, inputs):
        return self._activated(dense(inputs, self.kernel, self.bias))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}
