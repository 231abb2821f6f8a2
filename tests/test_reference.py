"""The NumPy reference against nested loops in float64, and its gradients against finite differences."""

import numpy as np
import pytest

from cnnengine.core.codes import UNARY
from cnnengine.reference import IMPLEMENTATIONS, elementwise
from cnnengine.reference.random import philox
from tests.support import loops
from tests.support.cases import CASES, PARAMETERS
from tests.support.compare import assert_close
from tests.support.run import as_float64, reference, run64

# Loops in Python take seconds for the larger cases, which are there for the kernels.
MOST_ELEMENTS = 40_000


def _work(case):
    arrays = [a for a in case.inputs if isinstance(a, np.ndarray)]
    cells = [int(np.prod(out.shape if isinstance(out, np.ndarray) else out[0])) for out in case.outputs]
    return max([array.size for array in arrays] + cells, default=0) * case.fields.get("k", 1)


def _has_specials(case):
    return any(not np.isfinite(a).all() for a in case.inputs if isinstance(a, np.ndarray))


def _compared():
    for op, cases in CASES.items():
        for case in cases:
            scalar = op in ("unary_fwd", "binary")
            if hasattr(loops, op) and _work(case) <= MOST_ELEMENTS and not (scalar and _has_specials(case)):
                yield pytest.param(op, case, id=f"{op}-{case.id}")


@pytest.mark.parametrize(("op", "case"), list(_compared()))
def test_reference_equals_loops(op, case):
    actual, expected = run64(IMPLEMENTATIONS[op], case), run64(getattr(loops, op), case)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_every_operation_has_loops():
    # A derivative needs none: finite differences check it.
    assert {op for op in IMPLEMENTATIONS if not hasattr(loops, op)} == {"unary_bwd"}


@pytest.mark.parametrize("name", UNARY)
def test_unary_function_equals_scalar(name):
    x, (alpha, beta) = _smooth_arguments(name), PARAMETERS.get(name, (0.0, 0.0))
    expected = [loops.UNARY_LOOPS[name](float(value), alpha, beta) for value in x]
    assert_close(elementwise.FORWARD[name](x, alpha, beta), np.array(expected, float), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("counter", "key", "block"), loops.PHILOX_KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, block):
    assert tuple(philox(counter, key)) == block


def test_every_unary_function_has_a_derivative():
    assert list(elementwise.FORWARD) == list(elementwise.DERIVATIVE) == list(UNARY)


# --- gradients ------------------------------------------------------------------------------------


def check_gradient(function, x, dy, dx):
    """Check <dx, v> = <dy, J v> for a random v, J v by a central difference."""
    v = np.random.default_rng(0).standard_normal(x.shape)
    step = 1e-5
    change = (function(x + step * v) - function(x - step * v)) / (2 * step)
    scale = np.abs(dx).ravel() @ np.abs(v).ravel() + np.abs(dy).ravel() @ np.abs(change).ravel()
    np.testing.assert_allclose((dx * v).sum(), (dy * change).sum(), rtol=1e-6, atol=1e-8 * scale + 1e-12)


def _cases(op):
    """Fields and float64 inputs of the cases at which the operation has a derivative."""
    return [
        pytest.param(case.fields, [as_float64(a) for a in case.inputs], id=case.id)
        for case in CASES[op]
        if not case.id.startswith(("out_of_range", "extreme", "specials")) and _work(case) <= 10 * MOST_ELEMENTS
    ]


def _normal(shape):
    return np.random.default_rng(1).standard_normal(shape)


def _image(f):
    return f["n"] * f.get("f", 1), f["h"], f["w"], f["c"]


@pytest.mark.parametrize(("f", "inputs"), _cases("conv2d_bwd_data"))
def test_conv2d_gradients(f, inputs):
    (dy, w, *_), f = inputs, f | {"act": 0}
    x = _normal(_image(f))
    dx, dw = (
        reference("conv2d_bwd_data", f, [dy, w, None, None], x.shape),
        reference("conv2d_bwd_weights", f, [x, dy], w.shape),
    )
    check_gradient(lambda x: reference("conv2d_fwd", f, [x, w, None, None], dy.shape), x, dy, dx)
    check_gradient(lambda w: reference("conv2d_fwd", f, [x, w, None, None], dy.shape), w, dy, dw)


@pytest.mark.parametrize(("f", "inputs"), _cases("depthwise2d_bwd_data"))
def test_depthwise2d_gradients(f, inputs):
    dy, w = inputs
    x = _normal(_image(f))
    dx = reference("depthwise2d_bwd_data", f, [dy, w], x.shape)
    dw = reference("depthwise2d_bwd_weights", f, [x, dy], w.shape)
    check_gradient(lambda x: reference("depthwise2d_fwd", f, [x, w, None], dy.shape), x, dy, dx)
    check_gradient(lambda w: reference("depthwise2d_fwd", f, [x, w, None], dy.shape), w, dy, dw)


