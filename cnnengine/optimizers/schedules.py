"""Learning rates that depend on the step, as keras.optimizers.schedules: functions of a number, run on the host."""

import math

from cnnengine.core import registry
from cnnengine.core.checks import checked_number
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export, serialize

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip

_MODULE = "keras.optimizers.schedules"


@export(_MODULE)
class LearningRateSchedule:
    """Base: `schedule(step)` is the learning rate of a step, counted from 0. Subclasses define `__call__`."""

    def __call__(self, step):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def get_config(self):
        """Arguments that make an equal schedule; for subclasses here, all of `__init__`."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _check(self, positive=(), finite=()):
        """Check attributes that are numbers."""
        for key in positive:
            checked_number(getattr(self, key), f"{type(self).__name__}: {key}", above=0)
        for key in finite:
            checked_number(getattr(self, key), f"{type(self).__name__}: {key}")


@export(_MODULE)
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps); with `staircase` the exponent is rounded down."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        self._check(["decay_steps"], ["initial_learning_rate", "decay_rate"])

    def __call__(self, step):
        part = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(part) if self.staircase else part)


@export(_MODULE)
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); with `staircase` the quotient is rounded down."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        self._check(["decay_steps"], ["initial_learning_rate", "decay_rate"])

    def __call__(self, step):
        part = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(part) if self.staircase else part))


@export(_MODULE)
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], the last value after the last boundary."""

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ConfigError(
                "PiecewiseConstantDecay: expected one value more than boundaries. "
                f"Received: {len(boundaries)} boundaries and {len(values)} values"
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name
        for number in (*boundaries, *values):
            checked_number(number, "PiecewiseConstantDecay: boundaries and values")

    def __call__(self, step):
        passed = sum(step > boundary for boundary in self.boundaries)
        return self.values[passed]


@export(_MODULE)
class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ** power + end, constant after decay_steps.

    With `cycle`, decay_steps is instead raised to the next multiple that reaches the step.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name
        self._check(["decay_steps"], ["initial_learning_rate", "end_learning_rate", "power"])

    def __call__(self, step):
        rounds = max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1
        part = min(step / (self.decay_steps * rounds), 1.0)
        return (self.initial_learning_rate - self.end_learning_rate) * (1 - part) ** self.power + self.end_learning_rate


@export(_MODULE)
class CosineDecay(LearningRateSchedule):
    """From the initial rate along half a cosine to `alpha` times it in decay_steps (Loshchilov and Hutter 2016).

    With `warmup_target`, first in a straight line from the initial rate to that in warmup_steps, then down from there.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        self._check(["decay_steps"], ["initial_learning_rate", "alpha", "warmup_steps"])

    def __call__(self, step):
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return (self.warmup_target - start) * step / self.warmup_steps + start
            start, step = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1.0)))
        return start * ((1 - self.alpha) * cosine + self.alpha)


@export(_MODULE)
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again, each time `t_mul` times as long from `m_mul` times the rate (same paper)."""

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name
        self._check(["first_decay_steps", "t_mul"], ["initial_learning_rate", "m_mul", "alpha"])

    def _restarts(self, part):
        """(number of restarts, share of the present round) after `part` first rounds."""
        if self.t_mul == 1:
            return math.floor(part), part - math.floor(part)
        # The number of whole rounds in the sum of a geometric series.
        done = math.floor(math.log(1 - part * (1 - self.t_mul)) / math.log(self.t_mul))
        length = self.t_mul**done
        return done, (part - (1 - length) / (1 - self.t_mul)) / length

    def __call__(self, step):
        done, part = self._restarts(step / self.first_decay_steps)
        cosine = 0.5 * self.m_mul**done * (1 + math.cos(math.pi * part))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


def deserialize(config, custom_objects=None):
    """The schedule that a config describes."""
    return registry.deserialize(config, custom_objects, _MODULE)
