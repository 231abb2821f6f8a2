"""What an operation is: one record with its shapes, its descriptor, its gradient. And the one way to apply it.

`bind` hands an operation to whoever records (a trace, a shape inference), or runs it at once on arrays: a program of
one step. Public operations (ops.add, ops.conv, ...) are plain Python over `bind`; on the symbolic tensors of a model
under construction they become a node of its layer graph instead (`public`).
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from cnnengine import _native as native
from cnnengine.core.config import CONFIG
from cnnengine.core.context import CONTEXT
from cnnengine.core.errors import DTypeError
from cnnengine.core.spec import STORAGE, TensorSpec, checked_spec, standard_dtype
from cnnengine.core.tensor_like import TensorLike
from cnnengine.core.variable import Variable
from cnnengine.reference import IMPLEMENTATIONS as REFERENCE


@dataclass(frozen=True)
class Op:
    """The record of an operation.

    Args:
        name: as in C and in the reference; the key in `OPS`.
        infer: (input specs, attrs) -> list of output specs; raises ShapeError, DTypeError or ConfigError.
        fields: (input specs, output specs, attrs) -> the descriptor's fields; None for a view, which computes nothing.
        gradient: (node, *gradients of the outputs) -> gradients of the inputs, None where there is none; None for an
            operation without a derivative. `node` has inputs, outputs and attrs.
        variadic: the inputs are one list of any length ("*xs" in C).
        in_place: the index of an input whose place the output takes, if that input is given; None: it has its own.
        part: (fields) -> how much of the output is written, from 0 to 1; less than 1 only in place.
        reuse: the output may take the place of an input of the same size that is not read again.
        flops: (fields) -> multiplications and additions of the definition, whatever the algorithm; 0 where moving data
            is all the work.
        changes: the outputs are read as well: variables that are changed in place.
        by_sample: (input specs, attrs, which inputs have samples along axis 0, n) -> the attrs for n of the samples, or
            None where a sample's result depends on others; by default it may. See `along_samples`.
    """

    name: str
    infer: callable
    fields: callable = None
    gradient: callable = None
    variadic: bool = False
    in_place: int | None = None
    part: callable = lambda fields: 1
    reuse: bool = False
    flops: callable = lambda fields: 0
    changes: bool = False
    by_sample: callable = lambda ins, attrs, has_samples, n: None

    @property
    def is_view(self):
        return self.fields is None

    def place_of(self, node):
        """The input of a node of this operation in whose place the output is; None: it has a place of its own."""
        at = 0 if self.is_view else self.in_place
        return None if at is None else node.inputs[at]

    def bytes_moved(self, inputs, outputs, fields):
        """Bytes read and written, each buffer once. Takes arrays or specs, None for an absent input."""
        read = sum(x.nbytes for i, x in enumerate(inputs) if x is not None and i != self.in_place)
        return read + int(sum(x.nbytes for x in outputs) * self.part(fields)) * (2 if self.changes else 1)


def along_samples(*positions, change=lambda attrs, n: attrs, when=lambda ins, attrs: True):
    """The `by_sample` of an operation that computes each sample for itself where its inputs are of a certain kind.

    Args:
        positions: the inputs that have samples along axis 0, if they are present; all others are for all samples.
        change: (attrs, n) -> the attrs for n samples, where attrs hold their number.
        when: (input specs, attrs) -> whether axis 0 is like any other to the operation.
    """

    def by_sample(ins, attrs, has_samples, n):
        as_asked = all(has == (i in positions) for i, has in enumerate(has_samples) if ins[i] is not None)
        return change(attrs, n) if as_asked and when(ins, attrs) else None

    return by_sample


def with_first(key):
    """The `change` for attrs that hold a shape whose first axis is the samples."""
    return lambda attrs, n: attrs | {key: (n, *attrs[key][1:])}


OPS = {}


def register(name, infer, fields=None, gradient=None, **flags):
    """Make the record of an operation known under its name, and return it."""
    OPS[name] = Op(name, infer, fields, gradient, **flags)
    return OPS[name]


def reference_call(name, fields, inputs, outputs, threads=1):
    """Run one operation of the NumPy reference; the same signature as the native call."""
    inputs = (tuple(inputs),) if OPS[name].variadic else inputs
    REFERENCE[name](SimpleNamespace(**fields), *inputs, *outputs)


CALLS = {"native": native.call, "reference": reference_call}


def spec_of(x):
    """The TensorSpec of a value, a variable or an array; None stays None."""
    if x is None:
        return None
    if isinstance(x, np.ndarray):
        return TensorSpec(x.shape, standard_dtype(x.dtype))
    return x.spec


def to_array(x, dtype=None):
    """A contiguous array in an engine dtype's storage, from anything NumPy takes. Raises DTypeError."""
    if isinstance(x, Variable):
        return x.array
    array = np.asarray(x)
    if array.dtype.kind not in "bfiu":
        raise DTypeError(f"Expected numbers (float, integer or bool). Received: dtype {array.dtype}")
    storage = np.dtype(STORAGE[dtype or standard_dtype(array.dtype)])
    if array.dtype.kind in "iu" and storage.kind in "iu" and not np.can_cast(array.dtype, storage):
        array = _saturated(array, storage)
    array = np.ascontiguousarray(array, storage).reshape(array.shape)
    return array if array.flags.aligned else array.copy()


