"""Adagrad and Adadelta: steps divided by the size of past gradients."""

from cnnengine import ops
from cnnengine.core.checks import checked_number
from cnnengine.core.registry import export
from cnnengine.initializers import Constant
from cnnengine.optimizers.optimizer import Optimizer


@export("keras.optimizers")
class Adagrad(Optimizer):
    """w -= rate * g / sqrt(s + epsilon), s the sum of all g**2 (Duchi et al. 2011).

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments.
        initial_accumulator_value: s at the start.
        epsilon: keeps the quotient finite.
        weight_decay, kwargs: as of Optimizer.

    Raises:
        ConfigError.
    """

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, weight_decay=None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        start = checked_number(initial_accumulator_value, "Adagrad: initial_accumulator_value", low=0)
        self.initial_accumulator_value = start
        self.epsilon = checked_number(epsilon, "Adagrad: epsilon", low=0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)

    def _step_of(self, gradient, variable, rates):
        accumulator = self._accumulators[self._get_variable_index(variable)]
        accumulator.assign_add(ops.square(gradient))
        size = ops.sqrt(ops.add(accumulator, self.epsilon))
        step = ops.divide(ops.multiply(gradient, rates.learning_rate), size)
        variable.assign(ops.subtract(variable, step))

    def get_config(self):
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return super().get_config() | own


@export("keras.optimizers")
class Adadelta(Optimizer):
    """w -= rate * sqrt(d + epsilon) / sqrt(s + epsilon) * g; s and d averages of g**2 and step**2 (Zeiler 2012).

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments; 1.0 is the paper's.
        rho: decay of the averages, from 0 to 1.
        epsilon: keeps the quotient finite.
        weight_decay, kwargs: as of Optimizer.

    Raises:
        ConfigError.
    """

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, weight_decay=None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho = checked_number(rho, "Adadelta: rho", low=0, high=1)
        self.epsilon = checked_number(epsilon, "Adadelta: epsilon", low=0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        names = ["accumulated_grad", "accumulated_delta_var"]
        self._squares, self._deltas = self.add_optimizer_variables(variables, names)

    def _step_of(self, gradient, variable, rates):
        index = self._get_variable_index(variable)
        squares, deltas = self._squares[index], self._deltas[index]
        squares.assign(self._averaged(squares, gradient))
        size = ops.divide(ops.sqrt(ops.add(deltas, self.epsilon)), ops.sqrt(ops.add(squares, self.epsilon)))
        step = ops.multiply(size, gradient)
        deltas.assign(self._averaged(deltas, step))
        variable.assign(ops.subtract(variable, ops.multiply(step, rates.learning_rate)))

    def _averaged(self, average, x):
        return ops.add(ops.multiply(average, self.rho), ops.multiply(ops.square(x), 1 - self.rho))

    def get_config(self):
        return super().get_config() | {"rho": self.rho, "epsilon": self.epsilon}
