"""Public operations with NumPy's names: arithmetic and reductions, computed in float32. See arrays.py for shapes."""

from math import prod

import numpy as np

from cnnengine.core.tensor_like import OPERATORS
from cnnengine.ops.arrays import getitem, squeeze
from cnnengine.ops.base import bind, public, spec_of
from cnnengine.ops.elementwise import as_float, binary, cast, select, unary
from cnnengine.ops.matmul import matmul
from cnnengine.ops.reduce import ARGMAX, normal_axes, reduce_axes
from cnnengine.ops.view import reshape_to


def _is_number(x):
    return isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool)


# --- arithmetic: a plain number on one side becomes one pass without a second operand ------------------------------


@public
def add(x1, x2):
    """x1 + x2, broadcast."""
    if _is_number(x2):
        return unary("affine", x1, 1.0, x2)
    return unary("affine", x2, 1.0, x1) if _is_number(x1) else binary("add", x1, x2)


@public
def subtract(x1, x2):
    """x1 - x2, broadcast."""
    if _is_number(x2):
        return unary("affine", x1, 1.0, -float(x2))  # float first: -np.uint8(1) is 255
    return unary("affine", x2, -1.0, x1) if _is_number(x1) else binary("subtract", x1, x2)


@public
def multiply(x1, x2):
    """x1 * x2, broadcast."""
    if _is_number(x2):
        return unary("affine", x1, x2)
    return unary("affine", x2, x1) if _is_number(x1) else binary("multiply", x1, x2)


@public
def divide(x1, x2):
    """x1 / x2, broadcast."""
    return binary("divide", x1, x2)


true_divide = divide


@public
def power(x1, x2):
    """x1 ** x2, broadcast."""
    if not _is_number(x2):
        return binary("power", x1, x2)
    if x2 == 2:
        return unary("square", x1)
    return unary("sqrt", x1) if x2 == 0.5 else unary("power", x1, x2)


def _make_binary(name, text):
    @public
    def function(x1, x2):
        return binary(name, x1, x2)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text}, elementwise and broadcast."
    return function


maximum = _make_binary("maximum", "The larger of x1 and x2")
minimum = _make_binary("minimum", "The smaller of x1 and x2")
floor_divide = _make_binary("floor_divide", "floor(x1 / x2)")
mod = _make_binary("mod", "x1 - floor(x1 / x2) * x2")
equal = _make_binary("equal", "x1 == x2")
not_equal = _make_binary("not_equal", "x1 != x2")
greater = _make_binary("greater", "x1 > x2")
greater_equal = _make_binary("greater_equal", "x1 >= x2")
less = _make_binary("less", "x1 < x2")
less_equal = _make_binary("less_equal", "x1 <= x2")
squared_difference = _make_binary("squared_difference", "(x1 - x2)**2")


def _make_unary(name, line, text):
    @public
    def function(x):
        return unary(line, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text}, elementwise."
    return function


absolute = _make_unary("absolute", "abs", "|x|")
negative = _make_unary("negative", "negative", "-x")
exp = _make_unary("exp", "exp", "e**x")
expm1 = _make_unary("expm1", "expm1", "e**x - 1, exact near 0")
log = _make_unary("log", "log", "Natural logarithm of x")
log1p = _make_unary("log1p", "log1p", "log(1 + x), exact near 0")
sqrt = _make_unary("sqrt", "sqrt", "Square root of x")
rsqrt = _make_unary("rsqrt", "rsqrt", "1 / sqrt(x)")
square = _make_unary("square", "square", "x**2")
reciprocal = _make_unary("reciprocal", "reciprocal", "1 / x")
sign = _make_unary("sign", "sign", "-1, 0 or 1 with the sign of x")
floor = _make_unary("floor", "floor", "The largest integer not above x")
ceil = _make_unary("ceil", "ceil", "The smallest integer not below x")
round = _make_unary("round", "round", "x rounded to the nearest integer, ties to even")
sin = _make_unary("sin", "sin", "Sine of x")
cos = _make_unary("cos", "cos", "Cosine of x")
erf = _make_unary("erf", "erf", "Error function of x")
tanh = _make_unary("tanh", "tanh", "Hyperbolic tangent of x")
isnan = _make_unary("isnan", "isnan", "Whether x is NaN")
isfinite = _make_unary("isfinite", "isfinite", "Whether x is neither infinite nor NaN")
abs = absolute


