"""The public operations on arrays, on both implementations: values, dtypes, odd inputs, errors."""

import inspect
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnnengine import _native as native
from cnnengine import ops
from cnnengine.core.codes import UNARY
from cnnengine.core.config import CONFIG, set_backend
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.core.shapes import window_output
from cnnengine.core.variable import Variable
from tests.support.compare import assert_close, assert_same_bits
from tests.support.keras_oracle import import_keras


@pytest.fixture(params=["native", "reference"])
def backend(request):
    before = CONFIG.backend
    set_backend(request.param)
    yield request.param
    set_backend(before)


# --- values -----------------------------------------------------------------------------------------------------


def keras(name, **kwargs):
    """The function of keras.ops, as an oracle on arrays."""

    def run(*arrays):
        k = import_keras()
        y = getattr(k.ops, name)(*[np.asarray(a, np.float32) for a in arrays], **kwargs)
        return np.asarray(k.ops.convert_to_numpy(y))

    return run


def partial(function, *args, **kwargs):
    """The function of x alone."""
    return lambda x: function(x, *args, **kwargs)


def of_list(function, **kwargs):
    """A function of one list as one of several arguments."""
    return lambda *xs: function(list(xs), **kwargs)


def _erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


S = (3, 4, 5)
# id (what stands before "-" is the operation's name), ours, oracle, shapes of the arguments
CASES = [
    ("add", ops.add, np.add, (3, 1, 5), (4, 1)),
    ("add-number", partial(ops.add, 2), lambda x: x + 2, S),
    ("add-reflected", lambda x: ops.add(0.5, x), lambda x: x + 0.5, S),
    ("add-scalars", ops.add, np.add, (), ()),
    ("add-empty", ops.add, np.add, (0, 3), (1, 3)),
    ("add-six_axes", ops.add, np.add, (2, 1, 3, 1, 2, 1), (1, 2, 1, 3, 1, 2)),
    ("subtract", ops.subtract, np.subtract, (4, 1), (3, 1, 5)),
    ("subtract-number", partial(ops.subtract, 2), lambda x: x - 2, S),
    ("subtract-uint8", partial(ops.subtract, np.uint8(2)), lambda x: x - 2, S),
    ("subtract-reflected", lambda x: ops.subtract(2.0, x), lambda x: 2 - x, S),
    ("multiply", ops.multiply, np.multiply, S, S),
    ("multiply-number", partial(ops.multiply, np.float64(-0.5)), lambda x: x * -0.5, S),
    ("divide", ops.divide, np.divide, (3, 1), (4,)),
    ("true_divide", ops.true_divide, np.divide, S, (5,)),
    ("divide-number", partial(ops.divide, 3), lambda x: x / 3, S),
    ("power-square", partial(ops.power, 2), np.square, S),
    ("power-root", lambda x: ops.power(ops.abs(x), 0.5), lambda x: np.sqrt(np.abs(x)), S),
    ("power-cube", partial(ops.power, 3), lambda x: x**3, S),
    ("power", lambda a, b: ops.power(ops.abs(a), b), lambda a, b: np.abs(a) ** b, S, (5,)),
    ("maximum", ops.maximum, np.maximum, S, (4, 1)),
    ("minimum", ops.minimum, np.minimum, S, (4, 1)),
    ("floor_divide", ops.floor_divide, np.floor_divide, S, (5,)),
    ("mod", ops.mod, np.mod, S, (5,)),
    ("squared_difference", ops.squared_difference, lambda a, b: (a - b) ** 2, S, (5,)),
    ("equal", lambda x: ops.equal(x, ops.round(x)), lambda x: x == np.rint(x), S),
    ("not_equal", ops.not_equal, np.not_equal, S, (5,)),
    ("greater", ops.greater, np.greater, S, (5,)),
    ("greater_equal", ops.greater_equal, np.greater_equal, S, (5,)),
    ("less", ops.less, np.less, S, (5,)),
    ("less_equal", ops.less_equal, np.less_equal, (), (5,)),
    ("absolute", ops.absolute, np.abs, S),
    ("abs", ops.abs, np.abs, ()),
    ("negative", ops.negative, np.negative, (0,)),
    ("exp", ops.exp, np.exp, S),
    ("expm1", ops.expm1, np.expm1, S),
    ("log", lambda x: ops.log(ops.abs(x)), lambda x: np.log(np.abs(x)), S),
    ("log1p", lambda x: ops.log1p(ops.abs(x)), lambda x: np.log1p(np.abs(x)), S),
    ("sqrt", lambda x: ops.sqrt(ops.abs(x)), lambda x: np.sqrt(np.abs(x)), S),
    ("rsqrt", lambda x: ops.rsqrt(ops.abs(x)), lambda x: 1 / np.sqrt(np.abs(x)), S),
    ("square", ops.square, np.square, S),
    ("reciprocal", ops.reciprocal, np.reciprocal, S),
    ("sign", ops.sign, np.sign, S),
    ("floor", ops.floor, np.floor, S),
    ("ceil", ops.ceil, np.ceil, S),
    ("round", ops.round, np.rint, S),
    ("sin", ops.sin, np.sin, S),
    ("cos", ops.cos, np.cos, S),
    ("erf", ops.erf, _erf, S),
    ("tanh", ops.tanh, np.tanh, S),
    ("isnan", lambda x: ops.isnan(ops.log(x)), lambda x: np.isnan(np.log(x)), S),
    ("isfinite", lambda x: ops.isfinite(ops.log(x)), lambda x: np.isfinite(np.log(x)), S),
    ("clip", partial(ops.clip, -0.5, 0.5), partial(np.clip, -0.5, 0.5), S),
    ("clip-tensors", ops.clip, lambda x, a, b: np.minimum(np.maximum(x, a), b), S, (5,), (4, 1)),
    ("where", lambda c, a, b: ops.where(ops.greater(c, 0), a, b), lambda c, a, b: np.where(c > 0, a, b), S, (5,), ()),
    ("logical_and", lambda a, b: ops.logical_and(ops.floor(a), b > 0), lambda a, b: (np.floor(a) != 0) & (b > 0), S, S),
    ("logical_or", lambda a, b: ops.logical_or(ops.floor(a), b > 0), lambda a, b: (np.floor(a) != 0) | (b > 0), S, S),
    ("logical_not", lambda x: ops.logical_not(ops.floor(x)), lambda x: np.floor(x) == 0, S),
    ("sum", ops.sum, np.sum, S),
    ("sum-axis", partial(ops.sum, axis=-2), partial(np.sum, axis=-2), S),
    ("sum-axes", partial(ops.sum, (0, -1), True), partial(np.sum, axis=(0, -1), keepdims=True), S),
    ("sum-numpy_axis", partial(ops.sum, np.int64(1)), partial(np.sum, axis=1), S),
    ("sum-no_axis", partial(ops.sum, ()), lambda x: x, S),
    ("sum-empty", partial(ops.sum, 0), partial(np.sum, axis=0), (0, 3)),
    ("sum-scalar", ops.sum, np.sum, ()),
    ("max", partial(ops.max, 1), partial(np.max, axis=1), S),
    ("min", partial(ops.min, (0, 2), True), partial(np.min, axis=(0, 2), keepdims=True), S),
    ("prod", partial(ops.prod, -1), partial(np.prod, axis=-1), S),
    ("prod-empty", partial(ops.prod, 0), partial(np.prod, axis=0), (0, 3)),
    ("mean", ops.mean, np.mean, S),
    ("mean-axes", partial(ops.mean, [0, 2]), partial(np.mean, axis=(0, 2)), S),
    ("var", partial(ops.var, 1, True), partial(np.var, axis=1, keepdims=True), S),
    ("std", partial(ops.std, (0, 1)), partial(np.std, axis=(0, 1)), S),
    ("moments", lambda x: ops.stack(ops.moments(x, (0, 1))), lambda x: np.stack([x.mean((0, 1)), x.var((0, 1))]), S),
    ("all", lambda x: ops.all(ops.greater(x, -0.5), 1), lambda x: np.all(x > -0.5, 1), S),
    ("any", lambda x: ops.any(ops.greater(x, 0.5), 1, True), lambda x: np.any(x > 0.5, 1, keepdims=True), S),
    ("argmax", ops.argmax, np.argmax, S),
    ("argmax-axis", partial(ops.argmax, -2), partial(np.argmax, axis=-2), S),
    ("argmin", partial(ops.argmin, 0, True), partial(np.argmin, axis=0, keepdims=True), S),
    ("logsumexp", partial(ops.logsumexp, 1), lambda x: np.log(np.exp(x).sum(1)), S),
    ("logsumexp-large", lambda x: ops.logsumexp(ops.add(x, 1000)), lambda x: np.log(np.exp(x).sum()) + 1000, S),
    ("reshape", partial(ops.reshape, (5, -1)), partial(np.reshape, (5, -1)), S),
    ("reshape-int", partial(ops.reshape, -1), np.ravel, S),
    ("reshape-empty", partial(ops.reshape, (-1, 3)), partial(np.reshape, (-1, 3)), (0, 3)),
    ("transpose", ops.transpose, np.transpose, S),
    ("transpose-axes", partial(ops.transpose, (1, -1, 0)), partial(np.transpose, (1, -1, 0)), S),
    ("transpose-scalar", ops.transpose, np.transpose, ()),
    ("swapaxes", partial(ops.swapaxes, 0, -1), partial(np.swapaxes, 0, -1), S),
    ("moveaxis", partial(ops.moveaxis, 0, -1), partial(np.moveaxis, 0, -1), S),
    ("moveaxis-two", partial(ops.moveaxis, (0, 1), (-1, 0)), partial(np.moveaxis, (0, 1), (-1, 0)), S),
    ("expand_dims", partial(ops.expand_dims, -1), partial(np.expand_dims, -1), S),
    ("squeeze", ops.squeeze, np.squeeze, (1, 3, 1)),
    ("squeeze-axis", partial(ops.squeeze, -1), partial(np.squeeze, -1), (1, 3, 1)),
    ("concatenate", of_list(ops.concatenate, axis=1), of_list(np.concatenate, axis=1), (2, 3), (2, 0), (2, 5)),
    ("concatenate-many", of_list(ops.concatenate), of_list(np.concatenate, axis=-1), *[(2, i) for i in range(9)]),
    ("stack", of_list(ops.stack, axis=-1), of_list(np.stack, axis=-1), (2, 3), (2, 3)),
    ("split", lambda x: ops.split(x, 2, -2)[1], lambda x: np.split(x, 2, -2)[1], S),
    ("split-at", lambda x: ops.split(x, [1, 1, 9], 0)[2], lambda x: np.split(x, [1, 1, 9], 0)[2], S),
    ("split-empty", lambda x: ops.stack(ops.split(x, 3)), lambda x: np.stack(np.split(x, 3)), (0, 2)),
    ("pad", partial(ops.pad, 1), partial(np.pad, 1), S),
    ("pad-pair", partial(ops.pad, (1, 2)), partial(np.pad, (1, 2)), (2, 2)),
    ("pad-axes", partial(ops.pad, [(0, 1), (2, 0)], constant_values=7.0), lambda x: np.pad(
        x, [(0, 1), (2, 0)], constant_values=7), (2, 3)),
    ("repeat", partial(ops.repeat, 3, 1), partial(np.repeat, 3, 1), S),
    ("repeat-flat", partial(ops.repeat, 2), partial(np.repeat, 2), (2, 3)),
    ("repeat-never", partial(ops.repeat, 0, 1), partial(np.repeat, 0, 1), (2, 3)),
    ("tile", partial(ops.tile, (2, 1, 3)), partial(np.tile, (2, 1, 3)), S),
    ("tile-int", partial(ops.tile, 3), partial(np.tile, 3), (2, 3)),
    ("tile-longer", partial(ops.tile, (2, 3)), partial(np.tile, (2, 3)), (2,)),
    ("tile-never", partial(ops.tile, (0, 2)), partial(np.tile, (0, 2)), (2, 3)),
    ("flip", ops.flip, np.flip, S),
    ("flip-axis", partial(ops.flip, -2), partial(np.flip, -2), S),
    ("getitem", lambda x: ops.getitem(x, (slice(None), -1)), lambda x: x[:, -1], S),
    ("broadcast_to", partial(ops.broadcast_to, (2, 3, 5)), partial(np.broadcast_to, (2, 3, 5)), (3, 1)),
    ("take", partial(ops.take, [[2, 0], [1, 1]], axis=1), partial(np.take, [[2, 0], [1, 1]], axis=1), S),
    ("take-flat", partial(ops.take, [7, 0]), partial(np.take, [7, 0]), S),
    ("cast", partial(ops.cast, "int32"), lambda x: x.astype(np.int32), S),
    ("cast-bool", partial(ops.cast, "bool"), lambda x: np.ones(S, bool), S),
    ("convert_to_numpy", lambda x: ops.convert_to_numpy(ops.negative(x)), lambda x: -x, S),
    ("convert_to_tensor", ops.convert_to_tensor, lambda x: x, S),
    ("zeros_like", ops.zeros_like, np.zeros_like, S),
    ("ones_like", ops.ones_like, np.ones_like, S),
    ("shape", lambda x: np.array(ops.shape(x)), lambda x: np.array(S), S),
    ("ndim", lambda x: np.array(ops.ndim(x)), lambda x: np.array(3), S),
    ("matmul", ops.matmul, np.matmul, (3, 4), (4, 5)),
    ("matmul-vectors", ops.matmul, np.matmul, (4,), (4,)),
    ("matmul-left_vector", ops.matmul, np.matmul, (4,), (2, 4, 5)),
    ("matmul-right_vector", ops.matmul, np.matmul, (2, 3, 4), (4,)),
    ("matmul-batches", ops.matmul, np.matmul, (2, 1, 3, 4), (5, 4, 2)),
    ("matmul-one_right", ops.matmul, np.matmul, (2, 3, 4), (4, 5)),
    ("matmul-empty", ops.matmul, np.matmul, (0, 4), (4, 5)),
    ("matmul-no_sum", ops.matmul, np.matmul, (3, 0), (0, 5)),
    ("relu", ops.relu, partial(np.maximum, 0), S),
    ("relu6", lambda x: ops.relu6(ops.multiply(x, 9)), lambda x: np.clip(9 * x, 0, 6), S),
    ("leaky_relu", partial(ops.leaky_relu, 0.3), lambda x: np.where(x > 0, x, 0.3 * x), S),
    ("threshold", partial(ops.threshold, 0.2, -1.0), lambda x: np.where(x > 0.2, x, -1), S),
    *[
        (name, getattr(ops, name), keras(name), S)
        for name in (
            "sigmoid", "softplus", "softsign", "silu", "swish", "hard_sigmoid", "elu", "selu", "gelu", "hard_silu",
            "hard_swish", "log_sigmoid", "softmax", "log_softmax",
        )
    ],
    ("mish", ops.mish, lambda x: x * np.tanh(np.log1p(np.exp(x))), S),
    ("gelu-exact", partial(ops.gelu, approximate=False), keras("gelu", approximate=False), S),
    ("elu-alpha", partial(ops.elu, alpha=0.5), keras("elu", alpha=0.5), S),
    ("softmax-middle", partial(ops.softmax, axis=1), keras("softmax", axis=1), S),
    ("softmax-axes", partial(ops.softmax, axis=(0, 2)), keras("softmax", axis=(0, 2)), S),
    ("log_softmax-first", partial(ops.log_softmax, axis=0), keras("log_softmax", axis=0), S),
    ("layer_normalization", ops.layer_normalization, keras("layer_normalization"), S),
    (
        "layer_normalization-axes", partial(ops.layer_normalization, axis=(1, 2), epsilon=0.1),
        keras("layer_normalization", axis=(1, 2), epsilon=0.1), S,
    ),
]  # fmt: skip

