"""Batches: from arrays (or anything that gives batches) to what a step takes."""

import itertools

import numpy as np

from cnnengine.core.checks import checked_int, checked_number
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.core.seeds import generator, next_seed
from cnnengine.core.tree import flatten, map_structure


def as_numbers(x, what):
    """A NumPy array of numbers. Raises DTypeError."""
    array = np.asarray(x)
    if array.dtype.kind not in "bfiu":
        raise DTypeError(f"{what} must hold numbers. Received: dtype {array.dtype}")
    if array.ndim == 0:
        raise ShapeError(
            f"{what} must be an array with a batch axis, or a list of arrays, one an input. Received: a single number "
            "(of a nested list? make it one array with numpy.array)"
        )
    return array


def unpack(data):
    """(x, y, sample_weight) from what a generator or dataset yields."""
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if len(data) > 3:
        raise ConfigError(f"A batch must be x, (x, y) or (x, y, sample_weight). Received: {len(data)} items")
    return (*data, None, None)[:3]


def checked_parts(*parts):
    """x, y and sample weights as (structures of) arrays, and their number of samples. Raises ShapeError, DTypeError."""
    names = ("x", "y", "sample_weight")
    parts = [
        None if part is None else map_structure(lambda a, n=name: None if a is None else as_numbers(a, n), part)
        for part, name in zip(parts, names)
    ]
    counts = {a.shape[0] for part in parts for a in flatten(part) if a is not None}
    if len(counts) != 1:
        raise ShapeError(f"x, y and sample_weight must have the same number of samples. Received: {sorted(counts)}")
    if any(not np.isfinite(a).all() for a in flatten(parts[2]) if a is not None):
        raise ConfigError("sample_weight must be finite. Received: a NaN or infinite weight")
    return parts, counts.pop()


class ArrayBatches:
    """Batches of arrays held in memory.

    Args:
        x, y, sample_weight: arrays or structures of arrays with the same number of samples; y and weights may be None.
        batch_size: int.
        shuffle: True: all samples in a new order each epoch; "batch": only within each batch.
        seed: of the order; None for a fresh one.
    """

    def __init__(self, x, y=None, sample_weight=None, batch_size=32, shuffle=False, seed=None):
        self.batch_size = checked_int(batch_size, "batch_size", low=1)
        if shuffle not in (True, False, "batch"):
            raise ConfigError(f"shuffle must be True, False or 'batch'. Received: {shuffle!r}")
        if x is None:
            raise ConfigError("x must be given. Received: None")
        (self.x, self.y, self.sample_weight), self.samples = checked_parts(x, y, sample_weight)
        self.shuffle = shuffle
        self._seed = next_seed() if shuffle and seed is None else seed

    def __len__(self):
        return -(-self.samples // self.batch_size)

    def _order(self, epoch):
        rng = generator(self._seed, epoch)
        if self.shuffle != "batch":
            return rng.permutation(self.samples)
        starts = range(0, self.samples, self.batch_size)
        return np.concatenate([s + rng.permutation(min(self.batch_size, self.samples - s)) for s in starts])

    def batches(self, epoch=0):
        """Yield (x, y, sample_weight) of one epoch."""
        order = self._order(epoch) if self.shuffle else None
        for start in range(0, self.samples, self.batch_size):
            stop = min(start + self.batch_size, self.samples)
            pick = slice(start, stop) if order is None else order[start:stop]
            yield tuple(
                None if part is None else map_structure(lambda a, p=pick: None if a is None else a[p], part)
                for part in (self.x, self.y, self.sample_weight)
            )

    def end_epoch(self):
        """All batches of an epoch have been taken."""


class GivenBatches:
    """Batches from a generator, an iterable, or an object with `__len__` and `__getitem__` (a PyDataset).

    Args:
        source: what yields x, (x, y) or (x, y, sample_weight).
        steps: batches in an epoch; None: until the source ends.
    """

    def __init__(self, source, steps=None):
        self._source = source
        self._is_indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self._steps = steps
        self._iterator = None

    @property
    def steps(self):
        """Batches in an epoch, None when not known before its end."""
        if not self._is_indexed:
            return self._steps
        return len(self._source) if self._steps is None else min(self._steps, len(self._source))

    def _items(self):
        if self._is_indexed:
            return (self._source[i] for i in range(self.steps))
        if self._iterator is None or self._steps is None:
            self._iterator = iter(self._source)
        return itertools.islice(self._iterator, self._steps)

    def batches(self, epoch=0):
        """Yield (x, y, sample_weight) of one epoch."""
        for item in self._items():
            yield tuple(checked_parts(*unpack(item))[0])

    def end_epoch(self):
        """Tell the source, which may want to choose another order."""
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()


def make_batches(x, y, sample_weight, batch_size, shuffle=False, steps=None):
    """Batches from the arguments of fit, evaluate or predict. Raises ConfigError, ShapeError, DTypeError."""
    if steps is not None:
        checked_int(steps, "steps", low=1)
    is_source = not hasattr(x, "shape") and not isinstance(x, (list, tuple, dict))
    if is_source and (hasattr(x, "__iter__") or hasattr(x, "__getitem__")):
        if y is not None or sample_weight is not None:
            raise ConfigError("y and sample_weight must come from the dataset itself, not as arguments beside it")
        return GivenBatches(x, steps)
    return ArrayBatches(x, y, sample_weight, 32 if batch_size is None else batch_size, shuffle)


def steps_of(batches, limit=None):
    """Batches in an epoch, None when not known; at most `limit`."""
    count = len(batches) if isinstance(batches, ArrayBatches) else batches.steps
    if limit is None:
        return count
    return limit if count is None else min(limit, count)


def split_validation(parts, fraction):
    """((training parts), (validation parts)): the last share of each array, before any shuffling.

    Raises:
        ConfigError: a share outside (0, 1), data that are not arrays, or an empty side.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
        raise ConfigError(f"validation_split must be a number between 0 and 1. Received: {fraction!r}")
    leaves = [leaf for part in parts if part is not None for leaf in flatten(part)]
    if not all(hasattr(leaf, "__len__") for leaf in leaves):
        raise ConfigError("validation_split needs arrays; a generator must bring its own validation_data")
    samples = len(leaves[0])
    at = int(np.floor(samples * (1.0 - fraction)))
    if at in (0, samples):
        raise ConfigError(f"validation_split={fraction} of {samples} samples leaves one side empty")

    def cut(part, key):
        return None if part is None else map_structure(lambda a: np.asarray(a)[key], part)

    return tuple(cut(p, slice(0, at)) for p in parts), tuple(cut(p, slice(at, None)) for p in parts)


def class_weights(y, weights):
    """One weight a sample from a dict of class weights; classes that are not named weigh 1.

    Args:
        y: class numbers (n,) or (n, 1), or one-hot rows (n, classes).
    """
    y = as_numbers(y, "y")
    classes = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y)).astype(np.int64)
    if not isinstance(weights, dict):
        raise ConfigError(f"class_weight must be a dict from class number to weight. Received: {weights!r}")
    out = np.ones(classes.shape, np.float32)
    for label, weight in weights.items():
        out[classes == label] = checked_number(weight, f"class_weight[{label!r}]")
    return out
