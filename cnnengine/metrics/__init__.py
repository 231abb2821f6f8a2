"""What is watched during training and measured by evaluate, as keras.metrics."""

from cnnengine.core import registry
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import serialize
from cnnengine.losses import kind_of_targets
from cnnengine.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from cnnengine.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from cnnengine.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from cnnengine.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from cnnengine.metrics.mean import Mean, MeanMetricWrapper, RootMeanSquaredError, Sum
from cnnengine.metrics.metric import Metric

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge",
    "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanMetricWrapper",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric", "Poisson", "Precision", "Recall",
    "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SquaredHinge", "Sum", "TopKCategoricalAccuracy", "TrueNegatives",
    "TruePositives", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "deserialize", "get", "hinge",
    "huber", "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "poisson", "resolve", "resolve_accuracy",
    "resolve_crossentropy", "serialize",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy",
    "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip

_MODULE = "keras.metrics"


def get(identifier):
    """The metric of a name ("mse", "MeanSquaredError"), a config, or any callable. None gives None.

    A name gives an object where one of that name exists. Raises ConfigError.
    """
    return registry.get(identifier, _MODULE, "metric", classes_first=True)


def deserialize(config, custom_objects=None):
    """The metric that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)


_ACCURACIES = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPIES = {
    "binary": BinaryCrossentropy,
    "sparse": SparseCategoricalCrossentropy,
    "categorical": CategoricalCrossentropy,
}


def resolve_accuracy(y_true_shape, y_pred_shape, name="accuracy"):
    """The metric that "accuracy" means for these shapes (batch included)."""
    return _ACCURACIES[kind_of_targets(tuple(y_true_shape), tuple(y_pred_shape))](name=name)


def resolve_crossentropy(y_true_shape, y_pred_shape, name="crossentropy"):
    """The metric that "crossentropy" means for these shapes (batch included)."""
    return _CROSSENTROPIES[kind_of_targets(tuple(y_true_shape), tuple(y_pred_shape))](name=name)


def resolve(identifier, y_true_shape=None, y_pred_shape=None):
    """The Metric object that an entry of `compile(metrics=...)` means, named as the entry is.

    Args:
        identifier: as for `get`, or "accuracy" or "crossentropy" for the one that fits the shapes.
        y_true_shape, y_pred_shape: batch included; only these two names need them.

    Raises:
        ConfigError: for entries that mean nothing.
    """
    name = identifier.lower() if isinstance(identifier, str) and y_pred_shape is not None else None
    if name in ("accuracy", "acc"):
        return resolve_accuracy(y_true_shape, y_pred_shape, identifier)
    if name in ("crossentropy", "ce"):
        return resolve_crossentropy(y_true_shape, y_pred_shape, identifier)
    metric = get(identifier)
    if metric is None:
        raise ConfigError("Expected a metric. Received: None")
    if isinstance(identifier, str):
        name = identifier
    else:
        name = getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__)
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, name=name)
    metric.name = name
    return metric
