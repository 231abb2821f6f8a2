"""What callbacks share that watch one metric and ask whether it got better."""

import operator
import warnings

from cnnengine.callbacks.callback import Callback
from cnnengine.core.errors import ConfigError


class MonitorCallback(Callback):
    """Base of callbacks that watch a metric.

    A value is an improvement on a reference when

        value + min_delta < reference   (mode "min")
        value - min_delta > reference   (mode "max")

    or when there is no reference yet. A NaN never is one, and nothing is one on a NaN.

    Args:
        monitor: Name of the metric in the logs.
        mode: "min", "max", or "auto": "min" for a loss, else what the metric of that name says.
        baseline: First reference; None takes the first value seen.
        min_delta: Changes smaller than this do not count.
    """

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta=0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f'{type(self).__name__}: mode must be "auto", "min" or "max". Received: {mode!r}; "auto" is used.',
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op = None

    def _is_improvement(self, value, reference):
        if self.monitor_op is None:
            self._set_monitor_op()
        if reference is None:
            return True
        margin = self.min_delta if self.monitor_op is operator.lt else -self.min_delta
        return self.monitor_op(value + margin, reference)

    def _set_monitor_op(self):
        """Settle the direction; not in the constructor, because metrics exist only once the model has run."""
        direction = {"min": "down", "max": "up"}.get(self.mode) or self._direction()
        self.monitor_op = operator.gt if direction == "up" else operator.lt

    def _direction(self):
        name = self.monitor.removeprefix("val_")
        for metric in _all_metrics(self.model):
            direction = getattr(metric, "_direction", None)
            if getattr(metric, "name", None) == name and direction is not None:
                return direction
        if name == "loss":
            return "down"
        raise ConfigError(
            f"{type(self).__name__}: cannot tell whether {self.monitor!r} should rise or fall. "
            f'Expected: mode="max" or mode="min". Received: mode="auto".'
        )

    def _monitored(self, logs, purpose):
        """The watched value, or None with a warning."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__}: {purpose} needs the metric {self.monitor!r}, which was not logged. "
                f"Available: {', '.join(logs or {}) or 'none'}.",
                stacklevel=3,
            )
        return value


def _all_metrics(model):
    """The metrics of a model, those inside containers included."""
    for metric in getattr(model, "metrics", None) or []:
        yield metric
        yield from getattr(metric, "metrics", None) or []