@public
def clip(x, x_min, x_max):
    """x limited to [x_min, x_max]."""
    if _is_number(x_min) and _is_number(x_max):
        return unary("clip", x, x_min, x_max)
    return minimum(maximum(x, x_min), x_max)


@public
def where(condition, x1, x2):
    """x1 where the condition holds, else x2, broadcast."""
    return select(condition, x1, x2)


@public
def logical_and(x1, x2):
    """x1 and x2 (anything but 0 is true), elementwise."""
    return cast(multiply(cast(x1, "bool"), cast(x2, "bool")), "bool")


@public
def logical_or(x1, x2):
    """x1 or x2 (anything but 0 is true), elementwise."""
    return cast(maximum(cast(x1, "bool"), cast(x2, "bool")), "bool")


@public
def logical_not(x):
    """True where x is 0."""
    return equal(x, 0.0)


# --- reductions -----------------------------------------------------------------------------------------------


def _count(shape, axis):
    return prod(shape[i] for i in normal_axes(axis, len(shape)))


def _make_reduction(name, text):
    @public
    def function(x, axis=None, keepdims=False):
        return reduce_axes(name, as_float(x), axis, keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text} over the given axis or axes (None: all)."
    return function


sum = _make_reduction("sum", "Sum")
max = _make_reduction("max", "Maximum")
min = _make_reduction("min", "Minimum")
prod_ = _make_reduction("prod", "Product")


@public
def mean(x, axis=None, keepdims=False):
    """Mean over the given axis or axes (None: all)."""
    x = as_float(x)
    count = _count(spec_of(x).shape, axis)
    return reduce_axes("sum", x, axis, keepdims, scale=1.0 / count if count else float("nan"))


@public
def var(x, axis=None, keepdims=False):
    """Biased variance over the given axis or axes: mean((x - mean(x))**2)."""
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


@public
def std(x, axis=None, keepdims=False):
    """Square root of `var`."""
    return sqrt(var(x, axis, keepdims))


@public
def all(x, axis=None, keepdims=False):
    """Whether all elements over the axis are true."""
    return cast(min(cast(x, "bool"), axis, keepdims), "bool")


@public
def any(x, axis=None, keepdims=False):
    """Whether some element over the axis is true."""
    return cast(max(cast(x, "bool"), axis, keepdims), "bool")


@public
def argmax(x, axis=None, keepdims=False):
    """Index (int32) of the first largest element along an axis, or of the flat tensor for None."""
    x = as_float(x)
    if axis is None:
        x, axis = reshape_to(x, (spec_of(x).size,)), 0
    shape = spec_of(x).shape
    first = normal_axes(axis, len(shape))[0]
    y = bind(ARGMAX, [x], first=first, last=first)
    return reshape_to(y, shape[:first] + (1,) + shape[first + 1 :]) if keepdims else y


@public
def argmin(x, axis=None, keepdims=False):
    """Index (int32) of the first smallest element along an axis, or of the flat tensor for None."""
    return argmax(negative(x), axis, keepdims)


@public
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) without overflow."""
    peak = max(x, axis, keepdims=True)
    y = add(log(sum(exp(subtract(x, peak)), axis, keepdims=True)), peak)
    return y if keepdims else squeeze(y, axis)


OPERATORS.update(
    add=add, subtract=subtract, multiply=multiply, divide=divide, floor_divide=floor_divide, mod=mod, power=power,
    matmul=matmul, less=less, less_equal=less_equal, greater=greater, greater_equal=greater_equal,
    negative=negative, absolute=absolute, getitem=getitem,
)  # fmt: skip
