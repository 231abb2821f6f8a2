"""Dropout."""

from cnnengine import ops
from cnnengine.core.checks import checked_int, checked_number
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.core.seeds import checked_seed
from cnnengine.layers.activations import Elementwise
from cnnengine.ops.random import SeedGenerator, dropout_with


def _checked_noise_shape(shape):
    if not isinstance(shape, (tuple, list)):
        raise ConfigError(f"noise_shape must be a tuple of ints and None. Received: {shape!r}")
    return tuple(None if dim is None else checked_int(dim, "noise_shape", low=1) for dim in shape)


@export("keras.layers")
class Dropout(Elementwise):
    """In training, a share `rate` of the elements becomes 0 and the others x / (1 - rate); else x.

    Source: Srivastava et al. 2014.

    Args:
        rate: from 0 to 1.
        noise_shape: shape of the mask, None or 1 on axes that share it.
        seed: int, or None for a fresh stream.

    Raises:
        ConfigError.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = checked_number(rate, "rate", low=0, high=1)
        self.seed = None if seed is None else checked_seed(seed)
        self.noise_shape = None if noise_shape is None else _checked_noise_shape(noise_shape)
        if self.rate > 0:
            self.seed_generator = SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        if self.noise_shape is None:
            return dropout_with(inputs, self.rate, self.seed_generator.state)
        mask = dropout_with(ops.ones(self._mask_shape(inputs.shape)), self.rate, self.seed_generator.state)
        return inputs * mask

    def _mask_shape(self, shape):
        pairs = list(zip(self.noise_shape, shape))
        if len(self.noise_shape) != len(shape) or any(noise not in (None, 1, dim) for noise, dim in pairs):
            raise ShapeError(f"noise_shape {self.noise_shape} does not broadcast to the input. Received: shape {shape}")
        return tuple(dim if noise is None else noise for noise, dim in pairs)

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}
