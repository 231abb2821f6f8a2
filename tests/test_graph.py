"""Gradients against finite differences, and what a trace makes of variables and their updates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnengine import ops
from cnnengine.core.codes import BINARY, REDUCE, UNARY
from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.core.spec import TensorSpec
from cnnengine.core.variable import Variable
from cnnengine.engine.program import NativeProgram, ReferenceProgram
from cnnengine.graph.gradients import gradients
from cnnengine.graph.trace import trace
from cnnengine.ops import layout
from cnnengine.ops.abstract import infer_shapes
from cnnengine.ops.base import OPS, bind
from cnnengine.ops.batch_norm import batch_normalise, batch_stats
from cnnengine.ops.conv2d import conv2d
from cnnengine.ops.elementwise import binary, unary
from cnnengine.ops.layer_norm import group_normalise, layer_normalise
from cnnengine.ops.matmul import _product, dense
from cnnengine.ops.random import DROPOUT, SeedGenerator, dropout_with, random_state
from cnnengine.ops.reduce import reduce_axes
from cnnengine.ops.update import update
from tests.support.programs import normal, run, run64, specs_of, traced

# --- gradients ------------------------------------------------------------------------------------------------------

S = (3, 4, 5)
WITHOUT_SLOPE = {"sign", "floor", "ceil", "round", "isnan", "isfinite"}
POSITIVE = {"log", "log1p", "sqrt", "rsqrt", "reciprocal", "power"}
PARAMETERS = {
    "leaky_relu": (0.3, 0.0), "elu": (0.7, 0.0), "clip": (-0.5, 0.6), "affine": (1.5, -2.0), "power": (2.5, 0.0),
    "threshold": (0.2, -1.0),
}  # fmt: skip
STATE = random_state(7)


def _unary_case(func):
    x_of = ops.abs if func in POSITIVE else lambda x: x
    shift = 0.5 if func in POSITIVE else 0.0
    factor = 4.0 if func == "relu6" else 1.0
    return lambda x: unary(func, ops.add(ops.multiply(x_of(x), factor), shift), *PARAMETERS.get(func, (0.0, 0.0)))


def _binary_case(func):
    positive = (lambda x: ops.add(ops.abs(x), 0.5)) if func in ("power", "divide") else lambda x: x
    return lambda a, b: binary(func, positive(a), positive(b))


def _normalised(x, gamma, beta):
    return batch_normalise(x, *batch_stats(x), gamma, beta, 1e-3, training=True)


def _by_moving(x, gamma, beta):
    return batch_normalise(x, np.full(5, 0.5, np.float32), np.full(5, 2.0, np.float32), gamma, beta)


def _reused(x):
    y = ops.tanh(x)
    return ops.add(ops.multiply(y, y), ops.multiply(ops.sum(y), x))


def _conv(**kw):
    return lambda x, w, b: ops.conv(x, w, bias=b, **kw)


def _conv_transpose(**kw):
    return lambda x, w, b: ops.conv_transpose(x, w, bias=b, **kw)


def _conv_gradient(dy, w):
    """The gradient of a convolution by its input, which depends on the kernel and on what arrives."""
    x = ops.zeros((2, 5, 4, 3)) * dy[0, 0, 0, 0]
    loss = ops.sum(ops.multiply(ops.conv(x, w, strides=2, padding="same"), dy))
    return gradients(CONTEXT.tracer.graph, loss, [x])[0]


LABELS = np.array([[1, 0, 4], [2, 2, 3]])
# id: function of the values, shapes of the values
GRADIENTS = {
    **{f"unary-{func}": (_unary_case(func), S) for func in UNARY if func not in WITHOUT_SLOPE | {"identity"}},
    **{f"binary-{f}": (_binary_case(f), (3, 1, 5), (4, 1)) for f in (*list(BINARY)[:8], "mod")},
    **{f"binary-{f}-scalar": (_binary_case(f), (), (4, 5)) for f in ("add", "multiply", "maximum")},
    **{f"reduce-{f}-middle": (lambda x, f=f: reduce_axes(f, x, 1), S) for f in REDUCE},
    **{f"reduce-{f}-scaled": (lambda x, f=f: reduce_axes(f, x, 1, scale=0.5), S) for f in ("sum", "sum_squares")},
    **{f"reduce-{f}-two": (lambda x, f=f: reduce_axes(f, x, (0, 2), keepdims=True), S) for f in REDUCE},
    **{f"reduce-{f}-all": (lambda x, f=f: reduce_axes(f, x, None), S) for f in REDUCE},
    "var": (lambda x: ops.var(x, (0, 2)), S),
    "logsumexp": (lambda x: ops.logsumexp(x, 1), S),
    "select": (lambda c, a, b: ops.where(ops.greater(c, 0), a, b), S, S, (5,)),
    "broadcast": (lambda x: ops.broadcast_to(x, (2, 3, 4, 5)), (3, 1, 5)),
    "repeat": (lambda x: ops.repeat(x, 3, 1), S),
    "tile": (lambda x: ops.tile(x, (2, 1, 3)), S),
    "cast": (lambda x: ops.multiply(ops.cast(ops.greater(x, 0), "float32"), x), S),
    "cast_to_int": (lambda x: ops.add(x, ops.cast(x, "int32")), S),
    "reshape": (lambda x: ops.reshape(x, (5, 12)), S),
    "transpose": (lambda x: ops.transpose(x, (2, 0, 1)), S),
    "pad": (lambda x: ops.pad(x, [(1, 0), (0, 2), (1, 1)], constant_values=3.0), S),
    "slice": (lambda x: x[::2, -1, ::-2], S),
    "unslice": (lambda x: bind(layout.UNSLICE, [x], shape=(5, 6), start=(4, 1), step=(-2, 2), out=(3, 2)), (3, 2)),
    "concat": (lambda a, b, c: ops.concatenate([a, b, a, c], 1), (2, 3), (2, 1), (2, 4)),
    "concat_many": (lambda a, b: ops.concatenate([a, b] * 5, 0), (1, 3), (2, 3)),
    "stack": (lambda a, b: ops.stack([a, b], 1), (2, 3), (2, 3)),
    "gather": (lambda x: ops.take(x, LABELS, 1), (3, 5)),
    "gather_outside": (lambda x: ops.where([True, False], ops.take(x, [1, 9]), 0.0), (5,)),
    "scatter_add": (lambda x: bind(layout.SCATTER_ADD, [x, np.array([3, 0, 3], np.int32)], shape=(4, 2)), (3, 2)),
    "matmul": (ops.matmul, (2, 1, 3, 4), (5, 4, 2)),
    "matmul_vectors": (ops.matmul, (4,), (2, 4, 5)),
    "dense": (dense, (2, 3, 4), (4, 5), (5,)),
    **{
        f"product-{ta:d}{tb:d}{batched:d}": (
            lambda a, b, ta=ta, tb=tb, batched=batched: _product(a, b, ta, tb, batched),
            (2, 4, 3) if ta else (2, 3, 4),
            ((2,) if batched else ()) + ((5, 4) if tb else (4, 5)),
        )
        for ta in (False, True) for tb in (False, True) for batched in (False, True) if batched or not ta
    },
    "product-ta_2d": (lambda a, b: _product(a, b, True, False), (4, 3), (4, 5)),
    "product-ta_tb_2d": (lambda a, b: _product(a, b, True, True), (4, 3), (5, 4)),
    "conv": (_conv(strides=2, padding="same"), (2, 5, 6, 3), (3, 2, 3, 4), (4,)),
    "conv-dilated": (_conv(dilation_rate=(2, 1)), (2, 6, 5, 3), (3, 2, 3, 4), (4,)),
    "conv-3x3": (_conv(padding="same"), (1, 9, 9, 4), (3, 3, 4, 4), (4,)),
    "conv-groups": (_conv(padding="same"), (2, 4, 4, 6), (2, 2, 3, 4), (4,)),
    "conv-depthwise_groups": (_conv(), (2, 4, 4, 3), (2, 2, 1, 6), (6,)),
    "conv-first": (_conv(data_format="channels_first"), (2, 3, 5, 4), (3, 2, 3, 4), (4,)),
    "conv-1d_causal": (_conv(padding="causal", dilation_rate=2), (2, 7, 3), (3, 3, 4), (4,)),
    "conv_transpose": (_conv_transpose(strides=2, padding="same"), (2, 3, 4, 3), (3, 2, 4, 3), (4,)),
    "conv-stride_beyond_image": (_conv(strides=1 << 30), (2, 4, 5, 3), (3, 2, 3, 4), (4,)),
    "conv_transpose-stride_of_one_cell": (
        lambda x, w: ops.conv_transpose(x, w, (1 << 30, 4), output_padding=(1, 3)), (2, 1, 2, 3), (3, 2, 4, 3)),
    "conv_transpose-3x3": (_conv_transpose(), (1, 7, 7, 4), (3, 3, 4, 4), (4,)),
    "conv_transpose-dilated": (_conv_transpose(dilation_rate=(2, 1)), (2, 4, 3, 3), (3, 2, 4, 3), (4,)),
    "conv_transpose-stride_over_kernel": (_conv_transpose(strides=3), (2, 3, 2, 3), (2, 2, 4, 3), (4,)),
    "conv_transpose-1d": (_conv_transpose(strides=3, output_padding=2), (2, 4, 3), (4, 2, 3), (2,)),
    "conv-3d": (_conv(strides=(2, 1, 2), padding="same"), (2, 3, 4, 5, 2), (3, 3, 2, 2, 3), (3,)),
    "conv-3d_groups": (_conv(), (1, 3, 4, 3, 4), (2, 2, 2, 2, 6), (6,)),
    "conv_transpose-3d": (_conv_transpose(strides=2), (2, 2, 3, 2, 3), (2, 3, 2, 2, 3), (2,)),
    "max_pool-3d": (lambda x: ops.max_pool(x, 3, 2, "same"), (2, 4, 6, 5, 3)),
    "average_pool-3d": (lambda x: ops.average_pool(x, (2, 3, 2), 2, "same"), (2, 4, 6, 5, 3)),
    "conv-of_gradient": (_conv_gradient, (2, 3, 2, 4), (3, 2, 3, 4)),
    "conv-border": (lambda x, w: conv2d(x, w, padding=(1, 1)), (1, 4, 4, 2), (3, 3, 2, 2)),
    "depthwise": (lambda x, w, b: ops.depthwise_conv(x, w, 2, "same", bias=b), (2, 5, 6, 3), (3, 2, 3, 2), (6,)),
    "max_pool": (lambda x: ops.max_pool(x, 3, 2, "same"), (2, 6, 5, 3)),
    "max_pool-large": (lambda x: ops.max_pool(x, (20, 15), 4), (1, 24, 19, 2)),
    "average_pool": (lambda x: ops.average_pool(x, (3, 2), 2, "same"), (2, 6, 5, 3)),
    "average_pool-large": (lambda x: ops.average_pool(x, (20, 15), 4, "same"), (1, 24, 19, 2)),
    "softmax": (lambda x: ops.softmax(x, 1), S),
    "log_softmax": (ops.log_softmax, S),
    "crossentropy": (lambda x: ops.categorical_crossentropy(ops.softmax(normal(2, 3, 5)), x, True), (2, 3, 5)),
    "crossentropy-softmax": (lambda x: ops.categorical_crossentropy(np.eye(5)[LABELS], ops.softmax(x)), (2, 3, 5)),
    "crossentropy-sparse": (lambda x: ops.sparse_categorical_crossentropy(LABELS, x, True), (2, 3, 5)),
    "crossentropy-probabilities": (
        lambda x: ops.sparse_categorical_crossentropy(LABELS, ops.sigmoid(x)), (2, 3, 5)),
    "crossentropy-binary": (lambda x: ops.binary_crossentropy(np.ones(S) * 0.3, ops.sigmoid(x)), S),
    "crossentropy-binary_probabilities": (
        lambda x: ops.binary_crossentropy(np.ones(S) * 0.3, ops.multiply(ops.sigmoid(x), 0.9)), S),
    "batch_norm-training": (_normalised, (4, 3, 5), (5,), (5,)),
    "batch_norm-plain": (lambda x: batch_normalise(x, *batch_stats(x), training=True), (7, 5)),
    "batch_norm-inference": (_by_moving, (4, 3, 5), (5,), (5,)),
    "layer_norm": (layer_normalise, (4, 3, 5), (5,), (5,)),
    "layer_norm-plain": (layer_normalise, (7, 5)),
    "layer_norm-axes": (lambda x, g, b: ops.layer_normalization(x, g, b, (0, 2), 1e-3), (4, 3, 5), (4, 5), (4, 5)),
    "group_norm": (lambda x, g, b: group_normalise(x, 2, g, b), (3, 2, 5, 6), (6,), (6,)),
    "group_norm-plain": (lambda x: group_normalise(x, 3), (3, 6)),
    "dropout": (lambda x: bind(DROPOUT, [x, STATE], rate=0.4, scale=1 / 0.6), S),
    "fan_out": (_reused, S),
    "same_twice": (lambda x: ops.multiply(x, x), S),
    "unused_half": (lambda a, b: ops.add(a, ops.multiply(b, 0.0)), S, S),
}  # fmt: skip


def _with_gradients(function, arrays):
    """A graph with the outputs (projection of the function's result, *its gradients)."""

    def step(tracer, *values):
        y = function(*values)
        projection = ops.sum(ops.multiply(y, normal(*y.shape, seed=9)))
        slopes = gradients(tracer.graph, projection, values)
        return [projection, *(ops.zeros(v.shape) if g is None else g for g, v in zip(slopes, values, strict=True))]

    return trace(step, specs_of(arrays)).graph


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_is_the_limit_of_differences(name):
    function, *shapes = GRADIENTS[name]
    arrays = [normal(*shape, seed=i).astype(np.float64) for i, shape in enumerate(shapes)]
    graph, step = _with_gradients(function, arrays), 1e-6
    _, *slopes = run64(graph, *arrays)
    for seed in range(2):
        directions = [normal(*shape, seed=100 + seed).astype(np.float64) for shape in shapes]
        ahead = run64(graph, *[a + step * d for a, d in zip(arrays, directions, strict=True)])[0]
        behind = run64(graph, *[a - step * d for a, d in zip(arrays, directions, strict=True)])[0]
        expected = sum((g * d).sum() for g, d in zip(slopes, directions, strict=True))
        size = sum(np.abs(g * d).sum() for g, d in zip(slopes, directions, strict=True))
        assert abs((ahead - behind) / (2 * step) - expected) <= 1e-7 * size + 1e-7


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_in_c_is_that_of_the_reference(name):
    function, *shapes = GRADIENTS[name]
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    graph = _with_gradients(function, arrays)
    for actual, expected in zip(run(graph, *arrays), run64(graph, *arrays), strict=True):
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * (1 + np.abs(expected).max(initial=0)))


