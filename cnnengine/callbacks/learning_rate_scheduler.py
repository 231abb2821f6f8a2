"""Sets the learning rate at the start of every epoch."""

import numpy as np

from cnnengine.callbacks.callback import Callback
from cnnengine.core import console
from cnnengine.core.errors import ConfigError


def learning_rate_of(optimizer):
    """The present learning rate of an optimizer as a float, whether it is kept as a number or as a variable."""
    return float(np.asarray(optimizer.learning_rate))


class LearningRateScheduler(Callback):
    """Asks a function for the learning rate of each epoch.

    Adds `learning_rate` to the logs of each epoch.

    Args:
        schedule: Function of (epoch, current rate), or of (epoch) alone, that returns a float. Epochs count from 0.
        verbose: 1 prints the rate of each epoch.

    Raises:
        ConfigError: In fit, if the schedule returns anything but a float.

    Example:
        >>> LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate * 0.9)
    """

    def __init__(self, schedule, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        args = (epoch, learning_rate_of(optimizer)) if _takes_two(self.schedule) else (epoch,)
        rate = self.schedule(*args)
        if not isinstance(rate, (float, np.floating)):
            raise ConfigError(f"LearningRateScheduler: the schedule must return a float. Received: {rate!r}.")
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            console.write(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = learning_rate_of(self.model.optimizer)


def _takes_two(schedule):
    """Whether the function accepts (epoch, rate). Asked of its signature: catching the TypeError of a wrong call would
    also hide one that the function itself raises."""
    import inspect

    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True