def _saturated(array, storage):
    """Integers limited to what the storage type holds: the nearest number there is, as `cast` does."""
    limits, own = np.iinfo(storage), np.iinfo(array.dtype)
    return np.clip(array, max(limits.min, own.min), min(limits.max, own.max))


def to_tensor(x):
    """What `bind` takes: values, variables and bool arrays as they are, anything else as an array in its storage."""
    if isinstance(x, TensorLike):
        return x
    array = np.asarray(x)
    return array if array.dtype == bool else to_array(array)


def bind(op, inputs, **attrs):
    """Apply an operation: its outputs as values when something records, else as arrays.

    Args:
        op: the record.
        inputs: tensors in the order of the operation's buffers; None for an absent optional one.
        attrs: what else `infer` and `fields` take.

    Returns:
        the one output, or a list of several.
    """
    if CONTEXT.tracer is not None:
        outputs = CONTEXT.tracer.emit(op, inputs, attrs)
    else:
        outputs = _run(op, inputs, attrs)
    return outputs[0] if len(outputs) == 1 else outputs


def _run(op, inputs, attrs):
    arrays = [None if x is None else to_array(x) for x in inputs]
    ins = [spec_of(x) for x in inputs]
    specs = [checked_spec(spec.shape, spec.dtype) for spec in op.infer(ins, attrs)]
    if op.is_view:
        outputs = [settled(inputs[0] if isinstance(inputs[0], Variable) else arrays[0]).reshape(specs[0].shape)]
    else:
        outputs = [np.empty(spec.shape, STORAGE[spec.dtype]) for spec in specs]
        CALLS[CONFIG.backend](op.name, op.fields(ins, specs, attrs), arrays, outputs, CONFIG.threads)
    return [a.astype(bool) if spec.dtype == "bool" else a for a, spec in zip(outputs, specs)]


def settled(x):
    """A variable's value as it is now, which later assignments do not change; anything else as it is."""
    if not isinstance(x, Variable):
        return x
    return x.numpy() if CONTEXT.tracer is None else CONTEXT.tracer.value_of(x)


def _is_symbolic(x):
    if isinstance(x, (list, tuple)):
        return any(_is_symbolic(item) for item in x)
    return getattr(x, "is_symbolic", False)


def _first_symbolic(x):
    if isinstance(x, (list, tuple)):
        return next((found for found in map(_first_symbolic, x) if found is not None), None)
    return x if getattr(x, "is_symbolic", False) else None


def public(function):
    """Decorator of a public operation: called on symbolic tensors it becomes a node of the layer graph."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        for x in (*args, *kwargs.values()):
            if _is_symbolic(x):
                return _first_symbolic(x).record(wrapper, args, kwargs)
        return settled(function(*args, **kwargs))

    return wrapper
