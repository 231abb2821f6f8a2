"""Cases for every operation: descriptor fields, seeded inputs, shapes of outputs.

`CASES[op]` is a list of Case. Sizes are small and odd on purpose: vectors and tiles have rests, windows
stick out on one side only, batches are empty. To add a case, add a line to the table of its family. The file is
long because it is a list: families share the tables of windows and activations, and nothing else.
"""

import zlib
from dataclasses import dataclass
from itertools import product

import numpy as np

from cnnengine.core.codes import BINARY, DTYPE, REDUCE, UNARY
from cnnengine.reference.elementwise import FORWARD
from tests.support.defs import unary_needs

F32, I32, U8 = np.float32, np.int32, np.uint8
NO_ACT = {"act": 0, "alpha": 0.0, "beta": 0.0}


@dataclass(frozen=True)
class Case:
    """One call of an operation.

    `inputs` are arrays, None for an absent one, a tuple for a list. `outputs` are (shape, dtype), or the
    array that an operation in place starts from.
    """

    id: str
    fields: dict
    inputs: list
    outputs: list


CASES: dict[str, list[Case]] = {}


def _add(op, name, fields, inputs, outputs):
    """Add a case; an input given as a shape is drawn from a normal distribution seeded by the case's name."""
    rng = np.random.default_rng(zlib.crc32(f"{op} {name}".encode()))

    def value(spec):
        if isinstance(spec, list):
            return tuple(value(one) for one in spec)
        return rng.standard_normal(spec).astype(F32) if isinstance(spec, tuple) else spec

    outputs = [(spec, F32) if isinstance(spec, tuple) and spec[-1:] not in _TYPES else spec for spec in outputs]
    CASES.setdefault(op, []).append(Case(name, fields, [value(spec) for spec in inputs], outputs))


_TYPES = ((F32,), (I32,), (U8,))


def _rng(*key):
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def _ints(*values):
    return np.array(values, I32)


def _act(name, alpha=0.0, beta=0.0):
    return {"act": UNARY[name], "alpha": alpha, "beta": beta}


ACTS = {
    "relu": _act("relu"),
    "relu6": _act("relu6"),
    "leaky_relu": _act("leaky_relu", 0.2),
    "sigmoid": _act("sigmoid"),
    "tanh": _act("tanh"),
    "silu": _act("silu"),
    "gelu": _act("gelu"),
    "hard_silu": _act("hard_silu"),
    "mish": _act("mish"),
    "affine": _act("affine", 0.5, -1.0),
}


# --- matmul ---------------------------------------------------------------------------------------

#           name              batch   m    n    k  ta tb b_batched
_MATMUL = [
    ("unit", 1, 1, 1, 1, 0, 0, 0),
    ("row", 1, 1, 10, 100, 0, 0, 0),
    ("column", 1, 37, 1, 19, 0, 0, 0),
    ("odd", 1, 5, 3, 17, 0, 0, 0),
    ("ta", 1, 5, 3, 17, 1, 0, 0),
    ("tb", 1, 5, 33, 17, 0, 1, 0),
    ("ta_tb", 1, 7, 35, 9, 1, 1, 0),
    ("empty", 1, 0, 5, 3, 0, 0, 0),
    ("batch_shared_b", 3, 5, 7, 9, 0, 0, 0),
    ("batch", 3, 5, 7, 9, 0, 0, 1),
    ("batch_ta", 2, 17, 3, 5, 1, 0, 1),
    ("batch_tb", 2, 3, 17, 5, 0, 1, 1),
    ("batch_ta_tb", 5, 3, 2, 5, 1, 1, 1),
    ("batch_empty", 0, 3, 2, 5, 0, 0, 1),
    ("deep", 1, 3, 5, 2100, 0, 0, 0),
    ("deep_ta", 1, 9, 17, 2100, 1, 0, 0),
    ("deep_tall", 1, 140, 17, 2100, 0, 0, 0),
    ("wide", 1, 3, 517, 5, 0, 0, 0),
    ("row_wide", 1, 1, 530, 70, 0, 0, 0),
    ("row_deep", 1, 1, 300, 2100, 0, 0, 0),
    ("row_tb", 1, 1, 300, 33, 0, 1, 0),
    ("few_rows_wide", 1, 20, 1048, 40, 0, 0, 0),
    ("few_rows_wide_odd", 1, 9, 1043, 35, 0, 0, 0),
    ("few_rows_ta", 1, 20, 1040, 33, 1, 0, 0),
    ("few_rows_deep", 1, 7, 530, 2100, 0, 0, 0),
    ("few_rows_batch", 2, 4, 600, 21, 0, 0, 1),
    ("large", 1, 133, 130, 300, 0, 0, 0),
    ("rows_alias", 1, 30, 1030, 1024, 0, 0, 0),
    ("shared_by_columns", 1, 61, 149, 20, 0, 0, 0),
    ("large_ta_tb", 1, 133, 130, 70, 1, 1, 0),
]


def _matmul_case(op, name, sizes, bias=False, addend=False, act=NO_ACT):
    batch, m, n, k, ta, tb, b_batched = sizes
    names = ("batch", "m", "n", "k", "ta", "tb", "b_batched")
    fields = dict(zip(names, sizes, strict=True), packed=0, **act)
    a = (batch, k, m) if ta else (batch, m, k)
    b = ((batch,) if b_batched else ()) + ((n, k) if tb else (k, n))
    if op == "matmul_pack":
        _add(op, name, fields, [b], [b])
    else:
        rest = [(n,) if bias else None, (batch, m, n) if addend else None]
        _add(op, name, fields, [a, b, *rest], [(batch, m, n)])


def _matmul_cases():
    for name, *sizes in _MATMUL:
        _matmul_case("matmul_fwd", name, sizes)
        _matmul_case("matmul_pack", name, sizes)
    for bias, addend in product((False, True), repeat=2):
        _matmul_case("matmul_fwd", f"epilogue_{bias:d}{addend:d}", (1, 9, 35, 4, 0, 0, 0), bias, addend, ACTS["relu"])
    _matmul_case("matmul_fwd", "epilogue_batch", (3, 9, 5, 4, 0, 0, 1), True, True, ACTS["relu"])
    for name, *sizes in (
        ("deep", 1, 9, 35, 2100, 0, 0, 0),
        ("row", 1, 1, 530, 20, 0, 0, 0),
        ("chunk", 1, 7, 515, 2100, 0, 0, 0),
        ("aliased", 1, 5, 1024, 40, 0, 0, 0),
    ):
        _matmul_case("matmul_fwd", f"epilogue_{name}", sizes, True, True, ACTS["relu"])
    for n in (16, 17, 513):
        _matmul_case("matmul_fwd", f"few_{n}", (1, 3, n, 20, 0, 0, 0), True, False, ACTS["silu"])
    a = _rng("specials").standard_normal((1, 9, 7)).astype(F32)
    a[0, 2, 3], a[0, 5, 6] = np.nan, np.inf
    fields = CASES["matmul_fwd"][0].fields | {"m": 9, "n": 35, "k": 7} | ACTS["relu"]
    _add("matmul_fwd", "specials", fields, [a, (7, 35), None, None], [(1, 9, 35)])
    for name, act in ACTS.items():
        _matmul_case("matmul_fwd", f"act_{name}", (1, 9, 21, 6, 0, 0, 0), True, False, act)
        _matmul_case("matmul_fwd", f"act_row_{name}", (1, 1, 530, 6, 0, 0, 0), True, False, act)


# --- windows: convolutions and poolings -----------------------------------------------------------


