"""Where random streams start: one seeded generator of seeds for the whole process."""

import threading

import numpy as np

from cnnengine.core.errors import ConfigError


class _SeedSource:
    """Gives a fresh 31-bit seed each time; after `reset(seed)` always the same sequence."""

    def __init__(self):
        self._lock = threading.Lock()
        self._generator = None

    def reset(self, seed):
        with self._lock:
            self._generator = np.random.Generator(np.random.Philox(seed))

    def next(self):
        with self._lock:
            if self._generator is None:
                self._generator = np.random.Generator(np.random.Philox())
            return int(self._generator.integers(1, 2**31 - 1))


_SOURCE = _SeedSource()


def next_seed():
    """A seed for a new random stream (an initializer, a Dropout layer, the shuffling of a fit)."""
    return _SOURCE.next()


def set_random_seed(seed):
    """Make everything random from here on repeatable: initial weights, dropout, shuffling.

    Args:
        seed: int from 0 to 2**32 - 1. Python's and NumPy's global generators are seeded too, as Keras does.

    Raises:
        ConfigError: for anything else.
    """
    import random

    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be an int from 0 to 2**32 - 1. Received: {seed!r}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    _SOURCE.reset(int(seed))


def checked_seed(seed):
    """An int seed: the given one, or a fresh one for None. Raises ConfigError."""
    if seed is None:
        return next_seed()
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ConfigError(f"seed must be an int or None. Received: {seed!r}")
    return int(seed) & 0xFFFFFFFFFFFFFFFF


def generator(seed, *stream):
    """NumPy generator of the stream (seed, *stream): counter-based (Philox, Salmon et al. 2011)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *stream])))
