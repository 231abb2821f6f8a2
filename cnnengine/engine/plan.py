"""The memory plan: a place in one arena for every value that lives inside a run.

Values are placed in the order in which they are made, each into the smallest free gap that holds it (best fit; for the
problem see Pisarchyk & Lee 2020, Efficient Memory Management for Deep Neural Net Inference). A gap is free from the
step after its value's last use; an operation that allows it takes over the place of an argument that dies.
"""

from dataclasses import dataclass

from cnnengine.graph.graph import Value

ALIGNMENT = 64


@dataclass(frozen=True)
class Life:
    """A value that needs its place from before node `first` until after node `last`, whichever of the nodes use it."""

    value: Value
    first: int
    last: int


def aligned(nbytes):
    """Bytes up to the next place that may be given out."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Gaps:
    """Free parts of an arena that grows at its end."""

    def __init__(self):
        self._free = []  # (offset, size), by offset
        self.end = 0

    def take(self, nbytes):
        """Offset of a part of at least `nbytes`."""
        size = max(aligned(nbytes), ALIGNMENT)
        fitting = [(gap, i) for i, (_, gap) in enumerate(self._free) if gap >= size]
        if not fitting:
            return self._grow(size)
        gap, i = min(fitting)
        offset, _ = self._free[i]
        self._free[i : i + 1] = [(offset + size, gap - size)] if gap > size else []
        return offset

    def _grow(self, size):
        if self._free and sum(self._free[-1]) == self.end:  # the last gap reaches the end: only the rest is new
            offset, _ = self._free.pop()
        else:
            offset = self.end
        self.end = offset + size
        return offset

    def give(self, offset, nbytes):
        """Make a part free again; it joins gaps beside it."""
        size = max(aligned(nbytes), ALIGNMENT)
        at = next((i for i, (other, _) in enumerate(self._free) if other > offset), len(self._free))
        if at < len(self._free) and offset + size == self._free[at][0]:
            size += self._free.pop(at)[1]
        if at > 0 and sum(self._free[at - 1]) == offset:
            offset, before = self._free.pop(at - 1)
            size += before
            at -= 1
        self._free.insert(at, (offset, size))


def roots_of(nodes):
    """For every view, and what is made in place, the value whose memory it shares, by id."""
    roots = {}
    for node in nodes:
        source = node.op.place_of(node)
        if source is not None:
            roots[id(node.outputs[0])] = roots.get(id(source), source)
    return roots


def _last_uses(nodes, roots):
    last = {}
    for step, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                last[id(roots.get(id(value), value))] = step
    return last


def plan_memory(nodes, placed, lives=()):
    """Offsets for all values that `nodes` make and that have no place yet.

    Args:
        nodes: in the order in which they run, views included.
        placed: ids of values that live elsewhere (inputs, variables, outputs).
        lives: Lives of values that are written or read piece by piece.

    Returns:
        (offsets by the id of the value, bytes of the arena).
    """
    roots = roots_of(nodes)
    last = _last_uses(nodes, roots)
    begin, end = {}, {}
    for life in lives:
        begin.setdefault(life.first, []).append(life.value)
        if life.last > last.get(id(life.value), -1):
            last[id(life.value)] = life.last
            end.setdefault(life.last, []).append(life.value)
    gaps, offsets = Gaps(), {}

    def place(values):
        for value in values:
            if id(value) not in placed and id(value) not in offsets:
                offsets[id(value)] = gaps.take(value.spec.nbytes)

    def dying(values):
        return {id(value): value for value in values if last[id(value)] == step and id(value) in offsets}

    for step, node in enumerate(nodes):
        place(begin.get(step, ()))
        free = dying(_roots(node.inputs, roots))
        if node.op.reuse and len(node.outputs) == 1 and id(node.outputs[0]) not in placed:
            _take_over(node.outputs[0], free, offsets)
        own = [value for value in node.outputs if id(value) not in roots]
        place(own)
        free |= dying(own)
        free |= dying(end.get(step, ()))
        for value in free.values():
            gaps.give(offsets[id(value)], value.spec.nbytes)
    return offsets, gaps.end


def _roots(values, roots):
    return [roots.get(id(value), value) for value in values if value is not None]


def _take_over(output, dying, offsets):
    """Give the output the place of a dying argument of its size, which then does not die."""
    for key, value in dying.items():
        if value.spec.nbytes == output.spec.nbytes and value.spec.nbytes > 0:
            offsets[id(output)] = offsets[key]
            del dying[key]
            return
