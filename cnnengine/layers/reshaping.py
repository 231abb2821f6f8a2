"""Layers that change the shape of a tensor, not what is in it."""

from math import prod

from cnnengine import ops
from cnnengine.core.checks import checked_int
from cnnengine.core.config import standardize_data_format
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.core.shapes import int_tuple
from cnnengine.layers.convolution import map_shape, spatial_of
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.layer import Layer


@export("keras.layers")
class Flatten(Layer):
    """(n, ...) to (n, all the rest), channels last."""

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        rank = len(inputs.shape)
        if self.data_format == "channels_first" and rank > 2:
            inputs = ops.transpose(inputs, (0, *range(2, rank), 1))
        return ops.reshape(inputs, (inputs.shape[0], prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape):
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else prod(rest))

    def get_config(self):
        return super().get_config() | {"data_format": self.data_format}


@export("keras.layers")
class Reshape(Layer):
    """(n, ...) to (n, *target_shape); one -1 is filled in."""

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        given = target_shape if isinstance(target_shape, (tuple, list)) else (target_shape,)
        target = tuple(checked_int(d, "target_shape", low=-1) for d in given)
        if 0 in target or target.count(-1) > 1:
            raise ConfigError(f"target_shape must be positive ints, at most one of them -1. Received: {target_shape!r}")
        self.target_shape = target

    def _resolved(self, shape):
        rest = shape[1:]
        if None in rest:
            return tuple(None if d == -1 else d for d in self.target_shape)
        size, known = prod(rest), prod(d for d in self.target_shape if d != -1)
        if size % known or (-1 not in self.target_shape and size != known):
            raise ShapeError(f"Cannot reshape {size} elements into {self.target_shape}. Received: shape {tuple(shape)}")
        return tuple(size // known if d == -1 else d for d in self.target_shape)

    def call(self, inputs):
        return ops.reshape(inputs, (inputs.shape[0], *self._resolved(inputs.shape)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self._resolved(input_shape))

    def get_config(self):
        return super().get_config() | {"target_shape": self.target_shape}


@export("keras.layers")
class Permute(Layer):
    """Axes in another order; `dims` counts from 1, the batch stays first."""

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        given = dims if isinstance(dims, (tuple, list)) else (dims,)
        self.dims = tuple(checked_int(d, "dims", low=1) for d in given)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ConfigError(f"dims must be a permutation of 1..{len(self.dims)}. Received: {dims!r}")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs):
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(input_shape[i] for i in self.dims))

    def get_config(self):
        return super().get_config() | {"dims": self.dims}


@export("keras.layers")
class RepeatVector(Layer):
    """(n, features) to (n, times, features)."""

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = int_tuple(n, 1, "n")[0]
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs):
        shape = (inputs.shape[0], self.n, inputs.shape[1])
        return ops.broadcast_to(ops.expand_dims(inputs, 1), shape)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self):
        return super().get_config() | {"n": self.n}


def axis_pairs(value, rank, name):
    """((before, after), ...) from an int, one int an axis, or pairs. Raises ConfigError."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,) * rank
    if isinstance(value, (tuple, list)) and rank == 1 and len(value) == 2:
        value = (tuple(value),)
    if not isinstance(value, (tuple, list)) or len(value) != rank:
        raise ConfigError(f"{name} must be an int, {rank} ints or {rank} pairs of ints. Received: {value!r}")
    return tuple(int_tuple(item, 2, name, minimum=0) for item in value)


class BaseZeroPadding(Layer):
    """Zeros around each spatial axis."""

    rank = 2

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.padding = axis_pairs(padding, self.rank, "padding")
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        inner = self.padding
        widths = ((0, 0), *inner, (0, 0)) if self.data_format == "channels_last" else ((0, 0), (0, 0), *inner)
        return ops.pad(inputs, widths)

    def compute_output_shape(self, input_shape):
        sizes = spatial_of(input_shape, self.data_format)
        padded = tuple(None if size is None else size + sum(pair) for size, pair in zip(sizes, self.padding))
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        return map_shape(input_shape[0], padded, channels, self.data_format)


@export("keras.layers")
class ZeroPadding1D(BaseZeroPadding):
    """Zeros before and after the steps of (n, steps, c)."""

    rank = 1

    def get_config(self):
        return super().get_config() | {"padding": self.padding[0], "data_format": self.data_format}


@export("keras.layers")
class ZeroPadding2D(BaseZeroPadding):
    """Zeros around the maps of (n, h, w, c).

    Args:
        padding: int; (down, across); or ((top, bottom), (left, right)).
    """

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "data_format": self.data_format}


@export("keras.layers")
class ZeroPadding3D(BaseZeroPadding):
    """Zeros around the volumes of (n, f, h, w, c).

    Args:
        padding: int; one int an axis; or a pair (before, after) an axis.
    """

    rank = 3

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "data_format": self.data_format}