def _windows(h, w, r, s, stride=(1, 1), dilation=(1, 1), pad=(0, 0, 0, 0)):
    """Fields of windows; pad is top, bottom, left, right."""
    top, bottom, left, right = pad
    p = (h + top + bottom - (r - 1) * dilation[0] - 1) // stride[0] + 1
    q = (w + left + right - (s - 1) * dilation[1] - 1) // stride[1] + 1
    fields = {"h": h, "w": w, "r": r, "s": s, "p": p, "q": q, "pad_t": top, "pad_l": left}
    strides = {"stride_h": stride[0], "stride_w": stride[1]}
    return fields | strides | {"dilation_h": dilation[0], "dilation_w": dilation[1]}


WINDOWS = {
    "unit": _windows(1, 1, 1, 1),
    "pointwise": _windows(5, 7, 1, 1),
    "pointwise_strided": _windows(5, 8, 1, 1, stride=(2, 3)),
    "same": _windows(6, 5, 3, 3, pad=(1, 1, 1, 1)),
    "valid": _windows(6, 9, 3, 2),
    "strided_same": _windows(8, 8, 3, 3, stride=(2, 2), pad=(0, 1, 0, 1)),
    "stride_over_kernel": _windows(9, 8, 2, 2, stride=(3, 4)),
    "rest": _windows(7, 9, 2, 3, stride=(2, 3)),
    "uneven_pad": _windows(5, 6, 3, 4, pad=(2, 1, 0, 3)),
    "larger_than_image": _windows(3, 2, 5, 5, pad=(2, 2, 2, 2)),
    "row": _windows(1, 19, 1, 5, pad=(0, 0, 2, 2)),
    "row_strided": _windows(1, 20, 1, 4, stride=(1, 2), pad=(0, 0, 1, 0)),
    "whole": _windows(4, 5, 4, 5),
    "many": _windows(61, 53, 1, 1),
    "many_same": _windows(61, 53, 3, 3, pad=(1, 1, 1, 1)),
}
DILATED = {
    "dilated": _windows(9, 10, 3, 3, dilation=(2, 3)),
    "dilated_same": _windows(7, 7, 3, 3, dilation=(2, 2), pad=(2, 2, 2, 2)),
    "dilated_even": _windows(9, 8, 2, 3, stride=(2, 2), dilation=(2, 2), pad=(1, 0, 2, 0)),
    "dilated_strided": _windows(11, 9, 2, 3, stride=(2, 2), dilation=(3, 2), pad=(1, 2, 0, 2)),
}

# Of transposed convolutions, whose output may be larger than what the windows see, or smaller than the strides.
TRANSPOSED = {
    "output_padding": {**_windows(10, 9, 3, 3, stride=(3, 2)), "h": 12, "w": 10},
    "cut_off": {**_windows(9, 9, 4, 4, stride=(2, 2), pad=(2, 0, 1, 0)), "h": 7, "w": 8},
    "smaller_than_stride": {**_windows(5, 5, 5, 5, stride=(3, 4), pad=(2, 0, 1, 0)), "h": 2, "w": 1},
}

#        name                windows              n  c   k   groups
_CONV = [
    ("unit", "unit", 1, 1, 1, 1),
    ("empty", "same", 0, 3, 5, 1),
    ("batch", "same", 5, 3, 17, 1),
    ("pointwise", "pointwise", 2, 17, 33, 1),
    ("pointwise_strided", "pointwise_strided", 2, 5, 3, 1),
    ("valid", "valid", 2, 5, 17, 1),
    ("strided_same", "strided_same", 3, 3, 16, 1),
    ("stride_over_kernel", "stride_over_kernel", 2, 3, 5, 1),
    ("uneven_pad", "uneven_pad", 2, 17, 5, 1),
    ("larger_than_image", "larger_than_image", 2, 3, 4, 1),
    ("row", "row", 3, 5, 7, 1),
    ("row_strided", "row_strided", 2, 1, 33, 1),
    ("whole", "whole", 2, 3, 10, 1),
    ("dilated", "dilated", 2, 3, 5, 1),
    ("dilated_same", "dilated_same", 1, 16, 8, 1),
    ("dilated_strided", "dilated_strided", 2, 5, 3, 1),
    ("dilated_even", "dilated_even", 2, 5, 3, 1),
    ("shared_by_columns", "pointwise", 1, 24, 149, 1),
    ("many_widening", "many", 3, 24, 144, 1),
    ("many_narrowing", "many", 3, 40, 24, 1),
    ("many_a_vector", "many", 3, 32, 16, 1),
    ("many_few_channels", "many_same", 3, 5, 35, 1),
    ("many_same", "many_same", 3, 19, 33, 1),
    ("shared_by_columns_same", "same", 1, 19, 83, 1),
    ("shared_by_columns_groups", "strided_same", 1, 40, 190, 2),
    ("groups", "same", 2, 4, 6, 2),
    ("groups_odd", "strided_same", 2, 9, 51, 3),
    ("groups_pointwise", "pointwise", 1, 34, 6, 2),
    ("groups_depthwise", "same", 2, 5, 10, 5),
    ("groups_of_2", "same", 2, 16, 16, 8),
    ("groups_of_3", "same", 2, 48, 48, 16),
    ("groups_of_4", "same", 5, 32, 32, 8),
    ("groups_of_4_alone", "same", 1, 12, 12, 3),
    ("groups_of_5", "strided_same", 1, 80, 80, 16),
    ("groups_of_8", "same", 2, 80, 80, 10),
    ("groups_of_16", "same", 2, 48, 48, 3),
    ("groups_of_24", "same", 2, 72, 72, 3),
    ("groups_of_32", "same", 2, 96, 96, 3),
    ("groups_of_32_strided", "strided_same", 2, 64, 64, 2),
    ("groups_multiplied", "same", 2, 16, 32, 4),
    ("groups_divided", "valid", 2, 32, 16, 4),
    ("groups_empty", "same", 0, 16, 16, 4),
    ("groups_narrow_pointwise", "pointwise", 2, 32, 32, 8),
    ("groups_pointwise_strided", "pointwise_strided", 2, 32, 32, 4),
    ("groups_valid", "valid", 2, 16, 16, 4),
    ("groups_strided", "strided_same", 3, 32, 32, 8),
    ("groups_strided_8", "strips_strided", 2, 32, 32, 4),
    ("groups_stride_over_kernel", "stride_over_kernel", 2, 16, 16, 4),
    ("groups_rest", "rest", 2, 16, 16, 4),
    ("groups_uneven_pad", "uneven_pad", 2, 32, 32, 4),
    ("groups_larger_than_image", "larger_than_image", 2, 16, 16, 4),
    ("groups_row", "row_strided", 2, 16, 16, 8),
    ("groups_whole", "whole", 2, 32, 32, 16),
    ("groups_dilated", "dilated", 2, 16, 16, 4),
    ("groups_dilated_same", "dilated_same", 2, 32, 32, 4),
    ("groups_dilated_strided", "dilated_strided", 2, 16, 16, 4),
    ("groups_cut_off", "cut_off", 2, 16, 16, 4),
    ("groups_smaller_than_stride", "smaller_than_stride", 2, 16, 16, 4),
    ("one_channel", "valid", 1, 1, 64, 1),
    ("wide", "pointwise", 1, 33, 130, 1),
    ("wide_bands", "pointwise", 2, 35, 1040, 1),
    ("large", "large", 2, 67, 40, 1),
    ("deep", "deep", 1, 300, 18, 1),
    ("deep_in_pieces", "row_3", 1, 1100, 6, 1),
    ("deep_together", "tall_9", 1, 80, 6, 1),
    ("strips", "strips", 3, 70, 9, 1),
    ("strips_groups", "strips", 3, 6, 34, 2),
    ("strips_narrow_row", "long_row", 2, 16, 16, 4),
    ("strips_groups_of_4", "strips", 3, 144, 144, 36),
    ("strips_groups_of_8", "winograd_strips", 1, 32, 32, 4),
    ("strips_strided", "strips_strided", 4, 5, 20, 1),
    ("strips_pointwise", "strips_pointwise", 3, 9, 4, 1),
    ("strips_pointwise_wide", "strips_pointwise", 2, 40, 70, 1),
    ("output_padding", "output_padding", 2, 5, 3, 1),
    ("cut_off", "cut_off", 2, 3, 17, 1),
    ("smaller_than_stride", "smaller_than_stride", 2, 3, 5, 1),
]
_LARGE = {
    "large": _windows(14, 15, 3, 3, pad=(1, 1, 1, 1)),
    "deep": _windows(4, 3, 3, 3, pad=(1, 1, 1, 1)),
    "row_3": _windows(2, 3, 1, 3, pad=(0, 0, 1, 1)),
    "tall_9": _windows(5, 3, 9, 3, pad=(4, 4, 1, 1)),
    # More pixels than the kernels take at a time, the cuts falling inside images.
    "strips": _windows(13, 40, 3, 3, pad=(1, 1, 1, 1)),
    "strips_strided": _windows(33, 35, 3, 3, stride=(2, 2), pad=(1, 1, 0, 1)),
    "strips_pointwise": _windows(25, 27, 1, 1),
    "long_row": _windows(2, 700, 1, 3, pad=(0, 0, 1, 1)),
    # Wide rows, of which a strip has few.
    "block_strips": _windows(9, 21, 3, 3, pad=(1, 1, 1, 1)),
    "block_strips_strided": _windows(12, 20, 3, 3, stride=(2, 2), pad=(0, 1, 1, 1)),
    "winograd_strips": _windows(70, 74, 3, 3, pad=(1, 1, 1, 1)),
    "winograd_valid": _windows(9, 11, 3, 3),
    "winograd_pad": _windows(7, 6, 3, 3, pad=(2, 1, 0, 2)),
}
# Windows that see no cell of the image have a meaning in pooling only.
_POOL_ONLY = {"outside": _windows(3, 3, 2, 2, pad=(2, 0, 2, 3)), "most_taps": _windows(17, 18, 16, 16)}
ALL_WINDOWS = WINDOWS | DILATED | TRANSPOSED | _LARGE | _POOL_ONLY


