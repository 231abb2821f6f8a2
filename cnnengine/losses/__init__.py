"""What training minimises, as keras.losses: classes with a reduction, functions with a value for each sample."""

from cnnengine.core import registry
from cnnengine.core.registry import serialize
from cnnengine.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    dice,
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
    tversky,
)
from cnnengine.losses.loss import Loss, LossFunctionWrapper
from cnnengine.losses.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss",
    "LossFunctionWrapper", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_hinge", "cosine_similarity", "deserialize", "dice", "get", "hinge", "huber", "kind_of_targets",
    "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "poisson", "resolve", "resolve_crossentropy", "serialize",
    "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip

_MODULE = "keras.losses"


def get(identifier):
    """The loss of a name ("mse" gives the function, "MeanSquaredError" an object), a config, or any callable.

    Raises:
        ConfigError: for anything else. None gives None.
    """
    return registry.get(identifier, _MODULE, "loss")


def deserialize(config, custom_objects=None):
    """The loss that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)


def kind_of_targets(y_true_shape, y_pred_shape):
    """What the shapes say of the targets: "binary", "sparse" (class numbers) or "categorical" (one-hot)."""
    if y_pred_shape[-1:] in ((1,), ()):
        return "binary"
    is_sparse = len(y_true_shape) < len(y_pred_shape) or tuple(y_true_shape[-1:]) == (1,)
    return "sparse" if is_sparse else "categorical"


_CROSSENTROPIES = {
    "binary": binary_crossentropy,
    "sparse": sparse_categorical_crossentropy,
    "categorical": categorical_crossentropy,
}


def resolve_crossentropy(y_true_shape, y_pred_shape):
    """The crossentropy that `loss="crossentropy"` means for these shapes (batch included)."""
    return _CROSSENTROPIES[kind_of_targets(y_true_shape, y_pred_shape)]


def resolve(identifier, y_true_shape=None, y_pred_shape=None):
    """The Loss object that an entry of `compile(loss=...)` means; None gives None.

    Args:
        identifier: as for `get`, or "crossentropy" for the one that fits the shapes.
        y_true_shape, y_pred_shape: batch included; only "crossentropy" needs them.

    Raises:
        ConfigError: for entries that mean nothing.
    """
    is_name = isinstance(identifier, str)
    if is_name and y_pred_shape is not None and identifier.lower() in ("crossentropy", "ce"):
        found = resolve_crossentropy(tuple(y_true_shape), tuple(y_pred_shape))
    else:
        found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if is_name else getattr(found, "__name__", type(found).__name__)
    return LossFunctionWrapper(found, name=name)
