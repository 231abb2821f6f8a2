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
    """What this machine can do at most: GFLOP/s of multiply-adds in registers, GB/s of copying, and within L2.

    All are taken after each benchmark, which is compared with the better one of just before and just after: clocks
    rise and fall within a run, and the memory of a virtual machine is others' too.
    """

    now = {}
    best = {}

    @classmethod
    def look(cls, seconds=0.02, copies=4):
        cls.now = {
            "fma_peak": native.fma_peak(config.get_num_threads(), seconds),
            "copy_bandwidth": measure.copy_bandwidth(copies),
            "l2_bandwidth": measure.l2_bandwidth(100),
        }
        cls.best = _better(cls.best, cls.now)


def _better(one, other):
    return {roof: max(one.get(roof, 0.0), rate) for roof, rate in other.items()}


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
        before = Machine.now
        benchmark.pedantic(function, rounds=rounds, iterations=iterations)
        Machine.look()
        benchmark.extra_info.update(labels, implementation=implementation, **_better(before, Machine.now))
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
        **Machine.best,
    }
