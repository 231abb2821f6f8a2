"""Saves the model, or its weights, while it trains."""

import os
import warnings

import numpy as np

from cnnengine.callbacks.monitor_callback import MonitorCallback
from cnnengine.core import console
from cnnengine.core.errors import ConfigError


class ModelCheckpoint(MonitorCallback):
    """Saves after every epoch, or after every `save_freq` batches.

    Args:
        filepath: Where to; may hold format fields for `epoch` (from 1), `batch` (from 1, when saving by batches) and
            the names of the logs: "{epoch:02d}-{val_loss:.2f}.keras". Must end in ".weights.h5" with
            `save_weights_only`, else in ".keras" or ".h5". Missing folders are made.
        monitor: Metric to watch with `save_best_only`.
        verbose: 1 prints each decision.
        save_best_only: Save only when `monitor` improved. If it was not logged, save, with a warning.
        save_weights_only: `model.save_weights` instead of `model.save`.
        mode: "min", "max" or "auto".
        save_freq: "epoch" or a number of batches.
        initial_value_threshold: What the first value has to beat.

    Raises:
        ConfigError: Wrong ending or `save_freq`.
        KeyError: In fit, if a field of `filepath` is not in the logs.
        IsADirectoryError: In fit, if the path is a folder.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq="epoch",
        initial_value_threshold=None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._current_epoch = 0
        self._batches_since_save = 0
        self._last_batch = -1
        self._check_arguments()

    def _check_arguments(self):
        endings = (".weights.h5",) if self.save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ConfigError(
                f"ModelCheckpoint: with save_weights_only={self.save_weights_only} filepath must end in "
                f"{' or '.join(endings)}. Received: filepath={self.filepath!r}."
            )
        freq = self.save_freq
        if freq != "epoch" and (isinstance(freq, bool) or not isinstance(freq, int) or freq < 1):
            raise ConfigError(
                f'ModelCheckpoint: save_freq must be "epoch" or a positive number of batches. Received: {freq!r}.'
            )

    def wants_batch_logs(self):
        return self.save_freq != "epoch"

    def on_epoch_begin(self, epoch, logs=None):
        self._current_epoch = epoch
        self._last_batch = -1

    def on_train_batch_end(self, batch, logs=None):
        if self.save_freq == "epoch":
            return
        # A difference, not 1: a training loop may report every n-th batch only.
        self._batches_since_save += batch - self._last_batch
        self._last_batch = batch
        if self._batches_since_save >= self.save_freq:
            self._batches_since_save = 0
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch, batch, logs):
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint: filepath must name a file. Received a folder: {path!r}.")
        os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self._say(epoch, f"finished saving model to {path}")

    def _path(self, epoch, batch, logs):
        fields = {"epoch": epoch + 1, **logs}
        if batch is not None:
            fields.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, which was not logged. "
                f"Available: {', '.join(fields)}."
            ) from error

    def _should_save(self, epoch, logs, path):
        value = logs.get(self.monitor)
        if self.save_best_only and value is None:
            warnings.warn(
                f"ModelCheckpoint: save_best_only needs the metric {self.monitor!r}, which was not logged; "
                f"the model is saved. Available: {', '.join(logs) or 'none'}.",
                stacklevel=4,
            )
        elif self.save_best_only and np.ndim(value) > 0:
            warnings.warn(
                f"ModelCheckpoint: save_best_only needs one number. Received: {self.monitor}={value!r}; "
                "the model is saved.",
                stacklevel=4,
            )
        elif self.save_best_only:
            return self._improved(epoch, value, path)
        else:
            self._say(epoch, f"saving model to {path}")
        return True

    def _improved(self, epoch, value, path):
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(value, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._say(epoch, f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _say(self, epoch, text):
        if self.verbose > 0:
            console.write(f"\nEpoch {epoch + 1}: {text}")
