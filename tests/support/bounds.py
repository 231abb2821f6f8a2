"""How far a float32 kernel may be from the float64 reference, operation by operation.

`check(op, case, actual, expected)` compares outputs. Sums of products are bounded by gamma_n times the sum of
absolute values, which is the reference itself on absolute inputs; what only moves elements must be exact.

Of long sums the worst case is hopelessly loose: it would forgive a missing term. Roundings go up and down,
though, and n of them add up to less than 6 sqrt(n) but with a probability of 2 n exp(-18) (Higham and Mary, A new
approach to probabilistic rounding error analysis, 2019). Cases are seeded, so chance has no further say.
"""

import numpy as np

from cnnengine.core.codes import BINARY, REDUCE, UNARY
from cnnengine.reference import IMPLEMENTATIONS
from tests.support.compare import TINY, assert_bounded, assert_within, gamma
from tests.support.run import as_float64, reference, run64

# The steepest slope of the activations in the cases: silu's and gelu's.
STEEPEST = 1.13

EXACT = [
    "matmul_pack",
    "conv2d_pack",
    "conv2d_bwd_data_pack",
    "max_pool2d_fwd",
    "select",
    "fill",
    "broadcast",
    "cast",
    "argmax",
    "transpose",
    "pad",
    "slice",
    "unslice",
    "concat",
    "gather",
    "one_hot",
    "random_next",
    "assign",
]

# Terms of each element's sum.
TERMS = {
    "matmul_fwd": lambda f: f["k"],
    "conv2d_fwd": lambda f: f["t"] * f["r"] * f["s"] * f["c"] // f["groups"],
    "conv2d_into": lambda f: f["t"] * f["r"] * f["s"] * f["c"] // f["groups"],
    "conv2d_bwd_data": lambda f: f["t"] * f["r"] * f["s"] * f["k"] // f["groups"],
    "conv2d_bwd_weights": lambda f: f["n"] * f["o"] * f["p"] * f["q"],
    "depthwise2d_fwd": lambda f: f["r"] * f["s"],
    "depthwise2d_bwd_data": lambda f: f["r"] * f["s"] * f["m"],
    "depthwise2d_bwd_weights": lambda f: f["n"] * f["p"] * f["q"],
    "avg_pool2d_fwd": lambda f: f["r"] * f["s"],
    "avg_pool2d_bwd": lambda f: f["r"] * f["s"],
    "max_pool2d_bwd": lambda f: f["r"] * f["s"],
    "scatter_add": lambda f: f["count"],
}


def _roundings(n):
    """How many roundings those on the way through a sum of n terms are worth."""
    return min(n, 6 * n**0.5)


def _absolute(case):
    """The case on absolute values and without activation."""
    inputs = [np.abs(a) if a is not None and a.dtype.kind == "f" else a for a in case.inputs]
    fields = {**case.fields, "act": 0} if "act" in case.fields else case.fields
    return type(case)(case.id, fields, inputs, case.outputs)


def _sum(op, case, actual, expected):
    (magnitude,) = run64(IMPLEMENTATIONS[op], _absolute(case))
    if case.fields.get("algorithm"):  # Winograd's errors come from the whole tile and are about three times as large
        magnitude = np.full_like(magnitude, 3 * magnitude.max(initial=0))
    # Bias, addend and the activation's own few roundings come on top.
    assert_bounded(
        actual[0], expected[0], STEEPEST * magnitude + np.abs(expected[0]), _roundings(TERMS[op](case.fields)) + 8
    )


def _depthwise_block(op, case, actual, expected):
    """Three sums, each of what the one before has rounded. None of the activations is larger than its argument."""
    fields = {key: 0 if key.endswith("_act") else value for key, value in case.fields.items()}
    inputs = [None if a is None else np.abs(a) for a in case.inputs]
    (magnitude,) = run64(IMPLEMENTATIONS[op], type(case)(case.id, fields, inputs, case.outputs))
    terms = fields["expand_c"], fields["depthwise_r"] * fields["depthwise_s"], fields["project_c"]
    assert_bounded(actual[0], expected[0], STEEPEST**2 * magnitude, sum(map(_roundings, terms)) + 24)


