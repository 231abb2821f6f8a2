"""Numbers that stand for elementwise functions, reductions and element types in descriptors of operations.

The number of a name is its place here. `UNARY` and `BINARY` follow the lines of unary.def and binary.def in
csrc/include/cnn/, `REDUCE` and `DTYPE` the enums of reduce.h and elementwise.h; tests/test_contract.py
compares them.
"""

_UNARY = (
    "identity",
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "elu",
    "softplus",
    "softsign",
    "silu",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_silu",
    "mish",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "square",
    "reciprocal",
    "abs",
    "sign",
    "negative",
    "floor",
    "ceil",
    "round",
    "erf",
    "sin",
    "cos",
    "clip",
    "affine",
    "power",
    "threshold",
    "isnan",
    "isfinite",
)

_BINARY = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "power",
    "squared_difference",
    "floor_divide",
    "mod",
    "equal",
    "not_equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
)

_REDUCE = ("sum", "max", "min", "prod", "sum_squares")

_DTYPE = ("float32", "int32", "uint8")


def _numbered(names):
    return {name: code for code, name in enumerate(names)}


UNARY = _numbered(_UNARY)
BINARY = _numbered(_BINARY)
REDUCE = _numbered(_REDUCE)
DTYPE = _numbered(_DTYPE)
