"""Counts of right and wrong decisions at thresholds, and what is made of them: precision, recall, AUC, F-scores."""

import numpy as np

from cnnengine import ops
from cnnengine.core.checks import checked_choice, checked_number
from cnnengine.core.config import epsilon
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.registry import export
from cnnengine.losses.loss import squeeze_or_expand
from cnnengine.metrics.metric import Metric
from cnnengine.ops.elementwise import as_float, broadcast_to

_MODULE = "keras.metrics"
LOWEST = -1e10  # what top_k leaves out is set to, and the default threshold with it


def checked_thresholds(thresholds, default, what):
    """A list of thresholds from None, a number or several, each from 0 to 1. Raises ConfigError."""
    if thresholds is None:
        return [default]
    thresholds = thresholds if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    return [checked_number(threshold, f"{what}: thresholds", low=0, high=1) for threshold in thresholds]


def keep_top_k(x, k):
    """x with all but the k largest of the last axis at LOWEST; of equal ones the first is the larger."""
    size = x.shape[-1]
    mine, other = ops.expand_dims(x, -1), ops.expand_dims(x, -2)
    before = np.tril(np.ones((size, size), np.float32), -1)
    ahead = ops.add(as_float(ops.greater(other, mine)), ops.multiply(as_float(ops.equal(other, mine)), before))
    return ops.where(ops.less(ops.sum(ahead, axis=-1), float(k)), x, LOWEST)


