"""Each pass alone: the same results from fewer nodes, and nothing done where it is not allowed."""

import numpy as np
import pytest

from cnnengine import activations, ops
from cnnengine.core.variable import Variable
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.gradients import gradients
from cnnengine.graph.passes import join_depthwise_blocks as join_depthwise_blocks_module
from cnnengine.graph.passes import optimise
from cnnengine.graph.passes.absorb_padding import absorb_padding
from cnnengine.graph.passes.dead_code import drop_dead_code
from cnnengine.graph.passes.fold_batch_norm import fold_batch_norm
from cnnengine.graph.passes.fuse_activation_gradient import fuse_activation_gradient
from cnnengine.graph.passes.fuse_epilogue import fuse_epilogue
from cnnengine.graph.passes.join_depthwise_blocks import join_depthwise_blocks
from cnnengine.graph.passes.scale_filters import scale_filters
from cnnengine.graph.passes.write_concats import write_concats
from cnnengine.graph.trace import trace
from cnnengine.ops.batch_norm import batch_normalise, batch_stats
from cnnengine.ops.conv2d import conv2d, conv2d_transpose, depthwise2d
from cnnengine.ops.matmul import dense
from tests.support.compare import assert_same_bits
from tests.support.programs import names, normal, run, run64, specs_of, traced


