"""Lowers the learning rate when a metric stops improving."""

import numpy as np

from cnnengine.callbacks.learning_rate_scheduler import learning_rate_of
from cnnengine.callbacks.monitor_callback import MonitorCallback
from cnnengine.core import console
from cnnengine.core.errors import ConfigError


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement.

        new_lr = max(lr * factor, min_lr)

    Adds `learning_rate` to the logs of each epoch, so History and CSVLogger record it.

    Args:
        monitor: Name of the metric to watch.
        factor: What the rate is multiplied by, less than 1.
        patience: Epochs without improvement before the rate is lowered.
        verbose: 1 prints each change.
        mode: "min", "max" or "auto".
        min_delta: Smallest change that counts as an improvement.
        cooldown: Epochs to wait after a change before counting again.
        min_lr: The rate never goes below this.

    Raises:
        ConfigError: If `factor` is not below 1.
    """

    def __init__(
        self,
        monitor="val_loss",
        factor=0.1,
        patience=10,
        verbose=0,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if not factor < 1.0:
            raise ConfigError(f"ReduceLROnPlateau: factor must be less than 1. Received: factor={factor}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self):
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs=None):
        self._reset()

    def in_cooldown(self):
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        logs["learning_rate"] = learning_rate_of(self.model.optimizer)
        value = self._monitored(logs, "lowering the learning rate")
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch):
        old_lr = learning_rate_of(self.model.optimizer)
        # Rates are stored in float32: comparing with the float64 limit would "lower" 1e-5 to 1e-5 for ever.
        if old_lr <= np.float32(self.min_lr):
            return
        new_lr = max(old_lr * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new_lr
        if self.verbose > 0:
            console.write(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new_lr}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0