_WINDOWS = {
    "valid": {}, "same": {"padding": "same"}, "stride": {"strides": 2, "padding": "same"},
    "dilation": {"dilation_rate": 2, "padding": "same"},
}  # fmt: skip
_FIRST = {"data_format": "channels_first"}


def _window_cases():
    for id, kw in _WINDOWS.items():
        kw = {"data_format": "channels_last"} | kw
        yield f"conv-1d_{id}", "conv", kw, (2, 9, 4), (3, 4, 5)
        yield f"conv-2d_{id}", "conv", kw, (2, 7, 8, 4), (3, 2, 4, 5)
        yield f"conv-groups_{id}", "conv", kw, (2, 7, 8, 4), (3, 2, 2, 6)
        yield f"conv_transpose-1d_{id}", "conv_transpose", kw, (2, 5, 4), (3, 5, 4)
        yield f"conv_transpose-2d_{id}", "conv_transpose", kw, (2, 4, 5, 4), (3, 2, 5, 4)
        yield f"conv-3d_{id}", "conv", kw, (2, 5, 7, 6, 4), (2, 3, 2, 4, 5)
        yield f"conv_transpose-3d_{id}", "conv_transpose", kw, (2, 3, 4, 2, 4), (2, 3, 2, 5, 4)
        yield f"depthwise_conv-1d_{id}", "depthwise_conv", kw, (2, 9, 4), (3, 4, 2)
        yield f"depthwise_conv-2d_{id}", "depthwise_conv", kw, (2, 7, 8, 3), (3, 3, 3, 2)
        if id != "dilation":
            yield f"separable_conv-2d_{id}", "separable_conv", kw, (2, 7, 8, 3), (3, 3, 3, 2), (1, 1, 6, 5)
            for pool in ("max_pool", "average_pool"):
                yield f"{pool}-1d_{id}", pool, kw | {"pool_size": 3}, (2, 9, 4)
                yield f"{pool}-3d_{id}", pool, kw | {"pool_size": (3, 2, 3)}, (2, 5, 7, 8, 4)
                yield f"{pool}-2d_{id}", pool, kw | {"pool_size": (3, 2)}, (2, 7, 8, 4)
    yield "conv_transpose-first", "conv_transpose", _FIRST | {"strides": 2}, (2, 4, 5, 3), (3, 2, 5, 4)
    for padding, extra in product(("valid", "same"), (0, 1)):
        kw = {
            "data_format": "channels_last",
            "strides": (3, 2),
            "padding": padding,
            "output_padding": (extra + 1, extra),
        }
        yield f"conv_transpose-output_{padding}_{extra}", "conv_transpose", kw, (2, 3, 4, 2), (4, 3, 3, 2)
    yield "conv-2d_first", "conv", _FIRST, (2, 4, 7, 8), (3, 2, 4, 5)
    yield "conv-1d_first", "conv", _FIRST | {"padding": "same"}, (2, 4, 9), (3, 4, 5)
    yield "max_pool-first", "max_pool", _FIRST | {"pool_size": 2}, (2, 4, 7, 8)
    yield "average_pool-first", "average_pool", _FIRST | {"pool_size": 2, "padding": "same"}, (2, 4, 7)


