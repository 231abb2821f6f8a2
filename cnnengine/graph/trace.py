"""Tracing: run Python code over values of concrete shape and keep what operations it applied."""

import numpy as np

from cnnengine.core.context import calling, tracing
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import TensorSpec, checked_spec, standard_dtype
from cnnengine.core.variable import Variable
from cnnengine.graph.graph import Graph, Node, Value
from cnnengine.ops import math
from cnnengine.ops.base import to_array
from cnnengine.ops.elementwise import broadcast_to, cast
from cnnengine.ops.update import UPDATES


class Tracer:
    """Records operations into a graph; see ops/base.py for how they get here."""

    def __init__(self):
        self.graph = Graph()
        self._variables = {}
        self.losses = []  # what layers add to the loss
        self._assigned = {}  # id of a variable -> (variable, the value it will have)

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
        if id(variable) in self._assigned:
            return self._assigned[id(variable)][1]
        return self.leaf(variable)

    def leaf(self, variable):
        """The Value of a variable as it is before the run."""
        if id(variable) not in self._variables:
            self._variables[id(variable)] = Value(variable.spec, source=variable)
        return self._variables[id(variable)]

    def emit(self, op, inputs, attrs):
        inputs = [self.value_of(x) for x in inputs]
        specs = op.infer([None if x is None else x.spec for x in inputs], attrs)
        node = Node(op, inputs, attrs, [checked_spec(spec.shape, spec.dtype) for spec in specs])
        self.graph.nodes.append(node)
        return node.outputs

    def update(self, op, inputs, variables, **attrs):
        """An update at the end of the run."""
        inputs = [self.value_of(x) for x in inputs]
        ins = [x.spec for x in inputs]
        node = Node(op, inputs, attrs, op.infer(ins, attrs), writes=variables)
        self.graph.updates.append(node)

    def assign(self, variable, value):
        value = self.value_of(cast(value, variable.dtype))
        value = self.value_of(broadcast_to(value, variable.shape)) if value.shape != variable.shape else value
        if value.node is None:  # an input or another variable: taken now, before any update changes it
            value = self.value_of(math.add(value, 0.0)) if value.dtype == "float32" else value
        self.update(UPDATES["assign"], [value], [variable])
        self._assigned[id(variable)] = (variable, value)
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
    tracer.graph.outputs = [tracer.value_of(value) for value in outputs]
    return tracer
