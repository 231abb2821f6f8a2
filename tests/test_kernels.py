"""The C kernels against the reference in float64: every case, every ISA of this CPU, many threads."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cnnengine import _native as native
from cnnengine.core.codes import BINARY, UNARY
from cnnengine.core.naming import without_prefix
from cnnengine.ops.conv_algorithm import DIRECT
from cnnengine.reference import IMPLEMENTATIONS
from tests.support.bounds import check
from tests.support.cases import ACTS, CASES, NO_ACT, Case
from tests.support.compare import TINY, assert_same_bits, ulps
from tests.support.native import run_native
from tests.support.run import new_outputs, run64

ROOT = Path(__file__).parents[1]
THREADS = (2, 3, 5)

# Buffers that all samples of a batch share; the others have a row, or an image, for each sample.
SHARED = {"w", "b", "bias", "mean", "var", "gamma", "beta", "state", "hyper"}
SHARED |= {"expand", "expand_bias", "project", "project_bias"}
# Operations that treat each sample alone, and the field (or those) that counts samples.
PER_SAMPLE = {
    "conv2d_fwd": "n",
    "conv2d_into": "n",
    "conv2d_bwd_data": "n",
    "depthwise2d_fwd": "n",
    "depthwise2d_bwd_data": "n",
    "depthwise_block_fwd": "depthwise_n project_n expand_n",
    "max_pool2d_fwd": "n",
    "max_pool2d_bwd": "n",
    "avg_pool2d_fwd": "n",
    "avg_pool2d_bwd": "n",
    "batch_norm_fwd": "rows",
    "layer_norm_fwd": "rows",
    "group_norm_fwd": "n",
    "softmax_fwd": "rows",
    "softmax_bwd": "rows",
    "log_softmax_fwd": "rows",
    "log_softmax_bwd": "rows",
    "softmax_xent_fwd": "rows",
    "softmax_xent_bwd": "rows",
    "unary_fwd": "count",
    "unary_bwd": "count",
    "reduce": "outer",
    "argmax": "outer",
}


@pytest.fixture(params=native.isa_levels())
def isa(request):
    before = native.get_isa()
    native.set_isa(request.param)
    yield request.param
    native.set_isa(before)


def _params(ops):
    return [pytest.param(op, case, id=f"{op}-{case.id}") for op in ops for case in CASES[op]]


@pytest.mark.parametrize(("op", "case"), _params(op for op in CASES if not op.endswith("_pack")))
def test_kernel_is_within_bounds_and_threads_change_no_bit(isa, op, case):
    outputs = run_native(op, case)
    check(op, case, outputs, run64(IMPLEMENTATIONS[op], case))
    for threads in THREADS:
        for one, other in zip(run_native(op, case, threads), outputs, strict=True):
            assert_same_bits(one, other)


PACKS = {
    "conv2d_fwd": "conv2d_pack",
    "conv2d_into": "conv2d_pack",
    "conv2d_bwd_data": "conv2d_bwd_data_pack",
    "matmul_fwd": "matmul_pack",
}


@pytest.mark.parametrize(("op", "case"), _params(PACKS))
def test_packed_weights_change_no_bit(isa, op, case):
    pack = PACKS[op]
    x, w, *rest = case.inputs
    may_be_in_bands = op in ("conv2d_fwd", "conv2d_into") and case.fields["algorithm"] != DIRECT
    for threads, how in product((1, 3), (1, native.IN_BANDS) if may_be_in_bands else (1,)):
        fields = case.fields | {"packed": how}
        packed = np.full(native.packed_size(pack, fields), np.nan, np.float32)
        native.call(pack, {name: fields[name] for name, _ in native.OPS[pack].fields}, [w], [packed], threads=threads)
        with_packed = Case(case.id, fields, [x, packed, *rest], case.outputs)
        assert_same_bits(run_native(op, with_packed, threads)[0], run_native(op, case)[0])


@pytest.mark.parametrize("case", CASES["depthwise_block_fwd"], ids=lambda case: case.id)
def test_a_depthwise_block_has_the_bits_of_its_three_convolutions(isa, case):
    f, (x, expand, expand_bias, w, bias, project, project_bias, addend) = case.fields, case.inputs
    parts = {name: without_prefix(f, f"{name}_") for name in ("expand", "depthwise", "project")}
    d, wide = parts["depthwise"], x
    if f["expands"]:
        wide = np.empty((d["n"], d["h"], d["w"], d["c"]), np.float32)
        native.call("conv2d_fwd", parts["expand"], [x, expand, expand_bias, None], [wide])
    middle, y = np.empty((d["n"], d["p"], d["q"], d["c"]), np.float32), np.empty(*case.outputs[0])
    native.call("depthwise2d_fwd", d, [wide, w, bias], [middle])
    native.call("conv2d_fwd", parts["project"], [middle, project, project_bias, addend], [y])
    assert_same_bits(run_native("depthwise_block_fwd", case)[0], y)
    weights = {"project": project, "expand": expand}
    for part in weights if f["expands"] else ("project",):  # packed before, one more each time
        packed = np.full(native.packed_size("conv2d_pack", parts[part]), np.nan, np.float32)
        native.call("conv2d_pack", parts[part], [weights[part]], [packed])
        weights[part], f = packed, f | {f"{part}_packed": 1}
        inputs = [x, weights["expand"], expand_bias, w, bias, weights["project"], project_bias, addend]
        assert_same_bits(run_native("depthwise_block_fwd", Case(case.id, f, inputs, case.outputs), 2)[0], y)


FAR = 4 << 20  # floats of a result that goes past the caches, on CPUs where that gains (csrc/drivers/far.h)
COLS = 48


def _far_cases():
    """Operations on `rows` rows of COLS columns: fields, then how many inputs and which of them are vectors."""
    shape = {"ndim": 2, "stride_a": [COLS, 1]}
    norm = {"c": COLS, "training": 0, "epsilon": 1e-3, "alpha": 0.0, "beta": 0.0}
    unary = {"alpha": 0.0, "beta": 0.0}
    update = dict.fromkeys(("nesterov", "momentum", "beta1", "beta2", "rho", "epsilon"), 0)
    vectors = [False, True, True, True, True, False]
    return {
        "assign": (lambda n: {"count": n * COLS, **update}, [False]),
        "unary_fwd": (lambda n: {"count": n * COLS, "func": UNARY["relu"], **unary}, [False]),
        "unary_bwd": (lambda n: {"count": n * COLS, "func": UNARY["tanh"], **unary}, [None, False, False]),
        "binary": (
            lambda n: {"func": BINARY["add"], "dims": [n, COLS], "stride_b": [COLS, 1], **shape},
            [False, False],
        ),
        "batch_norm_fwd": (lambda n: {"rows": n, "act": UNARY["relu"], **norm}, vectors),
        "batch_norm_bwd": (lambda n: {"rows": n, "act": UNARY["relu"], **norm}, [False, False, True, True, True, True]),
    }


@pytest.mark.parametrize("op", _far_cases())
def test_results_larger_than_the_caches_have_the_bits_of_small_ones(isa, op):
    fields, inputs = _far_cases()[op]
    rows, first = FAR // COLS + 5, FAR // COLS // 2 + 1
    rng = np.random.default_rng(0)
    whole = [
        None if is_vector is None else rng.uniform(0.5, 2.0, (COLS,) if is_vector else (rows, COLS)).astype(np.float32)
        for is_vector in inputs
    ]
    small = np.empty((rows, COLS), np.float32)
    for part in (slice(0, first), slice(first, rows)):
        given = [x if is_vector is not False else x[part] for x, is_vector in zip(whole, inputs, strict=True)]
        vectors = [np.empty(COLS, np.float32) for _ in range(2 * (op == "batch_norm_bwd"))]
        native.call(op, fields(part.stop - part.start), given, [small[part], *vectors])
    for threads, start in product((1, 3), (0, 1)):  # also where no vector is aligned
        out = np.full(rows * COLS + 16, np.nan, np.float32)
        vectors = [np.empty(COLS, np.float32) for _ in range(2 * (op == "batch_norm_bwd"))]
        native.call(op, fields(rows), whole, [out[start : start + rows * COLS], *vectors], threads=threads)
        assert_same_bits(out[start : start + rows * COLS].reshape(rows, COLS), small)
        assert np.isnan(out[:start]).all()
        assert np.isnan(out[start + rows * COLS :]).all()


@pytest.mark.parametrize("window", [(3, 2, 1), (2, 3, 0)], ids=["overlapping", "with_gaps"])
@pytest.mark.parametrize("op", ["max_pool2d_fwd", "max_pool2d_bwd", "avg_pool2d_fwd", "avg_pool2d_bwd"])
def test_pooling_larger_than_the_caches_has_the_bits_of_single_images(isa, op, window):
    size, stride, pad = window
    n, h, w, c = 9, 97, 83, 61
    assert n * h * w * c > FAR
    p, q = ((cells + 2 * pad - size) // stride + 1 for cells in (h, w))
    fields = {"h": h, "w": w, "c": c, "r": size, "s": size, "p": p, "q": q, "pad_t": pad, "pad_l": pad}
    fields |= {"stride_h": stride, "stride_w": stride}
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, h, w, c), np.float32), rng.standard_normal((n, p, q, c), np.float32)
    index = rng.integers(0, size * size, y.shape, np.uint8)
    is_max = op.startswith("max")
    if op.endswith("fwd"):
        inputs, shapes = [x], [(y.shape, np.float32)] + [(y.shape, np.uint8)] * is_max
    else:
        inputs, shapes = [y] + [index] * is_max, [(x.shape, np.float32)]
    single = [np.empty(*shape) for shape in shapes]
    for i in range(n):
        at = slice(i, i + 1)
        native.call(op, {"n": 1, **fields}, [value[at] for value in inputs], [out[at] for out in single])
    for threads in (1, 3):
        together = [np.empty(*shape) for shape in shapes]
        native.call(op, {"n": n, **fields}, inputs, together, threads=threads)
        for one, other in zip(together, single, strict=True):
            assert_same_bits(one, other)


def _aligned(shape, start):
    """NaN everywhere; the first element `start` floats behind the start of a cache line."""
    size = int(np.prod(shape))
    memory = np.full(size + 32, np.nan, np.float32)
    first = -memory.ctypes.data % 64 // 4 + start
    return memory[first : first + size].reshape(shape)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", ["depthwise2d_fwd", "depthwise2d_bwd_data"])
def test_depthwise_maps_larger_than_the_caches_have_the_bits_of_single_images(isa, op, stride, start):
    n, h, w, c = 9 if stride == 1 or op.endswith("data") else 33, 97, 83, 64
    p, q = (h - 1) // stride + 1, (w - 1) // stride + 1
    x_shape, y_shape = (n, h, w, c), (n, p, q, c)
    fields = {"n": 1, "h": h, "w": w, "c": c, "m": 1, "r": 3, "s": 3, "p": p, "q": q, "pad_t": 1, "pad_l": 1}
    fields |= {"stride_h": stride, "stride_w": stride, "dilation_h": 1, "dilation_w": 1, **NO_ACT}
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((3, 3, c, 1), np.float32)
    given, made = (x_shape, y_shape) if op.endswith("fwd") else (y_shape, x_shape)
    assert np.prod(made) > FAR
    data, single, bias = rng.standard_normal(given, np.float32), np.empty(made, np.float32), [None] * op.endswith("fwd")
    for i in range(n):
        native.call(op, fields, [data[i : i + 1], weights, *bias], [single[i : i + 1]])
    for threads in (1, 3):
        together = _aligned(made, start)
        native.call(op, fields | {"n": n}, [data, weights, *bias], [together], threads=threads)
        assert_same_bits(together, single)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("op", ["conv2d_fwd", "conv2d_bwd_data"])
def test_convolutions_larger_than_the_caches_have_the_bits_of_single_images(isa, op, size, start):
    n, h, w, narrow, wide = 6, 97, 83, 20, 96
    c, k = (narrow, wide) if op == "conv2d_fwd" else (wide, narrow)
    fields = {"n": 1, "f": 1, "h": h, "w": w, "c": c, "k": k, "t": 1, "r": size, "s": size, "o": 1, "p": h, "q": w}
    fields |= dict.fromkeys(("stride_f", "stride_h", "stride_w", "dilation_f", "dilation_h", "dilation_w", "groups"), 1)
    fields |= {"pad_f": 0, "pad_t": size // 2, "pad_l": size // 2, "packed": 0, "algorithm": DIRECT, **ACTS["relu6"]}
    rng = np.random.default_rng(0)
    shape = (n, h, w, wide)
    assert np.prod(shape) > FAR
    data, addend = rng.standard_normal((n, h, w, narrow), np.float32), rng.standard_normal(shape, np.float32)
    weights, bias = rng.standard_normal((1, size, size, c, k), np.float32), rng.standard_normal(wide, np.float32)
    single = np.empty(shape, np.float32)
    for i in range(n):
        at = slice(i, i + 1)
        native.call(op, fields, [data[at], weights, bias, addend[at]], [single[at]])
    for threads in (1, 3):
        together = _aligned(shape, start)
        native.call(op, fields | {"n": n}, [data, weights, bias, addend], [together], threads=threads)
        assert_same_bits(together, single)


@pytest.mark.parametrize("row", [0, 12])  # 5 channels are folded 12 rows at a time: the last one is left over
def test_an_infinite_gradient_behind_a_closed_relu_is_nan_in_every_row(isa, row):
    fields = {"rows": 13, "c": 5, "training": 1, "epsilon": 1e-3, "act": UNARY["relu"], "alpha": 0.0, "beta": 0.0}
    x, dy, one = np.full((13, 5), -1, np.float32), np.zeros((13, 5), np.float32), np.ones(5, np.float32)
    dy[row, 2] = np.inf
    outputs = [np.empty((13, 5), np.float32), np.empty(5, np.float32), np.empty(5, np.float32)]
    native.call("batch_norm_bwd", fields, [x, dy, 0 * one, one, one, None], outputs)
    for out in outputs[1:]:
        np.testing.assert_array_equal(np.isnan(out), np.arange(5) == 2)


def _sample(case, names, field, i, axis=0):
    """The case with its sample i alone; `field` names what counts samples."""
    index = (slice(None),) * axis + (slice(i, i + 1),)

    def pick(name, array):
        return array if array is None or name in SHARED else np.ascontiguousarray(array[index])

    inputs = [pick(name, array) for name, array in zip(names, case.inputs, strict=True)]
    outputs = [(pick("", np.empty(*out)).shape, out[1]) for out in case.outputs]
    return Case(case.id, case.fields | dict.fromkeys(field.split(), 1), inputs, outputs)


@pytest.mark.parametrize(("op", "case"), _params(PER_SAMPLE))
def test_batch_changes_no_bit_of_a_sample(isa, op, case):
    field, together = PER_SAMPLE[op], run_native(op, case, 2)
    for i in range(min(case.fields[field.split()[0]], 5)):
        alone = run_native(op, _sample(case, native.OPS[op].inputs, field, i))
        for one, whole in zip(alone, together, strict=True):
            assert_same_bits(one, np.ascontiguousarray(whole[i : i + 1]))


# As documented in csrc/simd/math.h; half a unit more where multiply-adds are not fused: generic, and CNNENGINE_EMULATE.
FUSED = [flags.split(":")[0] for flags in native.build_info()[1][1:] if "-m" in flags]
ULPS = {"exp": 1.1, "log": 1, "tanh": 1.4, "expm1": 1.6, "log1p": 1.6, "erf": 1.9, "softplus": 1.9, "sigmoid": 2.4}


@pytest.mark.parametrize("func", ULPS)
def test_elementary_functions_over_all_floats(isa, func):
    x = np.arange(0, 2**32, 6007, np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.abs(x) >= TINY]  # no denormals, no NaN
    fields = {"count": x.size, "func": UNARY[func], "alpha": 0.0, "beta": 0.0}
    case = Case(func, fields, [x], [(x.shape, np.float32)])
    (actual,), (expected,) = run_native("unary_fwd", case), run64(IMPLEMENTATIONS["unary_fwd"], case)
    largest = np.abs(expected) > np.finfo(np.float32).max
    usual = np.isfinite(expected) & (np.abs(expected) >= 64 * TINY) & ~largest  # below, terms are flushed to 0
    assert ulps(actual[usual], expected[usual]).max() <= ULPS[func] + 0.5 * (isa not in FUSED)
    np.testing.assert_array_equal(actual[largest], np.copysign(np.inf, expected[largest]))
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    assert (np.abs(actual[np.abs(expected) < TINY]) <= TINY).all()


ROWS = [case for case in CASES["matmul_fwd"] if case.fields["batch"] == 1 and not case.fields["ta"]]


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
def test_rows_change_no_bit_of_a_product(isa, case):
    together = run_native("matmul_fwd", case, 2)[0]
    for i in {0, case.fields["m"] // 2, case.fields["m"] - 1} - {-1}:
        if case.fields["m"]:
            alone = _sample(case, native.OPS["matmul_fwd"].inputs, "m", i, axis=1)
            assert_same_bits(run_native("matmul_fwd", alone)[0], np.ascontiguousarray(together[:, i : i + 1]))


# An output may lie on this input: the memory planner's in-place steps rely on it.
IN_PLACE = [
    ("unary_fwd", "x", "y"),
    ("unary_bwd", "dy", "dx"),
    ("unary_bwd", "y", "dx"),
    ("binary", "a", "y"),
    ("binary", "b", "y"),
    ("select", "a", "y"),
    ("select", "b", "y"),
    ("softmax_fwd", "x", "y"),
    ("softmax_bwd", "dy", "dx"),
    ("log_softmax_fwd", "x", "y"),
    ("log_softmax_bwd", "dy", "dx"),
    ("softmax_xent_bwd", "prob", "dx"),
    ("batch_norm_fwd", "x", "y"),
    ("batch_norm_fwd", "addend", "y"),
    ("batch_norm_bwd", "dy", "dx"),
    ("dropout", "x", "y"),
    ("matmul_fwd", "addend", "y"),
    ("conv2d_fwd", "addend", "y"),
    ("conv2d_into", "base", "y"),
    ("conv2d_bwd_data", "addend", "dx"),
]


@pytest.mark.parametrize(("op", "source", "target"), IN_PLACE)
def test_output_may_lie_on_input(isa, op, source, target):
    at, to = native.OPS[op].inputs.index(source), native.OPS[op].outputs.index(target)
    for case in CASES[op]:
        shape = case.outputs[to][0]
        if case.inputs[at] is None or case.inputs[at].shape != shape or case.id == "transposed":
            continue
        for threads in (1, 3):
            inputs = [a if a is None else a.copy() for a in case.inputs]
            outputs = new_outputs(case)
            outputs[to] = inputs[at]
            native.call(op, case.fields, inputs, outputs, threads=threads)
            for one, other in zip(outputs, run_native(op, case), strict=True):
                assert_same_bits(one, other)


def _families():
    """Operations by the file of the reference they are in."""
    families = {}
    for op, function in IMPLEMENTATIONS.items():
        families.setdefault(function.__module__.rpartition(".")[2], []).append(op)
    return families


@pytest.mark.parametrize("family", _families())
def test_no_access_outside_the_arrays(family):
    command = [sys.executable, "-m", "tests.support.guard", *_families()[family]]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    last = (run.stdout.splitlines() or ["nothing"])[-1]
    assert run.returncode == 0, f"exit code {run.returncode} at {last}\n{run.stderr[-2000:]}"


@pytest.mark.parametrize("at_end", [True, False])
def test_guard_page_ends_a_process_that_goes_too_far(at_end):
    offset = 12 if at_end else -4
    script = (
        "import ctypes, numpy as np; from tests.support.guard import guarded;"
        f"a = guarded(np.zeros(3, np.float32), at_end={at_end});"
        "ctypes.memset(a.ctypes.data, 1, 12); print('inside', flush=True);"
        f"ctypes.memset(a.ctypes.data + {offset}, 1, 4); print('outside')"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == ["inside"] and run.returncode != 0