def _prepared(y_true, y_pred, sample_weight, top_k, class_id):
    """Labels, predictions and weights as flat tensors."""
    y_pred, y_true = squeeze_or_expand(as_float(y_pred), as_float(y_true))
    if tuple(y_pred.shape) != tuple(y_true.shape):
        raise ShapeError(f"Expected labels of shape {tuple(y_pred.shape)}. Received: {tuple(y_true.shape)}")
    y_pred = y_pred if top_k is None else keep_top_k(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred = y_true[..., class_id : class_id + 1], y_pred[..., class_id : class_id + 1]
    weights = None
    if sample_weight is not None:
        weights = ops.expand_dims(as_float(sample_weight), -1)
        if len(weights.shape) > len(y_pred.shape):
            weights = ops.squeeze(weights, -1)
        weights = ops.reshape(broadcast_to(weights, y_pred.shape), (-1,))
    labels = as_float(ops.not_equal(ops.reshape(y_true, (-1,)), 0.0))
    return labels, ops.reshape(y_pred, (-1,)), weights


def confusion_counts(y_true, y_pred, thresholds, sample_weight=None, top_k=None, class_id=None):
    """Weighted counts at each threshold; a prediction is positive above it.

    Returns:
        dict of tensors (thresholds,): true_positives, false_positives, true_negatives, false_negatives.
    """
    labels, scores, weights = _prepared(y_true, y_pred, sample_weight, top_k, class_id)
    limits = np.asarray(thresholds, np.float32)[:, None]
    positive = as_float(ops.greater(ops.reshape(scores, (1, -1)), limits))
    others = ops.subtract(1.0, labels)
    if weights is not None:
        labels, others = ops.multiply(labels, weights), ops.multiply(others, weights)
    negative = ops.subtract(1.0, positive)
    return {
        "true_positives": ops.matmul(positive, labels),
        "false_positives": ops.matmul(positive, others),
        "true_negatives": ops.matmul(negative, others),
        "false_negatives": ops.matmul(negative, labels),
    }


def divide_no_nan(x, y):
    """x / y of arrays, 0 where y is 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y != 0)


class _Confusion(Metric):
    """Base: keeps some of the four counts at given thresholds."""

    counts = ()

    def __init__(self, thresholds, top_k, class_id, name, dtype):
        super().__init__(name=name, dtype=dtype)
        what = type(self).__name__
        for key, value in (("top_k", top_k), ("class_id", class_id)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ConfigError(f"{what}: {key}: expected an int of at least 0 or None. Received: {value!r}")
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else LOWEST, what)
        for count in self.counts:
            setattr(self, count, self.add_variable((len(self.thresholds),), "zeros", name=count))

    def update_state(self, y_true, y_pred, sample_weight=None):
        counts = confusion_counts(y_true, y_pred, self.thresholds, sample_weight, self.top_k, self.class_id)
        for count in self.counts:
            getattr(self, count).assign_add(counts[count])

    def _values(self):
        return [getattr(self, count).array for count in self.counts]

    def _one_or_all(self, values):
        return values[0] if len(self.thresholds) == 1 else np.array(values)

    def get_config(self):
        return super().get_config() | {"thresholds": self.init_thresholds}


class _Count(_Confusion):
    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, None, None, name, dtype)

    def result(self):
        return self._one_or_all(self._values()[0])


@export(_MODULE)
class TruePositives(_Count):
    """Number of positive labels found positive."""

    counts = ("true_positives",)


@export(_MODULE)
class FalsePositives(_Count):
    """Number of negative labels found positive."""

    counts = ("false_positives",)


@export(_MODULE)
class TrueNegatives(_Count):
    """Number of negative labels found negative."""

    counts = ("true_negatives",)


@export(_MODULE)
class FalseNegatives(_Count):
    """Number of positive labels found negative."""

    counts = ("false_negatives",)


class _Ratio(_Confusion):
    """true_positives / (true_positives + the other count)."""

    _direction = "up"

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self):
        right, other = self._values()
        return self._one_or_all(divide_no_nan(right, right + other))

    def get_config(self):
        return super().get_config() | {"top_k": self.top_k, "class_id": self.class_id}


@export(_MODULE)
class Precision(_Ratio):
    """Share of positive labels among what was found positive.

    Args:
        thresholds: number or list from 0 to 1 above which a prediction is positive; 0.5 by default.
        top_k: only the k largest predictions of a sample can be positive.
        class_id: only this column counts.

    Raises:
        ConfigError.
    """

    counts = ("true_positives", "false_positives")


@export(_MODULE)
class Recall(_Ratio):
    """Share of the positive labels that was found positive. Arguments as of Precision."""

    counts = ("true_positives", "false_negatives")


@export(_MODULE)
class AUC(Metric):
    """Area under the ROC or precision-recall curve, from counts at thresholds.

    Args:
        num_thresholds: how many, evenly spaced from 0 to 1.
        curve: "ROC" or "PR".
        summation_method: "interpolation", "minoring" or "majoring": how the area between two points is taken. For "PR"
            the first is that of Davis and Goadrich 2006.
        thresholds: own thresholds instead, without 0 and 1.
        from_logits: predictions are scores before sigmoid.

    Raises:
        ConfigError; also for multi_label=True, which is not supported.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
    ):
        super().__init__(name=name, dtype=dtype)
        if multi_label or num_labels or label_weights is not None:
            raise ConfigError("AUC: expected multi_label=False, num_labels=None, label_weights=None. Received: others")
        checked_number(num_thresholds, "AUC: num_thresholds", low=2)
        self.curve = checked_choice(curve, "AUC: curve", ("ROC", "PR"))
        methods = ("interpolation", "minoring", "majoring")
        self.summation_method = checked_choice(summation_method, "AUC: summation_method", methods)
        self.from_logits = from_logits
        self._given = thresholds is not None
        inner = np.linspace(0, 1, int(num_thresholds))[1:-1].tolist()
        inner = sorted(checked_thresholds(thresholds, 0.5, "AUC")) if self._given else inner
        self.thresholds = [-epsilon(), *inner, 1 + epsilon()]
        self.num_thresholds = len(self.thresholds)
        for count in ("true_positives", "false_positives", "true_negatives", "false_negatives"):
            setattr(self, count, self.add_variable((self.num_thresholds,), "zeros", name=count))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        for count, values in confusion_counts(y_true, y_pred, self.thresholds, sample_weight).items():
            getattr(self, count).assign_add(values)

    def result(self):
        tp, fp, tn, fn = (variable.array.astype(np.float64) for variable in self.variables)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return np.float32(_area_of_precision(tp, fp, fn))
        recall = divide_no_nan(tp, tp + fn)
        x, y = (divide_no_nan(fp, fp + tn), recall) if self.curve == "ROC" else (recall, divide_no_nan(tp, tp + fp))
        pairs = np.stack([y[:-1], y[1:]])
        heights = {"interpolation": pairs.mean, "minoring": pairs.min, "majoring": pairs.max}[self.summation_method](0)
        return np.float32(np.sum((x[:-1] - x[1:]) * heights))

    def get_config(self):
        config = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": False,
            "num_labels": None,
            "label_weights": None,
            "from_logits": self.from_logits,
        }
        return super().get_config() | config | ({"thresholds": self.thresholds[1:-1]} if self._given else {})


