"""Separable convolution layers: each channel on its own first, then all channels of a pixel."""

from cnnengine import ops
from cnnengine.core.registry import export
from cnnengine.core.shapes import int_tuple
from cnnengine.layers.convolution import WindowLayer


class BaseSeparableConv(WindowLayer):
    """A depthwise convolution and a convolution with kernels of size 1."""

    parts = ("depthwise", "pointwise", "bias")

    def __init__(self, rank, options, kwargs):
        super().__init__(rank, options, kwargs)
        self.filters = int_tuple(options["filters"], 1, "filters")[0]
        self.depth_multiplier = int_tuple(options["depth_multiplier"], 1, "depth_multiplier")[0]

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        deep = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self._add_part("depthwise", "depthwise_kernel", deep)
        flat = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self._add_part("pointwise", "pointwise_kernel", flat)
        if self.use_bias:
            self.bias = self._add_part("bias", "bias", (self.filters,))
        self.built = True

    def call(self, inputs):
        y = ops.separable_conv(
            inputs,
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
            bias=self.bias,
        )
        return self._activated(y)

    def compute_output_shape(self, input_shape):
        return self._output_shape(input_shape, self.filters)

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "depth_multiplier": self.depth_multiplier}


@export("keras.layers", aliases=("SeparableConvolution1D",))
class SeparableConv1D(BaseSeparableConv):
    """y = activation(conv(depthwise_conv(x, depthwise_kernel), pointwise_kernel) + bias) along one axis.

    Args: as SeparableConv2D, with one size each.

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
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        super().__init__(1, options, kwargs)


@export("keras.layers", aliases=("SeparableConvolution2D",))
class SeparableConv2D(BaseSeparableConv):
    """y = activation(conv(depthwise_conv(x, depthwise_kernel), pointwise_kernel) + bias) (Chollet 2017, Xception).

    Args:
        filters: output channels.
        kernel_size, strides, padding, data_format, dilation_rate: of the depthwise convolution, as Conv2D.
        depth_multiplier: m, filters a channel of the depthwise convolution.
        activation, use_bias and the rest: as Dense; depthwise_* and pointwise_* for the two kernels.

    Input (n, h, w, c), output (n, p, q, filters); kernels (r, s, c, m) and (1, 1, c * m, filters).

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> layers.SeparableConv2D(64, 3, padding="same", activation="relu")
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        super().__init__(2, options, kwargs)
