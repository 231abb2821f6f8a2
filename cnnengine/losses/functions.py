"""Losses as functions of (y_true, y_pred): one value for each sample, no reduction over the batch."""

import math
import warnings

from cnnengine import ops
from cnnengine.core.checks import checked_number
from cnnengine.core.config import epsilon
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.losses.loss import squeeze_or_expand, valid_classes
from cnnengine.ops.elementwise import as_float

_MODULE = "keras.losses"


def _pair(y_true, y_pred):
    """Both as floats of the same rank."""
    return squeeze_or_expand(as_float(y_true), as_float(y_pred))


# --- differences ---------------------------------------------------------------------------------------------------


@export(_MODULE, aliases=("mse", "MSE"))
def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)**2) over the last axis."""
    return ops.mean(ops.squared_difference(*_pair(y_true, y_pred)), axis=-1)


@export(_MODULE, aliases=("mae", "MAE"))
def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis."""
    return ops.mean(ops.absolute(ops.subtract(*_pair(y_true, y_pred))), axis=-1)


@export(_MODULE, aliases=("mape", "MAPE"))
def mean_absolute_percentage_error(y_true, y_pred):
    """100 * mean(|y_true - y_pred| / max(|y_true|, epsilon)) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    scale = ops.maximum(ops.absolute(y_true), epsilon())
    return ops.multiply(ops.mean(ops.absolute(ops.divide(ops.subtract(y_true, y_pred), scale)), axis=-1), 100.0)


def _log_above(x):
    return ops.log(ops.add(ops.maximum(x, epsilon()), 1.0))


@export(_MODULE, aliases=("msle", "MSLE"))
def mean_squared_logarithmic_error(y_true, y_pred):
    """mean((log(1 + y_true) - log(1 + y_pred))**2) over the last axis; values below epsilon count as epsilon."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.squared_difference(_log_above(y_pred), _log_above(y_true)), axis=-1)


@export(_MODULE)
def huber(y_true, y_pred, delta=1.0):
    """mean of error**2 / 2 up to |error| = delta, and of the tangent there beyond (Huber 1964)."""
    error = ops.absolute(ops.subtract(*_pair(y_true, y_pred)))
    line = ops.add(ops.multiply(error, delta), -0.5 * delta * delta)
    return ops.mean(ops.where(ops.less_equal(error, delta), ops.multiply(ops.square(error), 0.5), line), axis=-1)


@export(_MODULE, aliases=("logcosh",))
def log_cosh(y_true, y_pred):
    """mean(log(cosh(y_pred - y_true))) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    values = ops.add(error, ops.softplus(ops.multiply(error, -2.0)))  # log(cosh(x)) + log(2), without overflow
    return ops.mean(ops.subtract(values, math.log(2.0)), axis=-1)


def _unit(x, axis):
    """x divided by its norm along an axis."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon() ** 2)))


@export(_MODULE)
def cosine_similarity(y_true, y_pred, axis=-1):
    """-cos of the angle between y_true and y_pred: -1 where they point the same way."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.negative(ops.sum(ops.multiply(_unit(y_true, axis), _unit(y_pred, axis)), axis=axis))


# --- margins -------------------------------------------------------------------------------------------------------


def _signs(y_true):
    """Labels -1 and 1, from such or, when all are 0 or 1, from these."""
    y_true = as_float(y_true)
    is_binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(is_binary, ops.subtract(ops.multiply(y_true, 2.0), 1.0), y_true)


def _margins(y_true, y_pred):
    return ops.relu(ops.subtract(1.0, ops.multiply(_signs(y_true), y_pred)))


@export(_MODULE)
def hinge(y_true, y_pred):
    """mean(max(1 - y_true * y_pred, 0)) over the last axis, labels -1 and 1 (or 0 and 1)."""
    return ops.mean(_margins(y_true, as_float(y_pred)), axis=-1)


@export(_MODULE)
def squared_hinge(y_true, y_pred):
    """mean(max(1 - y_true * y_pred, 0)**2) over the last axis, labels -1 and 1 (or 0 and 1)."""
    return ops.mean(ops.square(_margins(y_true, as_float(y_pred))), axis=-1)


@export(_MODULE)
def categorical_hinge(y_true, y_pred):
    """max(neg - pos + 1, 0): pos the score of the true class, neg the largest of the others."""
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    pos = ops.sum(ops.multiply(y_true, y_pred), axis=-1)
    neg = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis=-1)
    return ops.relu(ops.add(ops.subtract(neg, pos), 1.0))


# --- probabilities -------------------------------------------------------------------------------------------------


@export(_MODULE, aliases=("kld", "KLD", "kullback_leibler_divergence"))
def kl_divergence(y_true, y_pred):
    """sum(y_true * log(y_true / y_pred)) over the last axis; both clipped to [epsilon, 1]."""
    y_true = ops.clip(as_float(y_true), epsilon(), 1.0)
    y_pred = ops.clip(as_float(y_pred), epsilon(), 1.0)
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), axis=-1)


@export(_MODULE)
def poisson(y_true, y_pred):
    """mean(y_pred - y_true * log(y_pred + epsilon)) over the last axis."""
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    logs = ops.multiply(y_true, ops.log(ops.add(y_pred, epsilon())))
    return ops.mean(ops.subtract(y_pred, logs), axis=-1)


def _smoothed(y_true, label_smoothing, classes):
    """Labels moved towards the uniform distribution (Szegedy et al. 2016)."""
    label_smoothing = checked_number(label_smoothing or 0.0, "label_smoothing", low=0, high=1)
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), label_smoothing / classes)


def _checked_axis(axis):
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ConfigError(f"axis: expected an int. Received: {axis!r}")
    return axis


def _warn_of_one_class(name, y_pred):
    if y_pred.shape and y_pred.shape[-1] == 1:
        warnings.warn(
            f"{name} is 0 for an output of one class. Expected y_pred of shape (batch, classes). Received: shape "
            f"{tuple(y_pred.shape)}. With two classes and one output use 'binary_crossentropy'",
            SyntaxWarning,
            stacklevel=3,
        )


@export(_MODULE)
def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-sum(y_true * log(y_pred)) along an axis, for labels as probabilities (one-hot).

    Args:
        y_true, y_pred: tensors of the same shape.
        from_logits: y_pred are scores before softmax.
        label_smoothing: share of the labels that is spread over all classes.
        axis: of the classes.

    Raises:
        ConfigError, ShapeError.
    """
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    _warn_of_one_class("categorical_crossentropy", y_pred)
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1] if y_true.shape else 1)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=_checked_axis(axis))