def _area_of_precision(tp, fp, fn):
    """Area under precision over recall, true positives taken as linear in positives between two points."""
    positives = tp + fp
    dtp, dp = tp[:-1] - tp[1:], np.maximum(positives[:-1] - positives[1:], 0)
    slope = divide_no_nan(dtp, dp)
    intercept = tp[1:] - slope * positives[1:]
    known = (positives[:-1] > 0) & (positives[1:] > 0)
    ratio = np.where(known, divide_no_nan(positives[:-1], positives[1:]), 1.0)
    return np.sum(divide_no_nan(slope * (dtp + intercept * np.log(ratio)), tp[1:] + fn[1:]))


@export(_MODULE)
class FBetaScore(Metric):
    """(1 + beta**2) * precision * recall / (beta**2 * precision + recall).

    Args:
        average: None for one score a class, "micro" over all, "macro" for their mean, "weighted" by labels.
        beta: how many times recall counts as much as precision.
        threshold: above which a prediction is positive; None takes the largest of each sample.

    Raises:
        ConfigError; ShapeError for labels and predictions that are not (batch, classes).
    """

    _direction = "up"

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(name=name, dtype=dtype)
        what = type(self).__name__
        self.average = checked_choice(average, f"{what}: average", (None, "micro", "macro", "weighted"))
        self.beta = checked_number(beta, f"{what}: beta", above=0)
        self.threshold = threshold
        if threshold is not None:
            self.threshold = checked_number(threshold, f"{what}: threshold", above=0, high=1)

    def _build(self, classes):
        shape = () if self.average == "micro" else (classes,)
        self.true_positives, self.false_positives, self.false_negatives, self.labels = (
            self.add_variable(shape, "zeros", name=name)
            for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
        )

    def _positive(self, y_pred):
        if self.threshold is not None:
            return as_float(ops.greater(y_pred, self.threshold))
        is_largest = ops.greater_equal(y_pred, ops.max(y_pred, axis=-1, keepdims=True))
        return as_float(ops.logical_and(is_largest, ops.greater(ops.absolute(y_pred), 1e-9)))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = as_float(y_true), as_float(y_pred)
        if len(y_pred.shape) != 2 or len(y_true.shape) != 2:
            shapes = tuple(y_true.shape), tuple(y_pred.shape)
            raise ShapeError(
                f"{type(self).__name__}: expected shapes (batch, classes). Received: {shapes[0]}, {shapes[1]}"
            )
        if not self._variables:
            self._build(y_pred.shape[-1])
        found, axis = self._positive(y_pred), None if self.average == "micro" else 0
        weights = 1.0 if sample_weight is None else ops.expand_dims(as_float(sample_weight), 1)
        parts = (
            ops.multiply(found, y_true),
            ops.multiply(found, ops.subtract(1.0, y_true)),
            ops.multiply(ops.subtract(1.0, found), y_true),
            y_true,
        )
        for variable, part in zip(self._variables, parts):
            variable.assign_add(ops.sum(ops.multiply(part, weights), axis=axis))

    def result(self):
        if not self._variables:
            return np.float32(0)
        tp, fp, fn, labels = (variable.array for variable in self._variables)
        precision, recall = tp / (tp + fp + epsilon()), tp / (tp + fn + epsilon())
        square = self.beta**2
        scores = precision * recall / (square * precision + recall + epsilon()) * (1 + square)
        if self.average == "weighted":
            return np.float32(np.sum(scores * (labels / (np.sum(labels) + epsilon()))))
        return np.float32(np.mean(scores)) if self.average is not None else np.asarray(scores, np.float32)

    def get_config(self):
        return super().get_config() | {"average": self.average, "beta": self.beta, "threshold": self.threshold}


@export(_MODULE)
class F1Score(FBetaScore):
    """2 * precision * recall / (precision + recall). Arguments as of FBetaScore."""

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self):
        config = super().get_config()
        del config["beta"]
        return config
