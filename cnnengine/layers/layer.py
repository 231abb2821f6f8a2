"""The base class of all layers: naming, building, calling. Their weights are in weight_owner.py."""

import inspect

import numpy as np

from cnnengine import regularizers
from cnnengine.core.context import CONTEXT, calling, in_layer, path_of, tracing
from cnnengine.core.errors import CnnEngineError, ConfigError
from cnnengine.core.naming import snake_case, unique_name
from cnnengine.core.registry import export, serialize, serialize_dtype
from cnnengine.core.spec import TensorSpec, standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.core.tree import flatten, map_structure
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.symbolic import CallNode, KerasTensor
from cnnengine.layers.weight_owner import WeightOwner
from cnnengine.ops.abstract import infer_shapes

_LEGACY_SHAPE = ("input_shape", "batch_input_shape", "batch_shape", "input_dim")
_NEUTRAL = ("input_length", "implementation", "autocast")  # arguments of other Keras versions without an effect here
_PROBES = (11, 13)  # two stand-ins for an open dimension: what differs between them is open in the output too


@export("keras", aliases=("keras.layers",))
class Layer(WeightOwner):
    """A function with weights.

    Subclasses define `build(input_shape)`, which makes weights by `add_weight`, and `call(inputs, ...)`, plain Python
    over `cnnengine.ops`.

    Args:
        activity_regularizer: penalty on the outputs, added to the loss divided by the batch size.
        trainable: whether optimizers may change the weights.
        dtype: "float32", what the kernels compute; None means the same.
        name: unique in a model; made from the class name by default.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, x):
        ...         return x * self.factor
    """

    input_spec = None
    supports_masking = False

    def __init__(self, *, activity_regularizer=None, trainable=True, dtype=None, name=None, **kwargs):
        super().__init__()
        self._nodes = []
        legacy = {key: kwargs.pop(key) for key in _LEGACY_SHAPE if key in kwargs}
        for key in _NEUTRAL:
            kwargs.pop(key, None)
        if kwargs:
            raise ConfigError(f"{type(self).__name__}: unknown argument(s) {sorted(kwargs)}")
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"{type(self).__name__}: name must be a str. Received: {name!r}")
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.built = False
        self._trainable = bool(trainable)
        self.dtype = self._checked_dtype(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._legacy_shape = _shape_from_legacy(legacy)

    def _checked_dtype(self, dtype):
        if isinstance(dtype, dict):
            dtype = dtype.get("config", {}).get("name", "float32")
        name = standard_dtype(getattr(dtype, "name", dtype))
        if name != "float32":
            raise ConfigError(f"{type(self).__name__}: layers compute in float32. Received: dtype={dtype!r}")
        return name

    def add_loss(self, loss):
        """Add a scalar to the loss of the model, in each step in which this layer is called."""
        collected = getattr(CONTEXT.tracer, "losses", None)
        if collected is not None:
            collected.extend(flatten(loss))

    @property
    def losses(self):
        """Penalties on trainable weights as they stand. What `add_loss` gives is part of the step it was given in."""
        return [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]

    @property
    def compute_dtype(self):
        """What the layer computes in."""
        return self.dtype

    @property
    def variable_dtype(self):
        """What the layer keeps its weights in."""
        return self.dtype

    # --- building ---------------------------------------------------------------------------------------------

    def build(self, input_shape):
        """Make the weights for an input of this shape (None for open dimensions)."""
        self.built = True

    def _build_for(self, args):
        if self.built:
            return
        shapes = map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else None, args[0]) if args else None
        with tracing(None):
            self.build(shapes)
        self._build_shapes = shapes
        self.built = True

    def get_build_config(self):
        """The input shape this layer was built for; None when it was not."""
        shapes = getattr(self, "_build_shapes", None)
        return None if shapes is None else {"input_shape": shapes}

    def build_from_config(self, config):
        """Build as `get_build_config` described it."""
        shape = config.get("input_shape") if config else None
        if shape is not None and not self.built:
            self._build_shapes = _as_shape(shape)
            self.build(self._build_shapes)
            self.built = True

    # --- calling ----------------------------------------------------------------------------------------------

    def call(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} must define call(self, inputs)")

    def __call__(self, *args, **kwargs):
        try:
            args, kwargs = self._with_tensors(args, kwargs)
            if not args and self._arguments():
                raise ConfigError("Expected an input. Received: none")
            self._check_input(args)
            self._build_for(args)
            if any(isinstance(x, KerasTensor) for x in flatten((args, kwargs))):
                return self._call_symbolic(args, kwargs)
            return self._call_now(args, kwargs)
        except CnnEngineError as error:
            raise self._named(error) from None

    def _named(self, error):
        """The error with this layer's name in front, unless a layer inside has put its own there."""
        if getattr(error, "has_layer", False):
            return error
        named = type(error)(f'{type(self).__name__} "{self.name}": {error}')
        named.has_layer = True
        return named

    def _with_tensors(self, args, kwargs):
        """The arguments with the inputs in front, given by name or not, and arrays of floats in float32."""
        if not args:
            name = next((name for name in self._arguments() if name in kwargs), None)
            if name is None:
                return args, kwargs
            args, kwargs = (kwargs[name],), {key: value for key, value in kwargs.items() if key != name}
        if args[0] is None:
            raise ConfigError("Expected an array or a tensor, or several. Received: None")
        return (map_structure(self._as_tensor, args[0]), *args[1:]), kwargs

    def _as_tensor(self, x):
        if x is None or isinstance(x, TensorLike):
            return x
        if not hasattr(x, "shape"):
            raise ConfigError(f"Expected an array or a tensor, or several. Received: {x!r}")
        array = np.asarray(x)
        is_float = standard_dtype(array.dtype) == "float32"
        return array.astype(np.float32, copy=False) if is_float else array

    def _check_input(self, args):
        specs = self.input_spec
        if specs is None or not args:
            return
        tensors = flatten(args[0])
        for spec, x in zip(specs if isinstance(specs, (list, tuple)) else [specs], tensors):
            if isinstance(spec, InputSpec) and hasattr(x, "shape"):
                spec.check(x.shape)

    def _arguments(self):
        """Names of the arguments of `call`, in order."""
        cls = type(self)
        if "_call_arguments" not in cls.__dict__:
            cls._call_arguments = tuple(inspect.signature(cls.call).parameters)[1:]
        return cls._call_arguments

    def _takes(self, name):
        """Whether `call` has an argument of that name."""
        return name in self._arguments()

    def _call_now(self, args, kwargs):
        training = kwargs.pop("training", None)
        training = CONTEXT.training if training is None else training
        if self._takes("training"):
            kwargs["training"] = bool(training)
        with calling(training), in_layer(path_of(self.name)):
            outputs = self.call(*args, **kwargs)
        if self.activity_regularizer is not None:
            for y in flatten(outputs):
                self.add_loss(self.activity_regularizer(y) / max(y.shape[0], 1))
        return outputs

    def _call_symbolic(self, args, kwargs):
        specs = self.compute_output_spec(*args, **kwargs)
        outputs = map_structure(lambda spec: KerasTensor(spec.shape, spec.dtype), specs)
        CallNode(self, args, kwargs, outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        """Shape of the output for an input of `input_shape` (None for open dimensions)."""
        probe = map_structure_shapes(lambda shape: KerasTensor(shape, self.dtype), input_shape)
        return map_structure(lambda spec: spec.shape, self._infer((probe,), {}))

    def compute_output_spec(self, *args, **kwargs):
        """Shape and dtype of what a call on symbolic tensors returns, as (nested) TensorSpecs with open dimensions."""
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return self._infer(args, kwargs)
        shape = self.compute_output_shape(map_structure(lambda x: x.shape, args[0]))
        return map_structure_shapes(lambda s: TensorSpec(tuple(s), "float32"), shape)

    def _infer(self, args, kwargs):
        """Run `call` on shapes alone, twice, with different stand-ins for the open dimensions."""
        tensors = [x for x in flatten((args, kwargs)) if isinstance(x, KerasTensor)]
        results = []
        for probe in _PROBES:
            specs = [TensorSpec(tuple(probe if d is None else d for d in x.shape), x.dtype) for x in tensors]
            results.append(infer_shapes(lambda *values: self._call_with(args, kwargs, tensors, values), specs))
        first, second = (flatten(result) for result in results)
        for value in first:
            if not hasattr(value, "shape"):
                raise ConfigError(f'{type(self).__name__} "{self.name}": call must return tensors. Received: {value!r}')
        open_specs = iter([TensorSpec(_open_where_different(a.shape, b.shape), a.dtype) for a, b in zip(first, second)])
        return map_structure(lambda _: next(open_specs), results[0])

    def _call_with(self, args, kwargs, tensors, values):
        """The call with each symbolic tensor replaced by a value."""
        table = {id(tensor): value for tensor, value in zip(tensors, values)}
        args, kwargs = map_structure(lambda x: table.get(id(x), x), (args, dict(kwargs)))
        return self._call_now(args, kwargs)

    # --- symbolic inputs and outputs, config --------------------------------------------------------------------

    def _first_node(self):
        if not self._nodes:
            raise ConfigError(
                f'Layer "{self.name}" was never called on a symbolic tensor: it has no input or output yet'
            )
        return self._nodes[0]

    @property
    def input(self):
        inputs = self._first_node().inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self):
        outputs = self._first_node().outputs
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def input_shape(self):
        return map_structure(lambda x: x.shape, self.input)

    @property
    def output_shape(self):
        return map_structure(lambda x: x.shape, self.output)

    def get_config(self):
        """What `from_config` needs to make an equal layer, without weights."""
        config = {"name": self.name, "trainable": self._trainable, "dtype": serialize_dtype(self.dtype)}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = serialize(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _open_where_different(a, b):
    return tuple(x if x == y else None for x, y in zip(a, b))


def _is_shape(value):
    return isinstance(value, (tuple, list)) and all(item is None or isinstance(item, int) for item in value)


def map_structure_shapes(function, shapes):
    """Apply a function to a shape, or to each in a list or dict of shapes."""
    if shapes is None or _is_shape(shapes):
        return function(shapes)
    if isinstance(shapes, dict):
        return {key: map_structure_shapes(function, shape) for key, shape in shapes.items()}
    return [map_structure_shapes(function, shape) for shape in shapes]


def _as_shape(shape):
    return map_structure_shapes(tuple, shape)


def _shape_from_legacy(legacy):
    """Batch shape from the old arguments input_shape, input_dim, batch_input_shape; None without them."""
    if not legacy:
        return None
    full = legacy.get("batch_input_shape") or legacy.get("batch_shape")
    if full is not None:
        return tuple(full)
    dim = legacy.get("input_dim")
    return (None, dim) if dim is not None else (None, *legacy["input_shape"])
