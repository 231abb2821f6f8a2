"""Adam and its relatives: averages of the gradient and of its size, corrected for their start at 0."""

import math

from cnnengine import ops
from cnnengine.core.checks import checked_number
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.optimizers.optimizer import Optimizer


class _TwoAverages(Optimizer):
    """Base: two slots a variable, of decay beta_1 and beta_2."""

    slot_names = ("momentum", "velocity")

    def __init__(self, learning_rate, beta_1, beta_2, epsilon, weight_decay, **kwargs):
        super().__init__(learning_rate, weight_decay, **kwargs)
        what = type(self).__name__
        self.beta_1 = checked_number(beta_1, f"{what}: beta_1", low=0, below=1)
        self.beta_2 = checked_number(beta_2, f"{what}: beta_2", low=0, below=1)
        self.epsilon = checked_number(epsilon, f"{what}: epsilon", low=0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, self.slot_names)

    def _slots_of(self, variable):
        index = self._get_variable_index(variable)
        return self._momentums[index], self._velocities[index]

    def _average_gradient(self, gradient, m):
        m.assign_add(ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))

    def _average_square(self, gradient, v):
        v.assign_add(ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))

    def get_config(self):
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@export("keras.optimizers")
class Adam(_TwoAverages):
    """w -= a * m / (sqrt(v) + epsilon), m and v averages of g and g**2 (Kingma and Ba 2015).

    a = rate * sqrt(1 - beta_2**t) / (1 - beta_1**t); epsilon is outside of the correction, as in Keras.

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments.
        beta_1, beta_2: decay of the averages, from 0 to below 1.
        epsilon: keeps the quotient finite.
        amsgrad: divide by the largest v so far (Reddi et al. 2018).
        weight_decay, kwargs: as of Optimizer.

    Raises:
        ConfigError.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        weight_decay=None,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, **kwargs)
        self.amsgrad = bool(amsgrad)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat") if self.amsgrad else []

    def _alpha(self, rate, step):
        return rate * math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)

    def _step_of(self, gradient, variable, rates):
        m, v = self._slots_of(variable)
        if not self.amsgrad:
            attrs = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
            self._update("adam_update", gradient, rates, [variable, m, v], **attrs)
            return
        largest = self._velocity_hats[self._get_variable_index(variable)]
        self._average_gradient(gradient, m)
        self._average_square(gradient, v)
        largest.assign(ops.maximum(largest, v))
        step = ops.divide(ops.multiply(m, rates.alpha), ops.add(ops.sqrt(largest), self.epsilon))
        variable.assign(ops.subtract(variable, step))

    def get_config(self):
        return super().get_config() | {"amsgrad": self.amsgrad}


@export("keras.optimizers")
class AdamW(Adam):
    """Adam with weight decay of its own, 0.004 by default (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **kwargs)
        if weight_decay is None:
            raise ConfigError("AdamW: weight_decay: expected a number. Received: None")


@export("keras.optimizers")
class Adamax(_TwoAverages):
    """w -= rate / (1 - beta_1**t) * m / (u + epsilon), u = max(beta_2 * u, |g|) (Kingma and Ba 2015, section 7)."""

    slot_names = ("momentum", "norm")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=None, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, **kwargs)

    def _alpha(self, rate, step):
        return rate / (1 - self.beta_1**step)

    def _step_of(self, gradient, variable, rates):
        m, u = self._slots_of(variable)
        self._average_gradient(gradient, m)
        u.assign(ops.maximum(ops.multiply(u, self.beta_2), ops.absolute(gradient)))
        step = ops.divide(ops.multiply(m, rates.alpha), ops.add(u, self.epsilon))
        variable.assign(ops.subtract(variable, step))


@export("keras.optimizers")
class Nadam(_TwoAverages):
    """Adam that looks ahead like Nesterov momentum, beta_1 growing as beta_1 * (1 - 0.96**t / 2) (Dozat 2016)."""

    rate_names = ("of_average", "of_gradient", "of_velocity")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=None, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, **kwargs)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._u_product = self.add_variable((), "ones", name="u_product")

    def _momentum_at(self, step):
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def _extra_rates(self, rate, step):
        now, ahead = self._momentum_at(step), self._momentum_at(step + 1)
        product = float(self._u_product.array) * now if self.built else now
        of_average, of_gradient = ahead / (1 - product * ahead), (1 - now) / (1 - product)
        return of_average, of_gradient, 1 / (1 - self.beta_2**step)

    def finish_step(self):
        self._u_product.assign(float(self._u_product.array) * self._momentum_at(self._step_number() + 1))
        super().finish_step()

    def _step_of(self, gradient, variable, rates):
        m, v = self._slots_of(variable)
        self._average_gradient(gradient, m)
        self._average_square(gradient, v)
        ahead = ops.add(ops.multiply(m, rates.of_average), ops.multiply(gradient, rates.of_gradient))
        size = ops.add(ops.sqrt(ops.multiply(v, rates.of_velocity)), self.epsilon)
        variable.assign(ops.subtract(variable, ops.divide(ops.multiply(ahead, rates.learning_rate), size)))
