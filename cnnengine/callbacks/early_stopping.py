"""Ends training when a metric stops improving."""

from cnnengine.callbacks.monitor_callback import MonitorCallback
from cnnengine.core import console


class EarlyStopping(MonitorCallback):
    """Stops fit after `patience` epochs without improvement of `monitor`.

    Args:
        monitor: Name of the metric to watch.
        min_delta: Smallest change that counts as an improvement.
        patience: Epochs without improvement after which training stops.
        verbose: 1 prints when it stops and what it restores.
        mode: "min", "max" or "auto".
        baseline: The count of patience restarts only when this value is beaten, too.
        restore_best_weights: Put the weights of the best epoch back at the end of fit, stopped early or not.
        start_from_epoch: Epochs before this one are not looked at.

    Attributes:
        stopped_epoch: Epoch (from 0) at which training was stopped, 0 if it was not.
        best, best_epoch, best_weights: Value, number and weights of the best epoch.
    """

    def __init__(
        self,
        monitor="val_loss",
        min_delta=0,
        patience=0,
        verbose=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_train_begin(self, logs=None):
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        value = self.get_monitor_value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._is_improvement(value, self.best):
            self._remember(value, epoch)
            if self.baseline is None or self._is_improvement(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, value, epoch):
        self.best = value
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose > 0:
            console.write(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                console.write(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs):
        """The watched value of these logs; None with a warning if it is missing."""
        return self._monitored(logs, "early stopping")
