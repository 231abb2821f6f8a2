"""Rewriting a graph: each pass is a small function graph -> graph, and `optimise` runs them in order.

`scale_filters`, `join_depthwise_blocks` and `write_concats` are for inference alone: engine/prepare.py runs them,
before and after the packing of weights.
"""

from cnnengine.graph.passes.absorb_padding import absorb_padding
from cnnengine.graph.passes.dead_code import drop_dead_code
from cnnengine.graph.passes.fold_batch_norm import fold_batch_norm
from cnnengine.graph.passes.fuse_activation_gradient import fuse_activation_gradient
from cnnengine.graph.passes.fuse_epilogue import fuse_epilogue

PASSES = (drop_dead_code, absorb_padding, fold_batch_norm, fuse_epilogue, fuse_activation_gradient, drop_dead_code)


def optimise(graph):
    """The graph with all passes applied."""
    for rewrite in PASSES:
        graph = rewrite(graph)
    return graph
