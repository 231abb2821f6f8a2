"""Checks of arguments that come from outside."""

import math

import numpy as np

from cnnengine.core.errors import ConfigError


def is_number(value):
    """Whether a value is a real number: an int or float of Python or NumPy, not a bool."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def checked_number(value, name, low=None, high=None, above=None, below=None):
    """The given number as an int or float of Python.

    Args:
        value: from outside.
        name: of the argument, for the message.
        low, high: smallest and largest allowed value.
        above, below: bounds that are not allowed themselves.

    Raises:
        ConfigError: for NaN, infinity, anything that is no number, and numbers out of bounds.
    """
    fits = is_number(value) and math.isfinite(value)
    if fits:
        fits = (low is None or value >= low) and (high is None or value <= high)
        fits = fits and (above is None or value > above) and (below is None or value < below)
    if not fits:
        bounds = [(low, "at least"), (high, "at most"), (above, "above"), (below, "below")]
        text = " and ".join(f"{words} {bound}" for bound, words in bounds if bound is not None)
        raise ConfigError(f"{name}: expected a finite number{' ' if text else ''}{text}. Received: {value!r}")
    return value.item() if isinstance(value, np.generic) else value


def checked_int(value, name, low=None):
    """The given whole number as an int, of at least `low`. Raises ConfigError."""
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_int or not -(2**31) <= value < 2**31 or (low is not None and value < low):
        at_least = "" if low is None else f" of at least {low}"
        raise ConfigError(f"{name}: expected an int{at_least} and below 2**31. Received: {value!r}")
    return int(value)


def checked_choice(value, name, allowed):
    """The given value, which must be one of `allowed`. Raises ConfigError."""
    if not any(value is each or (isinstance(value, str) and value == each) for each in allowed):
        raise ConfigError(f"{name}: expected one of {tuple(allowed)}. Received: {value!r}")
    return value


def checked_axes(value, name):
    """An int or a list of ints that names axes. Raises ConfigError."""
    axes = value if isinstance(value, (list, tuple)) else [value]
    if not axes or any(isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) for axis in axes):
        raise ConfigError(f"{name}: expected an int or a list of ints. Received: {value!r}")
    return value
