"""From a graph to a program: memory plan, prepared weights, building, running."""
