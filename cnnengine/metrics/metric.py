"""The base class of metrics: state in variables, updated inside the step, read by the host."""

from cnnengine import initializers
from cnnengine.core.naming import snake_case, unique_name
from cnnengine.core.registry import export
from cnnengine.core.variable import Variable


@export("keras", aliases=("keras.metrics",))
class Metric:
    """Base of metrics.

    Subclasses make variables by `add_variable`; `update_state` adds a batch to them by operations and `assign`, so
    that it becomes part of the step's program; `result` computes the value from them in plain NumPy, at once.

    Args:
        dtype: "float32", what is computed in; None means the same.
        name: of the metric in logs; made from the class name by default.

    Example:
        >>> class Largest(Metric):
        ...     def __init__(self, name="largest", dtype=None):
        ...         super().__init__(name=name, dtype=dtype)
        ...         self.peak = self.add_variable((), "zeros", name="peak")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.peak.assign(ops.maximum(self.peak, ops.max(y_pred)))
        ...     def result(self):
        ...         return self.peak.numpy()
    """

    _direction = None  # "up" or "down": what is better

    def __init__(self, dtype=None, name=None):
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.dtype = "float32"
        self._variables = []

    def add_variable(self, shape=(), initializer="zeros", dtype=None, aggregation="sum", name=None):
        """Make a Variable of this metric's state. `aggregation` is accepted for Keras's sake."""
        value = initializers.get(initializer or "zeros")(shape, dtype=dtype)
        name = name or "variable"
        variable = Variable(value, name, trainable=False, dtype=dtype or "float32", path=f"{self.name}/{name}")
        self._variables.append(variable)
        return variable

    def add_weight(self, shape=(), initializer=None, dtype=None, name=None):
        """As `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self):
        """The state: own variables, then those of metrics that are attributes."""
        inner = [metric for metric in vars(self).values() if isinstance(metric, Metric)]
        return [*self._variables, *[variable for metric in inner for variable in metric.variables]]

    def update_state(self, *args, **kwargs):
        raise NotImplementedError(
            f"{type(self).__name__} must define update_state(self, y_true, y_pred, sample_weight=None)"
        )

    def result(self):
        raise NotImplementedError(f"{type(self).__name__} must define result(self)")

    def reset_state(self):
        """Set all variables to 0."""
        for variable in self.variables:
            variable.assign(0)

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self):
        """Arguments that make an equal metric, without its state."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"