# Of these the gradient is that there is none, or it is tested with what they belong to.
WITHOUT_CASE = {"argmax", "one_hot", "random_uniform"}


def test_every_gradient_has_a_case():
    covered, functions = set(), set()
    for function, *shapes in GRADIENTS.values():
        for node in traced(function, *[normal(*shape) for shape in shapes]).nodes:
            covered.add(node.op.name)
            functions.add((node.op.name, node.attrs.get("func")))
    assert {name for name, op in OPS.items() if op.gradient is not None} - covered == WITHOUT_CASE
    assert {func for op, func in functions if op == "unary_fwd"} >= set(UNARY) - WITHOUT_SLOPE - {"identity"}
    assert {func for op, func in functions if op == "reduce"} == set(REDUCE)


@pytest.mark.parametrize("func", sorted(WITHOUT_SLOPE | {"floor_divide", "equal", "less", "argmax", "one_hot"}))
def test_steps_have_no_gradient(func):
    def function(tracer, x):
        if func in BINARY:
            y = binary(func, x, 0.3)
        elif func in UNARY:
            y = unary(func, x)
        else:
            y = ops.argmax(x, 1) if func == "argmax" else ops.one_hot(ops.cast(x, "int32"), 3)
        return [] if gradients(tracer.graph, ops.sum(y), [x]) == [None] else [x]

    assert trace(function, [TensorSpec((2, 3))]).graph.outputs == []


