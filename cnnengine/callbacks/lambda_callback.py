"""A callback made of functions."""

from cnnengine.callbacks.callback import Callback
from cnnengine.core.errors import ConfigError


class LambdaCallback(Callback):
    """Calls the given functions at the moments of the same name.

    Args:
        on_epoch_begin, on_epoch_end: Functions of (epoch, logs).
        on_train_begin, on_train_end: Functions of (logs).
        on_train_batch_begin, on_train_batch_end: Functions of (batch, logs).
        **kwargs: Functions for the other hooks of `Callback`, or attributes for them to use.

    Raises:
        ConfigError: If a hook is given something that cannot be called.

    Example:
        >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **kwargs,
    ):
        super().__init__()
        kwargs.update(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_begin=on_train_begin,
            on_train_end=on_train_end,
            on_train_batch_begin=on_train_batch_begin,
            on_train_batch_end=on_train_batch_end,
        )
        for name, value in kwargs.items():
            if not hasattr(Callback, name) or callable(value):
                setattr(self, name, value)
            elif value is not None:
                raise ConfigError(f"LambdaCallback: {name} must be a function. Received: {value!r}.")
