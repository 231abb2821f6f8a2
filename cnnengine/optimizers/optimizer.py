"""The base of all optimizers: learning rate, slots, and what is done to gradients before and after a step.

A training program holds the whole update. What changes from step to step (the learning rate, Adam's bias correction) is
computed on the host in double precision by `step_rates` and given to each run as a small vector.
"""

import math

import numpy as np

from cnnengine import ops
from cnnengine.core.errors import ConfigError
from cnnengine.core.naming import snake_case
from cnnengine.core.registry import deserialize, serialize
from cnnengine.core.variable import Variable
from cnnengine.optimizers.schedules import LearningRateSchedule


def checked_number(value, name, least=None, below=None):
    """A float within bounds. Raises ConfigError."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if (
        not is_number
        or not math.isfinite(value)
        or (least is not None and value < least)
        or (below is not None and value >= below)
    ):
        bounds = (f" of at least {least}" if least is not None else "") + (
            f" and below {below}" if below is not None else ""
        )
        raise ConfigError(f"{name} must be a finite number{bounds}. Received: {value!r}")
    return float(value)


def _checked_rate(rate):
    if isinstance(rate, dict):
        rate = deserialize(rate)
    if isinstance(rate, LearningRateSchedule) or (callable(rate) and not isinstance(rate, Variable)):
        return rate
    if not isinstance(rate, (float, np.floating)):
        raise ConfigError(f"learning_rate must be a float, a LearningRateSchedule or a callable. Received: {rate!r}")
    return checked_number(rate, "learning_rate", least=0.0)


class Optimizer:
    """Changes weights along their gradients.

    One step, in this order: clip gradients; decoupled weight decay, w -= w * weight_decay * learning_rate; `update_step`;
    average weights (EMA); constraints.

    Args:
        learning_rate: float, LearningRateSchedule or function without arguments.
        weight_decay: float or None.
        clipnorm: largest norm of each gradient.
        clipvalue: largest absolute value of its elements.
        global_clipnorm: largest norm of all gradients together. At most one of the three.
        use_ema, ema_momentum, ema_overwrite_frequency: keep moving averages of the weights, which take their place every
            so many steps (None: at the end of fit).

    Raises:
        ConfigError.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        **kwargs,
    ):
        for neutral in ("jit_compile", "is_legacy_optimizer"):
            kwargs.pop(neutral, None)
        if kwargs:
            raise ConfigError(f"{type(self).__name__}: unknown argument(s) {sorted(kwargs)}")
        if gradient_accumulation_steps is not None:
            raise ConfigError("gradient_accumulation_steps is not supported: use a larger batch")
        self.name = name or snake_case(type(self).__name__)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if len([clip for clip in clips.values() if clip is not None]) > 1:
            raise ConfigError(f"Only one of clipnorm, clipvalue and global_clipnorm may be set. Received: {clips}")
        for key, clip in clips.items():
            setattr(self, key, None if clip is None else checked_number(clip, key, least=0.0))
        self.weight_decay = None if weight_decay is None else checked_number(weight_decay, "weight_decay", least=0.0)
        self.use_ema = bool(use_ema)
        self.ema_momentum = checked_number(ema_momentum, "ema_momentum", least=0.0)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self._excluded = set()
        self.built = False
        self.iterations = Variable(0, "iteration", trainable=False, dtype="int32")
        rate = _checked_rate(learning_rate)
        self._schedule = None if isinstance(rate, float) else rate
        self._learning_rate = None if self._schedule else Variable(rate, "learning_rate", trainable=False)
        self._trained, self._slots, self._averages = [], [], []

    # --- learning rate and state ------------------------------------------------------------------------------

    def _rate(self):
        """The learning rate of the next step, a float."""
        if self._schedule is None:
            return float(self._learning_rate.array)
        if isinstance(self._schedule, LearningRateSchedule):
            return float(self._schedule(int(self.iterations.array)))
        return float(np.asarray(self._schedule()))

    @property
    def learning_rate(self):
        """The learning rate: a Variable, or the value of the schedule now."""
        return self._learning_rate if self._schedule is None else np.float32(self._rate())

    @learning_rate.setter
    def learning_rate(self, value):
        if self._schedule is not None and not isinstance(value, LearningRateSchedule):
            raise TypeError("This optimizer was given a schedule: its learning rate cannot be set")
        if isinstance(value, LearningRateSchedule):
            self._schedule, self._learning_rate = value, None
        else:
            self._learning_rate.assign(checked_number(np.asarray(value).item(), "learning_rate", least=0.0))

    @property
    def variables(self):
        """State in Keras's stored order: iteration, learning rate, moving averages, slots."""
        rate = [] if self._learning_rate is None else [self._learning_rate]
        return [self.iterations, *rate, *self._averages, *self._slots]

    def build(self, variables):
        """Make the slots for these weights."""
        if self.built:
            return
        self._trained = list(variables)
        self._index = {id(v): i for i, v in enumerate(self._trained)}
        if self.use_ema:
            self._averages = [self._slot(v, "average", initial=v.array) for v in self._trained]
        self._slots = self.make_slots(self._trained)
        self.built = True

    def _slot(self, variable, name, initial=None):
        value = np.zeros(variable.shape, np.float32) if initial is None else initial
        return Variable(value, f"{variable.path.replace('/', '_')}_{name}", trainable=False)

    def make_slots(self, variables):
        """Slots for all weights, in the order in which Keras stores them."""
        return []

    def slots_of(self, variable):
        """The slots of one weight, as a list."""
        i, count = self._index_of(variable), len(self._trained)
        per_variable = len(self._slots) // count if count else 0
        return [self._slots[self._slot_place(i, j, per_variable, count)] for j in range(per_variable)]

    def _slot_place(self, i, j, per_variable, count):
        return j * count + i  # blocks: all first slots, then all second ones

    def _index_of(self, variable):
        if id(variable) not in self._index:
            raise ConfigError(f'The optimizer was not built for the weight "{variable.path}"; compile the model again')
        return self._index[id(variable)]

    # --- a step -----------------------------------------------------------------------------------------------

    def step_rates(self):
        """Numbers that change from step to step; the first is what update kernels take as their rate, the last the
        learning rate."""
        return (self._rate(),)

    def update_step(self, gradient, variable, rates):
        """Record or do the update of one weight. `rates` is the tensor of `step_rates`."""
        raise NotImplementedError

    def apply_traced(self, gradients, variables, rates):
        """The whole update of a step: clipping, decay, `update_step`, averages, constraints."""
        gradients = self._clipped(list(gradients))
        rate = rates[-1]
        for variable in variables:
            if self._decays(variable):
                variable.assign(ops.subtract(variable, ops.multiply(variable, rate * self.weight_decay)))
        for gradient, variable in zip(gradients, variables):
            self.update_step(gradient, variable, rates)
        self._average(variables)
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def _decays(self, variable):
        return bool(self.weight_decay) and variable.name not in self._excluded and variable.path not in self._excluded

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Leave weights out of weight decay, given as variables or names."""
        self._excluded.update(v.path for v in var_list or [])
        self._excluded.update(var_names or [])

    def _clipped(self, gradients):
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_limited(g, ops.sqrt(ops.sum(ops.square(g))), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            total = ops.sum(ops.square(gradients[0]))
            for g in gradients[1:]:
                total = ops.add(total, ops.sum(ops.square(g)))
            norm = ops.sqrt(total)
            return [_limited(g, norm, self.global_clipnorm) for g in gradients]
        return gradients

    def _average(self, variables):
        for variable in variables if self.use_ema else ():
            average = self._averages[self._index_of(variable)]
            average.assign(
                ops.add(ops.multiply(average, self.ema_momentum), ops.multiply(variable, 1 - self.ema_momentum))
            )

    def finish_step(self):
        """Count a step that has been run."""
        self.iterations.array[...] += 1
        self.iterations.touched()
        every = self.ema_overwrite_frequency
        if self.use_ema and every and int(self.iterations.array) % every == 0:
            self.finalize_variable_values(self._trained)

    def finalize_variable_values(self, var_list):
        """Put the moving averages in the place of the weights, at the end of training."""
        for variable in var_list if self.use_ema else ():
            variable.assign(self._averages[self._index_of(variable)].array)

    def apply(self, grads, trainable_variables=None):
        """One step on arrays, at once."""
        variables = self._trained if trainable_variables is None else list(trainable_variables)
        self.build(variables)
        pairs = [(g, v) for g, v in zip(grads, variables) if g is not None]
        rates = np.asarray(self.step_rates(), np.float32)
        self.apply_traced([np.asarray(g, np.float32) for g, _ in pairs], [v for _, v in pairs], rates)
        self.finish_step()

    def apply_gradients(self, grads_and_vars):
        """`apply` for pairs of gradient and weight."""
        gradients, variables = zip(*grads_and_vars)
        self.apply(gradients, variables)

    # --- config -----------------------------------------------------------------------------------------------

    def get_config(self):
        """Arguments that make an equal optimizer, without its state."""
        rate = serialize(self._schedule) if self._schedule is not None else float(self._learning_rate.array)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": None,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def _limited(gradient, norm, limit):
    """The gradient scaled down where the norm is above the limit; a norm of 0 or infinity as Keras treats it."""
    return ops.multiply(gradient, ops.divide(limit, ops.maximum(norm, limit)))