def _keras_window(name, kw):
    """Keras's function; its strides are spelled out, for on jax Keras fails where a pooling leaves them out."""
    return keras(name, **({"strides": kw["pool_size"]} if "pool_size" in kw else {}) | kw)


CASES += [
    (id, lambda *xs, name=name, kw=kw: getattr(ops, name)(*xs, **kw), _keras_window(name, kw), *shapes)
    for id, name, kw, *shapes in _window_cases()
]
PARAMS = [pytest.param(*case[1:3], case[3:], id=case[0]) for case in CASES]

# Tested below: what makes tensors, and losses, whose arguments are special.
OTHER = {
    "arange", "binary_crossentropy", "categorical_crossentropy", "full", "one_hot", "ones",
    "sparse_categorical_crossentropy", "zeros",
}  # fmt: skip


def test_every_operation_has_a_case():
    functions = {name for name in dir(ops) if inspect.isfunction(getattr(ops, name))}
    assert {case[0].split("-")[0] for case in CASES} | OTHER == functions


def _inputs(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("ours", "oracle", "shapes"), PARAMS)
def test_value(backend, ours, oracle, shapes):
    inputs = _inputs(shapes)
    actual, expected = ours(*inputs), np.asarray(oracle(*[x.astype(np.float64) for x in inputs]))
    assert isinstance(actual, np.ndarray)
    kinds = {"f": np.float32, "b": np.bool_, "i": actual.dtype if actual.dtype.kind == "i" else np.int32}
    assert actual.dtype == kinds[expected.dtype.kind]
    assert_close(actual, expected, rtol=2e-5, atol=2e-6)


