"""Plain operations on symbolic tensors: x + y, ops.mean(x), ... as nodes of the layer graph."""

from cnnengine.core.naming import snake_case, unique_name
from cnnengine.layers.layer import Layer
from cnnengine.layers.symbolic import FUNCTION_LAYER


class FunctionLayer(Layer):
    """A layer without weights around a public operation."""

    def __init__(self, function, name=None):
        super().__init__(name=name or unique_name(snake_case(function.__name__)))
        self.function = function
        self.built = True

    def call(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def _with_tensors(self, args, kwargs):
        return args, kwargs

    def _takes(self, name):
        return False


FUNCTION_LAYER.append(FunctionLayer)
