"""RMSprop."""

from cnnengine import ops
from cnnengine.core.registry import export
from cnnengine.ops.update import update
from cnnengine.optimizers.optimizer import Optimizer, checked_number


@export("keras.optimizers")
class RMSprop(Optimizer):
    """w -= rate * g / sqrt(v + epsilon), v an average of g**2 (Hinton 2012); `centered` subtracts the mean gradient squared.

    Args:
        learning_rate: float or schedule.
        rho: decay of the average, 0 to 1.
        momentum: 0 to 1.
        epsilon: keeps the quotient finite.
        centered: divide by an estimate of the variance.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
        weight_decay=None,
        name="rmsprop",
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, name=name, **kwargs)
        self.rho = checked_number(rho, "rho", least=0.0, below=1.0)
        self.momentum = checked_number(momentum, "momentum", least=0.0)
        self.epsilon = checked_number(epsilon, "epsilon", least=0.0)
        self.centered = bool(centered)

    def make_slots(self, variables):
        names = ["velocity"] + ["momentum"] * bool(self.momentum) + ["average_gradient"] * self.centered
        return [self._slot(v, name) for name in names for v in variables]

    def update_step(self, gradient, variable, rates):
        velocity, *others = self.slots_of(variable)
        if self.centered:
            self._centered(gradient, variable, rates[0], velocity, others)
            return
        attrs = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}
        third = others[0] if self.momentum else velocity  # not touched without momentum
        update("rmsprop_update", [gradient, rates[:1]], [variable, velocity, third], **attrs)

    def _centered(self, gradient, variable, rate, velocity, others):
        average = others[-1]
        velocity.assign(velocity * self.rho + ops.square(gradient) * (1 - self.rho))
        average.assign(average * self.rho + gradient * (1 - self.rho))
        step = gradient * rate * ops.rsqrt(velocity - ops.square(average) + self.epsilon)
        if self.momentum:
            others[0].assign(others[0] * self.momentum + step)
            step = others[0]
        variable.assign(variable - step)

    def get_config(self):
        return super().get_config() | {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
