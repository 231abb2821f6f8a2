"""Public operations with NumPy's names that move elements or make tensors: shapes, slices, joins, constants."""

from math import prod

import numpy as np

from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.core.spec import STORAGE, int_shape, standard_dtype
from cnnengine.ops.base import bind, public, settled, spec_of, to_tensor
from cnnengine.ops.elementwise import as_float, broadcast_to, cast, fill
from cnnengine.ops.layout import (
    GATHER,
    concat_along,
    pad_with,
    slice_with,
    transpose_to,
)
from cnnengine.ops.reduce import normal_axes
from cnnengine.ops.view import reshape_to


def shape(x):
    """Shape of a tensor as a tuple of ints (None where open)."""
    return tuple(x.shape)


def ndim(x):
    """Number of axes of a tensor."""
    return len(x.shape)


@public
def reshape(x, newshape):
    """x with another shape of the same size; one -1 is filled in. Raises ShapeError."""
    x = to_tensor(x)
    size, new = spec_of(x).size, list(int_shape([newshape] if np.isscalar(newshape) else newshape))
    known = prod(dim for dim in new if dim != -1)
    if new.count(-1) == 1 and known and size % known == 0:
        new[new.index(-1)] = size // known
    if prod(new) != size or any(dim < 0 for dim in new):
        raise ShapeError(f"Cannot reshape {spec_of(x).shape} ({size} elements) into {newshape}")
    return reshape_to(x, tuple(new))


@public
def transpose(x, axes=None):
    """x with its axes in the given order (None: reversed). Raises ShapeError."""
    x = to_tensor(x)
    return transpose_to(x, axes if axes is not None else range(len(spec_of(x).shape))[::-1])


@public
def swapaxes(x, axis1, axis2):
    """x with two axes exchanged."""
    x = to_tensor(x)
    rank = len(spec_of(x).shape)
    i, j, order = normal_axes(axis1, rank)[0], normal_axes(axis2, rank)[0], list(range(rank))
    order[i], order[j] = j, i
    return transpose_to(x, order)


@public
def moveaxis(x, source, destination):
    """x with one axis, or as many as are given, moved to other places. Raises ShapeError."""
    x = to_tensor(x)
    rank = len(spec_of(x).shape)
    sources, places = ([normal_axes(i, rank)[0] for i in np.atleast_1d(axes)] for axes in (source, destination))
    if len(sources) != len(set(sources)) or len(places) != len(set(places)) or len(sources) != len(places):
        raise ShapeError(f"Expected as many places as axes, none twice. Received: {source} and {destination}")
    order = [i for i in range(rank) if i not in sources]
    for place, axis in sorted(zip(places, sources)):
        order.insert(place, axis)
    return transpose_to(x, order)


@public
def expand_dims(x, axis):
    """x with a new axis of length 1 at `axis`."""
    x = to_tensor(x)
    old = spec_of(x).shape
    if not -len(old) - 1 <= axis <= len(old):
        raise ShapeError(f"axis must be between {-len(old) - 1} and {len(old)}. Received: {axis}")
    at = axis % (len(old) + 1)
    return reshape_to(x, old[:at] + (1,) + old[at:])


@public
def squeeze(x, axis=None):
    """x without its axes of length 1, or without the given ones. Raises ShapeError."""
    x = to_tensor(x)
    old = spec_of(x).shape
    axes = [i for i, dim in enumerate(old) if dim == 1] if axis is None else normal_axes(axis, len(old))
    if [i for i in axes if old[i] != 1]:
        raise ShapeError(f"Only axes of length 1 can be squeezed. Received: shape {old}, axis {axis}")
    return reshape_to(x, tuple(dim for i, dim in enumerate(old) if i not in axes))


@public
def concatenate(xs, axis=-1):
    """Tensors side by side along one axis. Raises ShapeError."""
    return concat_along(list(xs), axis)


@public
def stack(xs, axis=0):
    """Tensors of one shape along a new axis."""
    return concat_along([expand_dims(x, axis) for x in xs], axis)


