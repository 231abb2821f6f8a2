"""Operations: one record each (base.py), and the public functions with keras.ops' names."""

from cnnengine.ops.elementwise import broadcast_to, cast
from cnnengine.ops.math import (
    abs, absolute, add, all, any, arange, argmax, argmin, ceil, clip, concatenate, convert_to_numpy, convert_to_tensor,
    cos, divide, equal, erf, exp, expand_dims, expm1, flip, floor, floor_divide, full, getitem, greater, greater_equal,
    isfinite, isnan, less, less_equal, log, log1p, logical_and, logical_not, logical_or, logsumexp, max, maximum, mean,
    min, minimum, mod, moveaxis, multiply, ndim, negative, not_equal, ones, ones_like, pad, power, reciprocal, repeat,
    reshape, round, rsqrt, shape, sign, sin, split, sqrt, square, squared_difference, squeeze, stack, std, subtract, sum,
    swapaxes, take, tanh, tile, transpose, true_divide, var, where, zeros, zeros_like,
)  # fmt: skip
from cnnengine.ops.math import prod_ as prod
from cnnengine.ops.matmul import matmul
from cnnengine.ops.nn import (
    average_pool, binary_crossentropy, categorical_crossentropy, conv, depthwise_conv, elu, gelu, hard_sigmoid, hard_silu,
    hard_swish, leaky_relu, log_sigmoid, log_softmax, max_pool, mish, moments, one_hot, relu, relu6, selu,
    separable_conv, sigmoid, silu, softmax, softplus, softsign, sparse_categorical_crossentropy, swish, threshold,
)  # fmt: skip

__all__ = [name for name in dir() if not name.startswith("_")]
