"""The progress bar: one line of the terminal that is drawn over and over."""

import os
import sys
import time

import numpy as np

from cnnengine.core import console
from cnnengine.core.errors import ConfigError

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """Draws `current/target bar time-left time/step - name: value ...`.

    Args:
        target: Number of steps to come, None if not known.
        width: Characters of the bar itself.
        verbose: 0 nothing, 1 the bar, 2 one line when finished.
        interval: Seconds between two drawings at least.
        stateful_metrics: Names whose values are shown as given; all others are averaged over the steps.
        stateless_metrics: The other way round: only these are averaged. At most one of the two may be given.
        unit_name: What a step is called.

    Raises:
        ConfigError: If both lists of metrics are given.
    """

    def __init__(
        self,
        target,
        width=20,
        verbose=1,
        interval=0.05,
        stateful_metrics=None,
        stateless_metrics=None,
        unit_name="step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ConfigError("Progbar: only one of stateful_metrics and stateless_metrics may be given.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._overwrites = _can_overwrite()
        self._seen = 0
        self._sums = {}  # name: [sum of values, number of steps]
        self._start = time.time()
        self._first_step_end = None
        self._last_drawn = 0.0
        self._drawn_width = 0

    def update(self, current, values=None, finalize=None):
        """Report progress, and draw if it is time.

        Args:
            current: Steps done.
            values: List of (name, value of the last step).
            finalize: Whether this is the last call; None means when the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._record(name, value, current, finalize)
        self._seen = current
        now = time.time()
        step_seconds = self._step_seconds(current, now)
        if self.verbose == 1 and (finalize or now - self._last_drawn >= self.interval):
            self._draw(current, now, step_seconds, finalize)
        elif self.verbose == 2 and finalize and self.target:
            self._print_summary(current, now, step_seconds)

    def add(self, n, values=None):
        """Report `n` more steps."""
        self.update(self._seen + n, values)

    def is_due(self):
        """Whether an update now would draw."""
        return self.verbose == 1 and time.time() - self._last_drawn >= self.interval

    def _record(self, name, value, current, finalize):
        if finalize or not self._is_averaged(name):
            self._sums[name] = [value, 1]
            return
        # At least one: a finished epoch of unknown length is reported twice.
        steps = max(current - self._seen, 1)
        total = self._sums.setdefault(name, [0.0, 0])
        total[0] = total[0] + value * steps
        total[1] += steps

    def _is_averaged(self, name):
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return self.stateful_metrics is None or name not in self.stateful_metrics

    def _step_seconds(self, current, now):
        """Mean duration of a step; the first one, which compiles and warms up, is left out once there are others."""
        if not current:
            return 0
        if self._first_step_end is not None and current > 1:
            seconds = (now - self._first_step_end) / (current - 1)
        else:
            seconds = (now - self._start) / current
        if current == 1:
            self._first_step_end = now
        return seconds

    def _draw(self, current, now, step_seconds, finalize):
        bar, visible_bar = self._bar(current)
        if self.target and not finalize:
            clock = _time_left(step_seconds * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        rest = f"{self._duration(step_seconds)}{self._metrics()}"
        width = visible_bar + 1 + len(clock) + len(rest)
        start = "\b" * self._drawn_width + "\r" if self._overwrites else "\n"
        blanks = " " * (self._drawn_width - width)  # what a longer line before left over
        end = "\n" if finalize else ""
        console.write(f"{start}{bar} {_BOLD}{clock}{_PLAIN}{rest}{blanks}", end=end)
        self._drawn_width = width
        self._last_drawn = now

    def _bar(self, current):
        """The counter and the bar, and how many characters of them are visible."""
        if not self.target:
            text = f"{current:7d}/Unknown"
            return text, len(text)
        count = self._count(current)
        done = int(self.width * current / self.target)
        bar = f"{_BOLD}{count}{_PLAIN} "
        if done > 0:
            bar += f"{_GREEN}{'━' * done}{_PLAIN}"
        bar += f"{_WHITE}{'━' * (self.width - done)}{_PLAIN}"
        return bar, len(count) + 1 + max(done, self.width)

    def _count(self, current):
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _print_summary(self, current, now, step_seconds):
        elapsed = f"{now - self._start:.0f}s"
        console.write(f"{self._count(current)} - {elapsed} -{self._duration(step_seconds)}{self._metrics()}")

    def _metrics(self):
        return "".join(f" - {name}: {_number(total, steps)}" for name, (total, steps) in self._sums.items())

    def _duration(self, seconds):
        if seconds >= 1 or seconds == 0:
            return f" {seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f" {seconds * 1e3:.0f}ms/{self.unit_name}"
        return f" {seconds * 1e6:.0f}us/{self.unit_name}"


def _can_overwrite():
    """Whether the output understands carriage returns; on POSIX they are written to files and pipes, too."""
    stdout = sys.stdout
    is_terminal = stdout is not None and hasattr(stdout, "isatty") and not stdout.closed and stdout.isatty()
    return is_terminal or os.name == "posix" or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


def _time_left(seconds):
    whole = int(seconds)
    if seconds > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    if seconds > 60:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole}s"


def _number(total, steps):
    if not isinstance(total, float):
        total = np.mean(total)
    mean = total / max(1, steps)
    return f"{mean:.4f}" if abs(mean) > 1e-3 else f"{mean:.4e}"
