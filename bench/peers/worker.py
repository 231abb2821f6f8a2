"""The process of one peer: python -m bench.peers.worker NAME.

Requests come as lines of JSON on standard input, {"do": "...", ...}, each is answered by one line on standard output:
what it asked for, or {"error": "..."}. Whatever else the peer prints goes to standard error.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.peers.registry import PEERS

PR_SET_PDEATHSIG = 1  # sys/prctl.h


def batch_of(shape, batch, classes):
    """The same random pictures (batch, h, w, c) and labels for everybody."""
    rng = np.random.default_rng(batch)
    return rng.standard_normal((batch, *shape), np.float32), rng.integers(0, classes, batch, np.int32)


def peak_memory():
    """Most bytes that this process has held in memory so far.

    Linux's own count: getrusage would start with that of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


class Worker:
    """Answers requests; each method without an underscore is one."""

    def __init__(self, peer):
        self._peer = peer

    def answer(self, request):
        """The reply to one request, a failure included: the process goes on."""
        do = request.pop("do")
        try:
            return getattr(self, f"do_{do}")(**request)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}

    def do_versions(self):
        """Versions of its packages; importing them also brings them into the cache of files, for a fair start."""
        modules = [importlib.import_module(name) for name in self._peer.packages]
        # OpenVINO's has the commit and branch behind the number.
        return {module.__name__: getattr(module, "__version__", "?").split("-")[0] for module in modules}

    def do_prepare(self, folder, **network):
        prepare = getattr(self._module(), "prepare", None)
        if prepare:
            prepare(Path(folder), **network)
        return {}

    def do_predict(self, folder, shape, batch, classes, threads):
        """Load the network and predict once."""
        x, _ = batch_of(shape, batch, classes)
        self._start(self._module().predictor(Path(folder), x, threads, self._peer.variant))
        return {}

    def do_train(self, folder, shape, batch, classes, threads, optimizer):
        """Load the network and take the first training step."""
        x, y = batch_of(shape, batch, classes)
        self._start(self._module().trainer(Path(folder), x, y, threads, self._peer.variant, optimizer))
        return {}

    def do_check(self, path):
        """Run twice more, and say how far the three results are from those in the file, in parts of the largest.

        The first worker to be asked writes the file.
        """
        results = np.stack([self._first, np.array(self._run()), np.array(self._run())])
        if not Path(path).exists():
            np.save(path, results)
        expected = np.load(path)
        if results.shape != expected.shape or not np.isfinite(results).all():
            raise ValueError(f"Expected finite numbers of shape {expected.shape}. Received: shape {results.shape}")
        return {"difference": float(np.abs(results - expected).max() / np.abs(expected).max())}

    def do_time(self, seconds):
        """Seconds of calls, one after the other for so long, but at least one."""
        times, end = [], perf_counter() + seconds
        while not times or perf_counter() < end:
            start = perf_counter()
            self._run()
            times.append(perf_counter() - start)
        return {"times": times}

    def do_memory(self):
        return {"peak": peak_memory()}

    def _module(self):
        return importlib.import_module(f"bench.peers.{self._peer.module}")

    def _start(self, run):
        self._run = run
        self._first = np.array(run())


def serve(worker, requests, replies):
    """Answer lines until there are no more."""
    for line in requests:
        replies.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        replies.flush()


def main():
    # A stopped process would not see that the one that started it is gone.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Libraries print on standard output, from C too; only replies may go there.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(PEERS[sys.argv[1]]), sys.stdin, replies)


if __name__ == "__main__":
    main()