def _conv_shapes(f):
    x, y = (f["n"], f["h"], f["w"], f["c"]), (f["n"], f["p"], f["q"], f["k"])
    w = (f["r"], f["s"], f["c"] // f["groups"], f["k"])
    if f["f"] == f["t"] == f["o"] == 1:
        return x, w, y
    return (x[0], f["f"], *x[1:]), (f["t"], *w), (y[0], f["o"], *y[1:])


def _conv_fwd(name, fields, bias=False, addend=False, act=NO_ACT):
    x, w, y = _conv_shapes(fields)
    rest = [(fields["k"],) if bias else None, y if addend else None]
    _add("conv2d_fwd", name, fields | act, [x, w, *rest], [y])


def _conv_into(name, fields, before, after, bias=False, base=True, act=NO_ACT):
    """A convolution as some channels of a wider y."""
    x, w, y = _conv_shapes(fields)
    y = (*y[:-1], before + fields["k"] + after)
    rest = [(fields["k"],) if bias else None, y if base else None]
    _add("conv2d_into", name, fields | act | {"y_c": y[-1], "y_at": before}, [x, w, *rest], [y])


def _conv_data(name, fields, bias=False, addend=False, act=NO_ACT):
    x, w, y = _conv_shapes(fields)
    rest = [(fields["c"],) if bias else None, x if addend else None]
    _add("conv2d_bwd_data", name, fields | act, [y, w, *rest], [x])


def _conv_packs(name, fields):
    _, w, _ = _conv_shapes(fields)
    for op in ("conv2d_pack", "conv2d_bwd_data_pack"):
        _add(op, name, fields, [w], [w])


def _frames(f, t, stride=1, dilation=1, pad=(0, 0)):
    """Fields of the first of three axes; pad is before, behind."""
    o = (f + sum(pad) - (t - 1) * dilation - 1) // stride + 1
    return {"f": f, "t": t, "o": o, "stride_f": stride, "dilation_f": dilation, "pad_f": pad[0]}


_ONE_FRAME = {"f": 1, "t": 1, "o": 1, "stride_f": 1, "dilation_f": 1, "pad_f": 0}
_PLAIN_CONV = {"algorithm": 0, "packed": 0, **_ONE_FRAME}

#             name         windows            n  c   k   frames
_WINOGRAD = [
    ("same", "same", 2, 16, 32, {}),
    ("empty", "same", 0, 16, 16, {}),
    ("valid", "winograd_valid", 3, 32, 16, {}),
    ("uneven_pad", "winograd_pad", 2, 16, 80, {}),
    ("strips", "winograd_strips", 4, 16, 16, {}),
    ("large", "large", 3, 64, 48, {}),
    ("3d", "same", 2, 16, 32, _frames(4, 3, pad=(1, 1))),
    ("3d_empty", "same", 0, 16, 16, _frames(4, 3)),
    ("3d_valid", "winograd_valid", 2, 32, 16, _frames(5, 2)),
    ("3d_uneven_pad", "winograd_pad", 2, 16, 80, _frames(3, 4, pad=(1, 3))),
    ("3d_outside", "same", 2, 16, 16, _frames(1, 2, pad=(2, 2))),
    ("3d_cut_off", "same", 2, 16, 16, {**_frames(4, 2), "f": 6}),
]


def _winograd_cases():
    for algorithm in (1, 2):
        for name, windows, n, c, k, frames in _WINOGRAD:
            sizes = {"n": n, "c": c, "k": k, "groups": 1}
            fields = {**ALL_WINDOWS[windows], **sizes, **_PLAIN_CONV, **frames, **NO_ACT}
            fields["algorithm"] = algorithm
            x, w, y = _conv_shapes(fields)
            name = f"winograd_{algorithm}_{name}"
            _conv_fwd(name, fields)
            _conv_into(name, fields, 16, 32)
            _conv_data(name, fields)
            _conv_packs(name, fields)
            if algorithm == 1:  # the gradient of the filters has one size of tiles
                _add("conv2d_bwd_weights", name, fields, [x, y], [w])
        for act in ("relu", "tanh"):
            for case in (_conv_fwd, _conv_data):
                case(f"winograd_{algorithm}_epilogue_{act}", fields, True, True, ACTS[act])
            _conv_into(f"winograd_{algorithm}_epilogue_{act}", fields, 5, 0, True, True, ACTS[act])


#        name                 frames                                      windows              n  c   k  groups
_CONV_3D = [
    ("3d_unit", _frames(2, 2), "unit", 1, 1, 1, 1),
    ("3d_empty", _frames(4, 3, pad=(1, 1)), "same", 0, 3, 5, 1),
    ("3d_same", _frames(4, 3, pad=(1, 1)), "same", 3, 3, 17, 1),
    ("3d_valid", _frames(5, 2), "valid", 2, 5, 17, 1),
    ("3d_padded_frames", _frames(3, 3, pad=(1, 1)), "valid", 2, 5, 6, 1),
    ("3d_strided", _frames(6, 3, stride=2, pad=(0, 1)), "strided_same", 2, 3, 16, 1),
    ("3d_stride_over_kernel", _frames(7, 2, stride=3), "stride_over_kernel", 2, 3, 5, 1),
    ("3d_only_frames", _frames(5, 3, stride=2, pad=(2, 0)), "pointwise", 2, 17, 9, 1),
    ("3d_skipped_frames", _frames(5, 1, stride=3), "same", 2, 4, 5, 1),
    ("3d_dilated", _frames(7, 3, dilation=2, pad=(2, 2)), "dilated", 1, 3, 5, 1),
    ("3d_dilated_strided", _frames(6, 3, stride=2, dilation=3, pad=(3, 1)), "dilated_strided", 2, 3, 4, 1),
    ("3d_groups", _frames(3, 2, pad=(1, 0)), "uneven_pad", 2, 6, 34, 2),
    ("3d_groups_of_4", _frames(5, 3, stride=2, pad=(1, 1)), "strided_same", 2, 32, 32, 8),
    ("3d_groups_of_8", _frames(4, 3, dilation=2, pad=(2, 2)), "strips", 2, 16, 16, 2),
    ("3d_outside", _frames(1, 4, pad=(3, 2)), "larger_than_image", 2, 3, 4, 1),
    ("3d_groups_unreached", _frames(7, 1, stride=2), "stride_over_kernel", 2, 6, 4, 2),
    ("3d_groups_no_cells", {**_frames(6, 3, stride=5), "f": 2}, "smaller_than_stride", 2, 32, 34, 2),
    ("3d_whole", _frames(3, 3), "whole", 2, 3, 10, 1),
    ("3d_strips", _frames(4, 3, pad=(1, 1)), "strips", 2, 20, 9, 1),
    ("3d_cut_off", {**_frames(7, 2, stride=2, pad=(1, 0)), "f": 8}, "cut_off", 2, 3, 5, 1),
    ("3d_smaller_than_stride", {**_frames(6, 3, stride=5), "f": 2}, "smaller_than_stride", 2, 3, 5, 1),
]


def _conv_cases():
    all_cases = [(name, _ONE_FRAME, *rest) for name, *rest in _CONV] + _CONV_3D
    for name, frames, windows, n, c, k, groups in all_cases:
        sizes = {"n": n, "c": c, "k": k, "groups": groups}
        fields = {**ALL_WINDOWS[windows], **sizes, **_PLAIN_CONV, **frames, **NO_ACT}
        x, w, y = _conv_shapes(fields)
        _conv_fwd(name, fields)
        _conv_into(name, fields, 3, 14)
        _conv_data(name, fields)
        _add("conv2d_bwd_weights", name, fields, [x, y], [w])
        _conv_packs(name, fields)
    fields = {**WINDOWS["strided_same"], "n": 2, "c": 3, "k": 21, "groups": 1, **_PLAIN_CONV}
    unreached = {**WINDOWS["stride_over_kernel"], "n": 2, "c": 21, "k": 3, "groups": 1, **_PLAIN_CONV}
    for bias, addend in product((False, True), repeat=2):
        for case, f in ((_conv_fwd, fields), (_conv_data, fields | {"c": 21, "k": 3}), (_conv_data, unreached)):
            case(f"epilogue_{bias:d}{addend:d}_{f['stride_h']}", f, bias, addend, ACTS["relu"])
    for name, act in ACTS.items():
        _conv_fwd(f"act_{name}", fields, True, False, act)
        _conv_into(f"act_{name}", fields, 16, 0, True, True, act)
        _conv_into(f"act_alone_{name}", fields, 0, 0, True, False, act)
        _conv_data(f"act_{name}", fields, True, False, act)
    x, w, y = _conv_shapes(fields)
    image = _rng("nan").standard_normal(x).astype(F32)
    image[1, 3, 3, 1] = np.nan
    _add("conv2d_fwd", "nan_of_one_window", fields | ACTS["relu"], [image, w, None, None], [y])
    _conv_fwd("epilogue_groups", fields | {"c": 6, "k": 34, "groups": 2}, True, True, ACTS["relu"])
    _conv_data("epilogue_groups", fields | {"c": 34, "k": 6, "groups": 2}, True, True, ACTS["relu"])
    narrow = fields | {"c": 32, "k": 32, "groups": 8}
    for bias, addend, act in ((True, True, "relu"), (False, True, "affine"), (True, False, "tanh")):
        _conv_fwd(f"epilogue_narrow_{act}", narrow, bias, addend, ACTS[act])
        _conv_data(f"epilogue_narrow_{act}", narrow, bias, addend, ACTS[act])
    x, w, y = _conv_shapes(narrow)
    image = _rng("nan_of_group").standard_normal(x).astype(F32)
    image[1, 3, 3, 5] = np.nan
    _add("conv2d_fwd", "nan_of_one_group", narrow | NO_ACT, [image, w, None, None], [y])


#             name                windows              n  c  m
_DEPTHWISE = [
    ("unit", "unit", 1, 1, 1),
    ("empty", "same", 0, 3, 1),
    ("same", "same", 5, 17, 1),
    ("valid", "valid", 2, 33, 1),
    ("strided_same", "strided_same", 3, 5, 1),
    ("stride_over_kernel", "stride_over_kernel", 2, 3, 1),
    ("uneven_pad", "uneven_pad", 2, 16, 1),
    ("larger_than_image", "larger_than_image", 2, 3, 1),
    ("row", "row", 3, 5, 1),
    ("dilated", "dilated", 2, 7, 1),
    ("dilated_strided", "dilated_strided", 2, 5, 2),
    ("multiplier", "same", 2, 3, 2),
    ("multiplier_odd", "strided_same", 2, 5, 7),
    ("one_channel", "valid", 1, 1, 17),
    ("dilated_even", "dilated_even", 2, 5, 1),
    ("large", "large", 2, 65, 1),
    ("strips", "strips", 3, 21, 1),
]


def _depthwise_cases():
    for name, windows, n, c, m in _DEPTHWISE:
        fields = {**ALL_WINDOWS[windows], "n": n, "c": c, "m": m, **NO_ACT}
        x, w = (n, fields["h"], fields["w"], c), (fields["r"], fields["s"], c, m)
        y = (n, fields["p"], fields["q"], c * m)
        _add("depthwise2d_fwd", name, fields, [x, w, None], [y])
        _add("depthwise2d_bwd_data", name, fields, [y, w], [x])
        _add("depthwise2d_bwd_weights", name, fields, [x, y], [w])
    for name, act in {"none": NO_ACT, **ACTS}.items():
        fields = {**WINDOWS["strided_same"], "n": 2, "c": 19, "m": 1, **act}
        _add("depthwise2d_fwd", f"bias_{name}", fields, [(2, 8, 8, 19), (3, 3, 19, 1), (19,)], [(2, 4, 4, 19)])
    # A few lines at a time, threads that share channels, and several filters a channel.
    for windows, n, c, m, act in (("large", 1, 65, 1, "tanh"), ("same", 1, 256, 1, "silu"), ("same", 2, 5, 3, "silu")):
        f = {**ALL_WINDOWS[windows], "n": n, "c": c, "m": m, **ACTS[act]}
        x, w, y = (n, f["h"], f["w"], c), (f["r"], f["s"], c, m), (n, f["p"], f["q"], c * m)
        _add("depthwise2d_fwd", f"act_{windows}_{c}x{m}", f, [x, w, (c * m,)], [y])


#        name                 windows             n  c    wide  k  expands  addend  act
_DEPTHWISE_BLOCK = [
    ("unit", "unit", 1, 1, 1, 1, 1, 0, "relu"),
    ("empty", "same", 0, 3, 17, 5, 1, 0, "relu"),
    ("same", "same", 5, 3, 17, 5, 1, 1, "relu6"),
    ("same_alone", "same", 3, 19, 19, 33, 0, 0, "relu6"),
    ("valid", "valid", 2, 5, 33, 17, 1, 0, "silu"),
    ("strided_same", "strided_same", 3, 8, 16, 8, 1, 0, "relu"),
    ("strided_alone", "strided_same", 3, 16, 16, 8, 0, 1, "leaky_relu"),
    ("stride_over_kernel", "stride_over_kernel", 2, 3, 9, 4, 1, 0, "tanh"),
    ("uneven_pad", "uneven_pad", 2, 4, 16, 24, 1, 0, "relu"),
    ("larger_than_image", "larger_than_image", 2, 2, 8, 3, 1, 0, "relu"),
    ("dilated", "dilated", 2, 4, 8, 5, 1, 0, "relu"),
    ("cut_off", "cut_off", 2, 3, 17, 5, 1, 0, "relu"),
    ("strips", "block_strips", 3, 4, 600, 5, 1, 1, "relu6"),
    ("strips_strided", "block_strips_strided", 2, 3, 700, 4, 1, 0, "relu"),
    ("strips_alone", "block_strips", 1, 600, 600, 3, 0, 0, "relu"),
    ("one_row_a_strip", "block_strips", 1, 2, 1030, 3, 1, 0, "relu"),
    ("strips_silu", "block_strips", 2, 4, 600, 5, 1, 1, "silu"),
    ("deep", "pointwise", 2, 3, 2100, 5, 1, 0, "relu"),
]


def _depthwise_block_fields(window, n, c, wide, k, expands, act):
    def pointwise(h, w, c, k, act):
        kernel = _windows(h, w, 1, 1)
        return {**kernel, "n": n, "c": c, "k": k, "groups": 1, **_PLAIN_CONV, **act}

    parts = {
        "depthwise": {**window, "n": n, "c": wide, "m": 1, **act},
        "project": pointwise(window["p"], window["q"], wide, k, NO_ACT),
    }
    parts["expand"] = (
        pointwise(window["h"], window["w"], c, wide, act) if expands else dict.fromkeys(parts["project"], 0)
    )
    return {"expands": expands} | {f"{part}_{key}": v for part, fields in parts.items() for key, v in fields.items()}


def _depthwise_block_cases():
    for name, windows, n, c, wide, k, expands, addend, act in _DEPTHWISE_BLOCK:
        f = ALL_WINDOWS[windows]
        fields = _depthwise_block_fields(f, n, c, wide, k, expands, ACTS[act])
        y = (n, f["p"], f["q"], k)
        expand = [(1, 1, c, wide), (wide,)] if expands else [None, None]
        middle = [(f["r"], f["s"], wide, 1), (wide,) if addend else None]
        project = [(1, 1, wide, k), None if addend else (k,), y if addend else None]
        _add("depthwise_block_fwd", name, fields, [(n, f["h"], f["w"], c), *expand, *middle, *project], [y])


#        name                windows              n  c
_POOL = [
    ("unit", "unit", 1, 1),
    ("empty", "same", 0, 3),
    ("same", "same", 5, 17),
    ("valid", "valid", 2, 33),
    ("strided_same", "strided_same", 3, 5),
    ("stride_over_kernel", "stride_over_kernel", 2, 3),
    ("rest", "rest", 2, 16),
    ("uneven_pad", "uneven_pad", 2, 7),
    ("larger_than_image", "larger_than_image", 2, 3),
    ("row", "row", 3, 5),
    ("row_strided", "row_strided", 2, 1),
    ("whole", "whole", 2, 10),
    ("large", "large", 2, 65),
    ("wide", "whole", 2, 517),
    ("outside", "outside", 2, 5),
    ("most_taps", "most_taps", 1, 3),
]


def _pool_cases():
    for name, windows, n, c in _POOL:
        fields = {key: v for key, v in ALL_WINDOWS[windows].items() if not key.startswith("dilation")}
        fields |= {"n": n, "c": c}
        x, y = (n, fields["h"], fields["w"], c), (n, fields["p"], fields["q"], c)
        _add("max_pool2d_fwd", name, fields, [x], [y, (y, U8)])
        _add("max_pool2d_bwd", name, fields, [y, _chosen_taps(fields)], [x])
        _add("avg_pool2d_fwd", name, fields, [x], [y])
        _add("avg_pool2d_bwd", name, fields, [y], [x])
    x = _rng("special").integers(-1, 2, (2, 7, 9, 5)).astype(F32)
    x[0, 0, 0], x[0, 3, 4, 1], x[1, :, :, 2], x[1, 6, 8, 3] = np.nan, np.nan, -np.inf, np.inf
    fields = {**WINDOWS["rest"], "n": 2, "c": 5}
    del fields["dilation_h"], fields["dilation_w"]
    _add("max_pool2d_fwd", "ties_and_specials", fields, [x], [(2, 3, 3, 5), ((2, 3, 3, 5), U8)])


def _chosen_taps(f):
    """For each window a tap inside the image, as max_pool2d_fwd might have chosen."""
    rng = _rng(sorted(f.items()))
    index = np.zeros((f["n"], f["p"], f["q"], f["c"]), U8)
    for p, q in product(range(f["p"]), range(f["q"])):
        rows = [i for i in range(f["r"]) if 0 <= p * f["stride_h"] - f["pad_t"] + i < f["h"]]
        cols = [j for j in range(f["s"]) if 0 <= q * f["stride_w"] - f["pad_l"] + j < f["w"]]
        shape = (f["n"], f["c"])
        if rows and cols:
            index[:, p, q] = rng.choice(rows, shape) * f["s"] + rng.choice(cols, shape)
    return index


# --- batch normalisation --------------------------------------------------------------------------


def _norm_fwd(name, rows, c, flags, act=NO_ACT):
    fields = {"rows": rows, "c": c, "training": 0, "epsilon": 1e-3, **act}
    var = _rng(name).uniform(0.01, 3, c).astype(F32)
    gamma, beta, addend = (
        (c,) if flags[0] else None,
        (c,) if flags[1] else None,
        (rows, c) if flags[2] else None,
    )
    _add("batch_norm_fwd", name, fields, [(rows, c), (c,), var, gamma, beta, addend], [(rows, c)])


def _norm_cases():
    for rows, c in ((0, 3), (1, 1), (2, 5), (7, 1), (33, 17), (200, 3), (65, 64), (1500, 33), (7001, 5)):
        fields = {"rows": rows, "c": c, "training": 1, "epsilon": 1e-3, **NO_ACT}
        name, var = f"{rows}x{c}", _rng(rows, c).uniform(0.01, 3, c).astype(F32)
        _add("batch_norm_stats", name, fields, [(rows, c)], [(c,), (c,)])
        _norm_fwd(name, rows, c, (True, True, False))
        for training, gamma in ((1, (c,)), (1, None), (0, (c,))):
            label = f"{name}_training{training}_gamma{gamma is not None:d}"
            x = _rng(label).standard_normal((rows, c)).astype(F32)
            inputs = [x, (rows, c), x.sum(0) / F32(max(rows, 1)), x.var(0) if training and rows else var, gamma]
            results = [(rows, c), (c,), (c,)]
            _add("batch_norm_bwd", label, fields | {"training": training}, [*inputs, None], results)
            for act, beta in (("relu", (c,)), ("relu6", (c,)), ("relu", None)):
                more = {"training": training, "act": UNARY[act]}
                _add(
                    "batch_norm_bwd", f"{label}_{act}_beta{beta is not None:d}", fields | more, [*inputs, beta], results
                )
    far = (_rng("far").standard_normal((300, 5)) + 50).astype(F32)
    _add("batch_norm_stats", "far_from_zero", fields | {"rows": 300, "c": 5}, [far], [(5,), (5,)])
    _norm_fwd("empty", 0, 5, (True, True, True))
    for flags in product((False, True), repeat=3):
        _norm_fwd("options_{:d}{:d}{:d}".format(*flags), 9, 19, flags, ACTS["relu"])
    for name, act in ACTS.items():
        _norm_fwd(f"act_{name}", 9, 19, (True, True, False), act)


def _own_norm_case(family, name, fields, x, mean, var):
    """Forward and backward of one shape, with every option; backward with the statistics that forward gives."""
    c, statistics = x.shape[-1], mean.shape
    for gamma, beta in product(((c,), None), repeat=2):
        label = f"{name}_{gamma is not None:d}{beta is not None:d}"
        _add(f"{family}_fwd", label, fields, [x, gamma, beta], [x.shape, statistics, statistics])
    for gamma in ((c,), None):
        inputs = [x, x.shape, mean, var, gamma]
        _add(f"{family}_bwd", f"{name}_{gamma is not None:d}", fields, inputs, [x.shape, (c,), (c,)])


def _own_norms():
    """Normalisations with each sample's own statistics."""
    for rows, c in ((0, 3), (1, 1), (3, 5), (7, 16), (9, 17), (5, 64), (13, 77), (150, 200), (2000, 10)):
        x = (_rng("layer", rows, c).standard_normal((rows, c)) * 2 + 1).astype(F32)
        _own_norm_case("layer_norm", f"{rows}x{c}", {"rows": rows, "c": c, "epsilon": 1e-3}, x, x.mean(1), x.var(1))
    far = (_rng("layer", "far").standard_normal((4, 300)) + 50).astype(F32)
    fields = {"rows": 4, "c": 300, "epsilon": 1e-3}
    _own_norm_case("layer_norm", "far_from_zero", fields, far, far.mean(1), far.var(1))
    shapes = (0, 4, 6, 2), (2, 0, 4, 2), (1, 1, 1, 1), (2, 9, 3, 1), (3, 5, 6, 3), (2, 35, 17, 17), (4, 1, 12, 4)
    for n, pixels, c, groups in (*shapes, (2, 1030, 32, 4), (1, 700, 67, 1), (7, 33, 24, 8)):
        x = (_rng("group", n, pixels, c).standard_normal((n, pixels, c)) * 2 + 1).astype(F32)
        fields = {"n": n, "pixels": pixels, "c": c, "groups": groups, "epsilon": 1e-3}
        name, inner = f"{n}x{pixels}x{c}_groups{groups}", x.reshape(n, pixels, groups, c // groups)
        moments = np.zeros((n, groups), F32), np.ones((n, groups), F32)
        if x.size:
            moments = inner.mean((1, 3)), inner.var((1, 3))
        _own_norm_case("group_norm", name, fields, x, *moments)


# --- elementwise ----------------------------------------------------------------------------------

PARAMETERS = {
    "leaky_relu": (0.3, 0.0),
    "elu": (1.5, 0.0),
    "clip": (-0.5, 0.75),
    "affine": (1.5, -0.25),
    "power": (1.7, 0.0),
    "threshold": (0.2, -3.0),
}
_POSITIVE = ("log", "sqrt", "rsqrt", "power")
_SPECIALS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 30, -30, 100, -100, 0.5, 1.5, -2.5, 1e-6, -1e-6], F32)


