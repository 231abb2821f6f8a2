"""Sums and means over all samples seen, and any function of (y_true, y_pred) as such a mean."""

from math import prod

import numpy as np

from cnnengine import ops
from cnnengine.core.registry import deserialize, export, serialize
from cnnengine.losses.loss import squeeze_or_expand, valid_classes
from cnnengine.metrics.metric import Metric
from cnnengine.ops.elementwise import as_float, broadcast_to

_MODULE = "keras.metrics"


def samplewise(values, sample_weight, reduce):
    """Weighted values, and the weights, each reduced to one a sample.

    Args:
        values: tensor.
        sample_weight: tensor of the shape of its first axes, or None.
        reduce: ops.mean or ops.sum.

    Returns:
        (values, weights or None).
    """
    values = as_float(values)
    if sample_weight is not None:
        values, sample_weight = squeeze_or_expand(values, as_float(sample_weight))
        rank = len(sample_weight.shape)
        if len(values.shape) > rank:
            values = reduce(values, axis=list(range(rank, len(values.shape))))
        sample_weight = broadcast_to(sample_weight, values.shape)
        values = ops.multiply(values, sample_weight)
        if rank > 1:
            sample_weight = reduce(sample_weight, axis=list(range(1, rank)))
    if len(values.shape) > 1:
        values = reduce(values, axis=list(range(1, len(values.shape))))
    return values, sample_weight


@export(_MODULE)
class Sum(Metric):
    """Weighted sum of all values."""

    def __init__(self, name="sum", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values, sample_weight=None):
        values, _ = samplewise(values, sample_weight, ops.sum)
        self.total.assign_add(ops.sum(values))

    def result(self):
        return self.total.array[()]


@export(_MODULE)
class Mean(Metric):
    """Weighted mean of all values: sum(weight * value) / sum(weight)."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values, sample_weight=None):
        values, weights = as_float(values), sample_weight
        if weights is None:  # the same in one pass
            per_sample = prod(values.shape[1:])
            total = ops.sum(values)
            self.total.assign_add(ops.multiply(total, 1.0 / per_sample) if per_sample > 1 else total)
            self.count.assign_add(float(values.shape[0] if values.shape else 1))
            return
        values, weights = samplewise(values, weights, ops.mean)
        self.total.assign_add(ops.sum(values))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        count = self.count.array[()]
        return self.total.array[()] / count if count else np.float32(0)


@export("keras.metrics")
class MeanMetricWrapper(Mean):
    """The mean of a function(y_true, y_pred, **kwargs) that gives a value for each sample.

    Args:
        fn: the function.
        kwargs: its further arguments.
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if (getattr(fn, "__module__", None) or "").startswith("cnnengine.losses"):
            self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = self._fn(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), **self._fn_kwargs)
        super().update_state(values, sample_weight)

    def get_config(self):
        fn = {"fn": serialize(self._fn)} if type(self) is MeanMetricWrapper else {}
        return super().get_config() | fn | serialize(self._fn_kwargs)

    @classmethod
    def from_config(cls, config):
        if "fn" in config:
            config = config | {"fn": deserialize(config["fn"], module="keras.losses")}
        return cls(**config)


@export(_MODULE)
class RootMeanSquaredError(Mean):
    """sqrt(mean((y_true - y_pred)**2))."""

    _direction = "down"

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = squeeze_or_expand(as_float(y_true), as_float(y_pred))
        super().update_state(ops.squared_difference(y_true, y_pred), sample_weight)

    def result(self):
        return np.sqrt(super().result())


def mask_ignored(y_true, y_pred, sample_weight, ignore_class, axis):
    """The weights with 0 at positions of the ignored class."""
    valid = as_float(valid_classes(ops.convert_to_tensor(y_true), len(y_pred.shape), ignore_class, axis))
    return ops.multiply(*squeeze_or_expand(valid, as_float(sample_weight)))
