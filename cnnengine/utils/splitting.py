"""Cutting a data set in two."""

import numpy as np

from cnnengine.core.errors import ConfigError, ShapeError


def split_dataset(dataset, left_size=None, right_size=None, shuffle=False, seed=None):
    """Split arrays into a left and a right part along the first axis.

    Args:
        dataset: An array, or a list, tuple or dict of arrays of the same length (nested ones, too).
        left_size: Samples of the left part: a whole number, or a fraction between 0 and 1; None takes the rest.
        right_size: The same for the right part.
        shuffle: Shuffle before splitting.
        seed: Seed of the shuffle.

    Returns:
        (left, right), both built like `dataset`.

    Raises:
        ShapeError: If the arrays differ in length.
        ConfigError: If the sizes are missing, too large, or leave a part empty.
    """
    total = _common_length(dataset)
    left, right = _sizes(left_size, right_size, total)
    order = np.random.default_rng(seed).permutation(total) if shuffle else None
    first = slice(0, left) if order is None else order[:left]
    last = slice(total - right, total) if order is None else order[total - right :]
    return _take(dataset, first), _take(dataset, last)


def _leaves(dataset):
    if isinstance(dataset, dict):
        dataset = list(dataset.values())
    if isinstance(dataset, (list, tuple)):
        return [leaf for member in dataset for leaf in _leaves(member)]
    return [np.asarray(dataset)]


def _common_length(dataset):
    leaves = _leaves(dataset)
    lengths = {leaf.shape[0] if leaf.ndim else None for leaf in leaves}
    if len(lengths) != 1 or None in lengths:
        shapes = ", ".join(str(leaf.shape) for leaf in leaves) or "nothing"
        raise ShapeError(f"split_dataset: expected arrays with the same first axis. Received: {shapes}.")
    return lengths.pop()


def _take(dataset, index):
    if isinstance(dataset, dict):
        return {key: _take(member, index) for key, member in dataset.items()}
    if isinstance(dataset, (list, tuple)):
        return type(dataset)(_take(member, index) for member in dataset)
    return np.asarray(dataset)[index]


def _sizes(left_size, right_size, total):
    left = _samples("left_size", left_size, total)
    right = _samples("right_size", right_size, total)
    if left is None and right is None:
        raise ConfigError("split_dataset: at least one of left_size and right_size must be given.")
    left = total - right if left is None else left
    right = total - left if right is None else right
    if left < 1 or right < 1 or left + right > total:
        raise ConfigError(
            f"split_dataset: both parts need at least one of the {total} samples and at most all together. "
            f"Received: left_size={left_size}, right_size={right_size}, that is {left} and {right} samples."
        )
    return left, right


def _samples(name, size, total):
    if size is None:
        return None
    if isinstance(size, (float, np.floating)) and 0 < size < 1:
        return round(float(size) * total)
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool) and 0 < size < total:
        return int(size)
    raise ConfigError(
        f"split_dataset: {name} must be a whole number from 1 to {total - 1} or a fraction between 0 and 1. "
        f"Received: {size!r}."
    )
