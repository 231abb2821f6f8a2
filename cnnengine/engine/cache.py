"""A bounded cache of programs by what they were built for."""

import threading
from collections import OrderedDict

from cnnengine import _native as native
from cnnengine.core.config import CONFIG

MAX_PROGRAMS = 16


def settings():
    """What every program depends on, besides what it was built for."""
    return CONFIG.backend, native.get_isa(), CONFIG.conv_algorithm


class ProgramCache:
    """Programs of one model; the one not used for longest goes first.

    Programs built for another ISA, backend or algorithm are never returned.

    Attributes:
        last: what the model notes of its last call, to find the program sooner; None after `clear`.
    """

    def __init__(self, limit=MAX_PROGRAMS):
        self._programs = OrderedDict()
        self.last = None
        self._lock = threading.RLock()
        self._limit = limit

    def get(self, key, build):
        """The program for `key`, built by `build()` when there is none."""
        key = (settings(), key)
        with self._lock:
            program = self._programs.get(key)
            if program is None:
                program = build()
            self._programs[key] = program
            self._programs.move_to_end(key)
            while len(self._programs) > self._limit:
                self._programs.popitem(last=False)
            return program

    def clear(self):
        with self._lock:
            self._programs.clear()
            self.last = None

    def __len__(self):
        return len(self._programs)
