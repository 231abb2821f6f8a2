"""Transposed convolution layers, which enlarge maps as a convolution with strides makes them smaller."""

from cnnengine import ops
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.core.shapes import int_tuple, transposed_shape
from cnnengine.layers.convolution import WindowLayer, map_shape, spatial_of


class BaseConvTranspose(WindowLayer):
    """The transpose of a convolution from `filters` channels to those of the input."""

    def __init__(self, rank, options, kwargs):
        kwargs.pop("groups", None)  # written by Keras 2
        super().__init__(rank, options, kwargs)
        self.filters = int_tuple(options["filters"], 1, "filters")[0]
        self.output_padding = self._checked_output_padding(options["output_padding"])

    def _checked_output_padding(self, value):
        if value is None:
            return None
        cells = int_tuple(value, self.rank, "output_padding", minimum=0)
        if any(extra >= stride for extra, stride in zip(cells, self.strides)):
            raise ConfigError(
                f"output_padding must be less than strides along each axis. "
                f"Received: output_padding={cells}, strides={self.strides}"
            )
        return cells

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self._add_part("kernel", "kernel", (*self.kernel_size, self.filters, channels))
        if self.use_bias:
            self.bias = self._add_part("bias", "bias", (self.filters,))
        self.built = True

    def call(self, inputs):
        y = ops.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
            bias=self.bias,
        )
        return self._activated(y)

    def compute_output_shape(self, input_shape):
        spatial, _ = transposed_shape(
            spatial_of(input_shape, self.data_format),
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.padding,
            self.output_padding,
        )
        return map_shape(input_shape[0], spatial, self.filters, self.data_format)

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "output_padding": self.output_padding}


@export("keras.layers", aliases=("Convolution1DTranspose",))
class Conv1DTranspose(BaseConvTranspose):
    """y = activation(transposed convolution of x along one axis + bias).

    Args: as Conv2DTranspose, with one size each.

    Input (n, steps, channels), output (n, new steps, filters).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
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


@export("keras.layers", aliases=("Convolution2DTranspose",))
class Conv2DTranspose(BaseConvTranspose):
    """y = activation(the transpose of Conv2D, applied to x, + bias), also called deconvolution.

    y[n, i*stride + r*dilation - pad, ..., k] sums x[n, i, ..., c] kernel[r, ..., k, c] (Dumoulin & Visin 2016, A guide
    to convolution arithmetic for deep learning).

    Args:
        filters: output channels.
        kernel_size: int or (height, width).
        strides: int or (down, across); how much larger the output is.
        padding: "valid" ((size - 1) * stride + max(kernel, stride) outputs) or "same" (size * stride outputs).
        output_padding: None, or an int or (down, across), less than strides: "valid" then makes (size - 1) * stride +
            kernel + output_padding outputs, "same" (size - 1) * stride + kernel % 2 + output_padding.
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: int or (down, across); not together with strides > 1.
        activation, use_bias and the rest: as Dense.

    Input (n, h, w, c), output (n, p, q, filters); kernel (r, s, filters, c).

    Raises:
        ConfigError, ShapeError.

    Example:
        >>> layers.Conv2DTranspose(32, 2, strides=2, activation="relu")
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=(1, 1),
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


@export("keras.layers", aliases=("Convolution3DTranspose",))
class Conv3DTranspose(BaseConvTranspose):
    """y = activation(transposed convolution of x over three axes + bias).

    Args: as Conv2DTranspose, with sizes (frames, height, width).

    Input (n, f, h, w, channels), output (n, o, p, q, filters); kernel (t, r, s, filters, channels).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1, 1),
        padding="valid",
        data_format=None,
        output_padding=None,
        dilation_rate=(1, 1, 1),
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