def test_gradient_is_none_where_the_loss_does_not_depend():
    used, unused = Variable([2.0]), Variable([3.0])

    def step(tracer, x, other):
        loss = ops.sum(ops.multiply(x, used))
        wanted = [x, other, tracer.leaf(used), tracer.leaf(unused)]
        found = gradients(tracer.graph, loss, wanted)
        assert [g is None for g in found] == [False, True, False, True]
        return [found[0], found[2]]

    graph = trace(step, [TensorSpec((1,))] * 2).graph
    np.testing.assert_array_equal(run(graph, np.float32([5]), np.float32([0])), [[2], [5]])


def test_gradient_of_a_variable_used_many_times():
    v = Variable([1.0, 2.0])

    def step(tracer, x):
        loss = ops.sum(v * v * x + v + ops.concatenate([v, v])[1:3])
        return gradients(tracer.graph, loss, [tracer.leaf(v)])

    (slope,) = run(trace(step, [TensorSpec((2,))]).graph, np.float32([3, 4]))
    np.testing.assert_allclose(slope, [2 * 3 + 2, 4 * 4 + 2])


def test_gradient_of_the_loss_itself_and_of_a_value_inside():
    def step(tracer, x):
        inside = ops.exp(x)
        loss = ops.sum(inside * 3.0)
        return gradients(tracer.graph, loss, [loss, inside])

    one, inside = run(trace(step, [TensorSpec((2,))]).graph, np.float32([0, 1]))
    assert one == 1 and list(inside) == [3, 3]