# --- forms of inputs ------------------------------------------------------------------------------------------------


def _strided(x):
    wide = np.full((*x.shape, 2), np.nan, x.dtype)
    wide[..., 0] = x
    return wide[..., 0]


def _at_odd_address(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "big_endian": lambda x: x.astype(">f4"),
    "float64": lambda x: x.astype(np.float64),
    "unaligned": _at_odd_address,
    "read_only": _read_only,
    "matrix_subclass": lambda x: x.view(type("Array", (np.ndarray,), {})),
}


@pytest.mark.parametrize(("ours", "oracle", "shapes"), PARAMS)
def test_form_of_inputs_changes_no_bit(ours, oracle, shapes):
    inputs = _inputs(shapes)
    with np.errstate(invalid="ignore"):
        expected = ours(*inputs)
        for form in FORMS.values():
            assert_same_bits(np.ascontiguousarray(ours(*map(form, inputs))), np.ascontiguousarray(expected))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, ">i2", np.uint32, np.int64, np.float16])
def test_dtype_of_inputs_changes_no_bit(dtype):
    rng = np.random.default_rng(1)
    for _, ours, _, *shapes in CASES:
        inputs = [rng.integers(0, 2, shape).astype(np.float32) for shape in shapes]
        expected, actual = ours(*inputs), ours(*[x.astype(dtype) for x in inputs])
        np.testing.assert_array_equal(np.asarray(actual, np.float64), np.asarray(expected, np.float64))


