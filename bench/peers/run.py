"""Measuring: every peer in its own process, taken in turns."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.peers.networks import NETWORKS
from bench.peers.processes import PeerError, Process
from bench.peers.registry import OURS, PEERS

TOLERANCE = {"predict": 1e-3, "train": 5e-2}  # parts of the largest result
DROPPED = 0.5  # the same for losses of a network with dropout: what is dropped differs


@dataclass(frozen=True)
class Job:
    """One row of the table: a network and a task, "predict" or "train", with a batch size."""

    network: str
    task: str
    batch: int

    @property
    def title(self):
        return f"{NETWORKS[self.network].title} {self.task} {self.batch}"


@dataclass(frozen=True)
class Options:
    """How to measure: threads of each peer, starts of its process, rounds, seconds of a peer's turn in each round."""

    threads: int
    starts: int
    rounds: int
    seconds: float


def jobs_of(networks, tasks):
    """Predictions and training steps of the networks, in the order of NETWORKS."""
    for name in networks:
        network = NETWORKS[name]
        yield from (Job(name, "predict", batch) for batch in network.predict if "predict" in tasks)
        if network.train and "train" in tasks:
            yield Job(name, "train", network.train)


class Run:
    """A comparison; `say` is told what happens.

    Args:
        names: of the peers, ours first.
        options: Options.
        say: function of a line.
    """

    def __init__(self, names, options, say):
        self.names, self.options, self._say = list(names), options, say
        self.failures = {}

    def versions(self):
        """Package versions of all peers; those that cannot even be imported are left out from here on."""
        versions = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in list(self.names):
                try:
                    with self._process(name, folder) as process:
                        versions |= process.ask("versions")
                except PeerError as error:
                    self._fail(name, "import", error)
                    self.names.remove(name)
        return versions

    def network(self, name, jobs):
        """A dict of measurements of each job, all of one network."""
        with tempfile.TemporaryDirectory() as folder:
            tasks = {job.task for job in jobs}
            ready = self._prepared(name, [peer for peer in self.names if tasks & PEERS[peer].tasks], folder)
            for job in jobs:
                yield self._job(job, [peer for peer in ready if job.task in PEERS[peer].tasks], folder)

    def _prepared(self, network, names, folder):
        """Those of the peers whose files are written."""
        ready, done = [], set()
        for name in names:
            module = PEERS[name].module
            try:
                if module not in done:
                    self._say(f"{NETWORKS[network].title}: files for {name}")
                    with self._process(name, folder) as process:
                        process.ask("prepare", folder=folder, **({"name": network} if name == OURS else {}))
                done.add(module)
                ready.append(name)
            except PeerError as error:
                self._fail(name, network, error)
        return ready

    def _job(self, job, names, folder):
        found = {}
        with ExitStack() as stack:
            for _ in range(self.options.starts - 1):
                self._start(job, names, folder, found, stack)
                stack.close()
            processes = self._start(job, names, folder, found, stack)
            self._rounds(job, processes, found)
        return {"network": job.network, "task": job.task, "batch": job.batch, "peers": found}

    def _start(self, job, names, folder, found, stack):
        """Start the peers in turn, and see how long each takes to its first result; the least so far counts, as whoever
        comes first waits for memory that was not used for long. Returns the processes.
        """
        processes = {}
        for name in [name for name in names if f"{name}, {job.title}" not in self.failures]:
            self._say(f"{job.title}: {name} starts")
            process = stack.enter_context(self._process(name, folder))
            try:
                first, difference = self._first(job, process, folder)
                before = found.setdefault(name, {"first": first, "difference": difference, "rounds": []})
                before["first"] = min(first, before["first"])
                processes[name] = process
            except PeerError as error:
                self._fail(name, job.title, error)
                found.pop(name, None)
                process.close()
        return processes

    def _first(self, job, process, folder):
        """Load, first result, and the check that it is the same network: (seconds, difference of the results)."""
        network = NETWORKS[job.network]
        request = {"folder": folder, "shape": network.shape, "classes": network.classes}
        request |= {"batch": job.batch, "threads": self.options.threads}
        if job.task == "train":
            request["optimizer"] = network.optimizer
        process.ask(job.task, **request)
        first = perf_counter() - process.started
        path = Path(folder, f"{job.task}-{job.batch}.npy")
        difference = process.ask("check", path=str(path))["difference"]
        tolerance = DROPPED if job.task == "train" and network.drops else TOLERANCE[job.task]
        if difference > tolerance:
            raise PeerError(f"results differ from {OURS}'s by {difference:.2g} of the largest")
        return first, difference

    def _rounds(self, job, processes, found):
        for number in range(self.options.rounds):
            for name, process in list(processes.items()):
                self._say(f"{job.title}: round {number + 1} of {self.options.rounds}, {name}")
                try:
                    times = process.ask("time", seconds=self.options.seconds)["times"]
                    found[name]["rounds"].append({"min": min(times), "median": median(times), "calls": len(times)})
                    found[name]["memory"] = process.ask("memory")["peak"]
                except PeerError as error:
                    self._fail(name, job.title, error)
                    del processes[name], found[name]
        for entry in found.values():
            entry["min"] = min(one["min"] for one in entry["rounds"])
            entry["median"] = median(one["median"] for one in entry["rounds"])

    def _process(self, name, folder):
        return Process(name, self.options.threads, Path(folder, f"{name}.log"))

    def _fail(self, name, what, error):
        self.failures[f"{name}, {what}"] = str(error)
        self._say(f"{name} left out of {what}: {error}", lasting=True)
