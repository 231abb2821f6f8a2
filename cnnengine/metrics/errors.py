"""Errors and crossentropies as metrics: means of the functions in losses/functions.py."""

from cnnengine import ops
from cnnengine.core.registry import export
from cnnengine.losses import functions
from cnnengine.metrics.mean import MeanMetricWrapper, mask_ignored

_MODULE = "keras.metrics"


@export(_MODULE, aliases=("mse", "MSE"))
class MeanSquaredError(MeanMetricWrapper):
    """mean((y_true - y_pred)**2)."""

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(functions.mean_squared_error, name, dtype)


@export(_MODULE, aliases=("mae", "MAE"))
class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|y_true - y_pred|)."""

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(functions.mean_absolute_error, name, dtype)


@export(_MODULE, aliases=("mape", "MAPE"))
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(functions.mean_absolute_percentage_error, name, dtype)


@export(_MODULE, aliases=("msle", "MSLE"))
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)."""

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(functions.mean_squared_logarithmic_error, name, dtype)


@export(_MODULE)
class LogCoshError(MeanMetricWrapper):
    """mean(log(cosh(y_pred - y_true)))."""

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(functions.log_cosh, name, dtype)


@export(_MODULE)
class Hinge(MeanMetricWrapper):
    """mean(max(1 - y_true * y_pred, 0)), labels -1 and 1 (or 0 and 1)."""

    def __init__(self, name="hinge", dtype=None):
        super().__init__(functions.hinge, name, dtype)


@export(_MODULE)
class SquaredHinge(MeanMetricWrapper):
    """mean(max(1 - y_true * y_pred, 0)**2)."""

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(functions.squared_hinge, name, dtype)


@export(_MODULE)
class CategoricalHinge(MeanMetricWrapper):
    """mean(max(neg - pos + 1, 0))."""

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(functions.categorical_hinge, name, dtype)


@export(_MODULE)
class KLDivergence(MeanMetricWrapper):
    """sum(y_true * log(y_true / y_pred))."""

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(functions.kl_divergence, name, dtype)


@export(_MODULE)
class Poisson(MeanMetricWrapper):
    """mean(y_pred - y_true * log(y_pred))."""

    def __init__(self, name="poisson", dtype=None):
        super().__init__(functions.poisson, name, dtype)


def cosine_similarity(y_true, y_pred, axis=-1):
    """cos of the angle between y_true and y_pred along an axis."""
    return ops.negative(functions.cosine_similarity(y_true, y_pred, axis))


@export(_MODULE)
class CosineSimilarity(MeanMetricWrapper):
    """cos of the angle between y_true and y_pred along `axis`."""

    _direction = "up"

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@export(_MODULE, aliases=("bce", "BCE"))
class BinaryCrossentropy(MeanMetricWrapper):
    """-(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred)); arguments as of the loss."""

    def __init__(self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(functions.binary_crossentropy, name, dtype, **settings)


@export(_MODULE)
class CategoricalCrossentropy(MeanMetricWrapper):
    """-sum(y_true * log(y_pred)); arguments as of the loss."""

    def __init__(self, name="categorical_crossentropy", dtype=None, from_logits=False, label_smoothing=0, axis=-1):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, name, dtype, **settings)


@export(_MODULE)
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """-log(y_pred[y_true]); arguments as of the loss."""

    def __init__(
        self, name="sparse_categorical_crossentropy", dtype=None, from_logits=False, ignore_class=None, axis=-1
    ):
        settings = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, name, dtype, **settings)

    def update_state(self, y_true, y_pred, sample_weight=None):
        ignore_class, axis = self._fn_kwargs["ignore_class"], self._fn_kwargs["axis"]
        if sample_weight is not None and ignore_class is not None:  # without weights Keras counts them, as 0
            sample_weight = mask_ignored(y_true, y_pred, sample_weight, ignore_class, axis)
        super().update_state(y_true, y_pred, sample_weight)
