"""What belongs to a layer: its weights, random streams and the layers inside it, found as they become attributes."""

import math

import numpy as np

from cnnengine import constraints, initializers, regularizers
from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError, TooLarge
from cnnengine.core.spec import checked_spec, standard_dtype
from cnnengine.core.variable import Variable
from cnnengine.ops.random import SeedGenerator

_PLAIN = frozenset((type(None), bool, int, float, str))  # hold no weights


class WeightOwner:
    """The part of a layer that owns weights. Subclasses set `name`, `built` and `_trainable`."""

    def __init__(self):
        self._trainable_variables, self._non_trainable_variables = [], []
        self._layers, self._seed_generators, self._containers = [], [], []

    def __setattr__(self, name, value):
        if type(value) not in _PLAIN:
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
        if isinstance(value, WeightOwner):
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
        name = name or "variable"
        path = f"{self.name}/{name}"
        if CONTEXT.weight_budget is not None:  # a file has the values
            variable = Variable.zeros(shape, name, trainable, dtype, path)
        else:
            variable = Variable(_initial_value(make, shape, dtype), name, trainable, dtype, path)
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
        """Set all weights at once. Changes nothing when one does not fit: ShapeError, DTypeError, ConfigError."""
        if not isinstance(weights, (list, tuple)):
            raise DTypeError(f'Layer "{self.name}": expected a list of arrays as weights. Received: {weights!r}')
        own, values = self.weights, [np.asarray(value) for value in weights]
        if len(values) != len(own):
            raise ShapeError(f'Layer "{self.name}": expected {len(own)} weights. Received: {len(values)}')
        for variable, value in zip(own, values):
            standard_dtype(value.dtype)
            variable.check_writable()
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

    def save_own_variables(self, store):
        """Put this layer's own weights into a mapping, under "0", "1", ..."""
        for i, variable in enumerate((*self._trainable_variables, *self._non_trainable_variables)):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        """Set this layer's own weights from such a mapping; checked by the caller."""
        for i, variable in enumerate((*self._trainable_variables, *self._non_trainable_variables)):
            variable.assign(store[str(i)])


def _initial_value(make, shape, dtype):
    value = np.asarray(make(shape, dtype=dtype))
    if value.shape != shape:
        raise ShapeError(f"The initializer made a value of shape {value.shape}. Expected: {shape}")
    return value


def _take_from_budget(shape):
    """Raise TooLarge before memory is taken for weights that the file being read cannot hold."""
    if CONTEXT.weight_budget is not None:
        CONTEXT.weight_budget -= 4 * math.prod(shape)
        if CONTEXT.weight_budget < 0:
            raise TooLarge(f"The model declares more weights than its file can hold: one of shape {shape}")
