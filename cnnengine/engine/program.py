"""Programs: a graph made ready to run, by the C kernels or by the NumPy reference."""

from collections import deque

import numpy as np

from cnnengine import _native as native
from cnnengine.core.config import CONFIG
from cnnengine.core.errors import ShapeError
from cnnengine.core.spec import STORAGE
from cnnengine.core.variable import Variable
from cnnengine.engine.pieces import in_pieces
from cnnengine.engine.plan import plan_memory, roots_of
from cnnengine.engine.step import Step
from cnnengine.ops.base import reference_call
from cnnengine.ops.elementwise import CAST

IDLE_ARENAS = 4  # kept for the next runs of a program
ALONE_BELOW = 40_000  # elements' work in a program that one thread runs as fast as several


def _work(step):
    """Rough count of what a step does, for the choice of threads: an element of an elementwise operation takes as long
    as 16 multiply-adds, or as reading 16 bytes, which is what binds a product of one row.
    """
    return max(step.flops // 32 or step.elements, step.nbytes // 16)


class NativeProgram:
    """A graph as a list of steps in C.

    Args:
        graph: a Graph; its nodes run in order, then its updates.
        prepared: arrays for values that were computed before (packed weights), by id of the value.

    Attributes:
        steps: Steps in the order in which they run.
    """

    def __init__(self, graph, prepared=None):
        self.input_specs = [value.spec for value in graph.inputs]
        self.output_specs = [value.spec for value in graph.outputs]
        self._inputs = [(spec.shape, np.dtype(STORAGE[spec.dtype])) for spec in self.input_specs]
        self._outputs = [(spec.shape, np.dtype(STORAGE[spec.dtype])) for spec in self.output_specs]
        self.written = [variable for node in graph.updates for variable in node.writes]
        self._idle = deque(maxlen=IDLE_ARENAS)  # each of its methods is atomic
        self._build(graph, prepared or {})

    def _build(self, graph, prepared):
        sections, self._pieces, lives = in_pieces(graph)
        nodes = [node for section in sections for node in section.nodes] + graph.updates
        self._roots = roots_of(nodes)
        self._bound, self._place = [], {}
        for key, array in prepared.items():
            self._bind(key, array)
        for node in nodes:
            for value in node.inputs:
                if value is not None and value.source is not None and id(value) not in self._place:
                    self._bind_source(value)
        copies = self._place_outputs(graph)
        for i, value in enumerate(graph.inputs):
            self._place[id(value)] = (1 + len(self._bound) + i, 0)
        offsets, arena = plan_memory(nodes, set(self._place) | set(self._pieces), lives)
        self._place |= {key: (0, offset) for key, offset in offsets.items()}
        ends, commit = self._add_steps(sections, graph.updates, copies)
        self.first_run_base = 1 + len(self._bound)
        bases = self.first_run_base + len(graph.inputs) + len(graph.outputs)
        steps = [(step.op.name, step.fields, step.refs) for step in self.steps]
        self._program = native.Program(steps, bases, arena, commit, ends)
        for base, array in enumerate(self._bound, 1):
            self._program.bind(base, array)
        self._alone = sum(map(_work, self.steps)) < ALONE_BELOW

    def _add_steps(self, sections, updates, copies):
        """Make the steps: those of the sections, copies of outputs, updates, copies of what updates make.

        Returns:
            ((end, rounds) of each section, of which the last one goes on to the end; the first step that writes what
            outlives a run).
        """
        late = {id(value) for node in updates for value in node.outputs}
        self.steps, ends = [], []
        for section in sections:
            self.steps += [self._step(node, section.rounds) for node in section.nodes if not node.op.is_view]
            ends.append((len(self.steps), section.rounds))
        self.steps += [self._copy(value, base) for value, base in copies if id(self._root(value)) not in late]
        commit = len(self.steps)
        self.steps += [self._step(node) for node in updates if not node.op.is_view]
        self.steps += [self._copy(value, base) for value, base in copies if id(self._root(value)) in late]
        ends[-1] = (len(self.steps), ends[-1][1])
        return ends, commit

    def _bind(self, key, array):
        self._bound.append(array)
        self._place[key] = (len(self._bound), 0)

    def _bind_source(self, value):
        is_variable = isinstance(value.source, Variable)
        self._bind(id(value), value.source.array if is_variable else np.ascontiguousarray(value.source))

    def _root(self, value):
        return self._roots.get(id(value), value)

    def _place_outputs(self, graph):
        """Let outputs be written where the caller wants them; what cannot be is copied: list of (value, base)."""
        for value in graph.outputs:
            if value.source is not None and id(value) not in self._place:
                self._bind_source(value)
        for node in graph.updates:  # a variable that an update writes is bound too
            for variable in node.writes:
                if not any(array is variable.array for array in self._bound):
                    self._bound.append(variable.array)
        copies, first = [], 1 + len(self._bound) + len(graph.inputs)
        inputs = {id(value) for value in graph.inputs}
        for i, value in enumerate(graph.outputs):
            root = self._root(value)
            if root.node is None or id(root) in self._place or id(root) in inputs:
                copies.append((value, first + i))
            else:
                self._place[id(root)] = (first + i, 0)
        return copies

    def _ref(self, value):
        """(base, byte offset, bytes from round to round) of a value."""
        if value is None:
            return None
        root = self._root(value)
        if id(root) not in self._pieces:
            return (*self._place[id(root)], 0)
        piece = self._pieces[id(root)]
        base, offset = self._place[id(self._root(piece.whole))]
        sample = piece.whole.spec.nbytes // piece.whole.shape[0]
        return base, offset + piece.first * sample, piece.samples * sample

    def _step(self, node, rounds=1):
        refs = [self._ref(value) for value in node.inputs]
        refs += [self._ref(value) for value in node.outputs]
        for variable in node.writes:
            base = next(i for i, array in enumerate(self._bound, 1) if array is variable.array)
            refs.append((base, 0, 0))
        ins, outs = node.specs()
        return Step(node.op, node.op.fields(ins, outs, node.attrs), refs, ins, outs, node.origins, rounds)

    def _copy(self, value, base):
        specs, maker = (value.spec,), self._root(value).node
        origins = maker.origins[:1] if maker else (("", CAST.name),)
        return Step(CAST, CAST.fields(specs, specs, {}), [self._ref(value), (base, 0, 0)], specs, specs, origins)

    @property
    def threads(self):
        """How many threads a run takes."""
        return 1 if self._alone else CONFIG.threads

    def run(self, inputs, step_ns=None, outputs=None):
        """Outputs for contiguous input arrays of the program's shapes and storage types.

        Args:
            inputs: the arrays.
            step_ns: array of int64 that gets the nanoseconds of each step, or None.
            outputs: contiguous arrays for the results, new ones by default.

        Raises:
            ShapeError.
        """
        if (misfit := native.first_misfit(inputs, self._inputs)) >= 0:
            array, spec = inputs[misfit], self.input_specs[misfit]
            raise ShapeError(f"Expected a contiguous array of {spec}. Received: {type(array)} {np.shape(array)}")
        if outputs is None:
            outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        threads = self.threads
        arena = self._take_arena(threads)
        try:
            self._program.run(arena, self.first_run_base, [*inputs, *outputs], threads, step_ns=step_ns)
        finally:
            self._idle.append(arena)
        for variable in self.written:
            variable.touched()
        return outputs

    def _take_arena(self, threads):
        needed = self._program.total_bytes(threads)
        try:
            while (arena := self._idle.pop()).nbytes < needed:
                pass
        except IndexError:  # none is left; asked first, another thread might take it in between
            return native.Arena(needed)
        return arena

    def forget_arenas(self):
        """Give back the memory that is kept for the next run."""
        self._idle.clear()

    @property
    def nbytes(self):
        """Bytes of memory one run takes besides weights, inputs and outputs."""
        return self._program.total_bytes(CONFIG.threads)


class ReferenceProgram:
    """The same graph on the NumPy reference.

    Args:
        graph: a Graph.
        dtype: of all float values; with float64 variables are copied, so that updates leave them as they are.
    """

    def __init__(self, graph, prepared=None, dtype=np.float32):
        self.graph = graph
        self.dtype = np.dtype(dtype)
        self.input_specs = [value.spec for value in graph.inputs]
        self.output_specs = [value.spec for value in graph.outputs]
        self.written = [variable for node in graph.updates for variable in node.writes]

    def _as_float(self, array):
        is_float = array.dtype == np.float32 and self.dtype != np.float32
        return array.astype(self.dtype) if is_float else array

    def _memory(self, variable, arrays):
        """What updates write: the variable's own array, or in another dtype a copy for this run."""
        if id(variable) not in arrays:
            arrays[id(variable)] = self._as_float(variable.array)
        return arrays[id(variable)]

    def _array(self, value, arrays):
        if value is None:
            return None
        if isinstance(value.source, Variable):
            return self._memory(value.source, arrays)
        return self._as_float(value.source) if value.source is not None else arrays[id(value)]

    def _empty(self, spec):
        storage = STORAGE[spec.dtype]
        return np.empty(spec.shape, self.dtype if storage is np.float32 else storage)

    def run(self, inputs):
        arrays = {id(value): self._as_float(array) for value, array in zip(self.graph.inputs, inputs)}
        for node in self.graph.nodes:
            self._step(node, arrays)
        late = {id(value) for node in self.graph.updates for value in node.outputs}
        arrays |= {id(v): np.array(self._array(v, arrays)) for v in self.graph.outputs if id(v) not in late}
        for node in self.graph.updates:
            self._step(node, arrays)
        for variable in self.written:
            variable.touched()
        return [np.array(arrays[id(value)]) for value in self.graph.outputs]

    def _step(self, node, arrays):
        ins = [self._array(value, arrays) for value in node.inputs]
        if node.op.is_view:
            outs = [ins[0].reshape(node.outputs[0].shape)]
        else:
            outs = [self._memory(variable, arrays) for variable in node.writes]
            outs = outs or [self._empty(value.spec) for value in node.outputs]
            reference_call(node.op.name, node.op.fields(*node.specs(), node.attrs), ins, outs)
        arrays |= {id(value): array for value, array in zip(node.outputs, outs)}


PROGRAMS = {"native": NativeProgram, "reference": ReferenceProgram}
