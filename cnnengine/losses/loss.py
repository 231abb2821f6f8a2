"""The base class of losses: values of samples, their weights, and the reduction to one number."""

from math import prod

import numpy as np

from cnnengine import ops
from cnnengine.core.checks import checked_choice
from cnnengine.core.errors import ConfigError
from cnnengine.core.naming import snake_case, unique_name
from cnnengine.core.registry import deserialize, export, serialize
from cnnengine.ops.elementwise import as_float

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


def squeeze_or_expand(x1, x2):
    """Two tensors brought to the same rank where they differ by one last axis of length 1.

    The longer one loses it; but beside a tensor of rank 1 it stays and the other gains one.
    """
    if len(x1.shape) == len(x2.shape) + 1 and x1.shape[-1] == 1:
        return (x1, ops.expand_dims(x2, -1)) if len(x2.shape) == 1 else (ops.squeeze(x1, -1), x2)
    if len(x2.shape) == len(x1.shape) + 1 and x2.shape[-1] == 1:
        return (ops.expand_dims(x1, -1), x2) if len(x1.shape) == 1 else (x1, ops.squeeze(x2, -1))
    return x1, x2


def divide_no_nan(x, y):
    """x / y, and 0 where y is 0."""
    is_zero = ops.equal(y, 0.0)
    return ops.where(is_zero, 0.0, ops.divide(x, ops.where(is_zero, 1.0, y)))


def _weights_of_mask(mask, reduction):
    """Weights of 0 and 1; for a mean, of total / valid instead of 1, so that it is one over the valid values."""
    weights = as_float(mask)
    if reduction not in ("mean", "sum_over_batch_size"):
        return weights
    return ops.multiply(weights, divide_no_nan(float(prod(mask.shape)), ops.sum(weights)))


def reduce_weighted(values, sample_weight=None, reduction="sum_over_batch_size", mask=None):
    """Weigh the losses and reduce them.

    Args:
        values: tensor, the losses.
        sample_weight: tensor that broadcasts to it, or None.
        reduction: a name of REDUCTIONS. "sum_over_batch_size" and "mean" divide by the number of values,
            "mean_with_sample_weight" by the sum of the weights.
        mask: True where a value counts, or None.

    Returns:
        a scalar; for "none" the weighted values.
    """
    values = as_float(values)
    weights = None if sample_weight is None else as_float(sample_weight)
    if mask is not None:
        of_mask = _weights_of_mask(mask, reduction)
        weights = of_mask if weights is None else ops.multiply(*squeeze_or_expand(of_mask, weights))
    if weights is not None:
        values, weights = squeeze_or_expand(values, weights)
        values = ops.multiply(values, weights)
    if reduction in (None, "none") or values.shape in ((), (0,)):
        return values
    if reduction not in _MEANS:
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        return divide_no_nan(ops.sum(values), ops.sum(weights))
    return ops.mean(values)


@export("keras", aliases=("keras.losses",))
class Loss:
    """Base of losses. Subclasses define `call(y_true, y_pred)`, which gives a value for each sample (or position).

    Args:
        name: of the loss in logs; made from the class name by default.
        reduction: how the values become one number, see `reduce_weighted`.
        dtype: "float32", what is computed in; None means the same.

    Raises:
        ConfigError.

    Example:
        >>> class MaxError(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ops.max(ops.abs(y_true - y_pred), axis=-1)
    """

    integer_targets = False

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.reduction = checked_choice(reduction, f"{type(self).__name__}: reduction", REDUCTIONS)
        self.dtype = "float32"

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true) if self.integer_targets else as_float(y_true)
        y_pred = as_float(y_pred)
        values = self.call(y_true, y_pred)
        return reduce_weighted(values, sample_weight, self.reduction, self.mask(y_true, y_pred))

    def call(self, y_true, y_pred):
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred)")

    def mask(self, y_true, y_pred):
        """True where a value of `call` counts; None when all do."""
        return None

    def check_targets(self, y_true, num_classes):
        """Raise ConfigError for targets this loss cannot take; called on arrays, before they reach a program."""

    def get_config(self):
        """Arguments that make an equal loss."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


def check_class_numbers(labels, num_classes, ignore_class=None):
    """Raise ConfigError unless all labels are whole numbers from 0 to num_classes - 1, or `ignore_class`.

    Args:
        labels: array of any numeric dtype.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuf":
        raise ConfigError(f"Targets must be class numbers. Received: dtype {labels.dtype}")
    if not labels.size or (labels.dtype.kind != "f" and labels.min() >= 0 and labels.max() < num_classes):
        return
    bad = ~((labels >= 0) & (labels < num_classes) & (labels == np.floor(labels)))
    if ignore_class is not None:
        bad &= labels != ignore_class
    if bad.any():
        raise ConfigError(
            f"Targets must be class numbers from 0 to {num_classes - 1}, the width of the output less one. "
            f"Received: {labels[bad][0]!s} at index {tuple(int(i) for i in np.argwhere(bad)[0])}"
        )


@export("keras.src.losses.losses", aliases=("keras.losses",))
class LossFunctionWrapper(Loss):
    """A loss from a function(y_true, y_pred, **kwargs) that gives a value for each sample.

    Args:
        fn: the function.
        kwargs: its further arguments.
    """

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs
        self.integer_targets = getattr(fn, "integer_targets", False)

    def call(self, y_true, y_pred):
        return self.fn(*squeeze_or_expand(y_true, y_pred), **self._fn_kwargs)

    def check_targets(self, y_true, num_classes):
        if self.integer_targets:
            check_class_numbers(y_true, num_classes, self._fn_kwargs.get("ignore_class"))

    def mask(self, y_true, y_pred):
        ignore_class = self._fn_kwargs.get("ignore_class")
        if not self.integer_targets or ignore_class is None:
            return None
        axis = self._fn_kwargs.get("axis", -1)
        return valid_classes(y_true, len(y_pred.shape), ignore_class, axis)

    def get_config(self):
        fn = {"fn": serialize(self.fn)} if type(self) is LossFunctionWrapper else {}
        return super().get_config() | fn | serialize(self._fn_kwargs)

    @classmethod
    def from_config(cls, config):
        if "fn" in config:
            config = config | {"fn": deserialize(config["fn"], module="keras.losses")}
        return cls(**config)


def valid_classes(y_true, rank, ignore_class, axis=-1):
    """True where a class number counts, without the class axis."""
    if len(y_true.shape) == rank and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    return ops.not_equal(y_true, float(ignore_class))