@public
def split(x, indices_or_sections, axis=0):
    """x cut along an axis into equal parts (an int) or at the given indices."""
    x = to_tensor(x)
    axis = normal_axes(axis, len(spec_of(x).shape))[0]
    length = spec_of(x).shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        if indices_or_sections < 1 or length % indices_or_sections:
            raise ShapeError(f"Axis of {length} does not split into {indices_or_sections} equal parts")
        cuts = [length // indices_or_sections * i for i in range(1, indices_or_sections)]
    else:
        cuts = list(indices_or_sections)
    key = [slice(None)] * len(spec_of(x).shape)
    return [getitem(x, (*key[:axis], slice(lo, hi))) for lo, hi in zip([0, *cuts], [*cuts, length])]


@public
def pad(x, pad_width, mode="constant", constant_values=0.0):
    """x with cells of a constant around it; `pad_width` is one int, one pair or a pair an axis."""
    x = to_tensor(x)
    if mode != "constant":
        raise ConfigError(f"mode must be 'constant'. Received: {mode!r}")
    rank = len(spec_of(x).shape)
    widths = np.asarray(pad_width, np.int64)
    if widths.shape not in ((), (1,), (2,), (1, 2), (rank, 1), (rank, 2)):
        raise ShapeError(f"pad_width: expected an int, a pair or {rank} pairs. Received: {pad_width!r}")
    widths = np.broadcast_to(widths, (rank, 2))
    return pad_with(x, widths[:, 0].tolist(), widths[:, 1].tolist(), constant_values or 0.0)


@public
def repeat(x, repeats, axis=None):
    """Each element along an axis (None: of the flat tensor) repeated `repeats` times."""
    x = to_tensor(x)
    x, axis = (reshape(x, (-1,)), 0) if axis is None else (x, axis)
    old = spec_of(x).shape
    at = normal_axes(axis, len(old))[0]
    y = broadcast_to(expand_dims(x, at + 1), (*old[: at + 1], repeats, *old[at + 1 :]))
    return reshape_to(y, (*old[:at], old[at] * repeats, *old[at + 1 :]))


@public
def tile(x, repeats):
    """x repeated whole, `repeats` times along each axis; a shorter list is for the last axes."""
    x, times = to_tensor(x), [int(n) for n in np.atleast_1d(repeats)]
    rank = max(len(spec_of(x).shape), len(times))
    shape = [1] * (rank - len(spec_of(x).shape)) + list(spec_of(x).shape)
    for axis, n in enumerate([1] * (rank - len(times)) + times):
        rows = reshape_to(x, (prod(shape[:axis]), 1, prod(shape[axis:])))
        x = broadcast_to(rows, (prod(shape[:axis]), n, prod(shape[axis:])))
        shape[axis] *= n
    return reshape_to(x, tuple(shape))


@public
def flip(x, axis=None):
    """x in reverse order along the given axes (None: all)."""
    x = to_tensor(x)
    axes = normal_axes(axis, len(spec_of(x).shape))
    return getitem(x, tuple(slice(None, None, -1 if i in axes else 1) for i in range(len(spec_of(x).shape))))


def _one_slice(key, length):
    """(start, step, cells, keep the axis) of one entry of an index."""
    if isinstance(key, slice):
        cells = range(*key.indices(length))
        return cells.start if len(cells) else 0, cells.step, len(cells), True
    index = int(key)
    if not -length <= index < length:
        raise ShapeError(f"Index {index} is out of range for an axis of {length}")
    return index % length, 1, 1, False


@public
def getitem(x, key):
    """x[key] with ints, slices, None and Ellipsis. Raises ShapeError."""
    x = to_tensor(x)
    old, keys = spec_of(x).shape, list(key) if isinstance(key, tuple) else [key]
    allowed = (int, np.integer, slice, type(None), type(Ellipsis))
    if [k for k in keys if isinstance(k, bool) or not isinstance(k, allowed)]:
        raise DTypeError(f"A tensor is indexed by ints, slices, None and Ellipsis. Received: {key!r}")
    used = len([k for k in keys if k is not None and k is not Ellipsis])
    if used > len(old) or len([k for k in keys if k is Ellipsis]) > 1:
        raise ShapeError(f"Too many indices for a tensor of shape {old}. Received: {key!r}")
    if Ellipsis not in [k for k in keys if k is None or k is Ellipsis]:
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(old) - used)
    cuts = [_one_slice(k, dim) for k, dim in zip([k for k in keys if k is not None], old)]
    start, step, cells, kept = zip(*cuts) if cuts else ((), (), (), ())
    y = slice_with(x, start, step, cells) if cuts else x
    axes = iter(zip(cells, kept))
    new = [(1, True) if k is None else next(axes) for k in keys]
    return reshape_to(y, tuple(dim for dim, keep in new if keep))


@public
def take(x, indices, axis=None):
    """Rows of x along an axis, chosen by int indices. An index out of range gives NaN."""
    x = as_float(x)
    indices = cast(to_tensor(indices), "int32")
    if axis is None:
        x, axis = reshape_to(x, (spec_of(x).size,)), 0
    axis = normal_axes(axis, len(spec_of(x).shape))[0]
    if axis == 0:
        return bind(GATHER, [x, indices])
    rank, extra = len(spec_of(x).shape), len(spec_of(indices).shape)
    y = bind(GATHER, [moveaxis(x, axis, 0), indices])
    order = list(range(extra, extra + axis)) + list(range(extra)) + list(range(extra + axis, rank - 1 + extra))
    return transpose_to(y, order)


# --- making tensors -----------------------------------------------------------------------------------------------


def zeros(shape, dtype=None):
    """A tensor of zeros."""
    return cast(fill(shape, 0.0), dtype or "float32")


def ones(shape, dtype=None):
    """A tensor of ones."""
    return cast(fill(shape, 1.0), dtype or "float32")


def full(shape, fill_value, dtype=None):
    """A tensor of one value, or of an array's values broadcast to the shape."""
    return cast(broadcast_to(to_tensor(fill_value), shape), dtype or "float32")


@public
def zeros_like(x, dtype=None):
    """Zeros in the shape of x, and its dtype unless another is given."""
    x = to_tensor(x)
    return zeros(x.shape, dtype or spec_of(x).dtype)


@public
def ones_like(x, dtype=None):
    """Ones in the shape of x, and its dtype unless another is given."""
    x = to_tensor(x)
    return ones(x.shape, dtype or spec_of(x).dtype)


def arange(start, stop=None, step=1, dtype=None):
    """Evenly spaced numbers, as NumPy's arange."""
    array = np.arange(start, stop, step) if stop is not None else np.arange(start)
    return array.astype(STORAGE[standard_dtype(dtype or array.dtype)])


def convert_to_tensor(x, dtype=None):
    """The array (or value) that x stands for, in an engine dtype."""
    x = settled(to_tensor(x))
    return cast(x, dtype) if dtype else x


def convert_to_numpy(x):
    """A NumPy array of x."""
    return np.array(x)
