"""Learning rates that change with the number of steps."""

import math

from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export

_MODULE = "keras.optimizers.schedules"


class LearningRateSchedule:
    """A learning rate as a function of the step, counted from 0."""

    def __call__(self, step):
        raise NotImplementedError

    def get_config(self):
        """The arguments it was made with."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _positive(value, name):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigError(f"{name} must be a number above 0. Received: {value!r}")


@export(_MODULE)
class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps), in whole powers with `staircase`."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        _positive(decay_steps, "decay_steps")
        self._config = {key: value for key, value in locals().items() if key in _ARGUMENTS}

    def __call__(self, step):
        c = self._config
        power = step / c["decay_steps"]
        return c["initial_learning_rate"] * c["decay_rate"] ** (math.floor(power) if c["staircase"] else power)


@export(_MODULE)
class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps), in whole steps with `staircase`."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        _positive(decay_steps, "decay_steps")
        self._config = {key: value for key, value in locals().items() if key in _ARGUMENTS}

    def __call__(self, step):
        c = self._config
        part = step / c["decay_steps"]
        return c["initial_learning_rate"] / (1 + c["decay_rate"] * (math.floor(part) if c["staircase"] else part))


@export(_MODULE)
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and including step boundaries[i], values[-1] after the last."""

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) + 1 != len(values):
            raise ConfigError(
                f"values must have one item more than boundaries. Received: {len(boundaries)} and {len(values)}"
            )
        self._config = {"boundaries": list(boundaries), "values": list(values), "name": name}

    def __call__(self, step):
        for boundary, value in zip(self._config["boundaries"], self._config["values"]):
            if step <= boundary:
                return value
        return self._config["values"][-1]


@export(_MODULE)
class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end rate along (1 - step / decay_steps) ** power; with `cycle` again and again."""

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        _positive(decay_steps, "decay_steps")
        self._config = {key: value for key, value in locals().items() if key in _ARGUMENTS}

    def __call__(self, step):
        c = self._config
        steps = c["decay_steps"]
        if c["cycle"]:
            steps *= max(1, math.ceil(step / steps))
        else:
            step = min(step, steps)
        span = c["initial_learning_rate"] - c["end_learning_rate"]
        return span * (1 - step / steps) ** c["power"] + c["end_learning_rate"]


@export(_MODULE)
class CosineDecay(LearningRateSchedule):
    """Down a half cosine to alpha * the initial rate, after an optional linear rise to `warmup_target`
    (Loshchilov & Hutter 2017)."""

    def __init__(
        self, initial_learning_rate, decay_steps, alpha=0.0, name="CosineDecay", warmup_target=None, warmup_steps=0
    ):
        _positive(decay_steps, "decay_steps")
        self._config = {key: value for key, value in locals().items() if key in _ARGUMENTS}

    def _decayed(self, step, start):
        c = self._config
        part = min(step, c["decay_steps"]) / c["decay_steps"]
        return start * ((1 - c["alpha"]) * 0.5 * (1 + math.cos(math.pi * part)) + c["alpha"])

    def __call__(self, step):
        c = self._config
        if c["warmup_target"] is None:
            return self._decayed(step, c["initial_learning_rate"])
        if step < c["warmup_steps"]:
            rise = c["warmup_target"] - c["initial_learning_rate"]
            return rise * step / c["warmup_steps"] + c["initial_learning_rate"]
        return self._decayed(step - c["warmup_steps"], c["warmup_target"])


@export(_MODULE)
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after the other, each t_mul times as long and m_mul times as high (Loshchilov & Hutter 2017)."""

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        _positive(first_decay_steps, "first_decay_steps")
        self._config = {key: value for key, value in locals().items() if key in _ARGUMENTS}

    def __call__(self, step):
        c = self._config
        done, t_mul = step / c["first_decay_steps"], c["t_mul"]
        if t_mul == 1.0:
            restarts = math.floor(done)
            done -= restarts
        else:
            restarts = math.floor(math.log(1 - done * (1 - t_mul)) / math.log(t_mul))
            done = (done - (1 - t_mul**restarts) / (1 - t_mul)) / t_mul**restarts
        height = 0.5 * c["m_mul"] ** restarts * (1 + math.cos(math.pi * done))
        return c["initial_learning_rate"] * ((1 - c["alpha"]) * height + c["alpha"])


_ARGUMENTS = frozenset(
    "initial_learning_rate decay_steps first_decay_steps decay_rate staircase end_learning_rate power cycle alpha "
    "warmup_target warmup_steps t_mul m_mul name".split()
)