def test_what_has_no_derivative_is_named():
    def twice(tracer, x):
        (slope,) = gradients(tracer.graph, ops.sum(ops.tanh(x)), [x])
        gradients(tracer.graph, ops.sum(slope), [x])

    with pytest.raises(ConfigError, match="unary_bwd"):
        trace(twice, [TensorSpec((2,))])
    with pytest.raises(ConfigError, match=r"\(2,\)"):
        trace(lambda tracer, x: gradients(tracer.graph, x, [x]), [TensorSpec((2,))])


# --- updates --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[NativeProgram, ReferenceProgram])
def program(request):
    return request.param


def _run_once(program, function, *arrays):
    graph = trace(lambda tracer, *values: function(*values) or [], specs_of(arrays)).graph
    return program(graph).run([np.asarray(a) for a in arrays])


def test_everything_recorded_before_reads_the_old_value(program):
    v = Variable([1.0, 2.0])

    def step(x):
        before = v * x
        v.assign(x)
        return [before, v + 0.0, ops.sum(v)]

    before, after, total = _run_once(program, step, np.float32([10, 20]))
    assert list(before) == [10, 40] and list(after) == [10, 20] and total == 30
    assert list(v.numpy()) == [10, 20]


def test_swapping_through_reads_and_views(program):
    a, b = Variable([1.0, 2.0]), Variable([3.0, 4.0])

    def step():
        old = ops.reshape(a, (1, 2))
        a.assign(b)
        b.assign(ops.reshape(old, (2,)))

    _run_once(program, step)
    assert list(a.numpy()) == [3, 4] and list(b.numpy()) == [1, 2]


