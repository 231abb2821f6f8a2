"""Activation functions as layers."""

from cnnengine import activations, ops
from cnnengine.core.checks import checked_axes, checked_number
from cnnengine.core.registry import export
from cnnengine.layers.layer import Layer


class Elementwise(Layer):
    """A layer without weights whose output has the shape of its input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@export("keras.layers")
class Activation(Elementwise):
    """activation(x) for an activation given by name or function."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def get_config(self):
        return super().get_config() | {"activation": activations.serialize(self.activation)}


@export("keras.layers")
class ReLU(Elementwise):
    """max_value where x >= max_value, x where x >= threshold, else negative_slope * (x - threshold)."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else float(checked_number(max_value, "max_value", low=0))
        self.negative_slope = float(
            checked_number(0.0 if negative_slope is None else negative_slope, "negative_slope", low=0)
        )
        self.threshold = float(checked_number(0.0 if threshold is None else threshold, "threshold", low=0))

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self):
        return super().get_config() | {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@export("keras.layers")
class LeakyReLU(Elementwise):
    """x where positive, else negative_slope * x."""

    def __init__(self, negative_slope=0.3, **kwargs):
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in Keras 2
        super().__init__(**kwargs)
        self.negative_slope = float(checked_number(negative_slope, "negative_slope", low=0))

    def call(self, inputs):
        return ops.leaky_relu(inputs, self.negative_slope)

    def get_config(self):
        return super().get_config() | {"negative_slope": self.negative_slope}


@export("keras.layers")
class ELU(Elementwise):
    """x where positive, else alpha * (e**x - 1) (Clevert et al. 2015)."""

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = float(checked_number(alpha, "alpha"))

    def call(self, inputs):
        return ops.elu(inputs, self.alpha)

    def get_config(self):
        return super().get_config() | {"alpha": self.alpha}


@export("keras.layers")
class Softmax(Elementwise):
    """exp(x) / sum(exp(x)) along an axis or axes; where `mask` is False the result is 0."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        axis = checked_axes(axis, "axis")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else int(axis)

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = inputs + (1.0 - ops.cast(mask, "float32")) * -3e38
        return ops.softmax(inputs, self.axis)

    def compute_output_spec(self, *args, **kwargs):
        return self._infer(args, kwargs)  # it also checks the axis

    def get_config(self):
        return super().get_config() | {"axis": self.axis}
