"""Training that computes forward values again: the same bits, less memory, and nothing kept that need not be."""

import numpy as np
import pytest

from cnnengine import Input, Model, layers, ops, optimizers
from cnnengine.core.variable import Variable
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.gradients import gradients
from cnnengine.graph.passes import optimise
from cnnengine.graph.recompute import recompute_forward
from cnnengine.graph.trace import trace
from cnnengine.ops.conv2d import conv2d
from cnnengine.utils import set_random_seed
from tests.support.compare import assert_same_bits
from tests.support.programs import names, normal, run, specs_of, traced


def _plain(x):
    for _ in range(9):
        x = layers.Conv2D(8, 3, padding="same", activation="tanh")(x)
    return layers.Flatten()(layers.MaxPooling2D()(x))


def _residual(x):
    x = layers.Conv2D(8, 3, padding="same")(x)
    for _ in range(4):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
        y = layers.Dropout(0.3)(layers.DepthwiseConv2D(3, padding="same")(y))
        x = layers.ReLU(6.0)(layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(8, 1)(y))]))
    return layers.GlobalAveragePooling2D()(x)


def _skips(x):
    """A small U: early values are read again at the end."""
    first = layers.Conv2D(8, 3, padding="same", activation="silu")(x)
    x = first
    for _ in range(5):
        x = layers.LayerNormalization()(layers.Conv2D(8, 3, padding="same", activation="silu")(x))
    second = layers.Conv2D(8, 3, padding="same", strides=2, activation="silu")(x)
    back = layers.Conv2DTranspose(8, 2, strides=2)(second)
    return layers.Flatten()(layers.Concatenate()([first, back]))


def _excited(x):
    """Squeeze and excitation, which inference computes in another way."""
    x = layers.Conv2D(8, 3, padding="same", activation="silu")(x)
    factors = layers.Conv2D(8, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Conv2D(6, 1)(layers.Multiply()([x, factors]))
    return layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))


NETWORKS = {"plain": _plain, "residual": _residual, "skips": _skips, "excited": _excited}


def _trained(network, recompute, steps=3):
    set_random_seed(0)
    inputs = Input((16, 16, 3))
    model = Model(inputs, layers.Dense(5)(NETWORKS[network](inputs)))
    loss = "mse"
    model.compile(optimizers.SGD(0.01, momentum=0.9), loss, metrics=["mae"], recompute=recompute)
    x, y = normal(6, 16, 16, 3), normal(6, 5)
    results = [model.train_on_batch(x, y) for _ in range(steps)]
    (program,) = model._programs._programs.values()
    return model, results, program


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_bits_with_less_memory(network):
    model, results, program = _trained(network, False)
    other, other_results, other_program = _trained(network, True)
    for one, again in zip(model.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(one, again)
    assert results == other_results
    assert other_program.nbytes < program.nbytes
    assert len(other_program.steps) > len(program.steps)


def _chain(recompute, blocks=16):
    weights = [Variable(normal(3, 3, 4, 4, seed=i) * 0.3) for i in range(blocks)]

    def step(tracer, x):
        for w in weights:
            x = ops.tanh(conv2d(x, w, padding="same"))
        loss = ops.mean(ops.square(x))
        return gradients(tracer.graph, loss, [tracer.leaf(w) for w in weights])

    x = normal(16, 24, 24, 4)
    graph = trace(step, specs_of([x])).graph
    return optimise(recompute_forward(graph) if recompute else graph), x


def test_a_long_chain_keeps_about_a_root_of_its_values():
    """16 blocks: kept whole 16 maps at least, in segments about 4 and once 4."""
    kept, again = (NativeProgram(_chain(recompute)[0])._program.total_bytes(1) for recompute in (False, True))
    assert again < 0.65 * kept


def test_no_operation_runs_more_than_twice():
    kept, again = (names(_chain(recompute)[0]) for recompute in (False, True))
    assert again.count("conv2d_fwd") <= 2 * kept.count("conv2d_fwd")
    assert again.count("conv2d_bwd_weights") == kept.count("conv2d_bwd_weights")


def test_gradients_have_the_same_bits():
    (kept, x), (again, _) = _chain(False), _chain(True)
    for one, other in zip(run(kept, x), run(again, x), strict=True):
        assert_same_bits(one, other)


def test_a_graph_without_gradients_stays_as_it_is():
    graph = traced(lambda x: ops.exp(x), normal(2, 3))
    assert recompute_forward(graph) is graph


def test_one_layer_has_nothing_to_compute_again():
    (kept, x), (again, _) = _chain(False, 1), _chain(True, 1)
    assert names(kept) == names(again)
    np.testing.assert_array_equal(run(kept, x)[0], run(again, x)[0])


def test_compiling_anew_turns_it_off_again():
    model, _, _ = _trained("plain", True, steps=1)
    model.compile("sgd", "mse")
    model.train_on_batch(normal(6, 16, 16, 3), normal(6, 5))
    (program,) = model._programs._programs.values()
    assert sum(step.op.name == "conv2d_fwd" for step in program.steps) == 9
