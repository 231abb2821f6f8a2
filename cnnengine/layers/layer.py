"""The base class of all layers: weights, naming, building, calling."""

import inspect
import math

import numpy as np

from cnnengine import constraints, initializers, regularizers
from cnnengine.core.context import CONTEXT, calling, tracing
from cnnengine.core.errors import CnnEngineError, ConfigError, ShapeError, TooLarge
from cnnengine.core.naming import snake_case, unique_name
from cnnengine.core.registry import export, serialize, serialize_dtype
from cnnengine.core.spec import TensorSpec, checked_spec, standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.core.tree import flatten, map_structure
from cnnengine.core.variable import Variable
from cnnengine.layers.input_spec import InputSpec
from cnnengine.layers.symbolic import CallNode, KerasTensor
from cnnengine.ops.abstract import infer_shapes
from cnnengine.ops.random import SeedGenerator

_LEGACY_SHAPE = ("input_shape", "batch_input_shape", "batch_shape", "input_dim")
_NEUTRAL = ("input_length", "implementation", "autocast")  # arguments of other Keras versions without an effect here
_PROBES = (11, 13)  # two stand-ins for an open dimension: what differs between them is open in the output too


@export("keras", aliases=("keras.layers",))
class Layer:
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
        self._trainable_variables, self._non_trainable_variables = [], []
        self._layers, self._seed_generators, self._nodes, self._containers = [], [], [], []
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

    # --- what belongs to a layer ------------------------------------------------------------------------------

    def __setattr__(self, name, value):
        self._track(value)
        super().__setattr__(name, value)

    def _track(self, value):
        """Remember weights and layers that become attributes, also inside lists, tuples and dicts."""
        if "_containers" not in self.__dict__:
            return
        self._track_contents()
        if isinstance(value, (list, dict)) and not any(value is container for container in self._containers):
            self._containers.append(value)
        self._track_one(value)

    def _track_contents(self):
        """Remember what was put into lists and dicts after they had become attributes."""
        for container in self._containers:
            self._track_one(container)

    def _track_one(self, value):
        if isinstance(value, Layer):
            if not any(value is layer for layer in self._layers):
                self._layers.append(value)
        elif isinstance(value, Variable):
            self._track_variable(value)
        elif isinstance(value, SeedGenerator):
            if not any(value is stream for stream in self._seed_generators):
                self._seed_generators.append(value)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._track_one(item)
        elif isinstance(value, dict):
            for item in value.values():
                self._track_one(item)

    def _track_variable(self, variable):
        store = self._trainable_variables if variable.trainable else self._non_trainable_variables
        if not any(variable is v for v in (*self._trainable_variables, *self._non_trainable_variables)):
            store.append(variable)

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable=True,
        regularizer=None,
        constraint=None,
        name=None,
        **kwargs,
    ):
        """Make a weight of this layer.

        Args:
            shape: tuple of ints; () by default.
            initializer: name, Initializer or callable(shape, dtype); glorot_uniform for floats by default.

        Returns:
            a Variable.
        """
        unknown = sorted(set(kwargs) - {"autocast", "aggregation", "layout", "overwrite_with_gradient"})
        if unknown:
            raise ConfigError(f"add_weight: unknown argument(s) {unknown}")
        dtype = standard_dtype(dtype)
        shape = checked_spec((shape,) if isinstance(shape, int) else tuple(shape or ()), dtype).shape
        _take_from_budget(shape)
        default = "glorot_uniform" if dtype == "float32" else "zeros"
        make = initializers.get(initializer or default)
        make = make if CONTEXT.weight_budget is None else initializers.Zeros()  # the file has the values
        value = np.asarray(make(shape, dtype=dtype))
        if value.shape != shape:
            raise ShapeError(f"The initializer made a value of shape {value.shape}. Expected: {shape}")
        name = name or "variable"
        variable = Variable(value, name, trainable, dtype, path=f"{self.name}/{name}")
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._track_variable(variable)
        if not self._trainable:
            variable.trainable = False
        return variable

    @property
    def trainable(self):
        """Whether optimizers may change the weights; setting it reaches all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)
        for variable in self._trainable_variables:
            variable.trainable = self._trainable
        self._track_contents()
        for layer in self._layers:
            layer.trainable = value

    def _own_and_nested(self):
        """This layer and all inside it, depth first, each once."""
        seen, out, todo = set(), [], [self]
        while todo:
            layer = todo.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                out.append(layer)
                layer._track_contents()
                todo.extend(reversed(layer._layers))
        return out

    @property
    def weights(self):
        """All weights: own trainable, own others, then those of the layers inside, depth first."""
        found = {}
        for layer in self._own_and_nested():
            for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
                found.setdefault(id(variable), variable)
        return list(found.values())

    @property
    def trainable_weights(self):
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self):
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def variables(self):
        """The weights and the states of random streams."""
        streams = [s.state for layer in self._own_and_nested() for s in layer._seed_generators]
        return self.weights + streams

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self):
        """Copies of all weights, in the order of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights):
        """Set all weights at once. Raises ShapeError or DTypeError and changes nothing when one does not fit."""
        own, values = self.weights, [np.asarray(value) for value in weights]
        if len(values) != len(own):
            raise ShapeError(f'Layer "{self.name}": expected {len(own)} weights. Received: {len(values)}')
        for variable, value in zip(own, values):
            standard_dtype(value.dtype)
            if value.shape != variable.shape:
                raise ShapeError(
                    f'Layer "{self.name}": weight "{variable.path}" has shape {variable.shape}. Received: {value.shape}'
                )
        for variable, value in zip(own, values):
            variable.assign(value)

    def count_params(self):
        """Number of weights' elements. Raises ConfigError before the layer is built."""
        if not self.built:
            raise ConfigError(f'Layer "{self.name}" has no weights yet: build it by calling it or model.build()')
        return sum(v.spec.size for v in self.weights)

    def add_loss(self, loss):
        """Add a scalar to the loss of the model, in each step in which this layer is called."""
        collected = getattr(CONTEXT.tracer, "losses", None)
        if collected is not None:
            collected.extend(flatten(loss))

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
        with calling(training):
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

    def save_own_variables(self, store):
        """Put this layer's own weights into a mapping, under "0", "1", ..."""
        for i, variable in enumerate((*self._trainable_variables, *self._non_trainable_variables)):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        """Set this layer's own weights from such a mapping; checked by the caller."""
        for i, variable in enumerate((*self._trainable_variables, *self._non_trainable_variables)):
            variable.assign(store[str(i)])

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _take_from_budget(shape):
    """Raise TooLarge before memory is taken for weights that the file being read cannot hold."""
    if CONTEXT.weight_budget is not None:
        CONTEXT.weight_budget -= 4 * math.prod(shape)
        if CONTEXT.weight_budget < 0:
            raise TooLarge(f"The model declares more weights than its file can hold: one of shape {shape}")


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
