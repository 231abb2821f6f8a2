"""Every operation on shapes of real networks: the C kernels beside the NumPy reference and, if installed, PyTorch."""

import pytest

from bench.cases import CASES, arrays
from bench.measure import CALLS, bytes_moved, can_run
from bench.targets import TARGETS


def _parameters():
    """Implementations of one case stand next to each other: measured at about the same time, they compare best."""
    beside = {case.beside for cases in CASES.values() for case in cases}
    for op, cases in CASES.items():
        for case in cases:
            marks = [pytest.mark.target] if case.target or f"{op} {case.name}" in beside else []
            for implementation in CALLS:
                if can_run(implementation, op, case):
                    name = f"{op}-{case.name}-{implementation}"
                    yield pytest.param(op, case, implementation, id=name, marks=marks)


@pytest.mark.parametrize(("op", "case", "implementation"), list(_parameters()))
def test_op(take, op, case, implementation):
    inputs, outputs = arrays(case)
    target = TARGETS[case.target] if case.target else None
    roof = target.roof if target else "peak" if case.flops else "copy"
    # What counts is arithmetic of products, and how fast data moves of the rest; of a roof of both, both.
    moved = bytes_moved(op, case, inputs, outputs) if not case.flops or roof in ("copy", "l2") else 0
    labels = {"op": op, "shape": case.name, "roof": roof, "beside": case.beside}
    if target:
        labels["target"] = target.labels()
    function = CALLS[implementation](op, case, inputs, outputs)
    take(function, implementation, f"{op} {case.name}", case.flops, moved, **labels)
