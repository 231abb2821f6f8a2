"""Layers that repeat cells of a map, or leave out those at its border."""

from cnnengine import ops
from cnnengine.core.config import standardize_data_format
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.core.shapes import int_tuple
from cnnengine.layers.convolution import channel_axis, map_shape, spatial_of
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer
from cnnengine.layers.reshaping import axis_pairs


class BaseSpatial(Layer):
    """A layer that changes each spatial axis on its own and no channel.

    Args:
        data_format: "channels_last" (default) or "channels_first".
    """

    rank = 2

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _axes(self):
        first = 1 if self.data_format == "channels_last" else 2
        return range(first, first + self.rank)

    def _new_size(self, size, i):
        """The size of spatial axis i, now `size`, behind the layer."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape):
        sizes = enumerate(spatial_of(input_shape, self.data_format))
        spatial = tuple(None if size is None else self._new_size(size, i) for i, size in sizes)
        channels = input_shape[channel_axis(self.data_format, self.rank)]
        return map_shape(input_shape[0], spatial, channels, self.data_format)


class BaseUpSampling(BaseSpatial):
    """Each cell repeated along each spatial axis."""

    def __init__(self, size, data_format, **kwargs):
        super().__init__(data_format, **kwargs)
        self.size = int_tuple(size, self.rank, "size")

    def call(self, inputs):
        for axis, times in zip(self._axes, self.size):
            inputs = ops.repeat(inputs, times, axis)
        return inputs

    def _new_size(self, size, i):
        return size * self.size[i]

    def get_config(self):
        return super().get_config() | {"size": self.size, "data_format": self.data_format}


@export("keras.layers")
class UpSampling1D(BaseUpSampling):
    """Each step of (n, steps, c) repeated `size` times."""

    rank = 1

    def __init__(self, size=2, **kwargs):
        super().__init__(size, "channels_last", **kwargs)

    def get_config(self):
        config = super().get_config() | {"size": self.size[0]}
        del config["data_format"]
        return config


@export("keras.layers")
class UpSampling2D(BaseUpSampling):
    """Each cell of (n, h, w, c) repeated.

    Args:
        size: int or (down, across).
        interpolation: "nearest", the only one there is.

    Raises:
        ConfigError.
    """

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        super().__init__(size, data_format, **kwargs)
        if interpolation != "nearest":
            raise ConfigError(f"interpolation must be 'nearest'. Received: {interpolation!r}")
        self.interpolation = interpolation

    def get_config(self):
        return super().get_config() | {"interpolation": self.interpolation}


@export("keras.layers")
class UpSampling3D(BaseUpSampling):
    """Each cell of (n, f, h, w, c) repeated."""

    rank = 3

    def __init__(self, size=(2, 2, 2), data_format=None, **kwargs):
        super().__init__(size, data_format, **kwargs)


class BaseCropping(BaseSpatial):
    """The cells of each spatial axis without some at its ends.

    Args:
        cropping: int; one int an axis; or a pair (before, after) an axis.
    """

    def __init__(self, cropping, data_format, **kwargs):
        super().__init__(data_format, **kwargs)
        self.cropping = axis_pairs(cropping, self.rank, "cropping")

    def _new_size(self, size, i):
        left = size - sum(self.cropping[i])
        if left < 1:
            raise ShapeError(
                f"cropping must leave a cell of each axis. Expected more than {sum(self.cropping[i])} cells along "
                f"spatial axis {i}. Received: {size}"
            )
        return left

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)
        index = [slice(None)] * len(inputs.shape)
        for axis, (before, after) in zip(self._axes, self.cropping):
            index[axis] = slice(before, inputs.shape[axis] - after)
        return inputs[tuple(index)]

    def get_config(self):
        return super().get_config() | {"cropping": self.cropping, "data_format": self.data_format}


@export("keras.layers")
class Cropping1D(BaseCropping):
    """(n, steps, c) without some steps at the ends."""

    rank = 1

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(cropping, "channels_last", **kwargs)

    def get_config(self):
        config = super().get_config() | {"cropping": self.cropping[0]}
        del config["data_format"]
        return config


@export("keras.layers")
class Cropping2D(BaseCropping):
    """(n, h, w, c) without some rows and columns at the borders."""

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


@export("keras.layers")
class Cropping3D(BaseCropping):
    """(n, f, h, w, c) without some frames, rows and columns at the borders."""

    rank = 3

    def __init__(self, cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)
