"""One call from Python code over values to a program."""

from cnnengine.core.config import CONFIG
from cnnengine.engine.prepare import PreparedProgram
from cnnengine.engine.program import PROGRAMS
from cnnengine.graph.passes import optimise
from cnnengine.graph.trace import trace


def build_program(function, specs, training=False, store=None):
    """Trace `function`, rewrite the graph, plan it.

    Args:
        function: takes (tracer, *values), returns the output values.
        specs: TensorSpecs of the inputs.
        training: the mode that layers see.
        store: a PreparedStore when what depends on weights alone may be computed once; None in training, where the
            weights change in every run.

    Returns:
        a program: `run(list of arrays) -> list of arrays`.
    """
    graph = optimise(trace(function, specs, training).graph)
    if store is not None and CONFIG.backend == "native":
        return PreparedProgram(graph, store)
    return PROGRAMS[CONFIG.backend](graph)