def _arguments(name, count, specials):
    x = _rng(name, count).standard_normal(count) * 3
    if name in _POSITIVE or name == "log1p":
        x = np.abs(x) + 0.01
    if name == "reciprocal":
        x += np.sign(x) * 0.1
    x = x.astype(F32)
    if specials:
        x[: len(_SPECIALS)] = _SPECIALS
    return x


def _unary_cases():
    needs = unary_needs()
    for name, func in UNARY.items():
        alpha, beta = PARAMETERS.get(name, (0.0, 0.0))
        fields = {"func": func, "alpha": alpha, "beta": beta}
        for count in (1, 203):
            x = _arguments(name, count, specials=count > 1)
            _add("unary_fwd", f"{name}_{count}", fields | {"count": count}, [x], [(count,)])
            x = _arguments(name, count, specials=False)
            y = np.asarray(FORWARD[name](x, alpha, beta), F32)
            reads = [x if needs[name] == "X" else None, y if needs[name] == "Y" else None]
            _add("unary_bwd", f"{name}_{count}", fields | {"count": count}, [*reads, (count,)], [(count,)])
    fields = {"func": UNARY["sigmoid"], "alpha": 0.0, "beta": 0.0}
    for count in (0, 4, 8, 16, 17, 20000):
        _add("unary_fwd", f"count_{count}", fields | {"count": count}, [(count,)], [(count,)])
        _add("unary_bwd", f"count_{count}", fields | {"count": count}, [None, (count,), (count,)], [(count,)])
    for exponent in (0.0, 0.5, 2.0, 3.0, -1.0):
        fields = {"count": 23, "func": UNARY["power"], "alpha": exponent, "beta": 0.0}
        _add("unary_fwd", f"power_of_{exponent}", fields, [(23,)], [(23,)])


