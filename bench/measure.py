"""Running one case on the C kernels and on the NumPy reference, and what this machine can do at most."""

from functools import cache
from time import perf_counter
from types import SimpleNamespace

import numpy as np

from cnnengine import _native as native
from cnnengine.core.config import CONFIG
from cnnengine.core.variable import aligned_array
from cnnengine.reference import IMPLEMENTATIONS

COPY_FLOATS = 16 << 20  # 64 MB: more than a last-level cache


def native_call(op, case, inputs, outputs):
    """A function without arguments that runs the case in C as a program does: aligned memory, weights packed before."""
    inputs = _flat(inputs)
    if op.endswith("_pack"):
        outputs = [np.ones(native.packed_size(op, case.fields), np.float32)]
    if case.pack:
        packed = np.empty(native.packed_size(case.pack, case.fields), np.float32)
        native.call(case.pack, case.fields, [inputs[1]], [packed], CONFIG.threads)
        inputs[1] = packed
    return _program(op, case.fields, [None if x is None else _aligned(x) for x in (*inputs, *outputs)])


def _program(op, fields, buffers):
    """A program of one step over the buffers, ready to run again and again."""
    present = [x for x in buffers if x is not None]
    numbers = iter(range(1, len(present) + 1))
    refs = [None if x is None else (next(numbers), 0) for x in buffers]
    program, threads = native.Program([(op, fields, refs)], 1 + len(present), 0, 0), CONFIG.threads
    arena = native.Arena(program.total_bytes(threads))
    return lambda: program.run(arena, 1, present, threads, False)


def _flat(inputs):
    return [one for x in inputs for one in (x if isinstance(x, tuple) else (x,))]


def _aligned(x):
    copy = aligned_array(x.shape, x.dtype)
    copy[...] = x
    return copy


def reference_call(op, case, inputs, outputs):
    """A function without arguments that runs the case in NumPy."""
    descriptor, function = SimpleNamespace(**case.fields), IMPLEMENTATIONS[op]
    return lambda: function(descriptor, *inputs, *outputs)


CALLS = {"native": native_call, "reference": reference_call}


def bytes_moved(op, inputs, outputs):
    """Bytes read and written, each buffer once; what an update writes it also reads."""
    in_place = op in ("assign_add", "random_next") or op.endswith("_update")
    read = sum(x.nbytes for x in _flat(inputs) if x is not None)
    return read + sum(x.nbytes for x in outputs) * (2 if in_place else 1)


@cache
def _large_copy():
    x = np.ones(COPY_FLOATS, np.float32)
    fields = {"count": COPY_FLOATS, "nesterov": 0, "momentum": 0, "beta1": 0, "beta2": 0, "rho": 0, "epsilon": 0}
    return _program("assign", fields, [_aligned(x), _aligned(x)])


def copy_bandwidth(times):
    """GB/s, read and written together, of copying arrays that no cache holds: the best of several times."""
    return 2 * 4 * COPY_FLOATS / min(seconds(_large_copy()) for _ in range(times)) / 1e9


def seconds(function):
    """How long one call takes."""
    start = perf_counter()
    function()
    return perf_counter() - start
