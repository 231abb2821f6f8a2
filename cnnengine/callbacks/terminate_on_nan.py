"""Ends training when the loss is no number any more."""

import math

from cnnengine.callbacks.callback import Callback
from cnnengine.core import console


class TerminateOnNaN(Callback):
    """Stops fit after the first batch whose loss is NaN or infinite.

    Args:
        raise_error: Raise at once instead; the `on_train_end` of other callbacks is then not called, which keeps
            them from overwriting a good state.

    Raises:
        RuntimeError: In fit, with `raise_error=True`.
    """

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss at batch {batch}. Loss: {loss}. Training is terminated.")
        console.write(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
