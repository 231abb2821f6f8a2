"""Pooling layers: the maximum or mean of windows, or of whole maps."""

from cnnengine import ops
from cnnengine.core.config import standardize_data_format
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.core.shapes import int_tuple, window_shape
from cnnengine.layers.convolution import channel_axis, map_shape, spatial_of
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer


class BasePooling(Layer):
    """One operation over windows.

    Args:
        pool_size: int or a tuple, one a spatial axis.
        strides: the same; None: pool_size.
        padding: "valid" or "same"; padding never wins a maximum and never counts in a mean.
        data_format: "channels_last" or "channels_first".
    """

    rank = 2
    operation = None

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.pool_size = int_tuple(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else int_tuple(strides, self.rank, "strides")
        if padding not in ("valid", "same"):
            raise ConfigError(f"padding must be 'valid' or 'same'. Received: {padding!r}")
        self.padding = padding
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return type(self).operation(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def compute_output_shape(self, input_shape):
        sizes = spatial_of(input_shape, self.data_format)
        ones = (1,) * self.rank
        spatial, _ = window_shape(sizes, self.pool_size, self.strides, ones, self.padding, "pooling window")
        channels = input_shape[channel_axis(self.data_format, self.rank)]
        return map_shape(input_shape[0], spatial, channels, self.data_format)

    def get_config(self):
        return super().get_config() | {
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }


@export("keras.layers", aliases=("MaxPool1D",))
class MaxPooling1D(BasePooling):
    """Maximum of windows of (n, steps, c)."""

    rank = 1
    operation = staticmethod(ops.max_pool)


@export("keras.layers", aliases=("MaxPool2D",))
class MaxPooling2D(BasePooling):
    """Maximum of windows of (n, h, w, c).

    Example:
        >>> layers.MaxPooling2D(2)
    """

    operation = staticmethod(ops.max_pool)


@export("keras.layers", aliases=("MaxPool3D",))
class MaxPooling3D(BasePooling):
    """Maximum of windows of (n, f, h, w, c)."""

    rank = 3
    operation = staticmethod(ops.max_pool)


@export("keras.layers", aliases=("AvgPool1D",))
class AveragePooling1D(BasePooling):
    """Mean of windows of (n, steps, c)."""

    rank = 1
    operation = staticmethod(ops.average_pool)


@export("keras.layers", aliases=("AvgPool2D",))
class AveragePooling2D(BasePooling):
    """Mean of windows of (n, h, w, c)."""

    operation = staticmethod(ops.average_pool)


@export("keras.layers", aliases=("AvgPool3D",))
class AveragePooling3D(BasePooling):
    """Mean of windows of (n, f, h, w, c)."""

    rank = 3
    operation = staticmethod(ops.average_pool)


class BaseGlobalPooling(Layer):
    """One operation over whole maps: output (n, c), or with `keepdims` (n, 1, ..., 1, c)."""

    rank = 2
    operation = None

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = bool(keepdims)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        first = 1 if self.data_format == "channels_last" else 2
        return type(self).operation(inputs, tuple(range(first, first + self.rank)), keepdims=self.keepdims)

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format, self.rank)]
        if self.keepdims:
            return map_shape(input_shape[0], (1,) * self.rank, channels, self.data_format)
        return (input_shape[0], channels)

    def get_config(self):
        return super().get_config() | {"data_format": self.data_format, "keepdims": self.keepdims}


@export("keras.layers", aliases=("GlobalAvgPool1D",))
class GlobalAveragePooling1D(BaseGlobalPooling):
    """Mean of all steps of (n, steps, c)."""

    rank = 1
    operation = staticmethod(ops.mean)


@export("keras.layers", aliases=("GlobalAvgPool2D",))
class GlobalAveragePooling2D(BaseGlobalPooling):
    """Mean of each map of (n, h, w, c)."""

    operation = staticmethod(ops.mean)


@export("keras.layers", aliases=("GlobalAvgPool3D",))
class GlobalAveragePooling3D(BaseGlobalPooling):
    """Mean of each volume of (n, f, h, w, c)."""

    rank = 3
    operation = staticmethod(ops.mean)


@export("keras.layers", aliases=("GlobalMaxPool1D",))
class GlobalMaxPooling1D(BaseGlobalPooling):
    """Maximum of all steps of (n, steps, c)."""

    rank = 1
    operation = staticmethod(ops.max)


@export("keras.layers", aliases=("GlobalMaxPool2D",))
class GlobalMaxPooling2D(BaseGlobalPooling):
    """Maximum of each map of (n, h, w, c)."""

    operation = staticmethod(ops.max)


@export("keras.layers", aliases=("GlobalMaxPool3D",))
class GlobalMaxPooling3D(BaseGlobalPooling):
    """Maximum of each volume of (n, f, h, w, c)."""

    rank = 3
    operation = staticmethod(ops.max)
