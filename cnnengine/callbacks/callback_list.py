"""Calls a list of callbacks, and only those that have something to do."""

import numpy as np

from cnnengine.callbacks.callback import Callback
from cnnengine.callbacks.history import History
from cnnengine.callbacks.progbar_logger import ProgbarLogger
from cnnengine.core.errors import ConfigError

# The base class forwards these hooks to an older name, so overriding either counts.
_ALIASES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """A list of callbacks that is called like one.

    Hooks nobody overrides cost one dict look-up. The `logs` of a hook may be a dict or a function without arguments
    that returns one; the function is called only if somebody will read the result.

    Args:
        callbacks: A callback, or a list or tuple of them (nested ones are flattened), or None.
        add_history: Append a `History` unless there is one.
        add_progbar: Append a `ProgbarLogger` unless there is one.
        model: The model to hand to each callback.
        **params: Handed to each callback with `set_params`.

    Raises:
        ConfigError: If a member is not a callback.
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        super().__init__()
        self.callbacks = _flatten(callbacks)
        self._listeners = {}
        self._history = self._find_or_add(History, add_history)
        self._progbar = self._find_or_add(ProgbarLogger, add_progbar)
        self.set_model(model)
        self.set_params(params)

    def _find_or_add(self, kind, add):
        found = [callback for callback in self.callbacks if isinstance(callback, kind)]
        if not found and add:
            found = [kind()]
            self.callbacks.append(found[0])
        return found[-1] if found else None

    def set_params(self, params):
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model):
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def listens(self, hook):
        """Whether any callback overrides `hook`; a training loop may skip the call when none does."""
        return bool(self._overriding(hook))

    def _overriding(self, hook):
        listeners = self._listeners.get(hook)
        if listeners is None:
            listeners = [callback for callback in self.callbacks if _overrides(callback, hook)]
            self._listeners[hook] = listeners
        return listeners

    def _call(self, hook, *args, logs):
        listeners = self._overriding(hook)
        if listeners:
            logs = plain_logs(logs)
            for callback in listeners:
                getattr(callback, hook)(*args, logs)

    def _call_batch_end(self, hook, batch, logs):
        listeners = self._overriding(hook)
        if listeners:
            wanted = any(callback.wants_batch_logs() for callback in listeners)
            logs = plain_logs(logs) if wanted else {}
            for callback in listeners:
                getattr(callback, hook)(batch, logs)

    def on_batch_begin(self, batch, logs=None):
        self._call("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch, logs=None):
        self._call("on_batch_end", batch, logs=logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        self._call("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        self._call_batch_end("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch, logs=None):
        self._call("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch, logs=None):
        self._call_batch_end("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch, logs=None):
        self._call("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch, logs=None):
        self._call_batch_end("on_predict_batch_end", batch, logs)

    def on_train_begin(self, logs=None):
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs=None):
        self._call("on_train_end", logs=logs)

    def on_test_begin(self, logs=None):
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs=None):
        self._call("on_test_end", logs=logs)

    def on_predict_begin(self, logs=None):
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs=None):
        self._call("on_predict_end", logs=logs)


def plain_logs(logs):
    """Logs as every callback sees them: sorted by key, nested dicts flattened, numbers as Python floats.

    Values that are not one number (predictions, say) stay as they are.
    """
    if callable(logs):
        logs = logs()
    result = {}
    for key, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(plain_logs(value))
        else:
            result[key] = float(value) if _is_number(value) else value
    return result


def _is_number(value):
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "fiub"
    return hasattr(value, "__float__")


def _flatten(callbacks):
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [leaf for member in callbacks for leaf in _flatten(member)]
    # A class has the hooks too, but calling them would only fail later and less clearly.
    if isinstance(callbacks, type) or not hasattr(callbacks, "on_epoch_end"):
        raise ConfigError(
            "callbacks: every member must be an instance of cnnengine.callbacks.Callback. "
            f"Received: {callbacks!r} of type {type(callbacks).__name__}."
        )
    return [callbacks]


def _overrides(callback, hook):
    """Whether `callback` has its own version of `hook`, in its class or set on the instance."""
    alias = _ALIASES.get(hook)
    method = getattr(callback, hook)
    is_default = getattr(method, "__func__", method) is getattr(Callback, hook)
    return not is_default or (alias is not None and _overrides(callback, alias))
