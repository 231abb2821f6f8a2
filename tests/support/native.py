"""Running one case of an operation on the C kernels."""

from cnnengine import _native as native
from tests.support.run import new_outputs


def flat(inputs):
    """Inputs with a list of inputs unrolled, as C has them."""
    return [one for value in inputs for one in (value if isinstance(value, tuple) else (value,))]


def run_native(op, case, threads=1, place=lambda array, writable: array):
    """The outputs of a case; `place` may move each array to other memory first."""
    inputs = [a if a is None else place(a, False) for a in flat(case.inputs)]
    outputs = [place(out, True) for out in new_outputs(case)]
    native.call(op, case.fields, inputs, outputs, threads=threads)
    return outputs
