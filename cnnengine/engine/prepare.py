"""Prepared values: what a program computes from weights alone is computed once for each state of the weights.

Folded normalisations and packed weights end up here. A model owns one store; all its programs share what is in it.
"""

import threading
from dataclasses import dataclass
from itertools import accumulate
from weakref import WeakValueDictionary

import numpy as np

from cnnengine import _native as native
from cnnengine.core.spec import STORAGE
from cnnengine.core.variable import Variable, WriteCounter
from cnnengine.engine.plan import aligned
from cnnengine.engine.program import NativeProgram
from cnnengine.graph.graph import Graph, Node
from cnnengine.graph.passes.dead_code import drop_dead_code
from cnnengine.graph.passes.join_depthwise_blocks import join_depthwise_blocks
from cnnengine.graph.passes.scale_filters import scale_filters
from cnnengine.graph.passes.write_concats import write_concats
from cnnengine.ops import conv_algorithm
from cnnengine.ops.conv2d import CONV2D_BWD_DATA_PACK, CONV2D_PACK
from cnnengine.ops.matmul import MATMUL_PACK

# Operations that take their weights packed, and what packs them.
_PACKS = {"conv2d_fwd": CONV2D_PACK, "conv2d_bwd_data": CONV2D_BWD_DATA_PACK, "matmul_fwd": MATMUL_PACK}

# What packing does not look at: programs for all batch and image sizes share packed weights, unless those of different
# sizes are computed by different algorithms.
_SIZES = ("n", "f", "h", "w", "o", "p", "q")
_UNREAD = {"conv2d_pack": _SIZES, "conv2d_bwd_data_pack": _SIZES, "matmul_pack": ("m",)}

_PACKED_INPUT = 1  # they all take their weights second

# Large weights of a product of so few rows are read as they lie: up to 4 rows they come from memory no faster when
# packed, with 8 they take half as long again; and packed they would be there twice.
_FEW_ROWS = 8
_LARGE = 1 << 20  # elements
_WIDEST_VECTOR = 16  # of all ISA levels; fewer columns would be packed in every run


def _fixed_values(graph):
    """Ids of the values that depend on nothing but constants and variables that the graph does not write."""
    written = {id(variable) for node in graph.updates for variable in node.writes}
    fixed = set()

    def is_fixed(value):
        if value is None:
            return True
        if isinstance(value.source, Variable):
            return id(value.source) not in written
        return value.source is not None or id(value) in fixed

    for node in graph.nodes:
        if node.inputs and node.op.name not in ("random_uniform", "dropout") and all(map(is_fixed, node.inputs)):
            fixed.update(id(value) for value in node.outputs)
    return fixed, is_fixed


def _pack_fields(node):
    ins = [None if value is None else value.spec for value in node.inputs]
    fields = node.op.fields(ins, [value.spec for value in node.outputs], node.attrs)
    in_bands = node.op.name == "conv2d_fwd" and conv_algorithm.transforms_in_run(fields)
    return fields | {"packed": native.IN_BANDS if in_bands else 1}


def _reads_in_place(node, fields):
    if node.op.name != "matmul_fwd" or fields["m"] > _FEW_ROWS or fields["tb"] or fields["b_batched"]:
        return False
    return fields["k"] * fields["n"] >= _LARGE and fields["n"] >= _WIDEST_VECTOR


def pack_weights(graph):
    """The graph with the fixed weights of products and convolutions packed by a node of their own.

    Not where so few rows are multiplied with large ones that reading them is all the work.
    """
    _, is_fixed = _fixed_values(graph)
    out, packed = [], {}
    for node in graph.nodes:
        weights = node.inputs[_PACKED_INPUT] if node.op.name in _PACKS else None
        fields = _pack_fields(node) if weights is not None and is_fixed(weights) else None
        if fields is not None and not _reads_in_place(node, fields):
            op = _PACKS[node.op.name]
            fields |= dict.fromkeys(_UNREAD[op.name], 1)
            size = native.packed_size(op.name, fields)
            key = (id(weights), op.name, repr(sorted(fields.items())))
            if key not in packed:
                specs = op.infer([], {"size": size})
                packed[key] = Node(op, [weights], {"fields": fields, "size": size}, specs, origins=node.origins[:1])
                out.append(packed[key])
            attrs = node.attrs | {"packed": fields["packed"], "b_shape": weights.shape[-2:]}
            inputs = [*node.inputs[:_PACKED_INPUT], packed[key].outputs[0], *node.inputs[_PACKED_INPUT + 1 :]]
            replacement = Node(node.op, inputs, attrs, [value.spec for value in node.outputs], origins=node.origins)
            replacement.outputs = node.outputs
            node.outputs[0].node = replacement
            node = replacement
        out.append(node)
    return graph.replaced(out)


def _arrays_together(specs):
    """Arrays of these specs in one block, which then lies on huge pages (Zen 5: ResNet-50 takes 1 to 2 % less)."""
    offsets = list(accumulate((aligned(spec.nbytes) for spec in specs), initial=0))
    arena = native.Arena(offsets[-1])
    return [arena.view(at, spec.shape, STORAGE[spec.dtype]) for at, spec in zip(offsets, specs)]


