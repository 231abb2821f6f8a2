"""Elementwise functions in plain NumPy, the oracle of csrc/drivers/elementwise.c.

`FORWARD` and `DERIVATIVE` hold the lines of unary.def as functions of (x, a, b) and (x, y, a, b), `FORWARD2`
those of binary.def of (u, v): x the argument, y the result, a and b the parameters alpha and beta.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnengine.core.codes import BINARY, UNARY

__all__ = ["binary", "broadcast", "cast", "fill", "select", "unary_bwd", "unary_fwd"]

_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_python_erf = np.frompyfunc(math.erf, 1, 1)


def _erf(x):
    return _python_erf(x).astype(x.dtype)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _gaussian(x):
    """Density of the standard normal distribution."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _silu_derivative(x):
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3)))


def _gelu_tanh_derivative(x):
    t = np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x)


def _mish_derivative(x):
    t = np.tanh(np.logaddexp(x, 0))
    return t + x * (1 - t * t) * _sigmoid(x)


def _clamp(x, lo, hi):
    return np.minimum(np.maximum(x, lo), hi)


FORWARD = {
    "identity": lambda x, a, b: x,
    "relu": lambda x, a, b: np.maximum(x, 0),
    "relu6": lambda x, a, b: _clamp(x, 0, 6),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "elu": lambda x, a, b: np.where(x > 0, x, a * np.expm1(x)),
    "softplus": lambda x, a, b: np.logaddexp(x, 0),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "silu": lambda x, a, b: x * _sigmoid(x),
    "gelu": lambda x, a, b: 0.5 * x * (1 + _erf(x * math.sqrt(0.5))),
    "gelu_tanh": lambda x, a, b: _gelu_tanh(x),
    "hard_sigmoid": lambda x, a, b: _clamp(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x, a, b: x * _clamp(x / 6 + 0.5, 0, 1),
    "mish": lambda x, a, b: x * np.tanh(np.logaddexp(x, 0)),
    "exp": lambda x, a, b: np.exp(x),
    "expm1": lambda x, a, b: np.expm1(x),
    "log": lambda x, a, b: np.log(x),
    "log1p": lambda x, a, b: np.log1p(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "rsqrt": lambda x, a, b: 1 / np.sqrt(x),
    "square": lambda x, a, b: x * x,
    "reciprocal": lambda x, a, b: 1 / x,
    "abs": lambda x, a, b: np.abs(x),
    "sign": lambda x, a, b: np.sign(x),
    "negative": lambda x, a, b: -x,
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "round": lambda x, a, b: np.rint(x),
    "erf": lambda x, a, b: _erf(x),
    "sin": lambda x, a, b: np.sin(x),
    "cos": lambda x, a, b: np.cos(x),
    "clip": lambda x, a, b: _clamp(x, a, b),
    "affine": lambda x, a, b: a * x + b,
    "power": lambda x, a, b: np.power(x, a),
    "threshold": lambda x, a, b: np.where(x > a, x, b),
    "isnan": lambda x, a, b: np.isnan(x),
    "isfinite": lambda x, a, b: np.isfinite(x),
}

DERIVATIVE = {
    "identity": lambda x, y, a, b: 1,
    "relu": lambda x, y, a, b: y > 0,
    "relu6": lambda x, y, a, b: (y > 0) & (y < 6),
    "leaky_relu": lambda x, y, a, b: np.where(x > 0, 1, a),
    "sigmoid": lambda x, y, a, b: y * (1 - y),
    "tanh": lambda x, y, a, b: 1 - y * y,
    "elu": lambda x, y, a, b: np.where(x > 0, 1, a * np.exp(x)),
    "softplus": lambda x, y, a, b: _sigmoid(x),
    "softsign": lambda x, y, a, b: 1 / np.square(1 + np.abs(x)),
    "silu": lambda x, y, a, b: _silu_derivative(x),
    "gelu": lambda x, y, a, b: 0.5 * (1 + _erf(x * math.sqrt(0.5))) + x * _gaussian(x),
    "gelu_tanh": lambda x, y, a, b: _gelu_tanh_derivative(x),
    "hard_sigmoid": lambda x, y, a, b: ((y > 0) & (y < 1)) / 6,
    "hard_silu": lambda x, y, a, b: np.where(np.abs(x) >= 3, x > 0, x / 3 + 0.5),
    "mish": lambda x, y, a, b: _mish_derivative(x),
    "exp": lambda x, y, a, b: y,
    "expm1": lambda x, y, a, b: y + 1,
    "log": lambda x, y, a, b: 1 / x,
    "log1p": lambda x, y, a, b: 1 / (1 + x),
    "sqrt": lambda x, y, a, b: 0.5 / y,
    "rsqrt": lambda x, y, a, b: -0.5 * y**3,
    "square": lambda x, y, a, b: 2 * x,
    "reciprocal": lambda x, y, a, b: -y * y,
    "abs": lambda x, y, a, b: np.where(x > 0, 1, np.where(x < 0, -1, 0)),
    "sign": lambda x, y, a, b: 0,
    "negative": lambda x, y, a, b: -1,
    "floor": lambda x, y, a, b: 0,
    "ceil": lambda x, y, a, b: 0,
    "round": lambda x, y, a, b: 0,
    "erf": lambda x, y, a, b: 2 / math.sqrt(math.pi) * np.exp(-x * x),
    "sin": lambda x, y, a, b: np.cos(x),
    "cos": lambda x, y, a, b: -np.sin(x),
    "clip": lambda x, y, a, b: (x >= a) & (x <= b),
    "affine": lambda x, y, a, b: a,
    "power": lambda x, y, a, b: a * np.power(x, a - 1),
    "threshold": lambda x, y, a, b: x > a,
    "isnan": lambda x, y, a, b: 0,
    "isfinite": lambda x, y, a, b: 0,
}

FORWARD2 = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "squared_difference": lambda u, v: np.square(u - v),
    "floor_divide": lambda u, v: np.floor(u / v),
    "mod": lambda u, v: u - np.floor(u / v) * v,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}

_FORWARD = [FORWARD[name] for name in UNARY]
_DERIVATIVE = [DERIVATIVE[name] for name in UNARY]
_FORWARD2 = [FORWARD2[name] for name in BINARY]


def activate(d, x):
    """The function of unary.def that the descriptor names in act, of x."""
    return _FORWARD[d.act](x, d.alpha, d.beta)


def epilogue(d, x, bias=None, addend=None):
    """act(x + bias + addend), what an operation does to its sums before it stores them."""
    if bias is not None:
        x = x + bias
    if addend is not None:
        x = x + addend.reshape(x.shape)
    return activate(d, x)


def unary_fwd(d, x, y):
    """y = f(x)."""
    y[...] = _FORWARD[d.func](x, d.alpha, d.beta).reshape(y.shape)


def unary_bwd(d, x, y, dy, dx):
    """dx = dy f'(x, y)."""
    dx[...] = (dy * _DERIVATIVE[d.func](x, y, d.alpha, d.beta)).reshape(dx.shape)


def _strided(x, dims, strides):
    """View of x with the given shape, strides counted in elements."""
    return as_strided(x.reshape(-1), dims, [stride * x.itemsize for stride in strides], writeable=False)


def binary(d, a, b, y):
    """y = f(a, b), a and b broadcast by strides of 0."""
    dims = d.dims[: d.ndim]
    u, v = _strided(a, dims, d.stride_a[: d.ndim]), _strided(b, dims, d.stride_b[: d.ndim])
    y[...] = _FORWARD2[d.func](u, v).reshape(y.shape)


def select(d, cond, a, b, y):
    """y = a where cond is not 0, else b."""
    y[...] = np.where(cond != 0, a, b).reshape(y.shape)


def fill(d, y):
    """y = value."""
    y[...] = d.value


def broadcast(d, x, y):
    """y (dims) = x, repeated along axes of stride 0."""
    y[...] = _strided(x, d.dims[: d.ndim], d.stride_a[: d.ndim]).reshape(y.shape)


def cast(d, x, y):
    """y = x in the dtype of y; to an integer truncates towards zero, saturates, NaN becomes 0."""
    if y.dtype.kind in "iu":
        limits = np.iinfo(y.dtype)
        x = np.clip(
            np.trunc(np.nan_to_num(x.astype(np.float64), posinf=np.inf, neginf=-np.inf)),
            limits.min,
            limits.max,
        )
    y[...] = x.reshape(y.shape)
