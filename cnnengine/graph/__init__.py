"""The graph of operations: recorded by a trace, extended by gradients, rewritten by passes."""