def _groups(values):
    """Keys of the values that are made in one run: small ones together, up to a limit; large ones alone.

    A run for each value takes longer in all (ResNet-50 has 57). One run for all of them takes more memory: their
    variables may lie in a mapped file, which holds none before the run and after it.
    """
    group, size = [], 0
    for key, value in values.items():
        if group and size + value.spec.size > _LARGE:
            yield group
            group, size = [], 0
        group.append(key)
        size += value.spec.size
    if group:
        yield group


class _Maker:
    """Makes prepared values in one run, and all of them anew when one of their variables has changed, as training does.

    Args:
        values: of a graph.
        arrays: where they go.
    """

    def __init__(self, values, arrays):
        self._arrays = arrays
        graph = Graph()
        graph.nodes, graph.outputs = _ancestors(values), values
        self._program = NativeProgram(graph)
        sources = {id(v): v.source for node in graph.nodes for v in node.inputs if v is not None}
        self._variables = [source for source in sources.values() if isinstance(source, Variable)]
        self._versions = None

    def refresh(self):
        versions = [variable.version for variable in self._variables]
        if versions != self._versions:
            self._program.run([], outputs=self._arrays)
            self._versions = versions
            self._program.forget_arenas()  # as large as the weights, and not needed until they change
            for variable in self._variables:
                variable.release()


@dataclass(frozen=True, eq=False)
class _Entry:
    """One prepared value."""

    maker: _Maker
    array: np.ndarray


class PreparedStore:
    """The prepared values of one model."""

    def __init__(self):
        self._entries = WeakValueDictionary()  # an entry lives as long as a program that reads it
        self._numbers = {}  # what a fixed value is -> a number for it
        self._lock = threading.RLock()

    def split(self, graph):
        """Do what is for inference alone, and take what depends on weights alone out of a graph.

        Returns:
            (the graph without it, the entries it reads, their arrays by the id of the value).
        """
        graph = join_depthwise_blocks(pack_weights(drop_dead_code(scale_filters(graph))))
        fixed, _ = _fixed_values(graph)
        rest = [node for node in graph.nodes if id(node.outputs[0]) not in fixed]
        read = {id(v): v for node in (*rest, *graph.updates) for v in node.inputs if v is not None and id(v) in fixed}
        read |= {id(v): v for v in graph.outputs if id(v) in fixed}
        for value in (v for node in rest for v in node.inputs if v is not None and isinstance(v.source, Variable)):
            value.source.leave_file()  # read in every run, where small pages would cost time (Zen 5: VGG-16 3 %)
        with self._lock:
            entries = self._entries_of(read)
        # Only now: a prepared value is nobody's to write into.
        return (
            write_concats(graph.replaced(rest)),
            list(entries.values()),
            {key: entry.array for key, entry in entries.items()},
        )

    def _number(self, value, known):
        """A number for what a fixed value is, the same in every graph it stands in.

        Args:
            known: numbers of this graph's values so far, by id.
        """
        if value is None:
            return None
        if id(value) not in known:
            node = value.node
            if isinstance(value.source, Variable):
                key = id(value.source)
            elif node is None:
                key = (value.spec, np.asarray(value.source).tobytes())
            else:
                inputs = tuple(self._number(v, known) for v in node.inputs)
                key = (node.op.name, repr(sorted(node.attrs.items())), node.outputs.index(value), inputs)
            known[id(value)] = self._numbers.setdefault(key, len(self._numbers))
        return known[id(value)]

    def _entries_of(self, values):
        """Entries for values by id. Of those that are not there yet, small ones share a block of memory."""
        known, isa = {}, native.get_isa()
        keys = {i: (isa, self._number(value, known)) for i, value in values.items()}
        entries = {key: self._entries.get(key) for key in keys.values()}  # held, so that none goes meanwhile
        new = {keys[i]: value for i, value in values.items() if entries[keys[i]] is None}
        small = [key for key, value in new.items() if value.spec.size < _LARGE]
        arrays = dict(zip(small, _arrays_together([new[key].spec for key in small])))
        for key in new.keys() - arrays.keys():  # large ones go when the last program does that reads them
            arrays[key] = _arrays_together([new[key].spec])[0]
        for group in _groups(new):
            maker = _Maker([new[key] for key in group], [arrays[key] for key in group])
            for key in group:
                entries[key] = self._entries[key] = _Entry(maker, arrays[key])
        return {i: entries[key] for i, key in keys.items()}

    def refresh(self, entries):
        """Make the given entries anew where their variables have changed."""
        with self._lock:
            for maker in dict.fromkeys(entry.maker for entry in entries):
                maker.refresh()


def _ancestors(values):
    """The nodes that make values, in order."""
    order, seen = [], set()

    def visit(v):
        if v is None or v.node is None or id(v.node) in seen:
            return
        seen.add(id(v.node))
        for source in v.node.inputs:
            visit(source)
        order.append(v.node)

    for value in values:
        visit(value)
    return order


class PreparedProgram:
    """A native program whose prepared values are brought up to date before each run."""

    def __init__(self, graph, store):
        rest, self._entries, arrays = store.split(graph)
        self._store = store
        self._program = NativeProgram(rest, arrays)
        self._seen = None

    def __getattr__(self, name):
        return getattr(self._program, name)

    def run(self, inputs, step_ns=None):
        stamp = WriteCounter.last
        if stamp != self._seen:
            self._store.refresh(self._entries)
            self._seen = stamp
        return self._program.run(inputs, step_ns)
