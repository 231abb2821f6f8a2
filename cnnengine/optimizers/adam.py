"""Adam and its relatives."""

import math

from cnnengine import ops
from cnnengine.core.registry import export
from cnnengine.ops.update import update
from cnnengine.optimizers.optimizer import Optimizer, checked_number


@export("keras.optimizers")
class Adam(Optimizer):
    """w -= a * m / (sqrt(v) + epsilon), m and v averages of g and g**2 (Kingma & Ba 2014).

    a = rate * sqrt(1 - beta_2**t) / (1 - beta_1**t); epsilon stands outside the bias correction, as in Keras.

    Args:
        learning_rate: float or schedule.
        beta_1, beta_2: decay of the averages, 0 to 1.
        epsilon: keeps the quotient finite.
        amsgrad: divide by the largest v so far (Reddi et al. 2018).
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        weight_decay=None,
        name="adam",
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, name=name, **kwargs)
        self.beta_1 = checked_number(beta_1, "beta_1", least=0.0, below=1.0)
        self.beta_2 = checked_number(beta_2, "beta_2", least=0.0, below=1.0)
        self.epsilon = checked_number(epsilon, "epsilon", least=0.0)
        self.amsgrad = bool(amsgrad)

    def make_slots(self, variables):
        pairs = [self._slot(v, name) for v in variables for name in ("momentum", "velocity")]
        return pairs + ([self._slot(v, "velocity_hat") for v in variables] if self.amsgrad else [])

    def slots_of(self, variable):
        i, count = self._index_of(variable), len(self._trained)
        hat = [self._slots[2 * count + i]] if self.amsgrad else []
        return [self._slots[2 * i], self._slots[2 * i + 1], *hat]

    def step_rates(self):
        rate, t = self._rate(), int(self.iterations.array) + 1
        return rate * math.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t), rate

    def update_step(self, gradient, variable, rates):
        slots = self.slots_of(variable)
        if not self.amsgrad:
            attrs = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
            update("adam_update", [gradient, rates[:1]], [variable, *slots], **attrs)
            return
        m, v, largest = slots
        m.assign(m + (gradient - m) * (1 - self.beta_1))
        v.assign(v + (ops.square(gradient) - v) * (1 - self.beta_2))
        largest.assign(ops.maximum(largest, v))
        variable.assign(variable - m * rates[0] / (ops.sqrt(largest) + self.epsilon))

    def get_config(self):
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


@export("keras.optimizers")
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default (Loshchilov & Hutter 2019)."""

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        name="adamw",
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, name, **kwargs)
