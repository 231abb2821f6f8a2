"""The base class of models: a layer that can be trained, and run on arrays by programs."""

import numpy as np

from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import ConfigError, DTypeError, ShapeError
from cnnengine.core.registry import export
from cnnengine.core.spec import STORAGE, shared_spec, standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.core.tree import flatten, form_of, map_structure, pack_like
from cnnengine.engine.build import build_program
from cnnengine.engine.cache import ProgramCache, settings
from cnnengine.engine.prepare import PreparedStore
from cnnengine.layers.layer import Layer
from cnnengine.models.summary import print_summary
from cnnengine.models.trainer import Trainer


def _is_functional_call(args, kwargs):
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)


@export("keras", aliases=("keras.models",))
class Model(Trainer, Layer):
    """A layer that trains, predicts and is saved.

    Made from symbolic tensors, `Model(inputs, outputs)`, or by subclassing: make layers in `__init__` and define
    `call(self, inputs, training=False)`.

    Args:
        inputs, outputs: symbolic tensors, or lists or dicts of them.
        name: of the model.

    Example:
        >>> x = Input((28, 28, 1))
        >>> model = Model(x, layers.Dense(10)(layers.Flatten()(x)))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    """

    functional_class = None  # functional.py puts the class of Model(inputs, outputs) here

    def __new__(cls, *args, **kwargs):
        if cls is Model and _is_functional_call(args, kwargs):
            return super().__new__(Model.functional_class)
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        if args:
            raise ConfigError(f"{type(self).__name__}: unexpected positional arguments. Received: {args}")
        Layer.__init__(self, **kwargs)
        Trainer.__init__(self)
        self._programs = ProgramCache()
        self._prepared = PreparedStore()

    # --- structure --------------------------------------------------------------------------------------------

    @property
    def layers(self):
        """The layers directly inside."""
        self._track_contents()
        return list(self._layers)

    def get_layer(self, name=None, index=None):
        """One layer by its name or its place. Raises ConfigError."""
        if (name is None) == (index is None):
            raise ConfigError(f"get_layer takes either a name or an index. Received: name={name!r}, index={index!r}")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ConfigError(f"There are {len(self.layers)} layers. Received: index={index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ConfigError(f"No layer named {name!r}. Existing layers: {[layer.name for layer in self.layers]}")

    def summary(
        self,
        line_length=None,
        positions=None,
        print_fn=None,
        expand_nested=False,
        show_trainable=False,
        layer_range=None,
    ):
        """Print a table of the layers, their output shapes and numbers of weights.

        Args:
            line_length: width in characters.
            positions: relative or absolute ends of the columns.
            print_fn: called once with the whole text instead of printing.
            expand_nested: also show the layers of models inside.
            show_trainable: add a column that says which layers learn.
            layer_range: names (or regular expressions) of the first and last layer to show.
        """
        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def compute_output_spec(self, *args, **kwargs):
        return self._infer(args, kwargs)

    def build(self, input_shape=None):
        """Make all weights for an input of this shape, the batch included (None for an open dimension)."""
        if self.built or input_shape is None:
            return
        probe = map_structure(lambda x: x, input_shape)
        self.compute_output_shape(probe)
        self.built = True

    def _build_for(self, args):
        # A subclassed model's layers are built when they are called for the first time.
        if not self.built and args:
            self._build_shapes = map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else None, args[0])
            self.built = type(self).build is not Model.build or self.built

    def count_params(self):
        if not self.weights and not self.built:
            raise ConfigError(f'Model "{self.name}" has no weights yet: build it by calling it or model.build(shape)')
        return sum(v.spec.size for v in self.weights)

    # --- running ----------------------------------------------------------------------------------------------

    def __call__(self, *args, **kwargs):
        tensors = flatten((args, kwargs))
        if CONTEXT.tracer is not None or any(isinstance(x, TensorLike) for x in tensors):
            outputs = super().__call__(*args, **kwargs)
            self.built = True
            return outputs
        return self._run(args[0] if args else kwargs.pop("inputs"), bool(kwargs.pop("training", False)))

    def _in_order(self, inputs):
        """The inputs in one form, whatever form the user gave them in, so that one program serves all."""
        return inputs

    def _mode_key(self, training):
        """What a program depends on besides shapes: in training also on which layers learn."""
        return training and tuple(layer.trainable for layer in self._own_and_nested())

    def _input_dtypes(self, count):
        """Engine dtypes of the inputs, None where any is taken as it comes."""
        return [None] * count

    def _as_inputs(self, inputs):
        """What a user passes as inputs as contiguous arrays of engine dtypes, and their specs. Raises DTypeError."""
        leaves, arrays, specs = [inputs] if isinstance(inputs, np.ndarray) else flatten(inputs), [], []
        for leaf, dtype in zip(leaves, self._input_dtypes(len(leaves))):
            x = np.asarray(leaf)
            if x.dtype.kind not in "bfiu":
                raise DTypeError(f'Model "{self.name}": expected numbers as input. Received: dtype {x.dtype}')
            dtype = dtype or standard_dtype(x.dtype)
            arrays.append(np.asarray(x, STORAGE[dtype], "C"))
            specs.append(shared_spec(x.shape, dtype))
        return arrays, tuple(specs)

    def _forward_program(self, specs, structure, training):
        """The program of a forward pass, and the form of its outputs.

        Args:
            structure: the form of the inputs, with None for each tensor.
            training: True: dropout acts and moving averages move.
        """

        def build():
            form = []

            def forward(tracer, *values):
                outputs = self(pack_like(structure, values), training=training)
                form.append(form_of(outputs))
                return flatten(outputs)

            self._build_now(specs, structure)
            store = None if training else self._prepared
            return build_program(forward, specs, training, store), form[0]

        form_key = None if structure is None else repr(structure)
        return self._programs.get(("forward", self._mode_key(training), specs, form_key), build)

    def _build_now(self, specs, structure):
        """Make the weights of a model that was never called, from the shapes of its first inputs."""
        if not self.built:
            self._build_from(pack_like(structure, specs))
            self.built = True

    def _build_from(self, specs):
        self._build_shapes = map_structure(lambda spec: spec.shape, specs)

    def _run(self, inputs, training):
        """Run on arrays: what `model(x)` returns.

        An array like the last one needs no look at what it is: of a small network that would be a tenth of the time.
        """
        is_array = type(inputs) is np.ndarray and not training
        like = (settings(), inputs.shape, inputs.dtype) if is_array and inputs.flags.c_contiguous else None
        last = self._programs.last  # what the last array was like that was taken as it was given, and its program
        if like is not None and last is not None and like == last[0]:
            return last[1].run([inputs])[0]
        if not isinstance(inputs, np.ndarray):
            inputs = self._in_order(inputs)
        arrays, specs = self._as_inputs(inputs)
        program, form = self._forward_program(specs, form_of(inputs), training)
        outputs = program.run(arrays)
        if like is not None and form is None and arrays[0] is inputs:
            self._programs.last = like, program
        return outputs[0] if form is None else pack_like(form, outputs)

    def _changed(self):
        """The structure has changed: programs made before are of no use."""
        self._programs.clear()


def check_inputs(expected, count, name):
    """Raise ShapeError unless there are as many tensors as a model has inputs."""
    if count != expected:
        raise ShapeError(f'Model "{name}": expected {expected} input tensor(s). Received: {count}')
