"""A bounded cache of programs by what they were built for."""

import threading
from collections import OrderedDict

from cnnengine import _native as native
from cnnengine.core.config import CONFIG

MAX_PROGRAMS = 16


class ProgramCache:
    """Programs of one model; the one not used for longest goes first.

    Programs built for another ISA, backend or algorithm are never returned.
    """

    def __init__(self, limit=MAX_PROGRAMS):
        self._programs = OrderedDict()
        self._last = (None, None)  # the key and program of the last call: most ask for the same one again
        self._lock = threading.RLock()
        self._limit = limit

    def get(self, key, build):
        """The program for `key`, built by `build()` when there is none."""
        key = (CONFIG.backend, native.get_isa(), CONFIG.conv_algorithm, key)
        last, program = self._last
        if key == last:
            return program
        with self._lock:
            program = self._programs.get(key)
            if program is None:
                program = build()
            self._programs[key] = program
            self._programs.move_to_end(key)
            while len(self._programs) > self._limit:
                self._programs.popitem(last=False)
            self._last = (key, program)
            return program

    def clear(self):
        with self._lock:
            self._programs.clear()
            self._last = (None, None)

    def __len__(self):
        return len(self._programs)
