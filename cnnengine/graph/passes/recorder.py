"""What a pass traces operations with."""

from cnnengine.graph.graph import Node


class Recorder:
    """Collects the nodes that operations on values make.

    Attributes:
        nodes: in the order in which they were made.
    """

    def __init__(self):
        self.nodes = []

    def emit(self, op, inputs, attrs):
        node = Node(op, inputs, attrs, op.infer([None if x is None else x.spec for x in inputs], attrs))
        self.nodes.append(node)
        return node.outputs
