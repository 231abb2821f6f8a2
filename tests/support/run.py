"""Running one case of an operation on an implementation that is a Python function."""

from types import SimpleNamespace

import numpy as np

from cnnengine.reference import IMPLEMENTATIONS


def as_float64(value):
    """The same in float64 where it is of a float dtype; through tuples and None."""
    if isinstance(value, tuple):
        return tuple(as_float64(one) for one in value)
    if value is None or value.dtype.kind != "f":
        return value
    return value.astype(np.float64)


def new_outputs(case):
    """Arrays for the outputs; filled with nonsense where the operation must write all of them."""
    return [out.copy() if isinstance(out, np.ndarray) else nonsense(*out) for out in case.outputs]


def nonsense(shape, dtype):
    """An array whose elements no test expects."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 111, dtype)


def run64(function, case):
    """The outputs of `function(d, *inputs, *outputs)` for a case in float64."""
    outputs = [as_float64(out) for out in new_outputs(case)]
    with np.errstate(all="ignore"):
        function(SimpleNamespace(**case.fields), *map(as_float64, case.inputs), *outputs)
    return outputs


def reference(op, fields, inputs, *shapes):
    """Outputs of an operation of the reference in float64, one a shape; not in a list if it is one."""
    outputs = [np.full(shape, np.nan) for shape in shapes]
    IMPLEMENTATIONS[op](SimpleNamespace(**fields), *inputs, *outputs)
    return outputs[0] if len(outputs) == 1 else outputs
