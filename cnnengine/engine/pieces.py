"""A large batch piece by piece: a few samples at a time go through the first layers, as far as they stay in the cache.

Layer by layer a batch is written to memory and read from it again between any two operations. Samples do not depend on
each other, so the operations from the first one to a cut can run for a piece of the batch, then for the next piece:
what lies between them stays in the cache, and the arena holds one piece of it. The price is that every piece reads the
weights again. First layers have large maps and few weights, last layers the opposite; the cut is where both costs
together are least (Lin et al. 2021, MCUNetV2, cuts the first layers' maps likewise, to save memory).

No result changes by a bit: every operation computes a sample as it would alone.
"""

from dataclasses import dataclass

from cnnengine.core.spec import TensorSpec
from cnnengine.engine.plan import roots_of
from cnnengine.graph.graph import Node, Value

CACHE_BYTES = 4 << 20  # of what an operation reads and writes, that the next ones find in a cache
LEAST_GAIN = 0.05  # of the bytes moved, for which pieces are worth their steps


@dataclass(frozen=True)
class Section:
    """Nodes that run `rounds` times, each time for the next samples of the batch."""

    nodes: list
    rounds: int = 1


@dataclass(frozen=True)
class Piece:
    """A value inside a section that is a part of one outside: of the samples [first, first + samples) in round 0."""

    whole: Value
    first: int
    samples: int


def in_pieces(graph):
    """Cut what a graph computes for a large batch into pieces.

    Returns:
        (sections in the order in which they run, Pieces by the id of the value that stands for them in their section,
        values made in a section and read after it).
    """
    batch = _batch(graph)
    run = _by_sample(graph, batch) if batch > 1 else []
    end, samples = _best_cut(graph, run, batch)
    if end == 0:
        return [Section(graph.nodes)], {}, []
    crossing = _crossing(graph, end)
    rounds, rest = divmod(batch, samples)
    pieces, sections = {}, []
    for first, n, times in ((0, samples, rounds), (rounds * samples, rest, 1)):
        if n:
            sections.append(Section(_for_samples(graph, run[:end], crossing, pieces, first, n), times))
    views = [node for node in graph.nodes[:end] if node.op.is_view]
    return [*sections, Section([*views, *graph.nodes[end:]])], pieces, crossing


def _batch(graph):
    """How many samples all inputs have along axis 0; 1 where the graph is not of that kind."""
    sizes = {value.shape[0] if value.shape else 0 for value in graph.inputs}
    return sizes.pop() if len(sizes) == 1 and not graph.updates else 1


def _by_sample(graph, batch):
    """The first nodes of the graph, as many as compute each sample for itself."""
    has_samples, run = {id(value) for value in graph.inputs}, []
    for node in graph.nodes:
        if _attrs_for(node, has_samples, 1) is None or any(v.shape[:1] != (batch,) for v in node.outputs):
            break
        has_samples |= {id(value) for value in node.outputs}
        run.append(node)
    return run


def _attrs_for(node, has_samples, n):
    ins = [None if value is None else value.spec for value in node.inputs]
    return node.op.by_sample(ins, node.attrs, tuple(id(value) in has_samples for value in node.inputs), n)


def _best_cut(graph, run, batch):
    """(how many nodes run in pieces, samples of a piece) for which the least is moved; (0, batch) for none."""
    has_samples = {id(v) for v in graph.inputs} | {id(v) for node in run for v in node.outputs}
    work = []  # of each node, bytes of its data a sample, and of its weights
    for node in run:
        values = [] if node.op.is_view else [v for v in (*node.inputs, *node.outputs) if v is not None]
        data = sum(v.spec.nbytes for v in values if id(v) in has_samples)
        work.append((data // batch, sum(v.spec.nbytes for v in values if id(v) not in has_samples)))
    whole = sum(_moved(*one, batch, batch) for one in work)
    least, best = whole * (1 - LEAST_GAIN), (0, batch)
    for samples in (1 << i for i in reversed(range((batch - 1).bit_length()))):  # of equal cuts the largest pieces
        moved = whole
        for end, one in enumerate(work, 1):
            moved += _moved(*one, samples, batch) - _moved(*one, batch, batch)
            if moved < least:
                least, best = moved, (end, samples)
    return best


def _moved(data, weights, samples, batch):
    """Bytes that come from memory or go there: the weights for each piece, and what the cache does not hold of data."""
    return weights * -(-batch // samples) + batch * max(0, data - CACHE_BYTES // samples)


def _crossing(graph, end):
    """Values made by the first `end` nodes and read after them, through views or not."""
    made, roots = {id(v) for node in graph.nodes[:end] for v in node.outputs}, roots_of(graph.nodes[:end])
    read = [value for node in graph.nodes[end:] for value in node.inputs if value is not None] + graph.outputs
    inside = [roots.get(id(value), value) for value in read]
    return list({id(value): value for value in inside if id(value) in made}.values())


def _for_samples(graph, nodes, crossing, pieces, first, n):
    """The nodes for n samples of the batch, and in `pieces` what they read and write outside."""
    table = {}

    def part_of(value):
        return Value(TensorSpec((n, *value.shape[1:]), value.dtype))

    for value in (*graph.inputs, *crossing):
        table[id(value)] = part_of(value)
        pieces[id(table[id(value)])] = Piece(value, first, n)
    has_samples, out = {id(value) for value in graph.inputs}, []
    for node in nodes:
        attrs = _attrs_for(node, has_samples, n)
        has_samples |= {id(value) for value in node.outputs}
        inputs = [value if value is None else table.get(id(value), value) for value in node.inputs]
        part = Node(node.op, inputs, attrs, [], origins=node.origins)
        for value in node.outputs:
            table.setdefault(id(value), part_of(value)).node = part
        part.outputs = [table[id(value)] for value in node.outputs]
        out.append(part)
    return out