#           name               dims                 stride_a             stride_b
_BINARY = [
    ("one", (1,), (1,), (1,)),
    ("vector", (37,), (1,), (1,)),
    ("scalar_b", (37,), (1,), (0,)),
    ("scalar_a", (37,), (0,), (1,)),
    ("scalars", (5,), (0,), (0,)),
    ("empty", (0, 5), (5, 1), (0, 1)),
    ("row", (7, 17), (17, 1), (0, 1)),
    ("column", (7, 17), (17, 1), (1, 0)),
    ("outer", (7, 17), (1, 0), (0, 1)),
    ("channels", (2, 3, 4, 5), (60, 20, 5, 1), (0, 0, 0, 1)),
    ("images", (2, 3, 4, 5), (60, 20, 5, 1), (1, 0, 0, 0)),
    ("squeeze", (2, 3, 4, 5), (60, 20, 5, 1), (5, 0, 0, 1)),
    ("transposed", (5, 7), (1, 5), (7, 1)),
    ("six", (2, 3, 1, 2, 3, 5), (90, 30, 30, 15, 5, 1), (0, 10, 0, 5, 0, 1)),
    ("large", (40, 517), (517, 1), (0, 1)),
]


def _extent(dims, strides):
    """How many elements a strided operand spans."""
    return 1 + sum((dim - 1) * stride for dim, stride in zip(dims, strides, strict=True)) if 0 not in dims else 0


