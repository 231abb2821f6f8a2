"""Layers that join several tensors into one, and their function forms."""

from functools import reduce

from cnnengine import ops
from cnnengine.core.checks import checked_int
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.layers.layer import Layer


def _broadcast(a, b):
    """Shape of two shapes of the same rank together, None for open dimensions."""
    out = []
    for x, y in zip(a, b):
        if x is not None and y is not None and x != y and 1 not in (x, y):
            raise ShapeError(f"Inputs must have the same shape or broadcast to each other. Received: {a} and {b}")
        out.append(y if x == 1 else x if y == 1 else (x if y is None else y) if None in (x, y) else x)
    return tuple(out)


class Merge(Layer):
    """One tensor from a list of `least` to `most` tensors, elementwise.

    Shapes are broadcast to each other; tensors of lower rank get axes of length 1 behind the batch.
    """

    least, most = 1, None

    def _check_input(self, args):
        if not args or not isinstance(args[0], (list, tuple)):
            raise ConfigError(f"Expected a list of tensors. Received: {_described(args)}")
        count = len(args[0])
        if count < self.least or (self.most is not None and count > self.most):
            number = f"exactly {self.most}" if self.most else f"at least {self.least}"
            raise ConfigError(f"Expected a list of {number} tensors. Received: {count}")
        super()._check_input(args)

    def merge(self, a, b):
        raise NotImplementedError

    def call(self, inputs):
        rank = max(len(x.shape) for x in inputs)
        return reduce(self.merge, [_with_rank(x, rank) for x in inputs])

    def compute_output_shape(self, input_shape):
        rank = max(map(len, input_shape))
        return reduce(_broadcast, [(shape[0], *(1,) * (rank - len(shape)), *shape[1:]) for shape in input_shape])


def _described(args):
    return f"shape {tuple(args[0].shape)}" if args and hasattr(args[0], "shape") else repr(args)


def _with_rank(x, rank):
    """The tensor with axes of length 1 behind the batch."""
    missing = rank - len(x.shape)
    return x if missing == 0 else ops.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:]))


@export("keras.layers")
class Add(Merge):
    """Sum of the inputs."""

    def merge(self, a, b):
        return ops.add(a, b)


@export("keras.layers")
class Subtract(Merge):
    """First input minus the second."""

    least = most = 2

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


def _differ(a, b):
    return None not in (a, b) and a != b


@export("keras.layers")
class Concatenate(Merge):
    """The inputs side by side along `axis`."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = checked_int(axis, "axis")

    def call(self, inputs):
        return ops.concatenate(list(inputs), self.axis)

    def compute_output_shape(self, input_shape):
        first = list(input_shape[0])
        rank = len(first)
        if not -rank <= self.axis < rank:
            raise ShapeError(f"axis {self.axis} is out of range. Received: shapes {list(input_shape)}")
        axis = self.axis % rank
        for shape in input_shape[1:]:
            if len(shape) != rank or any(_differ(first[i], shape[i]) for i in range(rank) if i != axis):
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
