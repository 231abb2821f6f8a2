"""Dropout."""

from cnnengine import ops
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.layers.activations import Elementwise
from cnnengine.ops.random import SeedGenerator, dropout_with


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
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ConfigError(f"rate must be a number from 0 to 1. Received: {rate!r}")
        self.rate, self.seed = rate, seed
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        if self.noise_shape is None:
            return dropout_with(inputs, self.rate, self.seed_generator.state)
        shape = tuple(dim if noise is None else noise for noise, dim in zip(self.noise_shape, inputs.shape))
        return inputs * dropout_with(ops.ones(shape), self.rate, self.seed_generator.state)

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}