def _binary_cases():
    for name, dims, stride_a, stride_b in _BINARY:
        fields = {"func": BINARY["subtract"], "ndim": len(dims), "dims": dims}
        fields |= {"stride_a": stride_a, "stride_b": stride_b}
        inputs = [(max(_extent(dims, stride_a), 0),), (max(_extent(dims, stride_b), 0),)]
        _add("binary", name, fields, inputs, [dims])
    specials = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2.5], F32)
    for name, func in BINARY.items():
        fields = {"func": func, "ndim": 1, "dims": (101,), "stride_a": (1,), "stride_b": (1,)}
        positive = np.abs(_rng(name).standard_normal(101)).astype(F32) + F32(0.1)
        _add("binary", name, fields, [positive if name == "power" else (101,), (101,)], [(101,)])
        if name in ("power", "mod", "floor_divide"):
            continue
        fields = fields | {"ndim": 2, "dims": (8, 8), "stride_a": (1, 0), "stride_b": (0, 1)}
        _add("binary", f"{name}_specials", fields, [specials, specials], [(8, 8)])
    bases, exponents = _ints(-3, -2, -1, 1, 2, 3).astype(F32), _ints(-2, -1, 0, 1, 2, 3, 5).astype(F32)
    fields = {"func": BINARY["power"], "ndim": 2, "dims": (6, 7), "stride_a": (1, 0), "stride_b": (0, 1)}
    _add("binary", "power_of_integers", fields, [bases, exponents], [(6, 7)])


