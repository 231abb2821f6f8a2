"""The layer graph: what the user builds with symbolic tensors, batch size open."""

import numpy as np

from cnnengine.core.naming import unique_name
from cnnengine.core.spec import standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.core.tree import flatten, map_structure


class KerasTensor(TensorLike):
    """A tensor of a model under construction: only shape, dtype and where it comes from.

    Args:
        shape: tuple, None for an open dimension.
        dtype: name of the dtype.
        node: the CallNode that makes it, and `index` among that node's outputs.
    """

    is_symbolic = True

    def __init__(self, shape, dtype="float32", name=None, node=None, index=0):
        self.shape = tuple(shape)
        self.dtype = standard_dtype(dtype)
        self.name = name or unique_name("keras_tensor")
        self.node = node
        self.index = index

    def record(self, function, args, kwargs):
        """A public operation was called on this tensor: make it a node of the layer graph."""
        return FUNCTION_LAYER[0](function)(*args, **kwargs)

    def __repr__(self):
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


FUNCTION_LAYER = []  # the layer that wraps a plain operation; function_layer.py puts it here


def _own(x):
    """Arrays in the graph are constants: a copy, which nobody changes."""
    return x.copy() if isinstance(x, np.ndarray) else x


class CallNode:
    """One call of a layer in the layer graph.

    Args:
        layer: what was called.
        args, kwargs: what it was called with; KerasTensors where tensors will be.
        specs: structure of (shape, dtype) pairs, wrapped in `Spec`, that the call returns.
    """

    def __init__(self, layer, args, kwargs, outputs):
        self.layer = layer
        self.args, self.kwargs = map_structure(_own, (args, kwargs))
        self.inputs = [x for x in flatten((args, kwargs)) if isinstance(x, KerasTensor)]
        self.outputs = flatten(outputs)
        for index, tensor in enumerate(self.outputs):
            tensor.node, tensor.index = self, index
        layer._nodes.append(self)

    @property
    def is_input(self):
        return not self.inputs


def is_keras_tensor(x):
    """Whether x is a symbolic tensor of a model under construction."""
    return isinstance(x, KerasTensor)