@pytest.mark.parametrize(("f", "inputs"), _cases("avg_pool2d_bwd"))
def test_pool2d_gradients(f, inputs):
    (dy,) = inputs
    x = _normal(_image(f))
    dx = reference("avg_pool2d_bwd", f, [dy], x.shape)
    check_gradient(lambda x: reference("avg_pool2d_fwd", f, [x], dy.shape), x, dy, dx)
    _, index = reference("max_pool2d_fwd", f, [x], dy.shape, dy.shape)
    dx = reference("max_pool2d_bwd", f, [dy, index], x.shape)

    def forward(x):
        y, _ = reference("max_pool2d_fwd", f, [x], dy.shape, dy.shape)
        return np.where(np.isfinite(y), y, 0)  # -inf of a window that sees no cell, whatever x is

    check_gradient(forward, x, dy, dx)


@pytest.mark.parametrize(("f", "inputs"), _cases("batch_norm_bwd"))
def test_batch_norm_gradients(f, inputs):
    x, dy, mean, var, gamma, beta = inputs
    gamma = np.ones(f["c"]) if gamma is None else gamma
    beta = np.zeros(f["c"]) if beta is None else beta

    def forward(x, gamma, beta):
        statistics = (mean, var)
        if f["training"]:
            statistics = reference("batch_norm_stats", f, [x], mean.shape, var.shape)
        return reference("batch_norm_fwd", f, [x, *statistics, gamma, beta, None], x.shape)

    if f["training"]:
        mean, var = reference("batch_norm_stats", f, [x], mean.shape, var.shape)
    given = [x, dy, mean, var, gamma, beta]
    if f["act"]:  # has corners: the gradient is that of the plain one, of what passes
        plain = {**f, "act": 0}
        y = reference("batch_norm_fwd", plain, [x, mean, var, gamma, beta, None], x.shape)
        passed = dy * ((y > 0) & (y < (6 if f["act"] == UNARY["relu6"] else np.inf)))
        shapes = x.shape, mean.shape, mean.shape
        expected = reference("batch_norm_bwd", plain, [x, passed, *given[2:]], *shapes)
        for one, other in zip(reference("batch_norm_bwd", f, given, *shapes), expected, strict=True):
            np.testing.assert_array_equal(one, other)
        return
    dx, dgamma, dbeta = reference("batch_norm_bwd", f, given, x.shape, mean.shape, mean.shape)
    check_gradient(lambda x: forward(x, gamma, beta), x, dy, dx)
    check_gradient(lambda gamma: forward(x, gamma, beta), gamma, dy, dgamma)
    check_gradient(lambda beta: forward(x, gamma, beta), beta, dy, dbeta)


def _smooth_arguments(name):
    """Points at which the function has a derivative."""
    x = np.random.default_rng(3).uniform(0.07, 3.9, 50)
    x = x[np.abs(x * 2 - np.rint(x * 2)) > 0.05]  # away from the corners: halves and integers
    x = x[(np.abs(x - 0.2) > 0.01) & (np.abs(x - 0.75) > 0.01)]
    return x if name in ("log", "log1p", "sqrt", "rsqrt", "power") else np.concatenate([x, -x])


@pytest.mark.parametrize("name", UNARY)
def test_unary_gradients(name):
    x = _smooth_arguments(name)
    alpha, beta = PARAMETERS.get(name, (0.0, 0.0))
    f = {"count": x.size, "func": UNARY[name], "alpha": alpha, "beta": beta}
    dy, y = _normal(x.shape), reference("unary_fwd", f, [x], x.shape)
    dx = reference("unary_bwd", f, [x, y, dy], x.shape)
    check_gradient(lambda x: reference("unary_fwd", f, [x], x.shape), x, dy, dx)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("f", "inputs"), _cases("softmax_fwd"))
def test_softmax_gradients(op, f, inputs):
    (x,) = inputs
    dy, y = _normal(x.shape), reference(f"{op}_fwd", f, [x], x.shape)
    dx = reference(f"{op}_bwd", f, [y, dy], x.shape)
    check_gradient(lambda x: reference(f"{op}_fwd", f, [x], x.shape), x, dy, dx)


@pytest.mark.parametrize(("f", "inputs"), _cases("softmax_xent_fwd"))
def test_softmax_xent_gradients(f, inputs):
    x, t = inputs
    dy = _normal(len(x))
    _, prob = reference("softmax_xent_fwd", f, [x, t], dy.shape, x.shape)
    dx = reference("softmax_xent_bwd", f, [prob, t, dy], x.shape)
    check_gradient(lambda x: reference("softmax_xent_fwd", f, [x, t], dy.shape, x.shape)[0], x, dy, dx)


@pytest.mark.parametrize(("f", "inputs"), _cases("slice"))
def test_slice_gradients(f, inputs):
    (x,) = inputs
    dy = _normal(f["out"])
    dx = reference("unslice", f, [dy], x.shape)
    check_gradient(lambda x: reference("slice", f, [x], dy.shape), x, dy, dx)


@pytest.mark.parametrize(("f", "inputs"), _cases("gather"))
def test_gather_gradients(f, inputs):
    x, index = inputs
    dy = _normal((f["count"], f["cols"]))
    dx = reference("scatter_add", f, [dy, index], x.shape)
    check_gradient(lambda x: reference("gather", f, [x, index], dy.shape), x, dy, dx)
