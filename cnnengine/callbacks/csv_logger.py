"""Writes the logs of every epoch to a CSV file."""

import os

import numpy as np

from cnnengine.callbacks.callback import Callback


class CSVLogger(Callback):
    """Appends one row an epoch: the epoch (from 0), then the metrics sorted by name.

    The columns are settled by the first epoch. If that one had no validation, `val_` columns are added all the same,
    for epochs that may have one (`validation_freq`); a missing value is written as NA. Each row is flushed.

    Args:
        filename: Path of the file.
        separator: Between the values.
        append: Continue an existing file instead of overwriting it.
    """

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys = None
        self.csv_file = None

    def on_train_begin(self, logs=None):
        self._close()
        self.keys = None
        self._needs_header = not (self.append and _has_content(self.filename))
        mode = "a" if self.append else "w"
        # newline="": the csv module writes its own line ends. The file stays open until training ends.
        self.csv_file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch, logs=None):
        import csv

        logs = logs or {}
        writer = csv.writer(self.csv_file, delimiter=self.sep)
        if self.keys is None:
            self.keys = _columns(logs)
            if self._needs_header:
                writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    def on_train_end(self, logs=None):
        self._close()

    def _close(self):
        if self.csv_file is not None:
            self.csv_file.close()
            self.csv_file = None


def _has_content(path):
    return os.path.exists(path) and os.path.getsize(path) > 0


def _columns(logs):
    keys = sorted(logs)
    if not any(key.startswith("val_") for key in keys):
        keys += [f"val_{key}" for key in keys]
    return keys


def _cell(value):
    """Numbers and strings as they are, anything with several values as one quoted list."""
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return f'"[{", ".join(map(str, value))}]"'
    return value
