"""RMSprop."""

from cnnengine import ops
from cnnengine.core.checks import checked_number
from cnnengine.core.registry import export
from cnnengine.optimizers.optimizer import Optimizer


@export("keras.optimizers")
class RMSprop(Optimizer):
    """w -= rate * g / sqrt(v + epsilon), v an average of g**2 (Hinton 2012).

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments.
        rho: decay of the average, from 0 to 1.
        momentum: of the steps, at least 0.
        epsilon: keeps the quotient finite.
        centered: divide by the square root of v less the square of an average of g, an estimate of the variance.
        weight_decay, kwargs: as of Optimizer.

    Raises:
        ConfigError.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
        weight_decay=None,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho = checked_number(rho, "RMSprop: rho", low=0, high=1)
        self.momentum = checked_number(momentum, "RMSprop: momentum", low=0)
        self.epsilon = checked_number(epsilon, "RMSprop: epsilon", low=0)
        self.centered = bool(centered)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []
        self._means = self.add_optimizer_variables(variables, "average_gradient") if self.centered else []

    def _step_of(self, gradient, variable, rates):
        index = self._get_variable_index(variable)
        velocity = self._velocities[index]
        momentum = self._momentums[index] if self.momentum else None
        if self.centered:
            self._centered_step(gradient, variable, rates, velocity, momentum, self._means[index])
            return
        third = momentum if self.momentum else velocity  # the kernel leaves it alone without momentum
        attrs = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}
        self._update("rmsprop_update", gradient, rates, [variable, velocity, third], **attrs)

    def _centered_step(self, gradient, variable, rates, velocity, momentum, mean):
        square = ops.multiply(ops.square(gradient), 1 - self.rho)
        velocity.assign(ops.add(ops.multiply(velocity, self.rho), square))
        mean.assign(ops.add(ops.multiply(mean, self.rho), ops.multiply(gradient, 1 - self.rho)))
        variance = ops.add(ops.subtract(velocity, ops.square(mean)), self.epsilon)
        step = ops.divide(ops.multiply(gradient, rates.learning_rate), ops.sqrt(variance))
        if momentum is not None:
            momentum.assign(ops.add(ops.multiply(momentum, self.momentum), step))
            step = momentum
        variable.assign(ops.subtract(variable, step))

    def get_config(self):
        config = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return super().get_config() | config
