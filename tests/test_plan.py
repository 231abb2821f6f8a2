"""The memory plan of random graphs, against a check written from its definition alone."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnengine import _native as native
from cnnengine import ops
from cnnengine.core.spec import TensorSpec
from cnnengine.engine.plan import ALIGNMENT, Gaps, Life, plan_memory, roots_of
from cnnengine.graph.graph import Node, Value
from cnnengine.ops.base import OPS
from cnnengine.ops.batch_norm import batch_normalise
from tests.support.programs import normal, run, run64, traced


def _random_nodes(draw):
    """Nodes over values of a few sizes: views, operations that may reuse an argument, others, two outputs."""
    sizes = st.sampled_from([0, 1, 16, 17, 100, 1000])
    values = [Value(TensorSpec((draw(sizes),)))]
    inputs, nodes = list(values), []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["view", "reuse", "plain", "two"]))
        picked = [values[draw(st.integers(0, len(values) - 1))] for _ in range(draw(st.integers(1, 3)))]
        if kind == "view":
            node = Node(OPS["reshape"], picked[:1], {}, [picked[0].spec])
        elif kind == "reuse":
            node = Node(OPS["binary"], picked, {}, [picked[0].spec])
        else:
            shapes = [TensorSpec((draw(sizes),)) for _ in range(2 if kind == "two" else 1)]
            node = Node(OPS["select"], picked, {}, shapes)
        nodes.append(node)
        values += node.outputs
    placed = {id(value) for value in inputs}
    produced = [v for node in nodes if not node.op.is_view for v in node.outputs]
    placed |= {id(v) for v in produced if draw(st.integers(0, 9)) == 0}
    return nodes, placed


def _random_lives(draw, nodes, placed):
    """Of some values that nodes make, which are kept longer, and of some that no node knows."""
    made = [(step, value) for step, node in enumerate(nodes) if not node.op.is_view for value in node.outputs]
    made = [one for one in made if id(one[1]) not in placed and draw(st.integers(0, 4)) == 0]
    unknown = [(0, Value(TensorSpec((size,)))) for size in draw(st.lists(st.sampled_from([1, 17, 1000]), max_size=3))]
    lives = []
    for step, value in made + unknown:
        first = draw(st.integers(step, len(nodes) - 1))
        lives.append(Life(value, first, draw(st.integers(first, len(nodes) - 1))))
    return lives


def _lengthen(spans, values, lives):
    for life in lives:
        start, end = spans.get(id(life.value), (life.first, -1))
        spans[id(life.value)], values[id(life.value)] = [start, max(end, life.last)], life.value


def _lifetimes(nodes, placed):
    """Value -> (first step, last step), counting reads through views; only of values that need a place."""
    alias, spans, values = {}, {}, {}
    for step, node in enumerate(nodes):
        for value in node.inputs:
            root = alias.get(id(value), value)
            if id(root) in spans:
                spans[id(root)][1] = step
        for value in node.outputs:
            if node.op.is_view:
                alias[id(value)] = alias.get(id(node.inputs[0]), node.inputs[0])
                root = alias[id(value)]
                if id(root) in spans:
                    spans[id(root)][1] = step
            elif id(value) not in placed:
                spans[id(value)], values[id(value)] = [step, step], value
    return spans, values


def _overlap(a, size_a, b, size_b):
    return a < b + size_b and b < a + size_a


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_values_alive_together_never_share_memory(data):
    nodes, placed = _random_nodes(data.draw)
    lives = _random_lives(data.draw, nodes, placed) if data.draw(st.booleans()) else []
    offsets, arena = plan_memory(nodes, placed, lives)
    spans, values = _lifetimes(nodes, placed)
    read = {key: end for key, (_, end) in spans.items()}
    _lengthen(spans, values, lives)
    assert set(offsets) == set(spans)
    keys = list(spans)
    for i, one in enumerate(keys):
        assert offsets[one] % ALIGNMENT == 0 and offsets[one] + values[one].spec.nbytes <= arena
        for other in keys[:i]:
            if _overlap(offsets[one], values[one].spec.nbytes, offsets[other], values[other].spec.nbytes):
                (_, end), (start, _) = sorted([spans[one], spans[other]])
                touches = end == start and end in (read.get(one), read.get(other))
                assert end < start or _is_reuse(nodes[start], touches, offsets, values, one, other)
    assert arena <= sum(-(-max(value.spec.nbytes, 1) // ALIGNMENT) * ALIGNMENT for value in values.values())


def _is_reuse(node, touches, offsets, values, one, other):
    """Whether two values meet in a step only, which may put its output on an argument of the same size."""
    made = {id(value) for value in node.outputs}
    same_place = offsets[one] == offsets[other] and values[one].spec.nbytes == values[other].spec.nbytes
    return touches and node.op.reuse and len(made) == 1 and made & {one, other} and same_place


def test_views_share_the_memory_of_what_they_view():
    x = Value(TensorSpec((4,)))
    made = Node(OPS["binary"], [x, x], {}, [TensorSpec((4,))])
    view = Node(OPS["reshape"], made.outputs, {}, [TensorSpec((2, 2))])
    again = Node(OPS["reshape"], view.outputs, {}, [TensorSpec((4, 1))])
    roots = roots_of([made, view, again])
    assert roots[id(view.outputs[0])] is roots[id(again.outputs[0])] is made.outputs[0]
    assert set(plan_memory([made, view, again], {id(x)})[0]) == {id(made.outputs[0])}


def _chain(op, sizes):
    x = Value(TensorSpec((8,)))
    nodes, last = [], x
    for size in sizes:
        nodes.append(Node(OPS[op], [last], {}, [TensorSpec((size,))]))
        last = nodes[-1].outputs[0]
    return nodes, {id(x)}


@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_chain_in_place_takes_one_value(length):
    nodes, placed = _chain("unary_fwd", [1000] * length)
    assert plan_memory(nodes, placed)[1] == 4032


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=40))
def test_a_chain_takes_little_more_than_its_largest_pair(sizes):
    nodes, placed = _chain("select", sizes)
    aligned = [-(-4 * size // ALIGNMENT) * ALIGNMENT for size in sizes]
    pair = max(a + b for a, b in pairwise(aligned))
    assert pair <= plan_memory(nodes, placed)[1] <= pair + max(aligned)


def test_nothing_is_reused_while_it_is_read_later():
    x = Value(TensorSpec((100,)))
    first = Node(OPS["unary_fwd"], [x], {}, [TensorSpec((100,))])
    second = Node(OPS["unary_fwd"], first.outputs, {}, [TensorSpec((100,))])
    third = Node(OPS["binary"], [*first.outputs, *second.outputs], {}, [TensorSpec((100,))])
    offsets, _ = plan_memory([first, second, third], {id(x)})
    assert offsets[id(first.outputs[0])] != offsets[id(second.outputs[0])]
    assert offsets[id(third.outputs[0])] in (offsets[id(first.outputs[0])], offsets[id(second.outputs[0])])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 500)), max_size=60))
def test_gaps_are_disjoint_and_nothing_is_lost(calls):
    gaps, taken = Gaps(), []
    for take, number in calls:
        if take or not taken:
            offset = gaps.take(number)
            size = max(-(-number // ALIGNMENT), 1) * ALIGNMENT
            assert not any(_overlap(offset, size, other, other_size) for other, other_size, _ in taken)
            taken.append((offset, size, number))
        else:
            offset, _, nbytes = taken.pop(number % len(taken))
            gaps.give(offset, nbytes)
    for offset, _, nbytes in taken:
        gaps.give(offset, nbytes)
    end = gaps.end
    assert end == 0 or (gaps.take(end) == 0 and gaps.end == end)


@pytest.mark.parametrize("isa", native.isa_levels())
@pytest.mark.parametrize("rows", [1, 3])
def test_a_normalisation_may_lie_on_its_statistics(isa, rows):
    """With one row they have its size, and the plan may put the result there."""
    before = native.get_isa()
    native.set_isa(isa)
    x, mean, var, gamma, beta = (np.abs(normal(*s, seed=i)) for i, s in enumerate([(rows, 37), *[(37,)] * 4]))

    def function(x, *vectors):
        made = [ops.add(v, 0.5) for v in vectors]
        return ops.multiply(batch_normalise(x, *made), x)

    arrays = (x, mean, var, gamma, beta)
    graph = traced(function, *arrays)
    np.testing.assert_allclose(run(graph, *arrays)[0], run64(graph, *arrays)[0], rtol=1e-5, atol=1e-5)
    native.set_isa(before)
