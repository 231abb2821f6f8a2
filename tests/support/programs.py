"""Tracing small functions and running them, for tests of the graph and the engine."""

import numpy as np

from cnnengine.core.spec import TensorSpec, standard_dtype
from cnnengine.engine.program import NativeProgram, ReferenceProgram
from cnnengine.graph.trace import trace


def specs_of(arrays):
    """One TensorSpec an array."""
    return [TensorSpec(np.shape(a), standard_dtype(np.asarray(a).dtype)) for a in arrays]


def traced(function, *arrays):
    """The graph of `function` of the values alone, for arrays of these shapes."""
    return trace(lambda tracer, *values: function(*values), specs_of(arrays)).graph


def run(graph, *arrays, program=NativeProgram):
    """Outputs of a graph for float32 (or int32, uint8) arrays."""
    return program(graph).run([np.ascontiguousarray(a).reshape(np.shape(a)) for a in arrays])


def run64(graph, *arrays):
    """Outputs of a graph, computed in float64."""
    return ReferenceProgram(graph, dtype=np.float64).run([np.asarray(a) for a in arrays])


def normal(*shape, seed=0):
    """Normal numbers in float32."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def names(graph):
    """Names of the operations of a graph's nodes, views left out."""
    return [node.op.name for node in graph.nodes if not node.op.is_view]