def check(rewrite, function, expected, *arrays, folded=False):
    """The pass makes the expected operations of a function's graph, and they compute what it computes.

    With `folded` the names of what runs once for a state of the weights are left out.
    """
    arrays = arrays or (normal(2, 6, 5, 4),)
    plain, rewritten = traced(function, *arrays), rewrite(traced(function, *arrays))
    found = [name for name in names(rewritten) if not folded or name not in ("unary_fwd", "binary")]
    assert found == expected.split()
    for one, other in zip(run64(rewritten, *arrays), run64(plain, *arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    for one, other in zip(run(rewritten, *arrays), run64(plain, *arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    return rewritten


# --- dead code --------------------------------------------------------------------------------------------------------


def test_what_nobody_reads_is_dropped():
    def function(x):
        unused = ops.exp(ops.tanh(x))
        ops.matmul(unused, np.ones((4, 2)))
        return ops.square(ops.tanh(x))

    check(drop_dead_code, function, "unary_fwd unary_fwd")


def test_what_an_update_reads_stays():
    v = Variable(np.zeros(3))

    def function(x):
        v.assign(ops.exp(x))
        ops.log(x)
        return []

    graph = drop_dead_code(traced(function, np.ones(3)))
    assert names(graph) == ["unary_fwd"] and len(graph.updates) == 1
    run(graph, np.zeros(3, np.float32))
    assert list(v.numpy()) == [1, 1, 1]


def test_one_used_output_keeps_a_node():
    check(drop_dead_code, lambda x: batch_stats(ops.exp(x))[1], "unary_fwd batch_norm_stats")


# --- fusing -----------------------------------------------------------------------------------------------------------

W, DEPTHWISE, VECTOR = normal(3, 3, 4, 4), normal(3, 3, 4, 1), np.full(4, 0.5, np.float32)
PRODUCERS = {
    "conv2d_fwd": lambda x: conv2d(x, W, VECTOR, padding="same"),
    "conv2d_bwd_data": lambda x: conv2d_transpose(x, W, VECTOR, padding="same"),
    "depthwise2d_fwd": lambda x: depthwise2d(x, DEPTHWISE, VECTOR, padding="same"),
    "matmul_fwd": lambda x: ops.matmul(x, W[0, 0]),
    "batch_norm_fwd": lambda x: batch_normalise(x, VECTOR, VECTOR, VECTOR, VECTOR),
}
TAKE_ADDEND = [name for name in PRODUCERS if name not in ("depthwise2d_fwd", "matmul_fwd")]


ACTIVATIONS = {
    "relu": ops.relu, "relu6": ops.relu6, "leaky_relu": ops.leaky_relu, "sigmoid": ops.sigmoid, "tanh": ops.tanh,
    "silu": ops.silu, "gelu": ops.gelu, "hard_silu": ops.hard_silu, "mish": ops.mish,
    "affine": lambda x: x * 2.0 + 1.0, "clip": lambda x: ops.clip(x, -0.5, 0.7),
    "abs": ops.abs, "power": lambda x: x**3, "threshold": lambda x: ops.threshold(x, 0.1, -2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in PRODUCERS if name != "matmul_fwd"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_an_activation_is_taken(name, act):
    second = " unary_fwd" if act == "affine" else ""  # two passes: the second finds an activation there
    check(fuse_epilogue, lambda x: ACTIVATIONS[act](PRODUCERS[name](x)), name + second)


def test_relu_with_the_limit_6_is_one_function_and_taken():
    check(fuse_epilogue, lambda x: activations.relu(PRODUCERS["conv2d_fwd"](x), max_value=6.0), "conv2d_fwd")


def test_an_activation_of_a_product_is_taken():
    check(fuse_epilogue, lambda x: ops.relu(ops.matmul(x, W[0, 0])), "matmul_fwd", normal(5, 4))


def test_a_test_keeps_its_dtype():
    graph = check(fuse_epilogue, lambda x: ops.isnan(PRODUCERS["conv2d_fwd"](x)), "conv2d_fwd")
    assert graph.outputs[0].dtype == "bool"


@pytest.mark.parametrize("name", TAKE_ADDEND)
@pytest.mark.parametrize("left", [False, True])
def test_an_addition_and_then_an_activation_are_taken(name, left):
    def function(x):
        y = PRODUCERS[name](x)
        return ops.relu(ops.add(x, y) if left else ops.add(y, x))

    check(fuse_epilogue, function, name)


def test_an_addition_to_a_product_is_taken():
    check(fuse_epilogue, lambda x: ops.relu(ops.matmul(x, W[0, 0]) + x), "matmul_fwd", normal(5, 4))


def test_of_two_candidates_the_later_takes_the_addition():
    def function(x):
        return ops.relu(ops.add(conv2d(x, W, padding="same"), batch_normalise(x, VECTOR, VECTOR)))

    graph = check(fuse_epilogue, function, "conv2d_fwd batch_norm_fwd")
    assert graph.nodes[0].attrs["act"] == 0 and graph.nodes[1].inputs[5] is not None


def test_a_chain_of_blocks():
    def function(x):
        for _ in range(3):
            y = ops.relu(batch_normalise(conv2d(x, W, padding="same"), VECTOR, VECTOR))
            x = ops.relu(conv2d(y, W, VECTOR, padding="same") + x)
        return x

    check(fuse_epilogue, function, "conv2d_fwd batch_norm_fwd conv2d_fwd " * 3)


def _shared(x):
    y = PRODUCERS["conv2d_fwd"](x)
    return [ops.relu(y), ops.exp(y)]


NOT_FUSED = {
    "two_readers": (_shared, "conv2d_fwd unary_fwd unary_fwd"),
    "an_output": (lambda x: (y := PRODUCERS["conv2d_fwd"](x), ops.relu(y)), "conv2d_fwd unary_fwd"),
    "activation_there": (lambda x: ops.tanh(ops.relu(PRODUCERS["conv2d_fwd"](x))), "conv2d_fwd unary_fwd"),
    "addition_after_activation": (lambda x: ops.relu(PRODUCERS["conv2d_fwd"](x)) + x, "conv2d_fwd binary"),
    "two_additions": (lambda x: PRODUCERS["conv2d_fwd"](x) + x + ops.exp(x), "unary_fwd conv2d_fwd binary"),
    "itself": (lambda x: (lambda y: y + y)(PRODUCERS["conv2d_fwd"](x)), "conv2d_fwd binary"),
    "other_shape": (lambda x: PRODUCERS["conv2d_fwd"](x) + x[:, :1], "slice conv2d_fwd binary"),
    "other_function": (lambda x: PRODUCERS["conv2d_fwd"](x) * x, "conv2d_fwd binary"),
    "depthwise_addition": (lambda x: PRODUCERS["depthwise2d_fwd"](x) + x, "depthwise2d_fwd binary"),
    "another_producer": (lambda x: ops.relu(ops.exp(x)), "unary_fwd unary_fwd"),
    "view_between": (lambda x: ops.relu(ops.reshape(PRODUCERS["conv2d_fwd"](x), (-1,))), "conv2d_fwd unary_fwd"),
    "bool_addend": (lambda x: PRODUCERS["conv2d_fwd"](x) + ops.greater(x, 0), "binary conv2d_fwd binary"),
}


@pytest.mark.parametrize("name", NOT_FUSED)
def test_not_fused(name):
    function, expected = NOT_FUSED[name]
    actual = names(fuse_epilogue(traced(function, normal(2, 6, 5, 4))))
    assert sorted(actual) == sorted(expected.split())
    check(fuse_epilogue, function, " ".join(actual))


def test_not_fused_when_an_update_reads_the_argument():
    v = Variable(np.zeros((2, 6, 5, 4)))

    def function(x):
        y = PRODUCERS["conv2d_fwd"](x)
        v.assign(y)
        return ops.relu(y)

    check(fuse_epilogue, function, "conv2d_fwd unary_fwd")


@pytest.mark.parametrize(("name", "is_taken"), [("relu", True), ("tanh", True), ("silu", False), ("gelu", False)])
def test_in_training_only_activations_whose_derivative_reads_the_result(name, is_taken):
    w = Variable(W)

    def step(tracer, x):
        loss = ops.sum(ops.square(ACTIVATIONS[name](conv2d(x, w, padding="same"))))
        return [loss, *gradients(tracer.graph, loss, [tracer.leaf(w), x])]

    x = normal(2, 6, 5, 4)
    plain, fused = (trace(step, specs_of([x])).graph for _ in range(2))
    fused = optimise(fused)
    acts = [node.attrs["act"] for node in fused.nodes if node.op.name == "conv2d_fwd"]
    assert (acts != [0]) == is_taken
    for one, other in zip(run64(fused, x), run64(plain, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def _normalised_step(after, gamma=True):
    """A training step through after(batch norm of x), with the gradients of x and of the parameters."""
    scale, shift = Variable(np.abs(normal(4)) + 0.5), Variable(normal(4, seed=1))

    def step(tracer, x):
        z = x * 2.0
        y = batch_normalise(z, *batch_stats(z), scale if gamma else None, shift, training=True)
        loss = ops.sum(ops.square(after(y, z)))
        return [loss, *gradients(tracer.graph, loss, [x, tracer.leaf(shift), *([tracer.leaf(scale)] if gamma else [])])]

    return step


@pytest.mark.parametrize(
    ("after", "gamma", "is_taken"),
    [
        (lambda y, x: ops.relu(y), True, True),
        (lambda y, x: ops.relu(y), False, True),
        (lambda y, x: ops.relu6(y), True, True),
        (lambda y, x: ops.tanh(y), True, False),
        (lambda y, x: ops.relu(y + x), True, False),  # what passes also goes to the other side of the sum
    ],
    ids=["relu", "without_gamma", "relu6", "tanh", "sum"],
)
def test_gradient_of_an_activation_is_taken_by_that_of_its_normalisation(after, gamma, is_taken):
    x = normal(2, 6, 5, 4)
    plain, fused = (fuse_epilogue(trace(_normalised_step(after, gamma), specs_of([x])).graph) for _ in range(2))
    fused = drop_dead_code(fuse_activation_gradient(fused))
    assert names(plain).count("unary_bwd") - names(fused).count("unary_bwd") == is_taken
    for one, other in zip(run64(fused, x), run64(plain, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    for one, other in zip(run(fused, x)[1:], run(plain, x)[1:], strict=True):
        assert_same_bits(one, other)


# --- padding ----------------------------------------------------------------------------------------------------------

PADDED = ((0, 0), (2, 1), (0, 2), (0, 0))
ABSORBED = {
    "conv": (lambda x: conv2d(ops.pad(x, PADDED), W, VECTOR), "conv2d_fwd"),
    "strided": (lambda x: conv2d(ops.pad(x, PADDED), W, strides=(2, 2)), "conv2d_fwd"),
    "padded_itself": (lambda x: conv2d(ops.pad(x, ((0, 0), (1, 0), (1, 1), (0, 0))), W, padding="same"), "conv2d_fwd"),
    "depthwise": (lambda x: depthwise2d(ops.pad(x, PADDED), DEPTHWISE, strides=(2, 2)), "depthwise2d_fwd"),
    "dilated": (lambda x: conv2d(ops.pad(x, ((0, 0), (4, 3), (0, 2), (0, 0))), W, dilation=(2, 2)), "conv2d_fwd"),
    "pool": (lambda x: ops.max_pool(ops.pad(ops.relu(x), PADDED), 3, 2), "unary_fwd max_pool2d_fwd"),
    "row": (lambda x: ops.conv(ops.pad(x[:, 0], ((0, 0), (1, 1), (0, 0))), W[0]), "slice conv2d_fwd"),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSORBED)
def test_padding_is_absorbed(name):
    function, expected = ABSORBED[name]
    check(lambda graph: drop_dead_code(absorb_padding(graph)), function, expected)


def test_padding_with_two_readers_is_absorbed_by_the_one_that_can():
    def function(x):
        padded = ops.pad(x, PADDED)
        return [conv2d(padded, W), ops.exp(padded)]

    check(absorb_padding, function, "pad conv2d_fwd unary_fwd")


KEPT = {
    "channels": lambda x: conv2d(ops.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1))), normal(3, 3, 6, 4)),
    "samples": lambda x: conv2d(ops.pad(x, ((1, 0), (1, 1), (1, 1), (0, 0))), W),
    "ones": lambda x: conv2d(ops.pad(x, PADDED, constant_values=1.0), W),
    "windows_that_see_nothing_before": lambda x: conv2d(ops.pad(x, ((0, 0), (3, 0), (0, 0), (0, 0))), W),
    "windows_that_see_nothing_behind": lambda x: conv2d(ops.pad(x, ((0, 0), (0, 0), (0, 3), (0, 0))), W),
}


@pytest.mark.parametrize("name", KEPT)
def test_padding_that_must_stay(name):
    check(absorb_padding, KEPT[name], "pad conv2d_fwd")


POOLED = {
    "of_negative_cells": (lambda x: ops.max_pool(ops.pad(x, PADDED), 3, 2), "pad max_pool2d_fwd"),
    "that_counts_zeros": (
        lambda x: ops.average_pool(ops.pad(ops.relu(x), PADDED), 3, 2),
        "unary_fwd pad avg_pool2d_fwd",
    ),
    "of_ones": (
        lambda x: ops.max_pool(ops.pad(ops.relu(x), PADDED, constant_values=1.0), 3, 2),
        "unary_fwd pad max_pool2d_fwd",
    ),
    "with_windows_that_see_nothing": (
        lambda x: ops.max_pool(ops.pad(ops.relu(x), ((0, 0), (3, 0), (0, 0), (0, 0))), 3, 2),
        "unary_fwd pad max_pool2d_fwd",
    ),
}


@pytest.mark.parametrize("name", POOLED)
def test_pooling_keeps_its_padding(name):
    check(absorb_padding, *POOLED[name])


def test_pooling_keeps_its_padding_in_training():
    def step(tracer, x):
        loss = ops.sum(ops.square(ops.max_pool(ops.pad(ops.relu(x), PADDED), 3, 2)))
        return [loss, *gradients(tracer.graph, loss, [x])]

    assert "pad" in names(drop_dead_code(absorb_padding(trace(step, specs_of([normal(2, 6, 5, 4)])).graph)))


@pytest.mark.parametrize("layer", ["conv2d", "depthwise2d"])
def test_padding_is_absorbed_in_training(layer):
    w = Variable({"conv2d": W, "depthwise2d": DEPTHWISE}[layer])

    def step(tracer, x):
        y = {"conv2d": conv2d, "depthwise2d": depthwise2d}[layer](ops.pad(x, PADDED), w)
        loss = ops.sum(ops.square(y))
        return [loss, *gradients(tracer.graph, loss, [tracer.leaf(w), x])]

    x = normal(2, 6, 5, 4)
    plain, absorbed = trace(step, specs_of([x])).graph, drop_dead_code(absorb_padding(trace(step, specs_of([x])).graph))
    assert not {"pad", "slice"} & set(names(absorbed))
    assert {f"{layer}_bwd_weights", f"{layer}_bwd_data"} <= set(names(absorbed))
    for one, other in zip(run64(absorbed, x), run64(plain, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


CUT = {
    "border": (lambda dy: conv2d_transpose(dy, W)[:, 1:6, 1:-1], "conv2d_bwd_data"),
    "one_side": (lambda dy: conv2d_transpose(dy, W, strides=2)[:, 1:, :-2], "conv2d_bwd_data"),
    "channels": (lambda dy: conv2d_transpose(dy, W)[..., 1:], "conv2d_bwd_data slice"),
    "samples": (lambda dy: conv2d_transpose(dy, W)[1:], "conv2d_bwd_data slice"),
    "every_other": (lambda dy: conv2d_transpose(dy, W)[:, ::2], "conv2d_bwd_data slice"),
    "with_bias": (lambda dy: conv2d_transpose(dy, W, np.ones(4))[:, 1:], "conv2d_bwd_data slice"),
    "seen_by_no_window": (lambda dy: conv2d_transpose(dy, W)[:, 3:], "conv2d_bwd_data slice"),
    "read_twice": (lambda dy: [(dx := conv2d_transpose(dy, W))[:, 1:], dx], "conv2d_bwd_data slice"),
}


@pytest.mark.parametrize("name", CUT)
def test_borders_that_are_cut_off_gradients_are_not_computed(name):
    check(lambda graph: drop_dead_code(absorb_padding(graph)), *CUT[name])


# --- folding ----------------------------------------------------------------------------------------------------------


def variables(*shapes):
    """One Variable a shape; its numbers are positive, so that they may be variances."""
    return [Variable(np.abs(normal(*shape, seed=i)) + 0.5) for i, shape in enumerate(shapes)]


KERNEL, DEPTH_KERNEL, MATRIX = variables((3, 3, 4, 4), (3, 3, 2, 2), (4, 4))
BIAS, MEAN, VAR, GAMMA, BETA = variables(*[(4,)] * 5)
GROUPED = variables((3, 3, 2, 4))[0]
FOLDED = {
    "conv": (lambda x: batch_normalise(conv2d(x, KERNEL, BIAS), MEAN, VAR, GAMMA, BETA), "conv2d_fwd"),
    "no_bias": (lambda x: batch_normalise(conv2d(x, KERNEL), MEAN, VAR, GAMMA, BETA), "conv2d_fwd"),
    "no_gamma": (lambda x: batch_normalise(conv2d(x, KERNEL, BIAS), MEAN, VAR, None, BETA, 0.1), "conv2d_fwd"),
    "nothing": (lambda x: batch_normalise(conv2d(x, KERNEL), MEAN, VAR), "conv2d_fwd"),
    "transposed": (lambda x: batch_normalise(conv2d_transpose(x, KERNEL, BIAS), MEAN, VAR, GAMMA), "conv2d_bwd_data"),
    "groups": (lambda x: batch_normalise(conv2d(x, GROUPED, BIAS, groups=2), MEAN, VAR, GAMMA), "conv2d_fwd"),
    "two": (
        lambda x: batch_normalise(conv2d(batch_normalise(conv2d(x, KERNEL), MEAN, VAR), KERNEL), VAR, MEAN, GAMMA),
        "conv2d_fwd conv2d_fwd",
    ),
    "twice": (
        lambda x: batch_normalise(batch_normalise(conv2d(x, KERNEL), MEAN, VAR), VAR, MEAN, GAMMA),
        "conv2d_fwd batch_norm_fwd",
    ),
    "shared_kernel": (
        lambda x: [batch_normalise(conv2d(x, KERNEL), MEAN, VAR), conv2d(x, KERNEL)], "conv2d_fwd conv2d_fwd"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_constant_normalisation_is_folded(name):
    function, expected = FOLDED[name]
    check(fold_batch_norm, function, expected, folded=True)


def test_folding_into_a_depthwise_convolution_and_a_product():
    x = normal(2, 6, 5, 2)
    check(
        fold_batch_norm,
        lambda x: batch_normalise(depthwise2d(x, DEPTH_KERNEL, BIAS), MEAN, VAR, GAMMA, BETA),
        "depthwise2d_fwd", x, folded=True,
    )  # fmt: skip
    check(
        fold_batch_norm,
        lambda x: batch_normalise(dense(x, MATRIX, BIAS), MEAN, VAR, GAMMA, BETA),
        "matmul_fwd", normal(5, 4), folded=True,
    )  # fmt: skip


def _after_two_readers(x):
    y = conv2d(x, KERNEL)
    return [batch_normalise(y, MEAN, VAR), ops.exp(y)]


NOT_FOLDED = {
    "batch_statistics": lambda x: batch_normalise(y := conv2d(x, KERNEL), *batch_stats(y), training=True),
    "two_readers": _after_two_readers,
    "an_output": lambda x: (y := conv2d(x, KERNEL), batch_normalise(y, MEAN, VAR)),
    "activation_between": lambda x: batch_normalise(ops.relu(conv2d(x, KERNEL)), MEAN, VAR),
    "computed_kernel": lambda x: batch_normalise(conv2d(x, ops.tanh(KERNEL)), MEAN, VAR),
    "computed_statistics": lambda x: batch_normalise(conv2d(x, KERNEL), ops.mean(x, (0, 1, 2)), VAR),
    "constant_statistics": lambda x: batch_normalise(conv2d(x, KERNEL), VECTOR, VECTOR),
    "product_of_inputs": lambda x: batch_normalise(ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))), VECTOR5, VECTOR5),
    "no_producer": lambda x: batch_normalise(x, MEAN, VAR),
}
VECTOR5 = Variable(np.ones(5))


@pytest.mark.parametrize("name", NOT_FOLDED)
def test_not_folded(name):
    x, function = normal(2, 6, 5, 4), NOT_FOLDED[name]
    rewritten = check(fold_batch_norm, function, " ".join(names(traced(function, x))), x)
    assert "batch_norm_fwd" in names(rewritten)


# --- all together -----------------------------------------------------------------------------------------------------


def _residual_block(x):
    y = ops.relu(batch_normalise(conv2d(x, KERNEL, padding="same"), MEAN, VAR, GAMMA, BETA))
    y = batch_normalise(conv2d(y, KERNEL, BIAS, padding="same"), MEAN, VAR, GAMMA, BETA)
    return ops.relu(ops.add(y, x))


def test_a_residual_block_becomes_two_convolutions():
    graph = check(optimise, _residual_block, "conv2d_fwd conv2d_fwd", folded=True)
    last = graph.nodes[-1]
    assert last.op.name == "conv2d_fwd" and last.attrs["act"] == 1 and last.inputs[3] is graph.inputs[0]


def test_optimising_twice_changes_nothing():
    graph = optimise(traced(_residual_block, normal(2, 6, 5, 4)))
    assert names(optimise(graph)) == names(graph)


# --- depthwise blocks -------------------------------------------------------------------------------------------------

_BLOCK_X = (2, 9, 8, 3)
_EXPAND, _PROJECT = normal(1, 1, 3, 12, seed=1), normal(1, 1, 12, 3, seed=2)
_WIDE_KERNEL, _NARROW_KERNEL = normal(3, 3, 12, 1, seed=3), normal(3, 3, 3, 1, seed=4)


def _block(x, stride=1, between=lambda y: y):
    wide = ops.relu6(conv2d(x, _EXPAND, normal(12)))
    middle = ops.relu6(depthwise2d(between(wide), _WIDE_KERNEL, normal(12, seed=6), (stride, stride), "same"))
    return conv2d(middle, _PROJECT)


def _joined(graph):
    return join_depthwise_blocks(fuse_epilogue(graph))


JOINED = {
    "block": (_block, "depthwise_block_fwd"),
    "strided": (lambda x: _block(x, 2), "depthwise_block_fwd"),
    "residual": (lambda x: _block(x) + x, "depthwise_block_fwd"),
    "two": (lambda x: _block(_block(x)), "depthwise_block_fwd depthwise_block_fwd"),
    "no_expansion": (
        lambda x: conv2d(depthwise2d(x, _NARROW_KERNEL, padding="same"), _EXPAND),
        "depthwise_block_fwd",
    ),
    "wide_map_read_twice": (
        lambda x: _block(x, between=lambda y: (y, kept.append(y))[0]) + ops.mean(kept.pop()),
        "conv2d_fwd depthwise_block_fwd reduce binary",
    ),
    "something_in_between": (lambda x: _block(x, between=ops.tanh), "conv2d_fwd unary_fwd depthwise_block_fwd"),
    "wide_projection": (
        lambda x: conv2d(depthwise2d(x, _NARROW_KERNEL, padding="same"), normal(3, 3, 3, 5)),
        "depthwise2d_fwd conv2d_fwd",
    ),
    "strided_projection": (
        lambda x: conv2d(depthwise2d(x, _NARROW_KERNEL, padding="same"), _EXPAND, strides=2),
        "depthwise2d_fwd conv2d_fwd",
    ),
    "padded_projection": (
        lambda x: conv2d(depthwise2d(x, _NARROW_KERNEL, padding="same"), _EXPAND, padding=(1, 0)),
        "depthwise2d_fwd conv2d_fwd",
    ),
    "multiplied": (
        lambda x: conv2d(depthwise2d(x, normal(3, 3, 3, 4), padding="same"), _PROJECT),
        "depthwise2d_fwd conv2d_fwd",
    ),
}
kept = []


@pytest.mark.parametrize("name", JOINED)
def test_a_depthwise_block_of_large_maps_becomes_one_operation(name, monkeypatch):
    monkeypatch.setattr(join_depthwise_blocks_module, "LARGE_MAP", 1)
    function, expected = JOINED[name]
    check(_joined, function, expected, normal(*_BLOCK_X))


def test_a_depthwise_block_of_small_maps_or_rows_that_do_not_fit_is_left_alone(monkeypatch):
    three = "conv2d_fwd depthwise2d_fwd conv2d_fwd"
    check(_joined, _block, three, normal(*_BLOCK_X))
    monkeypatch.setattr(join_depthwise_blocks_module, "LARGE_MAP", 1)
    check(_joined, _block, three, normal(2, 1, 2, 3))  # smaller than the weights
    monkeypatch.setattr(join_depthwise_blocks_module, "ROOM", 4 * 8 * 12 - 1)
    check(_joined, _block, three, normal(*_BLOCK_X))


def test_a_joined_block_names_all_layers_and_their_work():
    x = normal(1, 64, 64, 3)
    w = normal(1, 1, 3, 128), normal(3, 3, 128, 1), normal(1, 1, 128, 3)

    def function(x):
        return conv2d(depthwise2d(conv2d(x, w[0]), w[1], padding="same"), w[2])

    plain, joined = traced(function, x), _joined(traced(function, x))
    assert names(joined) == ["depthwise_block_fwd"]
    assert [name for _, name in joined.nodes[0].origins] == names(plain)
    assert NativeProgram(joined).steps[0].flops == sum(step.flops for step in NativeProgram(plain).steps)
    assert NativeProgram(joined).nbytes < NativeProgram(plain).nbytes / 4
    (one,), (other,) = run(joined, x), run(plain, x)
    assert_same_bits(one, other)


# --- scaled filters ---------------------------------------------------------------------------------------------------

FILTERS = normal(1, 1, 4, 3)


def _scaled(x, w=FILTERS, **kwargs):
    return conv2d(
        ops.multiply(ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)), x), w, VECTOR[: w.shape[-1]], **kwargs
    )


@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (1, 3, 4, 4), (3, 12, 1, 4)])
def test_factors_of_a_map_are_multiplied_into_filters(shape):
    def function(x):
        return ops.relu(ops.add(ops.exp(x[..., :3]), _scaled(x)))

    x = normal(*shape)
    found = names(drop_dead_code(scale_filters(fuse_epilogue(traced(function, x)))))
    assert found.count("binary") == found.count("matmul_fwd") == 1 and "conv2d_fwd" not in found
    check(lambda graph: drop_dead_code(scale_filters(fuse_epilogue(graph))), function, " ".join(found), x)


@pytest.mark.parametrize("spatial", [(24,), (2, 4, 3)])
@pytest.mark.parametrize("first", [True, False])
def test_factors_may_stand_first_and_maps_have_one_axis_or_three(spatial, first):
    axes = tuple(range(1, 1 + len(spatial)))

    def function(x):
        factors = ops.mean(x, axis=axes, keepdims=True)
        return conv2d(factors * x if first else x * factors, FILTERS.reshape(*(1 for _ in axes), 4, 3))

    x = normal(2, *spatial, 4)
    found = names(drop_dead_code(scale_filters(traced(function, x))))
    assert found.count("matmul_fwd") == 1 and "conv2d_fwd" not in found
    check(lambda graph: drop_dead_code(scale_filters(graph)), function, " ".join(found), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: _scaled(x[:, :2, :5]),  # few pixels
        lambda x: _scaled(x, W),
        lambda x: _scaled(x, strides=2),
        lambda x: _scaled(x, padding=(1, 1)),
        lambda x: _scaled(x, padding=(0, 1)),
        lambda x: _scaled(x, padding=(1, -1)),
        lambda x: conv2d(ops.multiply(x, ops.sum(x, axis=-1, keepdims=True)), FILTERS),  # factors of pixels
        lambda x: conv2d(ops.add(x, ops.sum(x, axis=(1, 2), keepdims=True)), FILTERS),
        lambda x: conv2d(ops.multiply(x, VECTOR), FILTERS),  # the same for all samples
        lambda x: [y := ops.multiply(x, ops.sum(x, axis=(1, 2), keepdims=True)), conv2d(y, FILTERS)],
    ],
)
def test_other_factors_stay_with_the_map(function):
    graph = traced(function, normal(2, 6, 5, 4))
    assert names(scale_filters(graph)) == names(graph)


def test_factors_that_samples_share_stay_with_the_map_also_of_one_sample():
    factors = Variable(normal(1, 1, 1, 4))
    for given in (factors, ops.exp(normal(1, 1, 1, 4))):
        graph = traced(lambda x, given=given: conv2d(x * given, FILTERS), normal(1, 6, 5, 4))
        assert names(scale_filters(graph)) == names(graph)


def test_scaled_filters_give_the_same_bits_for_every_batch():
    x = normal(5, 9, 8, 4)
    graphs = {n: drop_dead_code(scale_filters(optimise(traced(_scaled, x[:n])))) for n in (1, 5)}
    assert "matmul_fwd" in names(graphs[1])
    together = run(graphs[5], x)[0]
    for i in range(5):
        assert_same_bits(run(graphs[1], x[i : i + 1])[0], together[i : i + 1])


# --- concatenations ---------------------------------------------------------------------------------------------------

WIDE = normal(3, 3, 4, 6)


def _fire(x):
    """Two convolutions side by side, of which the second to run comes first."""
    left = ops.relu(conv2d(x, FILTERS, VECTOR[:3]))
    return ops.concatenate([ops.tanh(conv2d(x, WIDE, padding="same")), left], axis=-1)


BESIDE = {
    "two": (_fire, 2),
    "two_in_a_row": (lambda x: _fire(_fire(x)[..., :4]), 4),
    "four_and_a_reader": (
        lambda x: ops.exp(ops.concatenate([conv2d(x, normal(1, 1, 4, k)) for k in (1, 16, 3, 20)], axis=-1)), 4),
    "one_axis": (lambda x: _fire(x[:, 0][:, :, None]), 2),
    "three_axes": (
        lambda x: ops.concatenate([conv2d(x[:, :, :, None], normal(1, 1, 1, 4, k)) for k in (2, 5)], axis=4), 2),
    "of_shared_input": (lambda x: ops.concatenate([conv2d(y := ops.exp(x), FILTERS), conv2d(y, FILTERS)], axis=3), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_convolutions_write_into_a_concatenation(name):
    function, count = BESIDE[name]
    x = normal(2, 6, 5, 4)

    def rewrite(graph):
        return write_concats(fuse_epilogue(graph))

    found = names(rewrite(traced(function, x)))
    assert found.count("conv2d_into") == count and "conv2d_fwd" not in found and "concat" not in found
    graph = check(rewrite, function, " ".join(found), x)
    assert_same_bits(run(graph, x)[0], run(fuse_epilogue(traced(function, x)), x)[0])


def test_convolutions_by_winograds_algorithm_write_into_a_concatenation():
    x, w = normal(2, 12, 12, 32), [normal(3, 3, 32, k) for k in (16, 32)]

    def function(x):
        return ops.concatenate([ops.relu(conv2d(x, w[0], padding="same")), conv2d(x, w[1], padding="same")], axis=-1)

    graph = write_concats(fuse_epilogue(traced(function, x)))
    assert names(graph) == ["conv2d_into"] * 2
    assert all(node.op.fields([], [], node.attrs)["algorithm"] for node in graph.nodes)
    assert_same_bits(run(graph, x)[0], run(traced(function, x), x)[0])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.concatenate([conv2d(x, W), conv2d(x, W)], axis=1),
        lambda x: ops.concatenate([y := conv2d(x, FILTERS), y], axis=-1),
        lambda x: ops.concatenate([conv2d(x, FILTERS), x], axis=-1),
        lambda x: ops.concatenate([conv2d(x, FILTERS), ops.exp(ops.tanh(conv2d(x, FILTERS)))], axis=-1),
        lambda x: (y := conv2d(x, FILTERS), ops.concatenate([y, conv2d(x, FILTERS)], axis=-1)),
        lambda x: ops.concatenate([y := conv2d(x, FILTERS), conv2d(x, FILTERS)], axis=-1) * ops.mean(y),
        lambda x: ops.concatenate([conv2d(x, W, padding="same") + x, conv2d(x, FILTERS)], axis=-1),
    ],
)
def test_other_concatenations_stay(function):
    graph = fuse_epilogue(traced(function, normal(2, 6, 5, 4)))
    assert names(write_concats(graph)) == names(graph)


def test_a_concatenation_in_place_takes_no_memory_of_its_own():
    x = normal(2, 40, 40, 4)

    def function(x):
        return ops.exp(ops.concatenate([conv2d(x, normal(1, 1, 4, 16)), conv2d(x, normal(1, 1, 4, 16))], axis=-1))

    plain, rewritten = (NativeProgram(rewrite(traced(function, x))) for rewrite in (lambda graph: graph, write_concats))
    assert rewritten.nbytes <= plain.nbytes - 2 * 40 * 40 * 32 * 4
