"""Layers that join several tensors into one, and their function forms."""

from functools import reduce

from cnnengine import ops
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.layers.layer import Layer


def _broadcast(a, b):
    """Shape of two shapes together, None for open dimensions."""
    out = []
    for x, y in zip([1] * (len(b) - len(a)) + list(a), [1] * (len(a) - len(b)) + list(b)):
        if x is not None and y is not None and x != y and 1 not in (x, y):
            raise ShapeError(f"Inputs must have the same shape or broadcast to each other. Received: {a} and {b}")
        out.append(y if x == 1 else x if y == 1 else (x if y is None else y) if None in (x, y) else x)
    return tuple(out)


class Merge(Layer):
    """One tensor from a list of at least `least` tensors, elementwise and broadcast."""

    least = 1

    def build(self, input_shape):
        is_list = isinstance(input_shape, (list, tuple)) and all(isinstance(s, (list, tuple)) for s in input_shape)
        if not is_list or len(input_shape) < self.least:
            raise ConfigError(f"Expected a list of at least {self.least} tensors. Received: shape {input_shape}")
        self.built = True

    def merge(self, a, b):
        raise NotImplementedError

    def call(self, inputs):
        return reduce(self.merge, inputs)

    def compute_output_shape(self, input_shape):
        return reduce(_broadcast, [tuple(shape) for shape in input_shape])


@export("keras.layers")
class Add(Merge):
    """Sum of the inputs."""

    def merge(self, a, b):
        return ops.add(a, b)


@export("keras.layers")
class Subtract(Merge):
    """First input minus the second."""

    least = 2

    def build(self, input_shape):
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ConfigError(f"Subtract takes exactly 2 tensors. Received: {len(input_shape)}")

    def merge(self, a, b):
        return ops.subtract(a, b)


@export("keras.layers")
class Multiply(Merge):
    """Product of the inputs."""

    def merge(self, a, b):
        return ops.multiply(a, b)


@export("keras.layers")
class Average(Merge):
    """Mean of the inputs."""

    def merge(self, a, b):
        return ops.add(a, b)

    def call(self, inputs):
        return ops.multiply(super().call(inputs), 1.0 / len(inputs))


@export("keras.layers")
class Maximum(Merge):
    """The larger of the inputs, elementwise."""

    def merge(self, a, b):
        return ops.maximum(a, b)


@export("keras.layers")
class Minimum(Merge):
    """The smaller of the inputs, elementwise."""

    def merge(self, a, b):
        return ops.minimum(a, b)


@export("keras.layers")
class Concatenate(Merge):
    """The inputs side by side along `axis`."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ConfigError(f"axis must be an int. Received: {axis!r}")
        self.axis = axis

    def call(self, inputs):
        return ops.concatenate(list(inputs), self.axis)

    def compute_output_shape(self, input_shape):
        first, axis = list(input_shape[0]), self.axis % len(input_shape[0])
        for shape in input_shape[1:]:
            differs = [
                i for i in range(len(first)) if i != axis and None not in (first[i], shape[i]) and first[i] != shape[i]
            ]
            if len(shape) != len(first) or differs:
                raise ShapeError(f"Shapes must agree except along axis {self.axis}. Received: {list(input_shape)}")
            first[axis] = None if None in (first[axis], shape[axis]) else first[axis] + shape[axis]
        return tuple(first)

    def get_config(self):
        return super().get_config() | {"axis": self.axis}


def add(inputs, **kwargs):
    """Add()(inputs)."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """Subtract()(inputs)."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """Multiply()(inputs)."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """Average()(inputs)."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """Maximum()(inputs)."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """Minimum()(inputs)."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Concatenate(axis)(inputs)."""
    return Concatenate(axis=axis, **kwargs)(inputs)
