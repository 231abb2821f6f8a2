"""The base class of all callbacks: every moment of fit, evaluate and predict at which user code may run."""


class Callback:
    """Base of all callbacks; override the hooks you need, the others cost nothing.

    `logs` maps metric names to floats. In `on_epoch_end` it is one dict shared by all callbacks of the run, so a value
    added to it is seen by those that follow (History is the last).

    Attributes:
        params: Dict with `verbose`, `epochs` and `steps` of the running call.
        model: The model that is running.
    """

    def __init__(self):
        self.params = None
        self._model = None

    @property
    def model(self):
        return self._model

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self._model = model

    def wants_batch_logs(self):
        """Whether the next batch-end hook will look at its `logs`; False spares the caller from computing them."""
        return True

    def on_batch_begin(self, batch, logs=None):
        """Older name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch, logs=None):
        """Older name of `on_train_batch_end`, which calls it."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch of fit; `epoch` counts from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch of fit, validation included; `logs` has the metrics and their `val_` twins."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a batch of fit."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        """After a batch of fit; `logs` has the running means of this epoch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch, logs=None):
        """Before a batch of evaluate, or of the validation inside fit."""

    def on_test_batch_end(self, batch, logs=None):
        """After a batch of evaluate, or of the validation inside fit."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before a batch of predict."""

    def on_predict_batch_end(self, batch, logs=None):
        """After a batch of predict; `logs["outputs"]` has its predictions."""

    def on_train_begin(self, logs=None):
        """At the start of fit."""

    def on_train_end(self, logs=None):
        """At the end of fit; `logs` are those of the last epoch."""

    def on_test_begin(self, logs=None):
        """At the start of evaluate or of a validation."""

    def on_test_end(self, logs=None):
        """At the end of evaluate or of a validation."""

    def on_predict_begin(self, logs=None):
        """At the start of predict."""

    def on_predict_end(self, logs=None):
        """At the end of predict."""