def test_lists_and_numbers_are_taken(backend):
    np.testing.assert_array_equal(ops.add([[1, 2], [3, 4]], [0.5, 1.5]), [[1.5, 3.5], [3.5, 5.5]])
    np.testing.assert_array_equal(ops.matmul([1.0, 2.0], [3.0, 4.0]), 11)
    assert ops.add(1, 2) == 3 and ops.add(True, 2.5) == 3.5 and ops.subtract(np.uint8(3), 4) == -1
    np.testing.assert_array_equal(ops.conv([[[1], [2], [3]]], [[[1]], [[1]]], padding="valid"), [[[3], [5]]])


def test_kernels_and_biases_of_any_dtype(backend):
    x, w, b = np.ones((1, 4, 4, 2)), np.arange(16).reshape(2, 2, 2, 2), np.array([1, 2])
    expected = ops.conv(x, w.astype(np.float32), bias=b.astype(np.float32))
    assert_same_bits(ops.conv(x, w, bias=b), expected)
    assert_same_bits(ops.conv(x, w.astype(np.uint8), bias=b.astype(np.float64)), expected)
    assert_same_bits(ops.depthwise_conv(x, w, bias=[0] * 4), ops.depthwise_conv(x, w.astype(np.float32)))
    assert_same_bits(ops.matmul(x, w[0, 0]), ops.matmul(x, w[0, 0].astype(np.float32)))


def test_causal_convolution_looks_back_only(backend):
    x, w = _inputs([(2, 9, 3), (3, 3, 4)])
    y = ops.conv(x, w, padding="causal", dilation_rate=2)
    padded = np.pad(x.astype(np.float64), [(0, 0), (4, 0), (0, 0)])
    expected = sum(padded[:, 2 * i : 2 * i + 9] @ w[i].astype(np.float64) for i in range(3))
    assert_close(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(17, 16), (200, 3), (1, 200)])
def test_large_pooling_windows(backend, size):
    (x,) = _inputs([(1, 211, 203, 2)])
    for padding in ("valid", "same"):
        pads = [window_output(n, k, s, 1, padding)[1:] for n, k, s in zip(x.shape[1:3], size, (17, 15), strict=True)]
        padded = np.pad(x.astype(np.float64), [(0, 0), *pads, (0, 0)], constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, size, (1, 2))[:, ::17, ::15]
        maximum, mean = ops.max_pool(x, size, (17, 15), padding), ops.average_pool(x, size, (17, 15), padding)
        np.testing.assert_array_equal(maximum, np.nanmax(windows, (-2, -1)))
        assert_close(mean, np.nanmean(windows, (-2, -1)), rtol=1e-5, atol=1e-5)
    for pool in (ops.max_pool, ops.average_pool):
        with pytest.raises(ShapeError, match="300"):
            pool(np.zeros((1, 300, 2, 1)), (300, 1))


# --- dtypes of results ------------------------------------------------------------------------------------------------

MOVES = {
    "reshape": lambda x: ops.reshape(x, (-1,)),
    "transpose": ops.transpose,
    "getitem": lambda x: ops.getitem(x, (slice(1, None), None)),
    "flip": ops.flip,
    "concatenate": lambda x: ops.concatenate([x, x]),
    "stack": lambda x: ops.stack([x, x, x]),
    "repeat": lambda x: ops.repeat(x, 2, 0),
    "tile": lambda x: ops.tile(x, 2),
    "broadcast_to": lambda x: ops.broadcast_to(x, (2, *x.shape)),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 0)),
    "zeros_like": ops.zeros_like,
    "convert_to_tensor": ops.convert_to_tensor,
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("dtype", [np.bool_, np.int32])
def test_moving_elements_keeps_dtype_and_large_integers(backend, name, dtype):
    x = np.array([[0, 1, 2**31 - 1], [16777217, -(2**31), 5]]).astype(dtype)
    y = MOVES[name](x)
    assert y.dtype == dtype
    if name == "concatenate":
        np.testing.assert_array_equal(y, np.concatenate([x, x], -1))
    if name == "flip":
        np.testing.assert_array_equal(y, x[::-1, ::-1])


def test_concatenation_of_different_dtypes_is_float(backend):
    y = ops.concatenate([np.array([1, 2]), np.array([0.5], np.float32), np.array([True])])
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [1, 2, 0.5, 1])


def test_integers_beyond_int32_saturate_or_become_floats(backend):
    large = np.array([2**40, -(2**40), 7])
    np.testing.assert_array_equal(ops.add(large, 0.0), large.astype(np.float32))
    np.testing.assert_array_equal(ops.cast(large, "int32"), [2**31 - 1, -(2**31), 7])
    np.testing.assert_array_equal(ops.cast(np.array([2**64 - 1], np.uint64), "int32"), [2**31 - 1])


@pytest.mark.parametrize(
    ("x", "dtype", "expected"),
    [
        ([1.9, -1.9, 3e9, -np.inf, np.nan], "int32", [1, -1, 2**31 - 1, -(2**31), 0]),
        ([1.9, -1.9, 300.0], "uint8", [1, 0, 255]),
        ([0.0, 0.5, np.nan], "bool", [False, True, True]),
        ([300, -1], "uint8", [255, 0]),
        ([True, False], "int32", [1, 0]),
        ([True, False], "float64", [1.0, 0.0]),
    ],
)
def test_cast(backend, x, dtype, expected):
    y = ops.cast(np.array(x), dtype)
    assert y.dtype == {"float64": "float32"}.get(dtype, dtype)
    np.testing.assert_array_equal(y, expected)
    assert_same_bits(ops.convert_to_tensor(np.array(x), dtype), y)