def _copy_cases():
    for count in (0, 1, 37, 5000):
        condition = _rng(count).integers(0, 2, count).astype(F32)
        _add("select", str(count), {"count": count}, [condition, (count,), (count,)], [(count,)])
        _add("fill", str(count), {"count": count, "value": -1.5}, [], [(count,)])
    _add("select", "specials", {"count": 4}, [np.array([np.nan, -0.0, np.inf, 2], F32), (4,), (4,)], [(4,)])
    for name, dims, _, strides in _BINARY:
        fields = {"ndim": len(dims), "dims": dims, "stride_a": strides}
        _add("broadcast", name, fields, [(_extent(dims, strides),)], [dims])
    floats = np.array([0, -0.0, 1.9, -1.9, 255.5, 300, 3e9, -3e9, 1e20, np.inf, -np.inf, np.nan, 2147483520], F32)
    values = {F32: floats, I32: _ints(0, 1, 7, 255, 100), U8: np.arange(0, 255, 15, U8)}
    codes = {F32: DTYPE["float32"], I32: DTYPE["int32"], U8: DTYPE["uint8"]}
    for source, target in product(values, values):
        x = values[source]
        fields = {"count": len(x), "from": codes[source], "to": codes[target]}
        _add("cast", f"{source.__name__}_{target.__name__}", fields, [x], [(x.shape, target)])
        fields = fields | {"count": 0}
        _add("cast", f"{source.__name__}_{target.__name__}_0", fields, [x[:0]], [((0,), target)])
    many = (_rng("cast").standard_normal(5003) * 1000).astype(F32)
    fields = {"count": 5003, "from": DTYPE["float32"], "to": DTYPE["int32"]}
    _add("cast", "large", fields, [many], [((5003,), I32)])


# --- reductions and softmax -----------------------------------------------------------------------


def _reduce_cases():
    shapes = ((1, 1, 1), (3, 17, 1), (1, 33, 5), (4, 7, 9), (2, 1000, 1), (1, 1000, 33), (5, 1, 3), (0, 4, 3))
    shapes += ((2, 20000, 1), (2, 9001, 3), (1, 700, 100), (2, 5, 3000))
    for func, shape in product(REDUCE, shapes):
        sizes = dict(zip(("outer", "red", "inner"), shape, strict=True))
        x = _rng(func, shape).standard_normal(shape).astype(F32)
        if func == "prod":
            x = np.exp(0.1 * x).astype(F32)
        fields = sizes | {"func": REDUCE[func], "scale": 0.5}
        _add("reduce", f"{func}_{'x'.join(map(str, shape))}", fields, [x], [(shape[0], shape[2])])
    _add(
        "reduce",
        "sum_of_none",
        {"outer": 2, "red": 0, "inner": 3, "func": 0, "scale": 1.0},
        [(2, 0, 3)],
        [(2, 3)],
    )
    for shape in shapes:
        fields = dict(zip(("outer", "red", "inner"), shape, strict=True), func=0, scale=1.0)
        _add("argmax", "x".join(map(str, shape)), fields, [shape], [((shape[0], shape[2]), I32)])
    x = _rng("ties").integers(-1, 2, (3, 9, 7)).astype(F32)
    x[0, 4, 1], x[1, :, 2], x[2, 8, 3], x[2, 2:5, 4] = np.nan, -np.inf, np.inf, np.nan
    fields = {"outer": 3, "red": 9, "inner": 7, "func": 0, "scale": 1.0}
    _add("argmax", "ties_and_specials", fields, [x], [((3, 7), I32)])
    last = {**fields, "outer": 21, "inner": 1}
    _add(
        "argmax",
        "ties_and_specials_last",
        last,
        [x.transpose(0, 2, 1).reshape(21, 9, 1).copy()],
        [((21, 1), I32)],
    )
    for func in ("max", "min"):
        _add("reduce", f"{func}_specials", fields | {"func": REDUCE[func]}, [x], [(3, 7)])
        flat = x.transpose(0, 2, 1).reshape(21, 9, 1).copy()
        _add("reduce", f"{func}_specials_last", last | {"func": REDUCE[func]}, [flat], [(21, 1)])
        tall = _rng("tall").standard_normal((2, 300, 7)).astype(F32)
        tall[0, 5, 1], tall[0, 299, 2], tall[1, 250, 3], tall[1, :, 4] = np.nan, np.nan, np.inf, -np.inf
        tall_fields = {"outer": 2, "red": 300, "inner": 7, "func": REDUCE[func], "scale": 1.0}
        _add("reduce", f"{func}_specials_tall", tall_fields, [tall], [(2, 7)])


def _softmax_cases():
    # Few columns go in tiles of two vectors of rows, more than 64 row by row.
    few = [(rows, 10) for rows in (0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1000)] + [(101, 1), (37, 8), (35, 16)]
    limit = [(33, 63), (33, 64), (70, 65)]
    for rows, cols in (*few, *limit, (1, 1), (5, 17), (33, 3), (3, 100), (2, 1000)):
        fields, shape, name = {"rows": rows, "cols": cols, "sparse": 0}, (rows, cols), f"{rows}x{cols}"
        y = _rng(name).dirichlet(np.ones(cols), rows).astype(F32).reshape(shape)
        logs, dense = np.log(y + F32(1e-6)), y[::-1].copy()
        classes = _rng(name).integers(0, cols, rows).astype(I32)
        _add("softmax_fwd", name, fields, [shape], [shape])
        _add("softmax_bwd", name, fields, [y, shape], [shape])
        _add("log_softmax_fwd", name, fields, [shape], [shape])
        _add("log_softmax_bwd", name, fields, [logs, shape], [shape])
        for sparse, t in ((0, dense), (1, classes)):
            kind = fields | {"sparse": sparse}
            _add("softmax_xent_fwd", f"{name}_sparse{sparse}", kind, [shape, t], [(rows,), shape])
            _add("softmax_xent_bwd", f"{name}_sparse{sparse}", kind, [y, t, (rows,)], [shape])
    extreme = np.array([[1e4, -1e4, 0], [-1e30, 0, 1], [88, 89, 90], [-200, -300, -400]], F32)
    fields = {"rows": 4, "cols": 3, "sparse": 0}
    _add("softmax_fwd", "extreme", fields, [extreme], [(4, 3)])
    _add("log_softmax_fwd", "extreme", fields, [extreme], [(4, 3)])
    nan, inf = np.nan, np.inf
    special = np.array([[0, nan, 1], [inf, 0, 1], [-inf, 0, 1], [-inf, -inf, -inf], [nan, inf, -inf]], F32)
    fields = {"rows": 5, "cols": 3, "sparse": 0}
    _add("softmax_fwd", "specials", fields, [special], [(5, 3)])
    _add("log_softmax_fwd", "specials", fields, [special], [(5, 3)])
    t = np.array([[0, 0, 1]] * 5, F32)
    _add("softmax_xent_fwd", "specials_sparse0", fields, [special, t], [(5,), (5, 3)])
    fields = fields | {"sparse": 1}
    _add("softmax_xent_fwd", "specials_sparse1", fields, [special, _ints(2, 2, 2, 2, 2)], [(5,), (5, 3)])
    outside, fields = _ints(0, -1, 3, 2**31 - 1, 2, -(2**31)), {"rows": 6, "cols": 3, "sparse": 1}
    _add("softmax_xent_fwd", "out_of_range", fields, [(6, 3), outside], [(6,), (6, 3)])
    _add("softmax_xent_bwd", "out_of_range", fields, [(6, 3), outside, (6,)], [(6, 3)])


