"""One call from Python code over values to a program."""

from cnnengine.core.config import CONFIG
from cnnengine.engine.prepare import PreparedProgram
from cnnengine.engine.program import PROGRAMS, ReferenceProgram
from cnnengine.graph.passes import optimise
from cnnengine.graph.recompute import recompute_forward
from cnnengine.graph.trace import trace

# Programs whose part that depends on weights alone is kept in a store; the reference computes it in every run.
STORED_PROGRAMS = {"native": PreparedProgram, "reference": lambda graph, store: ReferenceProgram(graph)}


def build_program(function, specs, training=False, store=None, recompute=False):
    """Trace `function`, rewrite the graph, plan it.

    Args:
        function: takes (tracer, *values), returns the output values.
        specs: TensorSpecs of the inputs.
        training: the mode that layers see.
        store: a PreparedStore when what depends on weights alone may be computed once; None in training, where the
            weights change in every run.
        recompute: compute forward values again for the gradients instead of keeping them all.

    Returns:
        a program: `run(list of arrays) -> list of arrays`.
    """
    graph = trace(function, specs, training).graph
    graph = optimise(recompute_forward(graph) if recompute else graph)
    if store is None:
        return PROGRAMS[CONFIG.backend](graph)
    return STORED_PROGRAMS[CONFIG.backend](graph, store)
