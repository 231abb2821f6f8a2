"""Tracing: run Python code over values of concrete shape and keep what operations it applied."""

import numpy as np

from cnnengine.core.context import calling, tracing
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import TensorSpec, checked_spec, standard_dtype
from cnnengine.core.variable import Variable
from cnnengine.graph.graph import Graph, Node, Value
from cnnengine.ops import math
from cnnengine.ops.base import to_array
from cnnengine.ops.elementwise import BROADCAST, broadcast_to, cast
from cnnengine.ops.update import UPDATES


class Tracer:
    """Records operations into a graph; see ops/base.py for how they get here."""

    def __init__(self):
        self.graph = Graph()
        self._variables = {}
        self.losses = []  # what layers add to the loss
        self._now = {}  # id of a variable -> (variable, its value at this point of the code, None: not read yet)
        self._written = set()  # ids of the variables with an update
        self._late = set()  # ids of the values that are made among the updates

    def input(self, spec):
        """A Value that each run is given."""
        value = Value(checked_spec(spec.shape, spec.dtype))
        self.graph.inputs.append(value)
        return value

    def variables(self):
        """Variables that the recorded code has read, in the order of their first use."""
        return [value.source for value in self._variables.values()]

    def value_of(self, x):
        """The Value that stands for a tensor of any kind."""
        if x is None or isinstance(x, Value):
            return x
        if isinstance(x, Variable):
            return self._read(x)
        if hasattr(x, "is_symbolic"):
            raise ConfigError(f"A symbolic tensor of a model's construction was used while running it: {x!r}")
        array = np.array(to_array(x))  # a copy: the caller may change his
        return Value(TensorSpec(array.shape, standard_dtype(np.asarray(x).dtype)), source=array)

    def _read(self, variable):
        _, value = self._now.get(id(variable), (variable, self.leaf(variable)))
        if value is None:  # a copy made among the updates, since more of them may follow
            source = Value(variable.spec, source=variable)
            self._late.add(id(source))
            (value,) = self._append(BROADCAST, [source], {"shape": variable.shape})
            self.follow(variable, value)
        return value

    def leaf(self, variable):
        """The Value of a variable as it is before the run."""
        if id(variable) not in self._variables:
            self._variables[id(variable)] = Value(variable.spec, source=variable)
        return self._variables[id(variable)]

    def emit(self, op, inputs, attrs):
        return self._append(op, [self.value_of(x) for x in inputs], attrs)

    def _append(self, op, inputs, attrs):
        late = any(id(x) in self._late for x in inputs)
        if late:
            inputs = [self._kept(x) for x in inputs]
        specs = op.infer([None if x is None else x.spec for x in inputs], attrs)
        node = Node(op, inputs, attrs, [checked_spec(spec.shape, spec.dtype) for spec in specs])
        (self.graph.updates if late else self.graph.nodes).append(node)
        if late:
            self._late.update(id(value) for value in node.outputs)
        return node.outputs

    def _kept(self, value):
        """The value, or a copy from before the updates where one of those recorded so far overwrites its memory."""
        root = value
        while root is not None and root.node is not None and root.node.op.is_view:
            root = root.node.inputs[0]
        if root is None or id(root) in self._late or id(root.source) not in self._written:
            return value
        return self._append(BROADCAST, [value], {"shape": value.shape})[0]

    def update(self, op, inputs, variables, **attrs):
        """An update at the end of the run. What is recorded after it sees the variables' new values."""
        for variable in variables:
            variable.check_writable()
        inputs = [self._kept(self.value_of(x)) for x in inputs]
        node = Node(op, inputs, attrs, op.infer([x.spec for x in inputs], attrs), writes=variables)
        self.graph.updates.append(node)
        self._written.update(id(variable) for variable in variables)
        for variable in variables:
            self.follow(variable, None)

    def follow(self, variable, value):
        """Let what is recorded from here on read `value` for a variable; None: what its memory then holds."""
        self._now[id(variable)] = (variable, value)

    def assign(self, variable, value):
        value = self.value_of(broadcast_to(cast(value, variable.dtype), variable.shape))
        self.update(UPDATES["assign"], [value], [variable])
        self.follow(variable, value)
        return variable

    def assign_add(self, variable, value):
        return self.assign(variable, math.add(self._read(variable), value))


def trace(function, specs, training=False):
    """Record `function` called on one Value a spec.

    Args:
        function: takes (tracer, *values) and returns a Value or a list of them.
        specs: TensorSpecs of the inputs.
        training: the mode that layers see.

    Returns:
        the Tracer, whose graph has inputs and outputs set.
    """
    tracer = Tracer()
    with tracing(tracer), calling(training):
        outputs = function(tracer, *[tracer.input(spec) for spec in specs])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    if any(value is None for value in outputs):
        raise ConfigError("Expected tensors as the result of call. Received: None (is a `return` missing?)")
    tracer.graph.outputs = [tracer.value_of(value) for value in outputs]
    return tracer
