"""Shares of right answers."""

from cnnengine import ops
from cnnengine.core.checks import checked_number
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.losses.loss import squeeze_or_expand
from cnnengine.metrics.mean import MeanMetricWrapper
from cnnengine.ops.elementwise import as_float

_MODULE = "keras.metrics"


@export(_MODULE)
def accuracy(y_true, y_pred):
    """1 where y_true == y_pred, else 0."""
    return as_float(ops.equal(*squeeze_or_expand(as_float(y_true), as_float(y_pred))))


@export(_MODULE)
def binary_accuracy(y_true, y_pred, threshold=0.5):
    """1 where y_true (0 or 1) says whether y_pred is above the threshold, else 0."""
    y_true, y_pred = squeeze_or_expand(as_float(y_true), as_float(y_pred))
    return as_float(ops.equal(y_true, as_float(ops.greater(y_pred, threshold))))


@export(_MODULE)
def categorical_accuracy(y_true, y_pred):
    """1 where the largest of y_pred is at the largest of y_true (one-hot), else 0."""
    return as_float(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)))


def _class_numbers(y_true, y_pred):
    """y_true without a last axis of 1 that y_pred has its classes on."""
    y_true = as_float(y_true)
    has_axis = len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1
    return ops.squeeze(y_true, -1) if has_axis else y_true


@export(_MODULE)
def sparse_categorical_accuracy(y_true, y_pred):
    """1 where the largest of y_pred is at the class number y_true, else 0."""
    matches = as_float(ops.equal(_class_numbers(y_true, y_pred), ops.argmax(y_pred, axis=-1)))
    return ops.squeeze(matches, -1) if len(matches.shape) > 1 and matches.shape[-1] == 1 else matches


def _in_top_k(classes, y_pred, k):
    """1 where fewer than k scores are above that of the class."""
    y_pred = as_float(y_pred)
    chosen = ops.one_hot(classes, y_pred.shape[-1])
    score = ops.sum(ops.where(chosen, y_pred, 0.0), axis=-1, keepdims=True)
    above = ops.sum(as_float(ops.greater(y_pred, score)), axis=-1)
    return ops.multiply(as_float(ops.less(above, float(k))), ops.sum(chosen, axis=-1))


@export(_MODULE)
def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """1 where the largest of y_true (one-hot) is at one of the k largest of y_pred, else 0."""
    return _in_top_k(ops.argmax(y_true, axis=-1), y_pred, k)


@export(_MODULE)
def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """1 where the class number y_true is at one of the k largest of y_pred, else 0.

    Args:
        from_sorted_ids: y_pred are class numbers, best first, instead of scores.
    """
    classes = _class_numbers(y_true, y_pred)
    if not from_sorted_ids:
        return _in_top_k(classes, y_pred, k)
    first = as_float(y_pred)[..., :k]
    return as_float(ops.any(ops.equal(ops.expand_dims(classes, -1), first), axis=-1))


class _Accuracy(MeanMetricWrapper):
    _direction = "up"


@export(_MODULE)
class Accuracy(_Accuracy):
    """Share of values of y_pred equal to y_true."""

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(accuracy, name, dtype)


@export(_MODULE)
class BinaryAccuracy(_Accuracy):
    """Share of values on the right side of `threshold`; at it means 0."""

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        self.threshold = checked_number(threshold, "BinaryAccuracy: threshold")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@export(_MODULE)
class CategoricalAccuracy(_Accuracy):
    """Share of samples whose largest output is at the class of a one-hot label."""

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(categorical_accuracy, name, dtype)


@export(_MODULE)
class SparseCategoricalAccuracy(_Accuracy):
    """Share of samples whose largest output is at the class number."""

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


def _checked_k(k, what):
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"{what}: k: expected an int of at least 1. Received: {k!r}")
    return k


@export(_MODULE)
class TopKCategoricalAccuracy(_Accuracy):
    """Share of samples whose class (one-hot) is among the k largest outputs."""

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        self.k = _checked_k(k, "TopKCategoricalAccuracy")
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@export(_MODULE)
class SparseTopKCategoricalAccuracy(_Accuracy):
    """Share of samples whose class number is among the k largest outputs."""

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False):
        self.k = _checked_k(k, "SparseTopKCategoricalAccuracy")
        self.from_sorted_ids = bool(from_sorted_ids)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=self.from_sorted_ids)

    def get_config(self):
        config = super().get_config()
        if not self.from_sorted_ids:  # not known to older versions of Keras
            del config["from_sorted_ids"]
        return config
