"""Starting a peer's process and talking to it; all but the one that is asked stand still."""

import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[2]
THREADS = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"
SETTINGS = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # in the process itself, so that no other one stays behind
}


class PeerError(Exception):
    """A peer could not do what was asked."""


class Process:
    """A worker in a process of its own.

    Between requests it is stopped: threads of several engines spin for a while after their work, and would take the
    cores from the next one.

    Args:
        name: of the peer.
        threads: it may use.
        log: path of the file that takes what it prints.
        timeout: seconds to wait for a reply.
    """

    def __init__(self, name, threads, log, timeout=600):
        self.name, self.timeout, self._log, self._rest = name, timeout, Path(log), b""
        environment = os.environ | SETTINGS | {key: str(threads) for key in THREADS}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # others are installed with their bytecode
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.started = perf_counter()
        with open(log, "ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.peers.worker", name],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, bufsize=0,
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def ask(self, do, **request):
        """The worker's reply. Raises PeerError when it cannot, does not answer in time or has died."""
        line = json.dumps({"do": do, **request}).encode() + b"\n"
        try:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(line)
            reply = json.loads(self._line())
            self._process.send_signal(signal.SIGSTOP)
        except (BrokenPipeError, EOFError):
            raise PeerError(f"process died ({self._process.wait()}): {self._last_words()}") from None
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply

    def _line(self):
        """One line of the worker's. Raises EOFError and PeerError."""
        end = perf_counter() + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0, end - perf_counter())):
                    self.close()
                    raise PeerError(f"no answer in {self.timeout} s")
                got = os.read(self._process.stdout.fileno(), 1 << 16)
                if not got:
                    raise EOFError
                self._rest += got
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def _last_words(self):
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "without a word"

    def close(self):
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
