"""Nodes and values of the graph of operations, for concrete shapes and one mode."""

from cnnengine.core.context import CONTEXT
from cnnengine.ops.abstract import AbstractValue


class Value(AbstractValue):
    """A tensor in a graph: an input, a variable, a constant or the output of a node.

    Args:
        spec: its TensorSpec.
        node: the Node that makes it, or None.
        source: for values without a node the Variable or the array it stands for, None for an input.
    """

    __slots__ = ("node", "source")

    def __init__(self, spec, node=None, source=None):
        super().__init__(spec)
        self.node = node
        self.source = source

    def __repr__(self):
        kind = self.node.op.name if self.node else type(self.source).__name__
        return f"<Value {self.dtype}{self.shape} of {kind}>"


class Node:
    """One application of an operation.

    Args:
        op: its record.
        inputs: Values, None for an absent optional input.
        attrs: what the record's functions take.
        specs: TensorSpecs of the outputs.
        writes: the Variables an update changes in place; it has no other outputs.
        origins: (path of the layer, name of the operation) of every recorded operation that this one does the work of,
            the one that gave it its kind first; a pass that joins nodes joins these. By default itself, in the layer
            that is being recorded.
    """

    __slots__ = ("attrs", "inputs", "op", "origins", "outputs", "writes")

    def __init__(self, op, inputs, attrs, specs, writes=(), origins=()):
        self.op = op
        self.inputs = list(inputs)
        self.attrs = attrs
        self.outputs = [Value(spec, self) for spec in specs]
        self.writes = tuple(writes)
        self.origins = origins or ((CONTEXT.layer, op.name),)

    def __repr__(self):
        return f"<Node {self.op.name} -> {[v.shape for v in self.outputs]}>"

    def specs(self):
        """TensorSpecs of the inputs, None for an absent one, and of the outputs: of an update, of what it changes."""
        ins = tuple(None if value is None else value.spec for value in self.inputs)
        return ins, tuple(variable.spec for variable in self.writes) or tuple(value.spec for value in self.outputs)


class Graph:
    """Nodes in an order in which they can run, and after them the updates of variables.

    Code that reads a variable after its update has been recorded (an average of the new weights) is among the updates.

    Attributes:
        inputs: Values that each run is given.
        nodes: Nodes; each comes after those that make its inputs.
        updates: Nodes that write variables, run last and in this order, so that all others read the old values.
        outputs: Values that each run returns.
        forward: how many of the nodes were there when gradients were first asked for, 0 when they never were.
    """

    def __init__(self):
        self.forward = 0
        self.inputs = []
        self.nodes = []
        self.updates = []
        self.outputs = []

    def all_nodes(self):
        return [*self.nodes, *self.updates]

    def replaced(self, nodes):
        """The same graph with other nodes."""
        graph = Graph()
        graph.inputs, graph.updates, graph.outputs, graph.nodes = self.inputs, self.updates, self.outputs, list(nodes)
        return graph

    def users(self):
        """How many times each value is read, by id: by nodes, by updates, as an output."""
        counts = {}
        for node in self.all_nodes():
            for value in node.inputs:
                if value is not None:
                    counts[id(value)] = counts.get(id(value), 0) + 1
        for value in self.outputs:
            counts[id(value)] = counts.get(id(value), 0) + 1
        return counts

    def substitute(self, table):
        """Replace values everywhere: `table` maps the id of an old value to the new one."""
        for node in self.all_nodes():
            node.inputs = [table.get(id(value), value) for value in node.inputs]
        self.outputs = [table.get(id(value), value) for value in self.outputs]
