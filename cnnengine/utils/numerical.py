"""Turning labels and measurements into what a network trains well on."""

import numpy as np

from cnnengine.core.errors import ConfigError, DTypeError, ShapeError


def to_categorical(x, num_classes=None):
    """One-hot encode class numbers.

        y[..., k] = 1 if x[...] == k else 0

    Args:
        x: Whole numbers from 0 to num_classes - 1, any shape. A last axis of length 1 is dropped.
        num_classes: Length of the new last axis; None means max(x) + 1.

    Returns:
        float32 array of shape (*x.shape, num_classes).

    Raises:
        DTypeError: If `x` does not hold numbers.
        ConfigError: If a label is not a whole number or out of range, or there is none to count the classes by.

    Example:
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    labels = _whole_numbers(np.asarray(x))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if labels.size == 0:
            raise ConfigError("to_categorical: num_classes is needed when there are no labels.")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ConfigError(
            f"to_categorical: labels must be from 0 to {num_classes - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )
    encoded = np.zeros((labels.size, num_classes), np.float32)
    encoded[np.arange(labels.size), labels.ravel()] = 1
    return encoded.reshape(*labels.shape, num_classes)


def _whole_numbers(labels):
    if labels.size == 0:
        return labels.astype(np.int64)
    if labels.dtype.kind not in "buif":
        raise DTypeError(f"to_categorical: labels must be numbers. Received: dtype {labels.dtype}.")
    # The limit keeps the cast below defined; NaN and infinity fail it, too.
    if labels.dtype.kind == "f" and not np.all((np.abs(labels) < 2**53) & (labels == np.floor(labels))):
        raise ConfigError("to_categorical: labels must be whole numbers. Received: fractions, NaN or infinity.")
    return labels.astype(np.int64)


def normalize(x, axis=-1, order=2):
    """Scale vectors to length one.

        y = x / ||x||_order,  zero vectors stay zero

    Args:
        x: Array of numbers.
        axis: Axis along which the vectors lie.
        order: Order of the norm: 1, 2, numpy.inf, ...

    Returns:
        A new array of the shape of `x`; integers become float64.
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def fit_standardization(x_train, axis=-1):
    """Mean and standard deviation of the training data, for `standardize`.

    Measure them on the training part only and apply them to all parts: a test set must not know about itself.

    Args:
        x_train: Array of numbers, samples first.
        axis: Axis, or tuple of axes, whose entries get a mean each (-1: one a channel or feature); None: one for all.

    Returns:
        (mean, std): float32 arrays that broadcast against samples of any number.

    Raises:
        ShapeError: If there are no samples or an axis does not exist.

    Example:
        >>> mean, std = fit_standardization(x_train)
        >>> x_train, x_test = standardize(x_train, mean, std), standardize(x_test, mean, std)
    """
    x_train = np.asarray(x_train)
    if x_train.size == 0:
        raise ShapeError(f"fit_standardization: expected at least one sample. Received: shape {x_train.shape}.")
    kept = () if axis is None else (axis if isinstance(axis, (tuple, list)) else (axis,))
    if not all(-x_train.ndim <= k < x_train.ndim for k in kept):
        raise ShapeError(f"fit_standardization: axis {axis} does not exist. Received: shape {x_train.shape}.")
    kept = {k % x_train.ndim for k in kept}
    reduced = tuple(k for k in range(x_train.ndim) if k not in kept)
    mean = x_train.mean(axis=reduced, dtype=np.float64, keepdims=True)
    std = x_train.std(axis=reduced, dtype=np.float64, keepdims=True)
    return mean.astype(np.float32), std.astype(np.float32)


def standardize(x, mean, std):
    """Shift and scale to mean zero and deviation one.

        y = (x - mean) / max(std, 1e-7)

    Args:
        x: Array of numbers.
        mean, std: From `fit_standardization`.

    Returns:
        New float32 array of the shape of `x`.
    """
    return (np.asarray(x, np.float32) - mean) / np.maximum(np.float32(std), np.float32(1e-7))
