"""Stochastic gradient descent."""

from cnnengine.core.checks import checked_number
from cnnengine.core.registry import export
from cnnengine.optimizers.optimizer import Optimizer


@export("keras.optimizers")
class SGD(Optimizer):
    """w -= rate * g; with momentum v = momentum * v - rate * g, w += v.

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments.
        momentum: from 0 to 1.
        nesterov: w += momentum * v - rate * g instead (Sutskever et al. 2013).
        weight_decay, kwargs: as of Optimizer.

    Raises:
        ConfigError.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=None, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.momentum = checked_number(momentum, "SGD: momentum", low=0, high=1)
        self.nesterov = bool(nesterov)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def _step_of(self, gradient, variable, rates):
        if not self.momentum:
            self._update("sgd_update", gradient, rates, [variable])
            return
        slots = [variable, self.momentums[self._get_variable_index(variable)]]
        attrs = {"momentum": self.momentum, "nesterov": int(self.nesterov)}
        self._update("momentum_update", gradient, rates, slots, **attrs)

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