def test_special_numbers(backend):
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40], np.float32)
    np.testing.assert_array_equal(ops.isnan(x), np.isnan(x))
    np.testing.assert_array_equal(ops.isfinite(x), np.isfinite(x))
    np.testing.assert_array_equal(ops.relu(x)[:3], [np.nan, np.inf, 0])
    np.testing.assert_array_equal(ops.maximum(x, 0.0)[:3], [np.nan, np.inf, 0])
    np.testing.assert_array_equal(ops.max(x), np.nan)
    assert_same_bits(ops.reshape(x, (1, 5)), x[None])
    assert np.signbit(ops.transpose(ops.stack([x, x]))[3, 0])
    assert np.isnan(ops.mean(np.zeros((0, 2)), 0)).all() and np.isnan(ops.take(x, [9])).all()


# --- making tensors, losses -----------------------------------------------------------------------------------------


def test_making_tensors(backend):
    for made, expected in (
        (ops.zeros((2, 0, 3)), np.zeros((2, 0, 3), np.float32)),
        (ops.ones((), "int32"), np.ones((), np.int32)),
        (ops.full((2,), 3.5), np.full(2, 3.5, np.float32)),
        (ops.ones((2, 2), bool), np.ones((2, 2), bool)),
        (ops.arange(3), np.arange(3, dtype=np.int32)),
        (ops.arange(0.5, 3, 0.5), np.arange(0.5, 3, 0.5, np.float32)),
        (ops.arange(1, 5, 2, "float32"), np.array([1, 3], np.float32)),
        (ops.one_hot([[2, 0], [-1, 3]], 3), np.eye(4, 3, dtype=np.float32)[[[2, 0], [3, 3]]]),
        (ops.one_hot([1, 0, 1], 2, axis=0, dtype="int32"), np.array([[0, 1, 0], [1, 0, 1]], np.int32)),
    ):
        assert_same_bits(np.ascontiguousarray(made), np.ascontiguousarray(expected))


def _probabilities(shape, axis=-1, seed=0):
    x = np.random.default_rng(seed).random(shape).astype(np.float32) + np.float32(0.01)
    return x / x.sum(axis, keepdims=True)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("from_logits", [False, True])
def test_crossentropies(backend, from_logits, axis):
    target = _probabilities((3, 4, 5), axis, 1)
    output = _inputs([(3, 4, 5)])[0] if from_logits else _probabilities((3, 4, 5), axis)
    kw = {"from_logits": from_logits, "axis": axis}
    y, expected = ops.categorical_crossentropy(target, output, **kw), keras("categorical_crossentropy", **kw)
    assert_close(y, expected(target, output), rtol=1e-5, atol=1e-6)
    labels = np.argmax(target, axis)
    p = np.exp(output.astype(np.float64)) if from_logits else output.astype(np.float64)
    chosen = np.take_along_axis(p / p.sum(axis, keepdims=True), np.expand_dims(labels, axis), axis)
    y = ops.sparse_categorical_crossentropy(labels, output, **kw)
    assert_close(y, -np.log(np.squeeze(chosen, axis)), rtol=1e-5, atol=1e-6)
    if axis == -1:
        assert_same_bits(ops.sparse_categorical_crossentropy(labels[..., None].astype(np.uint8), output, **kw), y)


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_crossentropy(backend, from_logits):
    target = np.random.default_rng(1).random((3, 4)).astype(np.float32)
    output = _inputs([(3, 4)])[0] if from_logits else _probabilities((3, 4))
    expected = keras("binary_crossentropy", from_logits=from_logits)(target, output)
    assert_close(ops.binary_crossentropy(target, output, from_logits), expected, rtol=1e-5, atol=1e-6)


def test_crossentropy_of_sure_and_wrong_is_finite(backend):
    wrong, sure = [[1.0, 0.0]], [[0.0, 1.0]]
    for loss in (ops.categorical_crossentropy(wrong, sure), ops.binary_crossentropy(wrong, sure)):
        assert_close(loss, np.full(loss.shape, -np.log(1e-7)), rtol=2e-2)
    assert_close(ops.categorical_crossentropy(wrong, [[-200.0, 200.0]], from_logits=True), [400.0], rtol=1e-6)


# --- indexing -------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_indexing_is_numpys(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    x = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    assert_same_bits(np.ascontiguousarray(ops.getitem(x, key)), np.ascontiguousarray(x[key]))


def test_steps_may_be_negative_and_ints_numpys(backend):
    (x,) = _inputs([(5, 6)])
    for key in (np.int64(-1), (slice(None, None, -2), slice(4, 0, -3)), (Ellipsis, np.uint8(2)), (None, 1, None)):
        np.testing.assert_array_equal(ops.getitem(x, key), x[key])


# --- errors ---------------------------------------------------------------------------------------------------------