def _exact(op, case, actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def _finite(x):
    return np.where(np.isfinite(x), np.abs(x), 0)


# They subtract numbers of the size of x, or of 1.
_SUBTRACT = ("gelu", "gelu_tanh", "affine", "hard_sigmoid", "hard_silu")


def _unary_fwd(op, case, actual, expected):
    (x,), f = map(as_float64, case.inputs), case.fields
    name = list(UNARY)[f["func"]]
    magnitude = _finite(expected[0])
    if name in _SUBTRACT:
        magnitude = magnitude + _finite(x) + 1
    if name in ("sin", "cos"):  # near their zeros
        magnitude = magnitude + 0.25
    if name == "power":  # exp(alpha log x) rounds the exponent
        magnitude = magnitude * (1 + np.abs(f["alpha"] * np.log(_finite(x) + TINY)))
    assert_within(actual[0], expected[0], gamma(8) * magnitude + TINY)


def _unary_bwd(op, case, actual, expected):
    x, dy = as_float64(case.inputs[0]), as_float64(case.inputs[2])
    slope = 1 if x is None else 1 + np.abs(x)  # of the terms that make up the derivative
    assert_within(actual[0], expected[0], gamma(8) * (np.abs(expected[0]) + np.abs(dy) * slope))


def _binary(op, case, actual, expected):
    name = list(BINARY)[case.fields["func"]]
    magnitude = _finite(expected[0])
    if name == "mod":
        magnitude = magnitude + sum(np.abs(as_float64(a)) for a in case.inputs)
    if name == "power":
        magnitude = magnitude * (1 + np.abs(np.log(np.maximum(magnitude, TINY))))
    assert_within(actual[0], expected[0], gamma(4) * magnitude + TINY)


def _stats(op, case, actual, expected):
    rows = case.fields["rows"]
    magnitude = np.abs(as_float64(case.inputs[0])).sum(0) / max(rows, 1)
    assert_bounded(actual[0], expected[0], magnitude, _roundings(rows) + 2)
    # A variance computed from the mean of squares loses what the square of the mean takes, and fails here.
    assert_bounded(actual[1], expected[1], expected[1] + gamma(_roundings(rows)) * magnitude**2, _roundings(rows) + 8)


def _norm_magnitudes(case):
    """Absolute inputs of a case of batch_norm, the mean negated so that it adds to x."""
    inputs = [as_float64(a) for a in _absolute(case).inputs]
    at = 1 if case.inputs[1].ndim == 1 else 2
    inputs[at] = -inputs[at]
    return inputs


def _norm_fwd(op, case, actual, expected):
    fields = {**case.fields, "act": 0}
    magnitude = reference("batch_norm_fwd", fields, _norm_magnitudes(case), expected[0].shape)
    assert_bounded(actual[0], expected[0], STEEPEST * magnitude + np.abs(expected[0]), 10)


def _norm_bwd(op, case, actual, expected):
    f, inputs = {**case.fields, "act": 0}, _norm_magnitudes(case)
    x, dy, mean, var, scale, _ = inputs
    _, dgamma, dbeta = reference("batch_norm_bwd", f, inputs, *(e.shape for e in expected))
    normalised = (x - mean) / np.sqrt(var + f["epsilon"])
    dx = dy + (dbeta + normalised * dgamma) / f["rows"] * f["training"]
    dx = dx / np.sqrt(var + f["epsilon"]) * (1 if scale is None else scale)
    for one, other, magnitude in zip(actual, expected, (dx, dgamma, dbeta), strict=True):
        assert_bounded(one, other, magnitude, _roundings(f["rows"]) + 12)


def _own_norm_sizes(op, case):
    """Of a case of layer_norm or group_norm, inputs as (samples, pixels, groups, width): the descriptor's sizes."""
    f = case.fields
    if op.startswith("layer_norm"):
        return f["rows"], 1, 1, f["c"]
    return f["n"], f["pixels"], f["groups"], f["c"] // f["groups"]


def _of_groups(x, pixels):
    return x.sum((1, 3), keepdims=True) / max(pixels * x.shape[3], 1)


def _own_norm_fwd(op, case, actual, expected):
    n, pixels, groups, width = sizes = _own_norm_sizes(op, case)
    x, factor, offset = (None if a is None else np.abs(as_float64(a)) for a in case.inputs)
    magnitude, terms = _of_groups(x.reshape(sizes), pixels), _roundings(pixels * width)
    y, mean, var = expected
    assert_bounded(actual[1], mean, magnitude.reshape(mean.shape), terms + 2)
    squares = magnitude.reshape(mean.shape) ** 2
    # As for batch normalisation: a variance from the mean of squares fails here.
    assert_bounded(actual[2], var, var + gamma(terms) * squares, terms + 8)
    spread = var.reshape(n, 1, groups, 1) + case.fields["epsilon"]
    lost = gamma(terms) * (magnitude**2 / spread) * magnitude + magnitude  # by the variance, and by the mean
    size = (x.reshape(sizes) + lost) / np.sqrt(spread)
    size = size.reshape(y.shape) * (1 if factor is None else factor) + (0 if offset is None else offset)
    assert_bounded(actual[0], y, size + np.abs(y), terms + 10)


def _own_norm_bwd(op, case, actual, expected):
    n, pixels, groups, width = sizes = _own_norm_sizes(op, case)
    x, dy, mean, var, factor = (None if a is None else np.abs(as_float64(a)) for a in case.inputs)
    scale = 1 / np.sqrt(var.reshape(n, 1, groups, 1) + case.fields["epsilon"])
    z = (x.reshape(sizes) + mean.reshape(n, 1, groups, 1)) * scale
    g = (dy if factor is None else dy * factor).reshape(sizes)
    dx = (g + _of_groups(g, pixels) + z * _of_groups(g * z, pixels)) * scale
    slope, shift = (dy * z.reshape(dy.shape)), dy
    over = tuple(range(dy.ndim - 1))
    magnitudes = dx.reshape(expected[0].shape), slope.sum(over), shift.sum(over)
    terms = (pixels * width, n * pixels, n * pixels)
    for one, other, magnitude, count in zip(actual, expected, magnitudes, terms, strict=True):
        assert_bounded(one, other, magnitude, _roundings(count) + 16)


def _reduce(op, case, actual, expected):
    func, red = list(REDUCE)[case.fields["func"]], case.fields["red"]
    magnitude = _finite(expected[0])
    if func == "sum":
        (magnitude,) = run64(IMPLEMENTATIONS[op], _absolute(case))
    if case.fields.get("algorithm"):  # Winograd's errors come from the whole tile and are about three times as large
        magnitude = np.full_like(magnitude, 3 * magnitude.max(initial=0))
    terms = 1 if func in ("max", "min") else _roundings(red) + 2
    assert_bounded(actual[0], expected[0], magnitude, terms)


def _softmax(op, case, actual, expected):
    # Rounding x - max and exp's argument: gamma(64) is for differences up to some tens.
    assert_bounded(actual[-1], expected[-1], expected[-1], _roundings(case.fields["cols"]) + 64)


def _log_softmax(op, case, actual, expected):
    x = _finite(as_float64(case.inputs[0])).max(1, initial=0)[:, None]
    assert_bounded(actual[0], expected[0], _finite(expected[0]) + x + 1, _roundings(case.fields["cols"]) + 8)


def _softmax_bwd(op, case, actual, expected):
    y, dy = map(as_float64, case.inputs)
    magnitude = y * (np.abs(dy) + (y * np.abs(dy)).sum(1, keepdims=True))
    if op == "log_softmax_bwd":
        magnitude = np.abs(dy) + np.exp(y) * np.abs(dy).sum(1, keepdims=True)
    assert_bounded(actual[0], expected[0], magnitude, _roundings(case.fields["cols"]) + 32)


def _xent_fwd(op, case, actual, expected):
    _softmax(op, case, actual, expected)
    x, t = map(as_float64, case.inputs)
    total = np.ones(len(x)) if case.fields["sparse"] else np.abs(t).sum(1)
    magnitude = _finite(expected[0]) + total * (1 + _finite(x).max(1, initial=0))
    assert_bounded(actual[0], expected[0], magnitude, _roundings(case.fields["cols"]) + 16)


def _xent_bwd(op, case, actual, expected):
    prob, t, dloss = (np.abs(as_float64(a)) for a in case.inputs)
    if case.fields["sparse"]:
        magnitude = prob + 1
    else:
        magnitude = prob * t.sum(1, keepdims=True) + t
    assert_bounded(actual[0], expected[0], magnitude * dloss[:, None], _roundings(case.fields["cols"]) + 4)


def _random_uniform(op, case, actual, expected):
    assert_bounded(actual[0], expected[0], 5.0, 4)


def _dropout(op, case, actual, expected):
    np.testing.assert_array_equal(actual[0] == 0, expected[0] == 0)
    assert_bounded(actual[0], expected[0], np.abs(expected[0]), 3)


def _update(op, case, actual, expected):
    g = np.abs(as_float64(case.inputs[0]))
    squares = op in ("adam_update", "rmsprop_update")
    for slot, (one, other, start) in enumerate(zip(actual, expected, case.outputs, strict=True)):
        magnitude = np.abs(other) + np.abs(as_float64(start))
        if not (squares and _is_second_moment(op, slot)):
            magnitude = magnitude + g
        assert_bounded(one, other, magnitude, 16)


def _is_second_moment(op, slot):
    return slot == {"adam_update": 2, "rmsprop_update": 1}[op]


_CHECKS = {
    "depthwise_block_fwd": _depthwise_block,
    "unary_fwd": _unary_fwd,
    "unary_bwd": _unary_bwd,
    "binary": _binary,
    "batch_norm_stats": _stats,
    "batch_norm_fwd": _norm_fwd,
    "batch_norm_bwd": _norm_bwd,
    "layer_norm_fwd": _own_norm_fwd,
    "layer_norm_bwd": _own_norm_bwd,
    "group_norm_fwd": _own_norm_fwd,
    "group_norm_bwd": _own_norm_bwd,
    "reduce": _reduce,
    "softmax_fwd": _softmax,
    "softmax_bwd": _softmax_bwd,
    "log_softmax_fwd": _log_softmax,
    "log_softmax_bwd": _softmax_bwd,
    "softmax_xent_fwd": _xent_fwd,
    "softmax_xent_bwd": _xent_bwd,
    "random_uniform": _random_uniform,
    "dropout": _dropout,
    "sgd_update": _update,
    "momentum_update": _update,
    "adam_update": _update,
    "rmsprop_update": _update,
    "ema_update": _update,
    "assign_add": _update,
}
_CHECKS |= dict.fromkeys(TERMS, _sum) | dict.fromkeys(EXACT, _exact)


def check(op, case, actual, expected):
    """Fail unless `actual`, float32 outputs of the operation, are within bounds of `expected`, in float64."""
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
    _CHECKS[op](op, case, actual, [_overflow(other) for other in expected])


def _overflow(expected):
    """Infinity where a float32 can only be infinite."""
    if expected.dtype != np.float64:
        return expected
    return np.where(np.abs(expected) > np.finfo(np.float32).max, np.copysign(np.inf, expected), expected)