def test_assign_add_adds_up(program):
    v, count = Variable([1.0, 2.0]), Variable(2**24, dtype="int32")

    def step(x):
        v.assign_add(x)
        v.assign_add(v)
        v.assign_sub(x)
        count.assign_add(2)

    _run_once(program, step, np.float32([10, 20]))
    assert list(v.numpy()) == [12, 24] and count.numpy() == 2**24 + 2


def test_an_update_is_seen_by_what_is_recorded_after_it(program):
    v, average = Variable([4.0, -4.0]), Variable([0.0, 0.0])

    def step(rate):
        v.assign(v * 0.5)
        update("sgd_update", [np.float32([1, 1]), rate], [v])
        average.assign(average * 0.5 + v * 0.5)
        v.assign(ops.maximum(v, 0.0))
        update("sgd_update", [np.float32([1, 1]), rate], [v])
        return [v, ops.sum(v)]

    out, total = _run_once(program, step, np.float32([0.25]))
    assert list(average.numpy()) == [0.875, -1.125]
    assert list(v.numpy()) == list(out) == [1.5, -0.25] and total == 1.25


def test_a_variable_read_before_its_update_keeps_that_value_everywhere(program):
    v, w = Variable([1.0, 2.0]), Variable([0.0, 0.0])

    def step(rate):
        old = ops.reshape(v, (2, 1))
        update("sgd_update", [np.float32([1, 1]), rate], [v])
        update("ema_update", [ops.reshape(old, (2,))], [w], momentum=0.5)
        return [old, v * ops.reshape(old, (2,)), v, v]

    old, product, new, again = _run_once(program, step, np.float32([1]))
    assert list(old[:, 0]) == [1, 2] and list(product) == [0, 2] and list(w.numpy()) == [0.5, 1]
    assert list(new) == list(again) == list(v.numpy()) == [0, 1]


