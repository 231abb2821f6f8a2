"""How the benchmarks are taken and what is written beside each time."""

import os

import numpy as np
import pytest

import cnnengine
from bench import measure
from cnnengine import _native as native
from cnnengine import config

# Seconds given to a measurement, and how many rounds at least and at most. NumPy, there to compare, is given fewer.
BUDGET = {"native": (0.25, 5, 400), "reference": (0.25, 2, 50)}
SHORTEST_ROUND = 2e-4  # a round of a faster function calls it several times


@pytest.fixture(scope="session")
def machine():
    """GFLOP/s of multiply-adds and GB/s of copying, measured in this run."""
    return {"fma_peak": measure.fma_peak(), "copy_bandwidth": measure.copy_bandwidth()}


@pytest.fixture
def take(benchmark, machine):
    """Measure a function: take(function, implementation, group, flops=0, moved=0, **labels).

    The JSON holds for each benchmark what report.py prints: labels, GFLOP/s, share of the peak, GB/s. Rates are those
    of the fastest round.
    """

    def measured(function, implementation, group, flops=0, moved=0, **labels):
        benchmark.group = group
        function()
        rounds, iterations = _rounds(measure.seconds(function), implementation)
        if benchmark.disabled:
            rounds, iterations = 1, 1
        benchmark.pedantic(function, rounds=rounds, iterations=iterations)
        benchmark.extra_info.update(labels, implementation=implementation, threads=config.get_num_threads())
        benchmark.extra_info["isa"] = native.get_isa()
        if benchmark.stats is not None:
            benchmark.extra_info.update(_rates(benchmark.stats.stats.min, flops, moved, machine))

    return measured


def _rounds(once, implementation):
    budget, least, most = BUDGET[implementation]
    iterations = max(1, int(SHORTEST_ROUND / once))
    return int(np.clip(budget / (once * iterations), least, most)), iterations


def _rates(seconds, flops, moved, machine):
    rates = {"fma_peak": machine["fma_peak"], "copy_bandwidth": machine["copy_bandwidth"]}
    if flops:
        rates["gflops"] = flops / seconds / 1e9
        rates["peak_share"] = rates["gflops"] / machine["fma_peak"]
    if moved:
        rates["gbytes"] = moved / seconds / 1e9
    return rates


@pytest.fixture(autouse=True)
def native_afterwards():
    """Leave the native implementation in use, whatever a benchmark measured."""
    yield
    config.set_backend("native")


def pytest_benchmark_update_machine_info(config, machine_info):
    """Write what was measured on into the JSON."""
    machine_info["cnnengine"] = {
        "version": cnnengine.__version__,
        "isa": native.get_isa(),
        "threads": cnnengine.config.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "numpy": np.__version__,
    }
