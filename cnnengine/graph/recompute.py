"""Trading time for memory in training: forward values computed again where the backward pass wants them.

A training step keeps every value that the gradients read, from the forward pass until its layer's turn in the backward
pass. Cut into segments, only what one segment hands to a later one has to be kept; the rest of a segment is computed a
second time from that when the backward pass comes to it (Chen et al. 2016, Training Deep Nets with Sublinear Memory
Cost). The same operations on the same values give the same bits; the price is at most one more forward pass.
"""

from itertools import accumulate

from cnnengine.graph.graph import Node

MOST_SEGMENTS = 24
SMALL_BYTES = 16 << 10  # statistics and the like: kept, whatever reads them


def recompute_forward(graph):
    """The graph of a training step in which the gradients read values computed again, segment by segment.

    Args:
        graph: as recorded, with `graph.forward` nodes before the first one of the gradients; any other is returned as
            it is.
    """
    if not graph.forward:
        return graph
    forward, backward = graph.nodes[: graph.forward], graph.nodes[graph.forward :]
    readers = _readers(graph, forward)
    kept = _kept(forward, readers, _best_starts(forward, readers))
    makers = {id(value): node for node in forward for value in node.outputs if id(value) not in kept}
    out, again = list(forward), {}
    for node in backward:
        node.inputs = [_again(value, makers, again, out) for value in node.inputs]
        out.append(node)
    return graph.replaced(out)


def _again(value, makers, again, out):
    """The value to read in the backward pass; the nodes that compute it again are appended to `out`."""
    pending = [value]
    while pending:  # without recursion: a segment may be a long chain
        node = makers.get(id(pending[-1])) if pending[-1] is not None else None
        missing = [v for v in node.inputs if id(v) in makers and id(v) not in again] if node else []
        if node is None or id(pending[-1]) in again:
            pending.pop()
        elif missing:
            pending += missing
        else:
            inputs = [again.get(id(v), v) for v in node.inputs]
            copy = Node(node.op, inputs, node.attrs, [v.spec for v in node.outputs], origins=node.origins)
            again |= {id(old): new for old, new in zip(node.outputs, copy.outputs) if id(old) in makers}
            out.append(copy)
    return again.get(id(value), value)


def _readers(graph, forward):
    """For each value of the forward pass the places of the nodes there that read it; len(forward): read at the end."""
    readers = {id(value): [] for node in forward for value in node.outputs}
    for place, node in enumerate(forward):
        for value in node.inputs:
            if id(value) in readers:
                readers[id(value)].append(place)
    late = [value for node in graph.updates for value in node.inputs] + graph.outputs
    for value in late:
        if id(value) in readers:
            readers[id(value)].append(len(forward))
    return readers


def _kept(forward, readers, starts):
    """Ids of the values that a later segment reads, that are small, or that the last segment makes."""
    kept = set()
    for place, node in enumerate(forward):
        end = next((start for start in starts if start > place), 0)
        for value in node.outputs:
            if not end or value.spec.nbytes <= SMALL_BYTES or any(reader >= end for reader in readers[id(value)]):
                kept.add(id(value))
    return kept


def _best_starts(forward, readers):
    """Where segments start: the cut with which the least is kept at once, by estimate."""
    sizes = [sum(v.spec.nbytes for v in node.outputs) * (not node.op.is_view) for node in forward]
    handed = _handed_over(forward, readers)
    cuts = [_starts(sizes, handed, count) for count in range(1, MOST_SEGMENTS + 1)]
    return min(cuts, key=lambda starts: _held(forward, readers, sizes, starts))


def _held(forward, readers, sizes, starts):
    """Bytes kept from the forward pass, and of the largest segment while it is computed again."""
    kept = _kept(forward, readers, starts)
    whole = sum(v.spec.nbytes for node in forward for v in node.outputs if id(v) in kept and not node.op.is_view)
    return whole + max(sum(sizes[a:b]) for a, b in zip(starts, [*starts[1:], len(sizes)]))


def _handed_over(forward, readers):
    """For each place the bytes that are made before it and read by the forward pass from there on."""
    change = [0] * (len(forward) + 2)
    for place, node in enumerate(forward):
        for value in node.outputs:
            change[place + 1] += value.spec.nbytes
            change[max(readers[id(value)], default=place) + 1] -= value.spec.nbytes
    return list(accumulate(change))


def _starts(sizes, handed, count):
    """First places of `count` segments of nearly equal size, each where the least is handed over nearby."""
    total = [0, *accumulate(sizes)]
    starts = {0}
    for i in range(1, count):
        low, high = (total[-1] * (i + shift) / count for shift in (-0.3, 0.3))
        near = [place for place in range(1, len(sizes)) if low <= total[place] <= high]
        if near:
            starts.add(min(near, key=lambda place: handed[place]))
    return sorted(starts)