def test_assigned_values_take_shape_and_dtype_of_the_variable(program):
    v, count = Variable(np.zeros((2, 3))), Variable([1, 2], dtype="int32")

    def step(x):
        v.assign(7)
        count.assign(x)
        count.assign_add([1, 1])

    _run_once(program, step, np.float32(3.7))
    assert (v.numpy() == 7).all() and list(count.numpy()) == [4, 4]
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3,\)"):
        _run_once(program, lambda x: v.assign(x), np.zeros(3, np.float32))


def test_int_variables_are_copied_whole(program):
    a, b = Variable([2**31 - 1, 1], dtype="int32"), Variable([16777217, -5], dtype="int32")

    def step():
        old = ops.reshape(a, (2, 1))
        a.assign(b)
        b.assign(ops.reshape(old, (2,)))

    _run_once(program, step)
    assert list(a.numpy()) == [16777217, -5] and list(b.numpy()) == [2**31 - 1, 1]


def test_constants_are_copied(program):
    constant = np.float32([1, 2])
    graph = traced(lambda x: ops.add(x, constant), constant)
    constant[...] = 100
    assert list(program(graph).run([np.float32([0, 0])])[0]) == [1, 2]


def test_one_stream_read_twice_gives_different_numbers_and_moves_by_two(program):
    state = SeedGenerator(3).state
    first, second = _run_once(
        program, lambda x: [dropout_with(x, 0.5, state), dropout_with(x, 0.5, state)], np.ones(1000, np.float32)
    )
    assert 0.4 < (first != second).mean() < 0.6
    assert list(state.numpy()) == [3, 0, 2, 0]
    third = dropout_with(np.ones(1000, np.float32), 0.5, state)
    assert 0.4 < (third != first).mean() < 0.6 and 0.4 < (third != second).mean() < 0.6


