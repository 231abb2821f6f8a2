"""Records what every epoch logged."""

from cnnengine.callbacks.callback import Callback


class History(Callback):
    """Keeps the logs of all epochs; fit adds one and returns it.

    Attributes:
        history: Dict of metric name to the list of its values, one an epoch. Grows over several calls of fit if the
            same object is passed to each.
        epoch: The numbers of the epochs of the last fit, from 0.
    """

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_train_begin(self, logs=None):
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self