@export(_MODULE)
def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """-log(y_pred[y_true]), for labels as class numbers.

    Args:
        y_true: class numbers, the shape of y_pred without its class axis, or with length 1 there.
        y_pred: probabilities, or scores before softmax with `from_logits`.
        ignore_class: class number of positions that do not count; their loss is 0.
        axis: of the classes.

    Raises:
        ShapeError.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), as_float(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = valid_classes(y_true, len(y_pred.shape), ignore_class, axis)
    losses = ops.sparse_categorical_crossentropy(
        ops.where(valid, y_true, 0.0), y_pred, from_logits=from_logits, axis=axis
    )
    return ops.where(valid, losses, 0.0)


sparse_categorical_crossentropy.integer_targets = True


@export(_MODULE, aliases=("bce", "BCE"))
def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """mean of -(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred)) along an axis.

    Args:
        y_true: labels 0 and 1, or probabilities.
        y_pred: probabilities, or scores before sigmoid with `from_logits`.
        label_smoothing: share by which labels are moved towards 0.5.
        axis: mean is taken over.

    Raises:
        ConfigError, ShapeError.
    """
    y_true = _smoothed(as_float(y_true), label_smoothing, 2)
    return ops.mean(ops.binary_crossentropy(y_true, as_float(y_pred), from_logits=from_logits), axis=axis)


@export(_MODULE)
def categorical_focal_crossentropy(
    y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):
    """-sum(alpha * (1 - y_pred)**gamma * y_true * log(y_pred)) along an axis (Lin et al. 2017).

    Args:
        alpha: a number, or one for each class.
        gamma: how much less well classified samples count.
        from_logits, label_smoothing, axis: as in categorical_crossentropy.
    """
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    _warn_of_one_class("categorical_focal_crossentropy", y_pred)
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1] if y_true.shape else 1)
    y_pred = ops.softmax(y_pred, axis=axis) if from_logits else y_pred
    y_pred = ops.divide(y_pred, ops.sum(y_pred, axis=_checked_axis(axis), keepdims=True))
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    weights = ops.multiply(ops.power(ops.subtract(1.0, y_pred), gamma), alpha)
    return ops.negative(ops.sum(ops.multiply(weights, ops.multiply(y_true, ops.log(y_pred))), axis=axis))


@export(_MODULE)
def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Mean of (1 - p)**gamma * binary crossentropy along an axis, p the probability of the label (Lin et al. 2017).

    Args:
        apply_class_balancing: weigh class 1 by alpha and class 0 by 1 - alpha.
        gamma: how much less well classified samples count.
        from_logits, label_smoothing, axis: as in binary_crossentropy.
    """
    y_true, y_pred = _smoothed(as_float(y_true), label_smoothing, 2), as_float(y_pred)
    y_pred = ops.sigmoid(y_pred) if from_logits else y_pred
    losses = ops.binary_crossentropy(y_true, y_pred)
    missed = ops.add(  # 1 - p
        ops.multiply(y_true, ops.subtract(1.0, y_pred)), ops.multiply(ops.subtract(1.0, y_true), y_pred)
    )
    losses = ops.multiply(ops.power(missed, gamma), losses)
    if apply_class_balancing:
        weights = ops.add(ops.multiply(y_true, 2.0 * alpha - 1.0), 1.0 - alpha)
        losses = ops.multiply(weights, losses)
    return ops.mean(losses, axis=axis)


# --- overlap -------------------------------------------------------------------------------------------------------


@export(_MODULE)
def dice(y_true, y_pred, axis=None):
    """1 - 2 * |overlap| / (|y_true| + |y_pred|), sums over `axis` (None: all) (Milletari et al. 2016)."""
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    overlap = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    total = ops.add(ops.sum(y_true, axis=axis), ops.sum(y_pred, axis=axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(overlap, 2.0), ops.add(total, epsilon())))


@export(_MODULE)
def tversky(y_true, y_pred, alpha=0.5, beta=0.5, axis=None):
    """1 - overlap / (overlap + alpha * missed + beta * wrongly found) (Salehi et al. 2017)."""
    y_true, y_pred = as_float(y_true), as_float(y_pred)
    overlap = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    missed = ops.sum(ops.multiply(ops.subtract(1.0, y_pred), y_true), axis=axis)
    wrong = ops.sum(ops.multiply(y_pred, ops.subtract(1.0, y_true)), axis=axis)
    total = ops.add(ops.add(overlap, ops.multiply(missed, alpha)), ops.multiply(wrong, beta))
    return ops.subtract(1.0, ops.divide(overlap, ops.add(total, epsilon())))
