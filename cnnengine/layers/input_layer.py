"""The entry of a functional model."""

from cnnengine.core.checks import checked_int
from cnnengine.core.errors import ConfigError
from cnnengine.core.registry import export
from cnnengine.core.spec import standard_dtype
from cnnengine.layers.layer import Layer
from cnnengine.layers.symbolic import CallNode, KerasTensor


def _checked_batch_shape(shape, batch_size, batch_shape):
    if (shape is None) == (batch_shape is None):
        raise ConfigError(
            f"Input: pass either shape or batch_shape. Received: shape={shape}, batch_shape={batch_shape}"
        )
    given = (
        (batch_size, *(shape if isinstance(shape, (tuple, list)) else (shape,))) if batch_shape is None else batch_shape
    )
    full = tuple(None if dim is None else checked_int(dim, "Input: shape", low=0) for dim in given)
    if 0 in full[1:]:
        raise ConfigError(f"Input: only the batch may be empty. Received: {full}")
    return full


@export("keras.layers")
class InputLayer(Layer):
    """The layer behind `Input`; `output` is the symbolic tensor."""

    def __init__(self, shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, **kwargs):
        for neutral in ("sparse", "ragged", "optional", "input_tensor"):
            kwargs.pop(neutral, None)
        legacy = kwargs.pop("input_shape", None)
        super().__init__(name=name, trainable=kwargs.pop("trainable", True), **kwargs)
        shape = legacy if shape is None and batch_shape is None else shape
        self.batch_shape = _checked_batch_shape(shape, batch_size, batch_shape)
        self.dtype = standard_dtype(dtype)
        self.built = True
        CallNode(self, (), {}, KerasTensor(self.batch_shape, self.dtype, name=self.name))

    def call(self):
        return self.output

    def get_config(self):
        # Written as Keras has it: dtype here is a plain name.
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        }


def Input(shape=None, batch_size=None, dtype=None, name=None, batch_shape=None, **kwargs):
    """A symbolic tensor to build a functional model from.

    Args:
        shape: sizes without the batch, None for an open one.
        batch_size: int, or None for any.
        dtype: "float32" by default; "int32" for indices.

    Raises:
        ConfigError.

    Example:
        >>> x = Input((28, 28, 1))
        >>> y = layers.Conv2D(8, 3)(x)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name, **kwargs).output