# --- layout ---------------------------------------------------------------------------------------


def _layout_cases():
    permutations = (
        (0,),
        (1, 0),
        (0, 1),
        (2, 0, 1),
        (0, 2, 1),
        (0, 3, 1, 2),
        (0, 2, 3, 1),
        (5, 3, 4, 0, 2, 1),
    )
    for axes in permutations:
        shape = (3, 5, 2, 7, 1, 4)[: len(axes)]
        strides = [int(np.prod(shape[axis + 1 :])) for axis in axes]
        dims = tuple(shape[axis] for axis in axes)
        fields = {"ndim": len(axes), "dims": dims, "stride": tuple(strides)}
        _add("transpose", "".join(map(str, axes)), fields, [shape], [dims])
    _add("transpose", "empty", {"ndim": 2, "dims": (3, 0), "stride": (1, 3)}, [(0, 3)], [(3, 0)])
    _add("transpose", "large", {"ndim": 2, "dims": (70, 131), "stride": (1, 70)}, [(131, 70)], [(70, 131)])
    for dims, before, after in (
        ((1,), (0,), (0,)),
        ((5,), (2,), (0,)),
        ((3, 4), (0, 1), (2, 3)),
        ((2, 5, 6, 17), (0, 1, 2, 0), (0, 3, 0, 0)),
        ((2, 1, 3, 2, 1, 3), (1, 0, 1, 0, 1, 0), (0, 1, 0, 1, 0, 1)),
        ((0, 4), (0, 1), (0, 1)),
    ):
        shape = tuple(b + dim + a for b, dim, a in zip(before, dims, after, strict=True))
        fields = {"ndim": len(dims), "dims": dims, "before": before, "after": after, "value": 2.5}
        _add("pad", "x".join(map(str, dims)), fields, [dims], [shape])
    for dims, start, step, out in (
        ((1,), (0,), (1,), (1,)),
        ((9,), (1,), (3,), (3,)),
        ((5, 7), (1, 0), (2, 3), (2, 3)),
        ((5, 7), (2, 3), (1, 1), (2, 4)),
        ((2, 5, 6, 17), (0, 1, 2, 0), (1, 2, 1, 1), (2, 2, 3, 17)),
        ((2, 3, 2, 3, 2, 3), (0, 1, 0, 0, 1, 0), (1, 1, 1, 2, 1, 2), (2, 2, 1, 2, 1, 2)),
        ((4, 3), (1, 0), (1, 1), (0, 3)),
    ):
        fields = {"ndim": len(dims), "dims": dims, "start": start, "step": step, "out": out}
        name = "x".join(map(str, dims)) + "_" + "x".join(map(str, out))
        _add("slice", name, fields, [dims], [out])
        _add("unslice", name, fields, [out], [dims])


def _join_cases():
    for outer, sizes in (
        (1, (1,)),
        (4, (3, 1, 5)),
        (7, (17, 33)),
        (2, (1, 2, 3, 4, 5, 6)),
        (0, (3, 2)),
        (300, (8, 9)),
    ):
        fields = {"count": len(sizes), "outer": outer, "sizes": sizes}
        name = f"{outer}_{'_'.join(map(str, sizes))}"
        _add("concat", name, fields, [[(outer, size) for size in sizes]], [(outer, sum(sizes))])
    for rows, cols, count in ((1, 1, 1), (5, 3, 9), (7, 17, 40), (300, 33, 150), (4, 3, 0)):
        index = _rng(rows, count).integers(0, rows, count).astype(I32)
        _indexed(f"{rows}x{cols}_{count}", rows, cols, index)
    _indexed("out_of_range", 4, 5, _ints(0, -1, 4, 3, 3, 2**31 - 1, -(2**31), 1))


def _indexed(name, rows, cols, index):
    count = len(index)
    fields = {"rows": rows, "cols": cols, "count": count}
    _add("gather", name, fields, [(rows, cols), index], [(count, cols)])
    _add("scatter_add", name, fields, [(count, cols), index], [(rows, cols)])
    _add("one_hot", name, {"rows": 0, "cols": rows, "count": count}, [index], [(count, rows)])


# --- random numbers and updates -------------------------------------------------------------------


def _random_cases():
    states = {"zero": _ints(0, 0, 0, 0), "some": _ints(12345, -7, 3, 1), "last": _ints(-1, -1, -1, -1)}
    for name, state in states.items():
        for count in (0, 1, 37, 4099):
            _add(
                "random_uniform",
                f"{name}_{count}",
                {"count": count, "low": -2.0, "high": 3.0},
                [state],
                [(count,)],
            )
            fields = {"count": count, "rate": 0.3, "scale": 1 / 0.7}
            _add("dropout", f"{name}_{count}", fields, [(count,), state], [(count,)])
        _add("random_next", name, {"count": 0, "low": 0.0, "high": 0.0}, [], [state])
    carry = _ints(5, 6, -1, 41)
    _add("random_next", "carry", {"count": 0, "low": 0.0, "high": 0.0}, [], [carry])


_UPDATES = {
    "sgd_update": (["w"], [{}]),
    "momentum_update": (["w", "v"], [{"nesterov": 0}, {"nesterov": 1}]),
    "adam_update": (["w", "m", "v"], [{}]),
    "rmsprop_update": (["w", "v", "mom"], [{"momentum": 0.0}, {"momentum": 0.9}]),
    "ema_update": (["v"], [{}]),
    "assign": (["v"], [{}]),
    "assign_add": (["v"], [{}]),
}


def _update_cases():
    hyper = np.array([0.01], F32)
    defaults = {"nesterov": 0, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "rho": 0.9, "epsilon": 1e-7}
    for op, (slots, variants) in _UPDATES.items():
        inputs = [hyper] if op.endswith("_update") and op != "ema_update" else []
        for count, (number, variant) in product((0, 1, 37, 5000), enumerate(variants)):
            draw = _rng(op, count)
            start = [draw.standard_normal(count).astype(F32) for _ in slots]
            start = [np.abs(a) if slot == "v" else a for slot, a in zip(slots, start, strict=True)]
            fields = {"count": count, **defaults, **variant}
            _add(op, f"{count}_{number}", fields, [(count,), *inputs], start)
            first = [start[0], *(np.zeros(count, F32) for _ in slots[1:])]
            _add(op, f"{count}_{number}_first", fields, [(count,), *inputs], first)


for _cases in (
    _matmul_cases,
    _conv_cases,
    _winograd_cases,
    _depthwise_cases,
    _depthwise_block_cases,
    _pool_cases,
    _norm_cases,
    _own_norms,
    _unary_cases,
    _binary_cases,
    _copy_cases,
    _reduce_cases,
    _softmax_cases,
    _layout_cases,
    _join_cases,
    _random_cases,
    _update_cases,
):
    _cases()
