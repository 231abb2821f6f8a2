"""Normalisation with each sample's own statistics: over axes, or over groups of channels."""

from cnnengine import constraints, initializers, ops, regularizers
from cnnengine.core.checks import checked_axes, checked_int, checked_number
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export, serialize
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer
from cnnengine.ops.layer_norm import group_normalise


class _OwnStatistics(Layer):
    """What both layers share: epsilon, gamma and beta. Results do not depend on the batch, nor on `training`."""

    def __init__(self, epsilon, center, scale, options, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = float(checked_number(epsilon, "epsilon", low=0))
        self.center, self.scale = bool(center), bool(scale)
        self.gamma = self.beta = None
        getters = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}
        self._options = {key: getters[key.partition("_")[2]](value) for key, value in options.items()}
        self.supports_masking = True

    def _add(self, name, shape):
        options = {key: self._options[f"{name}_{key}"] for key in ("initializer", "regularizer", "constraint")}
        return self.add_weight(shape=shape, name=name, **options)

    def _add_weights(self, input_shape, axes):
        """gamma and beta for the axes, whose sizes must be known. Raises ShapeError."""
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
            raise ShapeError(f"axis {self.axis} is out of range or names one twice. Received: shape {input_shape}")
        shape = tuple(input_shape[axis] for axis in axes)
        if not all(shape):
            raise ShapeError(f"Axis {self.axis} of the input must be known and not empty. Received: {input_shape}")
        if self.scale:
            self.gamma = self._add("gamma", shape)
        if self.center:
            self.beta = self._add("beta", shape)
        self.input_spec = InputSpec(ndim=rank, axes=dict(zip(axes, shape, strict=True)))
        self.built = True

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        config = {"axis": self.axis, "epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        return super().get_config() | config | {key: serialize(value) for key, value in self._options.items()}


@export("keras.layers")
class LayerNormalization(_OwnStatistics):
    """y = gamma * (x - mean) / sqrt(var + epsilon) + beta, mean and var of each sample over `axis` (Ba et al. 2016).

    Args:
        axis: an axis, or several that are normalised as one; gamma and beta have their shape.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
        *_initializer, *_regularizer, *_constraint: of gamma and beta.

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> y = layers.LayerNormalization()(x)  # (batch, tokens, channels), each token by itself
    """

    def __init__(
        self,
        axis=-1,
        epsilon=0.001,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        if kwargs.pop("rms_scaling", False):
            raise ConfigError("LayerNormalization: rms_scaling=True is not supported")
        options = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, options, **kwargs)
        axis = checked_axes(axis, "axis")
        self.axis = [int(each) for each in axis] if isinstance(axis, (list, tuple)) else int(axis)

    def build(self, input_shape):
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        self._add_weights(input_shape, self.axis)

    def call(self, inputs, mask=None):
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)

    def get_config(self):
        return super().get_config() | {"rms_scaling": False}


@export("keras.layers")
class GroupNormalization(_OwnStatistics):
    """y = gamma * (x - mean) / sqrt(var + epsilon) + beta, mean and var of each group of neighbouring channels of a
    sample over all its positions (Wu & He 2018).

    Args:
        groups: how many, a divisor of the channels; -1: one a channel (instance normalisation, Ulyanov et al. 2016).
        axis: the channel axis.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma, one number a channel.
        *_initializer, *_regularizer, *_constraint: of gamma and beta.

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> y = layers.GroupNormalization(groups=8)(x)  # x: (batch, height, width, channels)
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=0.001,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        options = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, options, **kwargs)
        self.groups = checked_int(groups, "groups", low=-1)
        if self.groups == 0:
            raise ConfigError("groups: expected a positive int, or -1 for one a channel. Received: 0")
        self.axis = checked_int(axis, "axis")

    def build(self, input_shape):
        self._add_weights(input_shape, [self.axis])
        channels = input_shape[self.axis]
        if self.axis % len(input_shape) == 0:
            raise ShapeError(f"axis {self.axis} is that of the samples. Received: shape {input_shape}")
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ShapeError(
                f"The channels must be a multiple of groups={self.groups}. Received: {channels} channels, "
                f"shape {input_shape}"
            )

    def call(self, inputs, mask=None):
        rank, axis = len(inputs.shape), self.axis % len(inputs.shape)
        x = inputs if axis == rank - 1 else ops.moveaxis(inputs, axis, -1)
        y = group_normalise(x, self.groups, self.gamma, self.beta, self.epsilon)
        return y if axis == rank - 1 else ops.moveaxis(y, -1, axis)

    def get_config(self):
        return super().get_config() | {"groups": self.groups}