X = np.zeros((2, 3, 4), np.float32)
IMAGE, KERNEL = np.zeros((1, 5, 5, 4), np.float32), np.zeros((3, 3, 4, 2), np.float32)
SHAPE_ERRORS = {
    "broadcast": (lambda: ops.add(X, np.zeros((2, 3))), "(2, 3, 4) and (2, 3)"),
    "axis": (lambda: ops.sum(X, axis=3), "3"),
    "axis_negative": (lambda: ops.sum(X, axis=(0, -4)), "-4"),
    "axis_twice": (lambda: ops.sum(X, axis=(0, -3)), "-3"),
    "axis_float": (lambda: ops.sum(X, axis=1.0), "1.0"),
    "axis_of_scalar": (lambda: ops.sum(1.0, axis=0), "rank 0"),
    "max_of_none": (lambda: ops.max(np.zeros((0, 2)), axis=0), "(0, 2)"),
    "argmax_of_none": (lambda: ops.argmax(np.zeros((0, 2)), axis=0), "(0, 2)"),
    "reshape": (lambda: ops.reshape(X, (5, -1)), "(2, 3, 4)"),
    "reshape_two_open": (lambda: ops.reshape(X, (-1, -1)), "(-1, -1)"),
    "reshape_negative": (lambda: ops.reshape(X, (-2, -12)), "(-2, -12)"),
    "transpose_twice": (lambda: ops.transpose(X, (0, 1, 1)), "(0, 1, 1)"),
    "transpose_range": (lambda: ops.transpose(X, (0, 1, 5)), "5"),
    "transpose_few": (lambda: ops.transpose(X, (1, 0)), "(1, 0)"),
    "swapaxes": (lambda: ops.swapaxes(X, 0, 3), "3"),
    "moveaxis": (lambda: ops.moveaxis(X, 0, 3), "3"),
    "moveaxis_counts": (lambda: ops.moveaxis(X, (0, 1), 2), "(0, 1)"),
    "expand_dims": (lambda: ops.expand_dims(X, 4), "4"),
    "squeeze": (lambda: ops.squeeze(X, 0), "(2, 3, 4)"),
    "concatenate_none": (lambda: ops.concatenate([]), "none"),
    "concatenate": (lambda: ops.concatenate([X, np.zeros((2, 4, 4))]), "(2, 4, 4)"),
    "concatenate_rank": (lambda: ops.concatenate([X, np.zeros((2, 3))]), "(2, 3)"),
    "stack": (lambda: ops.stack([X, X[:1]]), "(1, 1, 3, 4)"),
    "split": (lambda: ops.split(X, 3, axis=2), "3"),
    "split_zero": (lambda: ops.split(X, 0), "0"),
    "pad_negative": (lambda: ops.pad(X, -1), "-1"),
    "pad_widths": (lambda: ops.pad(X, [(1, 1), (1, 1)]), "(1, 1)"),
    "broadcast_to": (lambda: ops.broadcast_to(X, (2, 3, 5)), "(2, 3, 4)"),
    "too_many_indices": (lambda: ops.getitem(X, (0, 0, 0, 0)), "(0, 0, 0, 0)"),
    "two_ellipses": (lambda: ops.getitem(X, (..., 0, ...)), "Ellipsis"),
    "index": (lambda: ops.getitem(X, 2), "2"),
    "matmul": (lambda: ops.matmul(X, X), "(2, 3, 4)"),
    "matmul_inner": (lambda: ops.matmul(X, np.zeros((3, 2))), "(2, 3, 4)"),
    "matmul_scalar": (lambda: ops.matmul(X, 2.0), "()"),
    "softmax_empty": (lambda: ops.softmax(np.zeros((2, 0))), "(2, 0)"),
    "rank_of_conv": (lambda: ops.conv(X[0], KERNEL), "(3, 4)"),
    "rank_of_kernel": (lambda: ops.conv(IMAGE, KERNEL[0]), "(3, 4, 2)"),
    "channels": (lambda: ops.conv(IMAGE[..., :3], KERNEL), "C=3"),
    "groups": (lambda: ops.conv(IMAGE, KERNEL[:, :, :3]), "C=4"),
    "filters": (lambda: ops.conv(IMAGE, np.zeros((1, 1, 2, 3))), "K=3"),
    "bias": (lambda: ops.conv(IMAGE, KERNEL, bias=np.zeros(3)), "(3,)"),
    "bias_rank": (lambda: ops.conv(IMAGE, KERNEL, bias=np.zeros((1, 2))), "(1, 2)"),
    "depthwise_channels": (lambda: ops.depthwise_conv(IMAGE[..., :3], KERNEL), "C=3"),
    "depthwise_bias": (lambda: ops.depthwise_conv(IMAGE, KERNEL, bias=np.zeros(2)), "(2,)"),
    "window": (lambda: ops.conv(IMAGE[:, :2], KERNEL), "(2, 5)"),
    "window_dilated": (lambda: ops.conv(IMAGE, KERNEL, dilation_rate=4), "(5, 5)"),
    "window_3d": (lambda: ops.conv(np.zeros((1, 1, 5, 5, 4)), np.zeros((2, 2, 2, 4, 2))), "(1, 5, 5)"),
    "rank_of_kernel_3d": (lambda: ops.conv(np.zeros((1, 3, 5, 5, 4)), KERNEL), "(1, 3, 5, 5, 4)"),
    "rank_of_depthwise": (lambda: ops.depthwise_conv(np.zeros((1, 3, 5, 5, 4)), KERNEL), "(1, 3, 5, 5, 4)"),
    "transposed_channels": (lambda: ops.conv_transpose(IMAGE, KERNEL), "C=4"),
    "transposed_bias": (lambda: ops.conv_transpose(IMAGE[..., :2], KERNEL, bias=np.zeros(2)), "(2,)"),
    "transposed_rank": (lambda: ops.conv_transpose(IMAGE, KERNEL[0]), "(3, 4, 2)"),
    "nothing_left": (lambda: ops.conv_transpose(IMAGE[:, :1, :, :2], KERNEL[:2], 1, "same", (0, 1)), "(1, 5)"),
    "pool_window": (lambda: ops.max_pool(IMAGE, 6), "(5, 5)"),
    "crossentropy": (lambda: ops.categorical_crossentropy(X, X[:1]), "(1, 3, 4)"),
    "crossentropy_binary": (lambda: ops.binary_crossentropy(X, X[:1]), "(1, 3, 4)"),
    "crossentropy_sparse": (lambda: ops.sparse_categorical_crossentropy(np.zeros(3), X), "(3,)"),
    "negative_dim": (lambda: ops.zeros((2, -1)), "(2, -1)"),
    "seven_axes": (lambda: ops.transpose(np.zeros((2,) * 7)), "(2, 2, 2, 2, 2, 2, 2)"),
}


