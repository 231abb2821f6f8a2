"""Convolution layers, over all channels or each channel on its own."""

from cnnengine import ops
from cnnengine.core.config import standardize_data_format
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export, serialize
from cnnengine.core.shapes import int_tuple, window_shape
from cnnengine.layers.dense import KernelLayer
from cnnengine.layers.input_spec import InputSpec


def channel_axis(data_format, rank):
    """Index of the channel axis in a batch of `rank`-dimensional maps."""
    return rank + 1 if data_format == "channels_last" else 1


def spatial_of(shape, data_format):
    """The spatial sizes of a batch's shape."""
    return tuple(shape[1:-1]) if data_format == "channels_last" else tuple(shape[2:])


def map_shape(batch, spatial, channels, data_format):
    """A batch's shape from its parts."""
    if data_format == "channels_last":
        return (batch, *spatial, channels)
    return (batch, channels, *spatial)


def _checked_padding(padding, causal):
    allowed = ("valid", "same", "causal") if causal else ("valid", "same")
    lower = padding.lower() if isinstance(padding, str) else padding
    if lower not in allowed:
        raise ConfigError(f"padding must be one of {allowed}. Received: {padding!r}")
    return lower


class WindowLayer(KernelLayer):
    """What all convolutions share: the window's geometry.

    Args:
        rank: number of spatial axes.
    """

    may_be_causal = False

    def __init__(self, rank, options, kwargs):
        super().__init__(options["activation"], options["use_bias"], options, kwargs)
        self.rank = rank
        self.kernel_size = int_tuple(options["kernel_size"], rank, "kernel_size")
        self.strides = int_tuple(options["strides"], rank, "strides")
        self.dilation_rate = int_tuple(options["dilation_rate"], rank, "dilation_rate")
        self.padding = _checked_padding(options["padding"], causal=rank == 1 and self.may_be_causal)
        self.data_format = standardize_data_format(options["data_format"])
        self.input_spec = InputSpec(ndim=rank + 2)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ConfigError(
                f"strides > 1 cannot be combined with dilation_rate > 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    def _channels(self, input_shape):
        channels = input_shape[channel_axis(self.data_format, self.rank)]
        if not channels:
            raise ShapeError(
                f"The channel axis of the input must be known and not empty. Received: shape {input_shape}"
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={channel_axis(self.data_format, self.rank): channels})
        return channels

    def _output_shape(self, input_shape, channels):
        spatial, _ = window_shape(
            spatial_of(input_shape, self.data_format),
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.padding,
            "kernel",
        )
        return map_shape(input_shape[0], spatial, channels, self.data_format)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activity_regularizer": serialize(self.activity_regularizer),
        }


class BaseConv(WindowLayer):
    """Convolution over all channels of a group."""

    may_be_causal = True

    def __init__(self, rank, options, kwargs):
        super().__init__(rank, options, kwargs)
        self.filters = int_tuple(options["filters"], 1, "filters")[0]
        self.groups = int_tuple(options["groups"], 1, "groups")[0]
        if self.filters % self.groups:
            raise ConfigError(
                f"filters must be divisible by groups. Received: filters={self.filters}, groups={self.groups}"
            )

    def build(self, input_shape):
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"input channels must be divisible by groups. Expected a multiple of {self.groups}. "
                f"Received: C={channels}, input shape {tuple(input_shape)}"
            )
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._add_part("kernel", "kernel", shape)
        if self.use_bias:
            self.bias = self._add_part("bias", "bias", (self.filters,))
        self.built = True

    def call(self, inputs):
        y = ops.conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate, bias=self.bias
        )
        return self._activated(y)

    def compute_output_shape(self, input_shape):
        return self._output_shape(input_shape, self.filters)

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "groups": self.groups}


@export("keras.layers", aliases=("Convolution1D",))
class Conv1D(BaseConv):
    """y = activation(conv(x, kernel) + bias) along one axis.

    Args: as Conv2D, with one size each; padding may also be "causal".

    Input (n, steps, channels), output (n, new steps, filters).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
        super().__init__(1, options, kwargs)


@export("keras.layers", aliases=("Convolution2D",))
class Conv2D(BaseConv):
    """y[n,p,q,k] = activation(bias[k] + sum over r,s,c of x[n, p*stride + r*dilation - pad, ..., c] kernel[r,s,c,k]).

    Args:
        filters: output channels.
        kernel_size: int or (height, width).
        strides: int or (down, across).
        padding: "valid" (no padding) or "same" (ceil(size / stride) outputs, the odd cell of padding at the end).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: int or (down, across); not together with strides > 1.
        groups: the channels are cut into this many groups, each with its own filters.
        activation, use_bias and the rest: as Dense.

    Input (n, h, w, c), output (n, p, q, filters); kernel (r, s, c / groups, filters).

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> layers.Conv2D(32, 3, padding="same", activation="relu")
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
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
        super().__init__(2, options, kwargs)


@export("keras.layers", aliases=("Convolution3D",))
class Conv3D(BaseConv):
    """y = activation(conv(x, kernel) + bias) over three axes.

    Args: as Conv2D, with sizes (frames, height, width).

    Input (n, f, h, w, channels), output (n, o, p, q, filters); kernel (t, r, s, channels / groups, filters).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1, 1),
        groups=1,
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
        super().__init__(3, options, kwargs)


class BaseDepthwiseConv(WindowLayer):
    """Convolution of each channel with its own `depth_multiplier` filters."""

    parts = ("depthwise", "bias")

    def __init__(self, rank, options, kwargs):
        kwargs.pop("groups", None)  # written by Keras 2
        super().__init__(rank, options, kwargs)
        self.depth_multiplier = int_tuple(options["depth_multiplier"], 1, "depth_multiplier")[0]

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._add_part("depthwise", "kernel", shape)
        if self.use_bias:
            self.bias = self._add_part("bias", "bias", (channels * self.depth_multiplier,))
        self.built = True

    def call(self, inputs):
        y = ops.depthwise_conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate, bias=self.bias
        )
        return self._activated(y)

    def compute_output_shape(self, input_shape):
        channels = input_shape[channel_axis(self.data_format, self.rank)]
        return self._output_shape(input_shape, channels * self.depth_multiplier)

    def get_config(self):
        return super().get_config() | {"depth_multiplier": self.depth_multiplier}


@export("keras.layers")
class DepthwiseConv1D(BaseDepthwiseConv):
    """Each channel of (n, steps, c) convolved with its own filters: output (n, new steps, c * depth_multiplier)."""

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        super().__init__(1, options, kwargs)


@export("keras.layers")
class DepthwiseConv2D(BaseDepthwiseConv):
    """Each channel convolved with its own filters: y[..., c*m+j] from x[..., c] and kernel[:, :, c, j].

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: as Conv2D.
        depth_multiplier: m, filters a channel.

    Input (n, h, w, c), output (n, p, q, c * m); kernel (r, s, c, m).
    """

    def __init__(
        self,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        super().__init__(2, options, kwargs)
