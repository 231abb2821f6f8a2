"""Losses as objects: a function of losses/functions.py, its settings, and a reduction over the batch."""

from cnnengine.core.checks import checked_number
from cnnengine.core.registry import export
from cnnengine.losses import functions
from cnnengine.losses.loss import LossFunctionWrapper

_MODULE = "keras.losses"


@export(_MODULE)
class MeanSquaredError(LossFunctionWrapper):
    """mean((y_true - y_pred)**2)."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


@export(_MODULE)
class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|y_true - y_pred|)."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


@export(_MODULE)
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None):
        super().__init__(functions.mean_absolute_percentage_error, reduction, name, dtype)


@export(_MODULE)
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))**2)."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(functions.mean_squared_logarithmic_error, reduction, name, dtype)


@export(_MODULE)
class LogCosh(LossFunctionWrapper):
    """mean(log(cosh(y_pred - y_true)))."""

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(functions.log_cosh, reduction, name, dtype)


@export(_MODULE)
class Hinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)), labels -1 and 1 (or 0 and 1)."""

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(functions.hinge, reduction, name, dtype)


@export(_MODULE)
class SquaredHinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)**2), labels -1 and 1 (or 0 and 1)."""

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(functions.squared_hinge, reduction, name, dtype)


@export(_MODULE)
class CategoricalHinge(LossFunctionWrapper):
    """max(neg - pos + 1, 0): pos the score of the true class, neg the largest of the others."""

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(functions.categorical_hinge, reduction, name, dtype)


@export(_MODULE)
class KLDivergence(LossFunctionWrapper):
    """sum(y_true * log(y_true / y_pred))."""

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(functions.kl_divergence, reduction, name, dtype)


@export(_MODULE)
class Poisson(LossFunctionWrapper):
    """mean(y_pred - y_true * log(y_pred))."""

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(functions.poisson, reduction, name, dtype)


@export(_MODULE)
class CosineSimilarity(LossFunctionWrapper):
    """-cos of the angle between y_true and y_pred along `axis`."""

    def __init__(self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None):
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


@export(_MODULE)
class Huber(LossFunctionWrapper):
    """error**2 / 2 up to |error| = delta, the tangent there beyond (Huber 1964)."""

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        delta = checked_number(delta, "Huber: delta", above=0)
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class _Crossentropy(LossFunctionWrapper):
    """Crossentropies with settings that are attributes too."""

    def __init__(self, fn, reduction, name, dtype, **kwargs):
        if "label_smoothing" in kwargs:
            checked_number(kwargs["label_smoothing"], f"{type(self).__name__}: label_smoothing", low=0, high=1)
        super().__init__(fn, reduction, name, dtype, **kwargs)
        vars(self).update(kwargs)


@export(_MODULE)
class CategoricalCrossentropy(_Crossentropy):
    """-sum(y_true * log(y_pred)), labels as probabilities (one-hot).

    Args:
        from_logits: y_pred are scores before softmax.
        label_smoothing: share of the labels that is spread over all classes.
        axis: of the classes.

    Raises:
        ConfigError.

    Example:
        >>> CategoricalCrossentropy()([[0, 1]], [[0.5, 0.5]])
        array(0.6931472, dtype=float32)
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, reduction, name, dtype, **settings)


@export(_MODULE)
class SparseCategoricalCrossentropy(_Crossentropy):
    """-log(y_pred[y_true]), labels as class numbers.

    Args:
        from_logits: y_pred are scores before softmax.
        ignore_class: class number of positions that do not count.
        axis: of the classes.

    Raises:
        ConfigError.
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        settings = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, reduction, name, dtype, **settings)

    def get_config(self):
        config = super().get_config()
        if config["axis"] == -1:  # not known to older versions of Keras
            del config["axis"]
        return config


@export(_MODULE)
class BinaryCrossentropy(_Crossentropy):
    """-(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred)), mean along `axis`.

    Args:
        from_logits: y_pred are scores before sigmoid.
        label_smoothing: share by which labels are moved towards 0.5.
        axis: the mean is taken over.

    Raises:
        ConfigError.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.binary_crossentropy, reduction, name, dtype, **settings)


@export(_MODULE)
class BinaryFocalCrossentropy(_Crossentropy):
    """Binary crossentropy in which well classified samples count less (Lin et al. 2017)."""

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        settings |= {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        super().__init__(functions.binary_focal_crossentropy, reduction, name, dtype, **settings)


@export(_MODULE)
class CategoricalFocalCrossentropy(_Crossentropy):
    """Categorical crossentropy in which well classified samples count less (Lin et al. 2017)."""

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        settings |= {"alpha": alpha, "gamma": gamma}
        super().__init__(functions.categorical_focal_crossentropy, reduction, name, dtype, **settings)


@export(_MODULE)
class Dice(LossFunctionWrapper):
    """1 - 2 * |overlap| / (|y_true| + |y_pred|), sums over `axis` (None: all)."""

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(functions.dice, reduction, name, dtype, axis=axis)


@export(_MODULE)
class Tversky(LossFunctionWrapper):
    """1 - overlap / (overlap + alpha * missed + beta * wrongly found), sums over `axis` (None: all)."""

    def __init__(self, alpha=0.5, beta=0.5, reduction="sum_over_batch_size", name="tversky", axis=None, dtype=None):
        super().__init__(functions.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