@pytest.mark.parametrize("name", SHAPE_ERRORS)
def test_shapes_that_do_not_fit(backend, name):
    call, received = SHAPE_ERRORS[name]
    with pytest.raises(ShapeError) as error:
        call()
    assert received in str(error.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.zeros((1 << 62, 1 << 62)),
        lambda: ops.ones((1 << 41,)),
        lambda: ops.zeros((0, 1 << 40, 1 << 40)),
        lambda: ops.broadcast_to(1.0, (1 << 30, 1 << 30)),
        lambda: ops.repeat(np.zeros((1 << 10, 1)), 1 << 40, 1),
        lambda: ops.tile(np.zeros(1 << 10), 1 << 40),
        lambda: ops.pad(np.zeros(3), 1 << 50),
        lambda: ops.one_hot(np.zeros(1 << 10), 1 << 40),
    ],
)
def test_sizes_beyond_reason_allocate_nothing(call):
    with pytest.raises((ShapeError, MemoryError)):
        call()


@pytest.mark.parametrize("x", [np.array(["a"]), np.array([1j]), np.array([None]), np.array([b"a"]), "text", None])
def test_what_is_no_number(backend, x):
    for call in (
        ops.relu, ops.transpose, ops.softmax, ops.sum, lambda a: ops.reshape(a, (1,)), lambda a: ops.add(X, a),
        lambda a: ops.cast(a, "int32"), lambda a: ops.conv(IMAGE, a), lambda a: ops.conv(IMAGE, KERNEL, bias=a or "b"),
    ):  # fmt: skip
        with pytest.raises(DTypeError):
            call(x)


def test_indices_of_wrong_types():
    for key in ("a", 1.5, True, [0, 1], np.array([True])):
        with pytest.raises(DTypeError):
            ops.getitem(X, key)


@pytest.mark.parametrize("dtype", ["complex64", "U1", "object", "nonsense", np.datetime64])
def test_dtypes_that_are_none(dtype):
    with pytest.raises(DTypeError):
        ops.cast(X, dtype)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.conv(IMAGE, KERNEL, padding="full"),
        lambda: ops.conv(IMAGE, KERNEL, padding="causal"),
        lambda: ops.max_pool(IMAGE, 2, padding="causal"),
        lambda: ops.average_pool(IMAGE, 2, padding=None),
        lambda: ops.conv(IMAGE, KERNEL, strides=0),
        lambda: ops.conv(IMAGE, KERNEL, strides=(1, 2, 3)),
        lambda: ops.conv(IMAGE, KERNEL, dilation_rate=1.5),
        lambda: ops.max_pool(IMAGE, 1 << 40),
        lambda: ops.conv_transpose(IMAGE[..., :2], KERNEL, padding="causal"),
        lambda: ops.conv_transpose(IMAGE[..., :2], KERNEL, output_padding=-1),
        lambda: ops.conv_transpose(IMAGE[..., :2], KERNEL, strides=(2, 2, 2)),
        lambda: ops.conv(IMAGE, KERNEL, data_format="NHWC"),
        lambda: ops.pad(X, 1, mode="reflect"),
    ],
)
def test_arguments_that_are_not_allowed(call):
    with pytest.raises(ConfigError):
        call()


# --- variables as arguments -----------------------------------------------------------------------------------------

UNCHANGED = {
    "cast": lambda v: ops.cast(v, "float32"),
    "broadcast_to": lambda v: ops.broadcast_to(v, (2, 3)),
    "reshape": lambda v: ops.reshape(v, (2, 3)),
    "reshape_flat": lambda v: ops.reshape(v, (6,)),
    "transpose": lambda v: ops.transpose(v, (0, 1)),
    "getitem": lambda v: v[:],
    "getitem_new": lambda v: v[None],
    "pad": lambda v: ops.pad(v, 0),
    "concatenate": lambda v: ops.concatenate([v]),
    "tile": lambda v: ops.tile(v, 1),
    "convert_to_tensor": ops.convert_to_tensor,
    "convert_to_numpy": ops.convert_to_numpy,
    "sum": lambda v: ops.sum(v, axis=()),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_results_do_not_follow_a_variable(backend, name):
    variable = Variable(np.arange(6.0).reshape(2, 3))
    y = UNCHANGED[name](variable)
    variable.assign(np.zeros((2, 3)))
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y.reshape(-1), np.arange(6))


def test_operators_of_variables(backend):
    v, x = Variable([1.0, -2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for made, expected in (
        (v + x, [3, 0, 5]), (x - v, [1, 4, -1]), (-v, [-1, 2, -3]), (abs(v), [1, 2, 3]), (2 / v, [2, -1, 2 / 3]),
        (v**2, [1, 4, 9]), (v // 2, [0, -1, 1]), (v % 2, [1, 0, 1]), (v @ x, 4), (v[1:], [-2, 3]),
        (v > 0, [True, False, True]), (x <= v, [False, False, True]), (len(v), 3),
    ):  # fmt: skip
        np.testing.assert_allclose(made, expected, rtol=1e-6)
    assert [float(item) for item in v] == [1, -2, 3]
    with pytest.raises(TypeError, match="truth value"):
        bool(v)


def test_gradient_of_mish_stays_1_for_large_arguments():
    x = np.array([20, 100, 1e18, 3e38], np.float32)
    dx = np.empty_like(x)
    fields = {"count": x.size, "func": UNARY["mish"], "alpha": 0.0, "beta": 0.0}
    native.call("unary_bwd", fields, [x, None, np.ones_like(x)], [dx])
    np.testing.assert_array_equal(dx, 1)
