"""Running one case on the C kernels, the NumPy reference and PyTorch, and what this machine can do at most."""

from functools import cache
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import numpy as np

from cnnengine import _native as native
from cnnengine.core.config import CONFIG
from cnnengine.core.variable import aligned_array
from cnnengine.ops.base import OPS
from cnnengine.reference import IMPLEMENTATIONS

COPY_FLOATS = 16 << 20  # 64 MB: more than a last-level cache
L2_SIZE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")

if find_spec("torch"):
    from bench import peers_torch
else:
    peers_torch = None


def native_call(op, case, inputs, outputs):
    """A function without arguments that runs the case in C as a program does: aligned memory, weights packed before."""
    return _in_turn(lambda *given: _native_once(op, case, list(given), outputs), case, _flat(inputs))


def _in_turn(make, case, inputs):
    """The function `make(*inputs)` gives; with several sets of weights one for each, called in turn."""
    if case.sets == 1:
        return make(*inputs)
    functions = cycle([make(*(x.copy() if i == 1 else x for i, x in enumerate(inputs))) for _ in range(case.sets)])
    return lambda: next(functions)()


def _native_once(op, case, inputs, outputs):
    if op.endswith("_pack"):
        outputs = [np.ones(native.packed_size(op, case.fields), np.float32)]
    if case.pack:
        packed = np.empty(native.packed_size(case.pack, case.fields), np.float32)
        fields = {name: case.fields[name] for name, _ in native.OPS[case.pack].fields}
        native.call(case.pack, fields, [inputs[1]], [packed], CONFIG.threads)
        inputs[1] = packed
    return _program(op, case.fields, [None if x is None else _aligned(x) for x in (*inputs, *outputs)])


def _program(op, fields, buffers):
    """A program of one step over the buffers, ready to run again and again."""
    present = [x for x in buffers if x is not None]
    numbers = iter(range(1, len(present) + 1))
    refs = [None if x is None else (next(numbers), 0, 0) for x in buffers]
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
    return _in_turn(lambda *given: lambda: function(descriptor, *given, *outputs), case, inputs)


def torch_call(op, case, inputs, outputs):
    """A function without arguments that runs the case in PyTorch; what an update writes counts as input there."""
    descriptor = SimpleNamespace(**case.fields)
    written = outputs if op.endswith("_update") or op.startswith("assign") else []
    return _in_turn(lambda *given: peers_torch.call(op, descriptor, (*given, *written), CONFIG.threads), case, inputs)


CALLS = {"native": native_call, "reference": reference_call, "torch": torch_call}


def can_run(implementation, op, case):
    """Whether there is something to measure: PyTorch may be absent, or have no such operation."""
    return implementation != "torch" or (
        peers_torch is not None and peers_torch.has(op, SimpleNamespace(**case.fields))
    )


def bytes_moved(op, case, inputs, outputs):
    """Bytes read and written, each buffer once but for those read twice; what an update writes it also reads."""
    return OPS[op].bytes_moved(_flat(inputs), outputs, case.fields) + sum(inputs[i].nbytes for i in case.twice)


@cache
def _copy(floats):
    x = np.ones(floats, np.float32)
    fields = {"count": floats, "nesterov": 0, "momentum": 0, "beta1": 0, "beta2": 0, "rho": 0, "epsilon": 0}
    return _program("assign", fields, [_aligned(x), _aligned(x)])


def copy_bandwidth(times):
    """GB/s, read and written together, of copying arrays that no cache holds: the best of several times."""
    return 2 * 4 * COPY_FLOATS / min(seconds(_copy(COPY_FLOATS)) for _ in range(times)) / 1e9


@cache
def _l2_floats():
    """Floats of an array that with its copy fills half of the L2 of all threads; 512 KB each if nobody says."""
    kilobytes = int(L2_SIZE.read_text().strip("K\n")) if L2_SIZE.exists() else 512
    return CONFIG.threads * kilobytes * 1024 // 4 // 4


def l2_bandwidth(times):
    """GB/s, read and written together, of copying within half of L2: the best of several times."""
    floats = _l2_floats()
    return 2 * 4 * floats / min(seconds(_copy(floats)) for _ in range(times)) / 1e9


def seconds(function):
    """How long one call takes."""
    start = perf_counter()
    function()
    return perf_counter() - start
