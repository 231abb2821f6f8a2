"""Compare cnnengine with the peers that are installed, on whole networks.

python -m bench.peers                                     # everything; about 25 minutes
python -m bench.peers -n resnet50 -t predict -p onnxruntime openvino -o results.json
python -m bench.peers --show results.json --details       # print a run again, with every peer
"""

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path

from bench.peers.networks import NETWORKS
from bench.peers.registry import DEFAULT, OURS, PEERS, SLOW
from bench.peers.run import Options, Run, jobs_of
from bench.peers.table import report


class Progress:
    """What is being done, in one line of standard error that is written over; plain lines where that is no terminal."""

    def __init__(self):
        self._stream, self._terminal = sys.stderr, sys.stderr.isatty()

    def __call__(self, text, lasting=False):
        if self._terminal:
            text = f"\r\x1b[K{text}"
        self._stream.write(text + ("\n" if lasting or not self._terminal else ""))
        self._stream.flush()


def cpu_name():
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def chosen_peers(names):
    """The peers asked for that are installed, ours first; and how to get the others."""
    names = [OURS, *(name for name in PEERS if name in names and name != OURS)]
    missing = {name: PEERS[name].missing() for name in names}
    left_out = {name: f"not installed: {PEERS[name].install}" for name in names if missing[name]}
    return [name for name in names if not missing[name]], left_out


def measure(options, say):
    """Run the comparison; its results as they are written to the file."""
    names, left_out = chosen_peers(options.peers)
    for name, why in left_out.items():
        say(f"{name} left out, {why}", lasting=True)
    run = Run(names, Options(options.threads, options.starts, options.rounds, options.seconds), say)
    machine = {"cpu": cpu_name(), "threads": options.threads, "cpus": os.cpu_count()}
    machine |= {"system": platform.system(), "python": platform.python_version()}
    results = {"machine": machine, "versions": run.versions(), "starts": options.starts}
    results |= {"rounds": options.rounds, "seconds": options.seconds}
    results |= {"jobs": [], "left_out": left_out}
    for network in options.networks:
        jobs = list(jobs_of([network], options.tasks))
        for job in run.network(network, jobs) if jobs else ():
            results["jobs"].append(job)
            results["left_out"] = left_out | run.failures
            if options.output:  # after every row, so that an interrupted run leaves what it has
                Path(options.output).write_text(json.dumps(results, indent=1))
    return results


def parsed(argv):
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    many = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("-n", "--networks", choices=NETWORKS, default=list(NETWORKS), **many, help=", ".join(NETWORKS))
    parser.add_argument("-t", "--tasks", choices=["predict", "train"], default=["predict", "train"], **many,
                        help="predict, train")  # fmt: skip
    parser.add_argument("-p", "--peers", choices=PEERS, default=DEFAULT, **many,
                        help=f"{', '.join(PEERS)} (default: all but {', '.join(SLOW)})")  # fmt: skip
    parser.add_argument("--starts", type=int, default=2, help="of each peer, for the first result (default: 2)")
    parser.add_argument("-r", "--rounds", type=int, default=4, help="turns of each peer (default: 4)")
    parser.add_argument("-s", "--seconds", type=float, default=0.3, help="length of a turn (default: 0.3)")
    parser.add_argument("-j", "--threads", type=int, default=threads, help=f"of each peer (default: {threads})")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the results to this JSON file")
    parser.add_argument("--show", metavar="FILE", help="print the results of such a file instead of measuring")
    parser.add_argument("--details", action="store_true", help="also print tables of all peers")
    options = parser.parse_args(argv)
    if min(options.starts, options.rounds, options.threads) < 1 or options.seconds <= 0:
        parser.error("starts, rounds, seconds and threads must be positive")
    return options


def main(argv=None):
    options = parsed(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends processes and removes files, as Ctrl-C does
    results = json.loads(Path(options.show).read_text()) if options.show else measure(options, say := Progress())
    if not options.show:
        say("Done", lasting=True)
    print(*report(results, options.details), sep="\n")


if __name__ == "__main__":
    main()
