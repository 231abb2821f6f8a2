"""Batch normalisation."""

from cnnengine import constraints, initializers, ops, regularizers
from cnnengine.core.checks import checked_int, checked_number
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export, serialize
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer
from cnnengine.ops.batch_norm import batch_normalise, batch_stats
from cnnengine.ops.update import update


@export("keras.layers")
class BatchNormalization(Layer):
    """y = gamma * (x - mean) / sqrt(var + epsilon) + beta, for each channel (Ioffe & Szegedy 2015).

    In training mean and (biased) variance are the batch's, and the moving averages follow them:
    moving = moving * momentum + batch * (1 - momentum). Otherwise, and while `trainable` is False, they are the moving
    averages.

    Args:
        axis: the channel axis.
        momentum: of the moving averages, 0 to 1.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
        *_initializer, *_regularizer, *_constraint: of gamma, beta and the moving averages.

    Raises:
        ConfigError, ShapeError.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=0.001,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if renorm:
            raise ConfigError("BatchNormalization: renorm=True is not supported")
        axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        self.axis = checked_int(axis, "axis")
        self.epsilon = float(checked_number(epsilon, "epsilon", low=0))
        self.momentum = float(checked_number(momentum, "momentum", low=0, high=1))
        self.center, self.scale = bool(center), bool(scale)
        self.gamma = self.beta = None
        self._options = {
            "beta_initializer": initializers.get(beta_initializer),
            "gamma_initializer": initializers.get(gamma_initializer),
            "moving_mean_initializer": initializers.get(moving_mean_initializer),
            "moving_variance_initializer": initializers.get(moving_variance_initializer),
            "beta_regularizer": regularizers.get(beta_regularizer),
            "gamma_regularizer": regularizers.get(gamma_regularizer),
            "beta_constraint": constraints.get(beta_constraint),
            "gamma_constraint": constraints.get(gamma_constraint),
        }
        self.supports_masking = True

    def _add(self, name, size, trainable=True):
        return self.add_weight(
            shape=(size,),
            name=name,
            trainable=trainable,
            initializer=self._options[f"{name}_initializer"],
            regularizer=self._options.get(f"{name}_regularizer"),
            constraint=self._options.get(f"{name}_constraint"),
        )

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise ShapeError(f"axis {self.axis} is out of range. Received: input shape {input_shape}")
        size = input_shape[self.axis]
        if not size:
            raise ShapeError(
                f"Axis {self.axis} of the input must be known and not empty. Received: shape {input_shape}"
            )
        if self.scale:
            self.gamma = self._add("gamma", size)
        if self.center:
            self.beta = self._add("beta", size)
        self.moving_mean = self._add("moving_mean", size, trainable=False)
        self.moving_variance = self._add("moving_variance", size, trainable=False)
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: size})
        self.built = True

    def call(self, inputs, training=None, mask=None):
        rank, axis = len(inputs.shape), self.axis % len(inputs.shape)
        x = inputs if axis == rank - 1 else ops.moveaxis(inputs, axis, -1)
        learns = bool(training) and self.trainable
        mean, var = (self.moving_mean, self.moving_variance)
        if learns and inputs.shape[0] > 0:
            mean, var = batch_stats(x)
            for average, batch in ((self.moving_mean, mean), (self.moving_variance, var)):
                update("ema_update", [batch], [average], momentum=self.momentum)
        y = batch_normalise(x, mean, var, self.gamma, self.beta, self.epsilon, learns)
        return y if axis == rank - 1 else ops.moveaxis(y, -1, axis)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        config = super().get_config() | {
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
        return config | {key: serialize(value) for key, value in self._options.items()} | {"synchronized": False}
