"""A large batch in pieces: never another bit, never where samples depend on each other, and less memory."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnnengine as keras
from cnnengine import layers, ops
from cnnengine.core.spec import TensorSpec
from cnnengine.core.variable import Variable
from cnnengine.engine import pieces
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.passes.write_concats import write_concats
from cnnengine.graph.trace import trace
from cnnengine.ops.batch_norm import batch_normalise, batch_stats
from cnnengine.ops.conv2d import conv2d, conv2d_transpose, depthwise2d
from cnnengine.ops.layer_norm import layer_normalise
from tests.support.compare import assert_same_bits
from tests.support.programs import names, normal, run, traced


def _in_turn(sizes):
    """A cut after every node or, of one size, only at the end; pieces of each size in turn, None: the whole batch."""

    def best_cuts(graph, run, batch):
        ends = range(1, len(run) + 1) if len(sizes) > 1 else [len(run)] if run else []
        return [(end, min(sizes[i % len(sizes)] or batch, batch)) for i, end in enumerate(ends)]

    return best_cuts


@pytest.fixture(params=[(1,), (2,), (4,), (2, 1), (1, None, 4), (None, 2)], ids=str)
def samples(request, monkeypatch):
    """All operations that can run in pieces of so many samples, one size for all or one after the other."""
    monkeypatch.setattr(pieces, "_best_cuts", _in_turn(request.param))
    return request.param


def _cut(function, *arrays):
    """Names of the operations that run in pieces or could, which are all but those of the last section."""
    graph = traced(function, *arrays)
    *sections, _ = pieces.in_pieces(graph)[0]
    run = pieces._by_sample(graph, len(arrays[0])) if sections else []
    return {node.op.name for node in run} | {node.op.name for section in sections for node in section.nodes}


def _check(function, *arrays, rewrite=lambda graph: graph):
    """The results are those of the whole batch, of the graph as it is."""
    in_pieces = run(rewrite(traced(function, *arrays)), *arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_best_cuts", lambda graph, run, batch: [])
        whole = run(traced(function, *arrays), *arrays)
    for one, other in zip(in_pieces, whole, strict=True):
        assert_same_bits(one, other)


W, V, ONE, DEPTHWISE, DENSE = normal(3, 3, 4, 4), normal(2, 2, 4, 4), normal(4), normal(3, 3, 4, 1), normal(4, 6)
X = normal(7, 9, 8, 4)  # 7: two, or four samples at a time leave a rest

BY_SAMPLE = {
    "conv": lambda x: conv2d(x, W, ONE, padding="same"),
    "conv_strided": lambda x: conv2d(x, W, strides=(2, 2)),
    "conv_transpose": lambda x: conv2d_transpose(x, V, ONE, strides=(2, 2)),
    "depthwise": lambda x: depthwise2d(x, DEPTHWISE, ONE, padding="same"),
    "max_pool": lambda x: ops.max_pool(x, 2),
    "average_pool": lambda x: ops.average_pool(x, 3, 2),
    "batch_norm": lambda x: batch_normalise(x, ONE, np.abs(ONE), ONE, ONE),
    "layer_norm": lambda x: layer_normalise(x, ONE, ONE),
    "unary": ops.tanh,
    "binary": lambda x: ops.multiply(ops.add(x, ONE), ops.add(x, 2.0)),
    "binary_of_one_map": lambda x: ops.add(x, normal(1, 9, 8, 4)),
    "softmax": lambda x: ops.softmax(x),
    "dense": lambda x: ops.matmul(ops.reshape(x, (7, -1)), normal(288, 5)),
    "products": lambda x: ops.matmul(ops.reshape(x, (7, 9, 32)), ops.reshape(ops.tanh(x), (7, 32, 9))),
    "mean": lambda x: ops.mean(x, axis=(1, 2)),
    "mean_kept": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "argmax": lambda x: ops.argmax(x, axis=-1),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
    "slice": lambda x: x[:, 2:7, 1:, :3],
    "concat": lambda x: ops.concatenate([x, ops.exp(x)], axis=-1),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "cast": lambda x: ops.cast(x, "int32"),
}


@pytest.mark.parametrize("name", BY_SAMPLE)
def test_each_operation_in_pieces(samples, name):
    def function(x):
        return BY_SAMPLE[name](ops.exp(x))

    _check(function, X)
    assert _cut(function, X) >= set(names(traced(function, X)))


def _beside(x):
    """Concatenations that convolutions write into, read as they are, by a view, and by another convolution."""
    y = ops.concatenate([conv2d(ops.tanh(x), normal(1, 1, 4, k)) for k in (3, 2, 7)], axis=-1)
    y = ops.concatenate([conv2d(y, normal(1, 1, 12, 4)), conv2d(y, normal(1, 1, 12, 1))], axis=-1)
    return [y, ops.reshape(y, (7, -1)), ops.exp(ops.reshape(y, (7, 18, 20)))]


def test_convolutions_write_into_a_concatenation_in_pieces(samples):
    assert names(write_concats(traced(_beside, X))).count("conv2d_into") == 5
    _check(_beside, X, rewrite=write_concats)


MIXING = {
    "softmax_over_samples": lambda x: ops.softmax(x, axis=0),
    "mean_over_samples": lambda x: x - ops.mean(x, axis=0, keepdims=True),
    "mean_of_all": lambda x: x / ops.mean(x),
    "flipped": lambda x: ops.flip(x, axis=0),
    "every_other": lambda x: ops.concatenate([x[1::2], x[::2]], axis=0),
    "shifted": lambda x: ops.concatenate([x[1:], x[:1]], axis=0),
    "padded": lambda x: ops.pad(x, ((1, 0), (0, 0), (0, 0), (0, 0))),
    "transposed": lambda x: ops.transpose(x, (1, 0, 2, 3)),
    "square": lambda x: ops.matmul(ops.reshape(x, (7, 288)), ops.transpose(ops.reshape(x, (7, 288)))),
    "reshaped": lambda x: ops.reshape(ops.reshape(x, (14, 144)) * 2.0, (7, 288)),
    "gathered": lambda x: ops.take(x, np.array([3, 0, 0, 1, 2, 6, 5]), axis=0),
    "normalised": lambda x: batch_normalise(x, *batch_stats(x)),
    "numbered": lambda x: x + normal(7, 1, 1, 1),
    "one_vector": lambda x: ops.softmax(ops.mean(x, axis=(1, 2, 3))),
}


@pytest.mark.parametrize("name", MIXING)
def test_where_samples_meet_the_batch_is_whole(samples, name):
    def function(x):
        return ops.exp(MIXING[name](ops.tanh(x)))

    _check(function, X)
    assert _cut(function, X) <= {"unary_fwd", "reshape", "reduce"}


def test_several_inputs_and_outputs_from_inside_and_behind(samples):
    def function(x, other):
        y = ops.exp(ops.tanh(x)) + other
        z = ops.softmax(y, axis=0)
        return [y, z, ops.reshape(y, (7, 288)), x, ops.mean(y, axis=(1, 2))]

    _check(function, X, X[::-1])


def test_inputs_of_different_batches_are_not_cut(samples):
    assert not _cut(lambda x, y: [ops.exp(ops.exp(x)), ops.exp(y)], X, X[:3])


@pytest.mark.parametrize("batch", [0, 1])
def test_batches_of_nothing_and_of_one(samples, batch):
    _check(lambda x: ops.exp(conv2d(ops.exp(x), W)), X[:batch])


def test_updates_are_never_in_pieces(samples):
    variable = Variable(np.zeros(4))

    def function(tracer, x):
        y = ops.exp(ops.exp(x))
        variable.assign(ops.mean(y, axis=(0, 1, 2)))
        return [y]

    graph = trace(function, [TensorSpec(X.shape)]).graph
    assert graph.updates and len(pieces.in_pieces(graph)[0]) == 1


def _network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    for filters in (8, 16):
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
        y = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(y))
        x = layers.Add()([layers.Conv2D(filters, 1)(x), y])
        x = layers.MaxPooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Flatten()(x)))


@pytest.mark.parametrize("batch", [2, 5, 8, 13])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_network_has_the_bits_of_single_samples(samples, batch, threads):
    before = keras.config.get_num_threads()
    keras.config.set_num_threads(threads)
    try:
        model, x = _network(), normal(batch, 16, 16, 3)
        together = model.predict_on_batch(x)
        for i in range(batch):
            assert_same_bits(together[i : i + 1], model.predict_on_batch(x[i : i + 1]))
    finally:
        keras.config.set_num_threads(before)


def test_pieces_take_less_memory(monkeypatch):
    def function(x):
        for _ in range(3):
            x = conv2d(ops.exp(x), W, padding="same")
        return ops.mean(x, axis=(1, 2))

    x = normal(64, 9, 8, 4)
    whole = NativeProgram(traced(function, x)).nbytes
    monkeypatch.setattr(pieces, "CACHE_BYTES", 20000)
    monkeypatch.setattr(pieces, "STEP_BYTES", 100)
    assert NativeProgram(traced(function, x)).nbytes < whole / 2


def test_the_cut_balances_maps_and_weights(monkeypatch):
    """Large maps in front run in pieces, the layer behind with more weights than data runs once."""
    monkeypatch.setattr(pieces, "CACHE_BYTES", 10000)
    monkeypatch.setattr(pieces, "STEP_BYTES", 100)
    heavy = normal(4 * 72, 2000)

    def function(x):
        y = conv2d(ops.relu(conv2d(ops.exp(x), W, padding="same")), W, padding="same")
        return ops.matmul(ops.reshape(y, (256, 288)), heavy)

    sections, _, _ = pieces.in_pieces(traced(function, normal(256, 9, 8, 4)))
    assert [section.rounds > 1 for section in sections] == [True, False]
    assert names(sections[-1]) == ["matmul_fwd"]


def _moved(graph, run, batch, sizes):
    """What is moved with a size of the pieces for each node, straight from the definition."""
    work, crossing = pieces._work(graph, run, batch), pieces._crossing_bytes(graph, run)
    moved = sum(pieces._moved(*one, size, batch) for one, size in zip(work, sizes, strict=True))
    after = [batch] if len(graph.nodes) > len(run) else []
    for i, (one, other) in enumerate(pairwise([*sizes, *after]), 1):
        moved += crossing[i] * ((one < batch) + (other < batch)) * (one != other)
    return moved


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_cuts_are_the_best_of_all(data):
    """Of all sizes for each of a few nodes, with maps and weights of random sizes and a value that is read later."""
    widths = data.draw(st.lists(st.sampled_from([1, 8, 64, 300]), min_size=2, max_size=5))
    skip, ending = data.draw(st.integers(0, len(widths) - 1)), data.draw(st.booleans())

    def function(x):
        made = [x]
        for one, other in pairwise([8, *widths]):
            made.append(ops.matmul(made[-1], np.ones((one, other), np.float32)))
        y = ops.add(ops.mean(made[skip], axis=1), ops.mean(made[-1], axis=1))
        return ops.flip(y, axis=0) if ending else y

    batch = 6
    graph = traced(function, normal(batch, 8))
    run = pieces._by_sample(graph, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "CACHE_BYTES", data.draw(st.sampled_from([0, 400, 3000])))
        patch.setattr(pieces, "STEP_BYTES", data.draw(st.sampled_from([1, 50])))
        patch.setattr(pieces, "LEAST_GAIN", 0.0)
        cuts, sizes, start = pieces._best_cuts(graph, run, batch) or [(len(run), batch)], [], 0
        for end, samples in cuts:
            sizes += [samples] * (end - start)
            start = end
        every = product([6, 4, 2, 1], repeat=len(run))
        assert _moved(graph, run, batch, sizes) == min(_moved(graph, run, batch, one) for one in every)


def test_what_fits_into_the_cache_stays_whole():
    assert not _cut(lambda x: ops.exp(conv2d(x, W)), normal(32, 9, 8, 4))


def test_profiles_count_all_rounds(samples):
    x = normal(6, 9, 8, 4)
    steps = NativeProgram(traced(lambda x: ops.exp(conv2d(ops.exp(x), W, padding="same")), x)).steps
    products = [step for step in steps if step.op.name == "conv2d_fwd"]
    assert sum(step.flops for step in products) == 2 * 6 * 9 * 8 * 4 * 4 * 9
