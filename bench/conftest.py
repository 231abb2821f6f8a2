"""How the benchmarks are taken and what is written beside each time."""

import numpy as np
import pytest

import cnnengine
from bench import measure
from cnnengine import _native as native
from cnnengine import config

# Seconds given to a measurement, and how many rounds at least and at most. Those there to compare are given fewer.
BUDGET = {"native": (0.2, 5, 1000), "reference": (0.1, 1, 100), "torch": (0.12, 3, 500)}
SLOW = 0.3  # what takes so many seconds is not run a second time before it is measured
SHORTEST_ROUND = 2e-4  # a round of a faster function calls it several times


class Machine:
    """The most this machine did in this run: GFLOP/s of multiply-adds in registers, GB/s of copying, and within L2.

    All are taken again and again in between, as a moment in which another process ran would understate them. Copying
    also counts as it was just now: the memory of a virtual machine is others' too, and its rate doubles and halves.
    """

    fma_peak = 0.0
    copy_bandwidth = 0.0
    copy_now = 0.0
    l2_bandwidth = 0.0

    @classmethod
    def look(cls, seconds=0.02, copies=4):
        cls.fma_peak = max(cls.fma_peak, native.fma_peak(config.get_num_threads(), seconds))
        cls.copy_now = measure.copy_bandwidth(copies)
        cls.copy_bandwidth = max(cls.copy_bandwidth, cls.copy_now)
        cls.l2_bandwidth = max(cls.l2_bandwidth, measure.l2_bandwidth(100))


def pytest_configure(config):
    config.addinivalue_line("markers", "target: a benchmark with a target (bench/targets.py)")


@pytest.fixture(scope="module", autouse=True)
def machine():
    Machine.look(0.3, 20)


@pytest.fixture
def take(benchmark):
    """Measure a function: take(function, implementation, group, flops=0, moved=0, **labels).

    The JSON holds for each benchmark what report.py prints: labels, GFLOP/s, GB/s. Rates are those of the
    fastest round.
    """

    def measured(function, implementation, group, flops=0, moved=0, **labels):
        benchmark.group = group
        once = measure.seconds(function)
        rounds, iterations = _rounds(once if once > SLOW else measure.seconds(function), implementation)
        if benchmark.disabled:
            rounds, iterations = 1, 1
        copied_before = Machine.copy_now
        benchmark.pedantic(function, rounds=rounds, iterations=iterations)
        Machine.look()
        copied = max(copied_before, Machine.copy_now)
        benchmark.extra_info.update(labels, implementation=implementation, copy_bandwidth=copied)
        if benchmark.stats is not None:
            fastest = benchmark.stats.stats.min
            amounts = {"gflops": flops, "gbytes": moved}
            benchmark.extra_info.update({name: n / fastest / 1e9 for name, n in amounts.items() if n})

    return measured


def _rounds(once, implementation):
    budget, least, most = BUDGET[implementation]
    iterations = max(1, int(SHORTEST_ROUND / once))
    return int(np.clip(budget / (once * iterations), least, most)), iterations


@pytest.fixture(autouse=True)
def native_afterwards():
    """Leave the native implementation in use, whatever a benchmark measured."""
    yield
    config.set_backend("native")


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Write into the JSON what was measured on."""
    output_json["machine_info"]["cnnengine"] = {
        "version": cnnengine.__version__,
        "isa": native.get_isa(),
        "threads": cnnengine.config.get_num_threads(),
        "numpy": np.__version__,
        "fma_peak": Machine.fma_peak,
        "copy_bandwidth": Machine.copy_bandwidth,
        "l2_bandwidth": Machine.l2_bandwidth,
    }
