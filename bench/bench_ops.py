"""Every operation on shapes of real networks: the C kernels beside the NumPy reference."""

import pytest

from bench.cases import CASES, arrays
from bench.measure import CALLS, bytes_moved

PARAMETERS = [pytest.param(op, case, id=f"{op}-{case.name}") for op, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("implementation", CALLS)
@pytest.mark.parametrize(("op", "case"), PARAMETERS)
def test_op(take, op, case, implementation):
    inputs, outputs = arrays(case)
    # Products are bound by arithmetic; of the rest what counts is how fast data moves.
    moved = 0 if case.flops else bytes_moved(op, inputs, outputs)
    function = CALLS[implementation](op, case, inputs, outputs)
    take(function, implementation, f"{op} {case.name}", case.flops, moved, op=op, shape=case.name)