VARIABLES, LOCALS = 3, 2
STEP = st.one_of(
    st.tuples(st.just("assign"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("sgd"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("ema"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("keep"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("view"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("use"), st.integers(0, 2), st.integers(0, 1)),
)


def _play(script, variables):
    """Run a script of assignments, updates and reads; what it kept comes back."""
    kept, rate = [ops.zeros((2,))] * LOCALS, np.float32([0.5])
    for what, i, j in script:
        if what == "assign":
            variables[i].assign(variables[j] * 2.0 if i == j else variables[j])
        elif what == "add":
            variables[i].assign_add(variables[j])
        elif what == "sgd":
            update("sgd_update", [variables[j] + 1.0, rate], [variables[i]])
        elif what == "ema":
            update("ema_update", [ops.reshape(variables[j], (2,))], [variables[i]], momentum=0.5)
        elif what == "keep":
            kept[i] = ops.reshape(variables[j] - 1.0, (2,))
        elif what == "view":
            kept[i] = ops.reshape(ops.reshape(variables[j], (2, 1)), (2,))
        else:
            variables[i].assign(kept[j])
    return [*kept, *(v + 0.0 for v in variables)]


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=8))
def test_traced_code_does_what_it_does_at_once(script):
    def start():
        return [Variable([1.0 + i, 10.0 * i]) for i in range(VARIABLES)]

    eager = start()
    expected = _play(script, eager)
    for kind in (NativeProgram, ReferenceProgram):
        variables = start()
        graph = trace(lambda tracer, v=variables: _play(script, v), []).graph
        for actual, wanted in zip(kind(graph).run([]), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
        for variable, wanted in zip(variables, eager, strict=True):
            np.testing.assert_array_equal(variable.numpy(), wanted.numpy())


# --- tracing itself ---------------------------------------------------------------------------------------------------


def test_a_trace_that_fails_leaves_nothing_behind():
    with pytest.raises(ShapeError):
        trace(lambda tracer, x: ops.reshape(x, (7,)), [TensorSpec((2,))])
    assert CONTEXT.tracer is None


def test_numpy_does_not_take_values_apart():
    def attempt(call):
        def function(tracer, x):
            with pytest.raises(TypeError):
                call(x)
            return x

        return trace(function, [TensorSpec((2, 2))]).graph

    for call in (np.sum, np.asarray, np.exp, float, bool, lambda x: np.ones(2) @ np.array(x)):
        assert not attempt(call).nodes


def test_arrays_on_the_left_become_part_of_the_graph():
    (y,) = run(traced(lambda x: np.float32([[1], [2]]) * x - np.float64(1), np.zeros(2)), np.float32([3, 4]))
    np.testing.assert_array_equal(y, [[2, 3], [5, 7]])


def test_variables_are_listed_in_the_order_of_their_use():
    a, b, c = (Variable([1.0], name=name) for name in "abc")

    def function(tracer, x):
        y = x * b + a + b
        c.assign(y)
        return y

    assert [v.name for v in trace(function, [TensorSpec((1,))]).variables()] == ["b", "a"]


def test_too_large_values_are_refused_while_tracing():
    def product(x):
        return ops.matmul(ops.broadcast_to(x, (1 << 30, 1)), ops.broadcast_to(x, (1, 1 << 30)))

    with pytest.raises(ShapeError, match="at most"):
        traced(product, np.ones((1, 1)))
    with pytest.raises(DTypeError):
        traced(lambda x: ops.add(x, np.array(["a"])), np.ones(1))


def test_shapes_are_inferred_without_arrays():
    kernel = Variable(np.zeros((3, 3, 4, 8)))
    y = infer_shapes(lambda x: ops.max_pool(ops.conv(x, kernel, padding="same"), 2), [TensorSpec((7, 10, 11, 4))])
    assert y.shape == (7, 5, 5, 8) and y.dtype == "float32"
    y = infer_shapes(lambda x: [ops.greater(x, 0), x[..., 0], ops.argmax(x, -1)], [TensorSpec((2, 3))])
    assert [(v.shape, v.dtype) for v in y] == [((2, 3), "bool"), ((2,), "float32"), ((2,), "int32")]
    state = SeedGenerator(1).state
    assert infer_shapes(lambda x: dropout_with(x, 0.5, state), [TensorSpec((2, 3))]).shape == (2, 3)
    assert infer_shapes(lambda x: ops.cast(kernel, "float32"), [TensorSpec(())]).shape == (3, 3, 4, 8)
    assert list(state.numpy()) == [1, 0, 0, 0]
