"""What a layer accepts as input."""

from cnnengine.core.errors import ShapeError


class InputSpec:
    """Rank and axis sizes that an input must have.

    Args:
        shape: tuple with None for any size.
        ndim, min_ndim, max_ndim: rank of the input.
        axes: dict from axis to required size.
    """

    def __init__(self, dtype=None, shape=None, ndim=None, max_ndim=None, min_ndim=None, axes=None, name=None, **_):
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(shape) if shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.name = name

    def check(self, shape):
        """Raise ShapeError unless an input of `shape` (None for open dimensions) is accepted."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            raise ShapeError(f"Expected an input of rank {self.ndim}. Received: shape {tuple(shape)}")
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ShapeError(f"Expected an input of rank {self.min_ndim} or more. Received: shape {tuple(shape)}")
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ShapeError(f"Expected an input of rank {self.max_ndim} or less. Received: shape {tuple(shape)}")
        sizes = dict(self.axes)
        if self.shape is not None:
            sizes |= {axis: size for axis, size in enumerate(self.shape) if size is not None}
        for axis, size in sizes.items():
            if -rank <= axis < rank and size is not None and shape[axis] not in (None, size):
                raise ShapeError(f"Expected {size} along axis {axis} of the input. Received: shape {tuple(shape)}")
