"""A large batch piece by piece: a few samples at a time go through some layers, as far as they stay in the cache.

Layer by layer a batch is written to memory and read from it again between any two operations. Samples do not depend on
each other, so some operations can run for a piece of the batch, then for the next piece: what lies between them stays
in the cache, and the arena holds one piece of it. The price is that every piece reads the weights again. First layers
have large maps and few weights, last layers the opposite; so the layers are cut into sections, each with pieces of its
own, such that the least is moved (Lin et al. 2021, MCUNetV2, cuts the first layers' maps likewise, to save memory).

No result changes by a bit: every operation computes a sample as it would alone.
"""

from dataclasses import dataclass

from cnnengine.core.spec import TensorSpec
from cnnengine.engine.plan import Life, roots_of
from cnnengine.graph.graph import Node, Value
from cnnengine.ops.view import RESHAPE

CACHE_BYTES = 4 << 20  # of what an operation reads and writes, that the next ones find in a cache
STEP_BYTES = 64 << 10  # that are moved in the time that a step takes beside its work (1 to 2 us)
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
        Lives of the values that are read or written piece by piece, in nodes of all sections).
    """
    batch = _batch(graph)
    run = _by_sample(graph, batch) if batch > 1 else []
    sections, pieces, lives, start = [], {}, {}, 0
    cuts = _best_cuts(graph, run, batch)
    if cuts and cuts[-1][1] == batch:
        del cuts[-1]  # with all the rest
    for end, samples in cuts:
        if samples == batch:
            sections.append(Section([*_views(graph, start), *run[start:end]]))
        else:
            _add_pieces(graph, (start, end), batch, samples, sections, pieces, lives)
        start = end
    sections.append(Section([*_views(graph, start), *graph.nodes[start:]]))
    return sections, pieces, [Life(*life) for life in lives.values()]


def _views(graph, end):
    """Views, one each, for the values that the nodes from `end` on read and that share the memory of values before."""
    roots = roots_of(graph.nodes[:end])
    read = [value for node in graph.nodes[end:] for value in node.inputs if value is not None]
    return [_view(value, roots[id(value)]) for value in _once((*read, *graph.outputs)) if id(value) in roots]


def _view(value, source):
    node = Node(RESHAPE, [source], {"shape": value.shape}, [])
    node.outputs = [value]
    return node


def _once(values):
    return {id(value): value for value in values}.values()


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


def _best_cuts(graph, run, batch):
    """[(the node before which a section ends, samples of a piece in it)] for which the least is moved; [] for none.

    Sections of whole batches among them; the last one ends with the run. By dynamic programming over the nodes: what
    was moved so far, for each size of the pieces that the last node may have.
    """
    work, crossing = _work(graph, run, batch), _crossing_bytes(graph, run)
    sizes = [batch, *(1 << i for i in reversed(range((batch - 1).bit_length())))]  # of equal cuts the largest pieces
    least = dict.fromkeys(sizes, (0, ()))
    for i, one in enumerate(work):
        least = {samples: _reach(least, samples, batch, i, crossing[i]) for samples in sizes}
        least = {samples: (moved + _moved(*one, samples, batch), cuts) for samples, (moved, cuts) in least.items()}
    if len(graph.nodes) > len(run):  # the rest is computed for the whole batch
        least = {batch: _reach(least, batch, batch, len(run), crossing[-1])}
    samples, (moved, cuts) = min(least.items(), key=lambda item: item[1][0])
    whole = sum(_moved(*one, batch, batch) for one in work)
    if moved >= whole * (1 - LEAST_GAIN):
        return []
    return [*cuts, (len(run), samples)] if not cuts or cuts[-1][0] < len(run) else [*cuts]


def _reach(least, samples, batch, i, crossing):
    """The least that is moved before node i, if it is computed for so many samples at a time, and the cuts for it."""

    def moved(before):
        passes = (before != samples) * ((before < batch) + (samples < batch))  # that write or read what crosses
        return least[before][0] + passes * crossing

    before = min(least, key=lambda size: (moved(size), size != samples))
    cuts = least[before][1]
    return moved(before), cuts if before == samples or i == 0 else (*cuts, (i, before))


def _work(graph, run, batch):
    """Of each node bytes of its data a sample, bytes of its weights, and whether it is a step."""
    has_samples = {id(v) for v in graph.inputs} | {id(v) for node in run for v in node.outputs}
    work = []
    for node in run:
        weights = [v.spec for v in node.inputs if v is not None and id(v) not in has_samples]
        weights = 0 if node.op.is_view else sum(spec.nbytes for spec in weights)
        work.append(((_moved_by(node) - weights) // batch, weights, not node.op.is_view))
    return work


def _moved(data, weights, is_step, samples, batch):
    """Bytes that come from memory or go there: the weights for each piece, and what the cache does not hold of data."""
    rounds = -(-batch // samples)
    return rounds * (weights + is_step * STEP_BYTES) + batch * max(0, data - CACHE_BYTES // samples)


def _moved_by(node):
    """Bytes that a node reads and writes."""
    if node.op.is_view:
        return 0
    ins, outs = node.specs()
    return node.op.bytes_moved(ins, outs, node.op.fields(ins, outs, node.attrs))


def _crossing_bytes(graph, run):
    """Bytes of what is made before and read from each place in the run on, its end included."""
    roots, last = roots_of(graph.nodes), {}
    for i, values in enumerate([*(node.inputs for node in graph.nodes), graph.outputs]):
        last |= {id(roots.get(id(value), value)): i for value in values if value is not None}
    crossing = [0] * (len(run) + 1)
    for i, node in enumerate(run):
        for value in () if node.op.is_view else node.outputs:
            for place in range(i + 1, min(last.get(id(value), 0), len(run)) + 1):
                crossing[place] += value.spec.nbytes
    return crossing


def _read(graph, start, end, made):
    """Values that nodes [start, end) read (with the last ones, the graph's outputs too), made by nodes of a range."""
    roots, (first, last) = roots_of(graph.nodes), made
    read = [value for node in graph.nodes[start:end] for value in node.inputs if value is not None]
    read += graph.outputs if end == len(graph.nodes) else []
    ids = {id(v) for node in graph.nodes[first:last] for v in node.outputs}
    return [value for value in _once(roots.get(id(value), value) for value in read) if id(value) in ids]


def _add_pieces(graph, cut, batch, samples, sections, pieces, lives):
    """Sections of the nodes of a cut for the pieces of the batch, and for the samples left over.

    What they read and write outside is added to `pieces`, and to `lives` how long it has to stay.
    """
    start, end = cut
    outside = _read(graph, start, end, made=(0, start)) + _read(graph, end, len(graph.nodes), made=cut)
    rounds, rest = divmod(batch, samples)
    before = sum(len(section.nodes) for section in sections)
    for first, n, times in ((0, samples, rounds), (rounds * samples, rest, 1)):
        if n:
            sections.append(Section(_for_samples(graph, cut, outside, pieces, first, n), times))
    last = sum(len(section.nodes) for section in sections) - 1
    for value in outside:
        earliest = lives[id(value)][1] if id(value) in lives else before
        lives[id(value)] = (value, earliest, last)


def _for_samples(graph, cut, outside, pieces, first, n):
    """The nodes of a cut for n samples of the batch, and in `pieces` what they read and write outside."""
    start, end = cut
    table = {}

    def part_of(value):
        return Value(TensorSpec((n, *value.shape[1:]), value.dtype))

    for value in (*graph.inputs, *outside):
        table[id(value)] = part_of(value)
        pieces[id(table[id(value)])] = Piece(value, first, n)
    has_samples = {id(v) for v in graph.inputs} | {id(v) for node in graph.nodes[:end] for v in node.outputs}
    views, out = [node for node in _views(graph, start) if id(node.inputs[0]) in table], []
    for node in (*views, *graph.nodes[start:end]):
        inputs = [value if value is None else table.get(id(value), value) for value in node.inputs]
        part = Node(node.op, inputs, _attrs_for(node, has_samples, n), [], origins=node.origins)
        for value in node.outputs:
            table.setdefault(id(value), part_of(value)).node = part
        part.outputs = [table[id(value)] for value in node.outputs]
        out.append(part)
    return out
