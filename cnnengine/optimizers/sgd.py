"""Gradient descent."""

from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.ops.update import update
from cnnengine.optimizers.optimizer import Optimizer, checked_number


@export("keras.optimizers")
class SGD(Optimizer):
    """w -= rate * g; with momentum v = momentum * v - rate * g, w += v (nesterov: w += momentum * v - rate * g).

    Args:
        learning_rate: float or schedule.
        momentum: 0 to 1.
        nesterov: whether to look ahead (Nesterov 1983, in the form of Sutskever et al. 2013).
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=None, name="SGD", **kwargs):
        super().__init__(learning_rate, weight_decay, name=name, **kwargs)
        self.momentum = checked_number(momentum, "momentum", least=0.0)
        if self.momentum > 1:
            raise ConfigError(f"momentum must be from 0 to 1. Received: {momentum!r}")
        self.nesterov = bool(nesterov)

    def make_slots(self, variables):
        return [self._slot(v, "momentum") for v in variables] if self.momentum else []

    def update_step(self, gradient, variable, rates):
        if not self.momentum:
            update("sgd_update", [gradient, rates[:1]], [variable])
            return
        slots = self.slots_of(variable)
        attrs = {"momentum": self.momentum, "nesterov": int(self.nesterov)}
        update("momentum_update", [gradient, rates[:1]], [variable, *slots], **attrs)

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
