"""Where the time of a model goes: its program is run, fused and planned as it always is, and each step timed."""

from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np

from cnnengine import _native as native
from cnnengine.core.checks import checked_int
from cnnengine.core.codes import BINARY, REDUCE, UNARY
from cnnengine.core.config import CONFIG
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import STORAGE, int_shape
from cnnengine.core.tree import flatten, form_of
from cnnengine.ops import conv_algorithm
from cnnengine.utils.profile_table import table

WARM_UP = 3  # runs before the first that counts: caches fill, memory is mapped
_ACTIVATIONS = list(UNARY)
_FUNCTIONS = {"unary_fwd": _ACTIVATIONS, "unary_bwd": _ACTIVATIONS, "binary": list(BINARY), "reduce": list(REDUCE)}


@dataclass(frozen=True)
class ProfileRow:
    """One step of a program, or several of one layer together.

    Args:
        layers: the layers it does the work of, the one that it stands with first; without the name of the model
            around them. Besides layers "loss", "metrics" and "optimizer", in training.
        op: name of the operation.
        algorithm: how a convolution is computed; of an elementwise step or a reduction, its function; else "".
        fused: what is computed along with it: "bias", "addend", an activation, "batch norm"; and "packed" where the
            weights were packed before the run.
        seconds: of the fastest run.
        flops: multiplications and additions of the definition, whatever the algorithm; 0 where moving data is all.
        nbytes: bytes read and written, each buffer once.
    """

    layers: tuple
    op: str
    algorithm: str
    fused: tuple
    seconds: float
    flops: int
    nbytes: int

    @property
    def layer(self):
        return self.layers[0]


@dataclass(frozen=True)
class Profile:
    """What `profile` measures; as text it is a table.

    Args:
        model: its name.
        shapes: of the inputs, the batch included.
        training: whether a training step was measured.
        threads, isa: what it ran on.
        peak: GFLOP/s of the multiply-add units of these threads, measured beside it.
        seconds: of one run of the whole program, with nothing timed inside: the fastest.
        rows: a ProfileRow a step, in the order in which they run.
    """

    model: str
    shapes: tuple
    training: bool
    threads: int
    isa: str
    peak: float
    seconds: float
    rows: tuple

    def layers(self):
        """{layer: its rows}, in the order in which the layers first run."""
        groups = {}
        for row in self.rows:
            groups.setdefault(row.layer, []).append(row)
        return groups

    def as_dict(self):
        """The same as plain data, for JSON."""
        return asdict(self)

    def table(self, by="step", sort="order", width=None):
        """The profile as text; the arguments are those of profile_table.table."""
        return table(self, by, sort, width)

    def __str__(self):
        return self.table()


def profile(model, shape=None, batch=1, training=False, runs=20):
    """Measure where the time of a model goes, step by step.

    The program is the one that `predict` runs, or `fit` in training, on random inputs. Weights, the optimizer and
    metrics are afterwards what they were before.

    Args:
        model: a Model; compiled, for training.
        shape: of the input, the batch included, or a list of shapes for several inputs. None: the model's own.
        batch: samples, where the model's own shape is taken.
        training: measure a training step instead of a prediction.
        runs: how often it is run; of each step and of the whole the fastest run counts.

    Returns:
        a Profile.

    Raises:
        ShapeError: the shape is not one that the model takes.
        ConfigError: the model is not compiled, has no shape of its own, or the backend is not "native".

    Example:
        >>> print(profile(model, (32, 28, 28, 1), training=True))
    """
    runs = checked_int(runs, "runs", low=1)
    if CONFIG.backend != "native":
        raise ConfigError(f"Only programs in C are profiled. Expected: backend 'native'. Received: {CONFIG.backend!r}")
    arrays = _random_inputs(model, _shapes(model, shape, checked_int(batch, "batch", low=1)))
    if training:
        program, inputs, settle = _training_program(model, arrays)
    else:
        program, inputs, settle = _inference_program(model, arrays), arrays, lambda: None
    before = [(variable, variable.numpy()) for variable in program.written]
    try:
        return _measure(model, program, inputs, [a.shape for a in arrays], training, runs)
    finally:
        for variable, value in before:
            variable.assign(value)
        settle()


# --- what is run ----------------------------------------------------------------------------------------------------


def _shapes(model, shape, batch):
    """The shapes of all inputs."""
    if shape is not None:
        several = len(shape) > 0 and isinstance(shape[0], (tuple, list))
        return [int_shape(one) for one in (shape if several else [shape])]
    if not model.built or not hasattr(model, "inputs"):
        raise ConfigError(f'Model "{model.name}" has no input shape of its own yet: give one, the batch included')
    own = [(batch, *tensor.shape[1:]) for tensor in model.inputs]
    if any(None in each for each in own):
        raise ConfigError(f'Model "{model.name}" takes inputs of several sizes: give a shape. Received: none for {own}')
    return own


def _random_inputs(model, shapes):
    """Uniform numbers from 0 to 1, and zeros for inputs of integers."""
    rng = np.random.default_rng(0)
    dtypes = [dtype or "float32" for dtype in model._input_dtypes(len(shapes))]
    return [
        rng.random(shape, np.float32) if dtype == "float32" else np.zeros(shape, STORAGE[dtype])
        for shape, dtype in zip(shapes, dtypes)
    ]


def _as_given(arrays):
    """Inputs in the form in which users pass them."""
    return arrays[0] if len(arrays) == 1 else arrays


def _inference_program(model, arrays):
    given = _as_given(arrays)
    program, _ = model._forward_program(model._as_inputs(given)[1], form_of(given), False)
    return program


def _training_program(model, arrays):
    """The program of a training step, its inputs, and a function that leaves losses and metrics as they were before."""
    model._need_compile()
    x = _as_given(arrays)
    outputs = flatten(model._infer_outputs(x))
    fresh = model._compiled_loss is None
    if fresh:
        model._resolve_loss(x, [np.zeros(y.shape, np.float32) for y in outputs])
    targets = [_target(loss, y.shape) for loss, y in zip(model._compiled_loss.losses, outputs)]
    program, inputs = model._step_program(x, _as_given(targets), None, True)
    # Losses and metrics may depend on the shapes of targets, which are guessed here: let the first real ones decide.
    again = model._compile_args | {"recompute": model._recompute}
    return program, inputs, (lambda: model.compile(**again)) if fresh else lambda: None


def _target(loss, shape):
    """A target that the loss of an output of this shape takes."""
    if loss is None:
        return None
    if getattr(loss, "integer_targets", False):
        return np.zeros(shape[:-1], np.int32)
    return np.random.default_rng(1).random(shape, np.float32)


# --- measuring ------------------------------------------------------------------------------------------------------


def _measure(model, program, inputs, shapes, training, runs):
    peaks = [native.fma_peak(program.threads)]
    for _ in range(WARM_UP):
        program.run(inputs)
    each, whole = _fastest(program, inputs, runs)
    peaks.append(native.fma_peak(program.threads))
    rows = tuple(_row(step, ns / 1e9, model.name) for step, ns in zip(program.steps, each.tolist()))
    return Profile(model.name, tuple(shapes), training, program.threads, native.get_isa(), max(peaks), whole, rows)


def _fastest(program, inputs, runs):
    """(nanoseconds of each step, seconds of the whole), the least of so many runs: other processes only ever add."""
    step_ns, whole = np.full((runs, len(program.steps)), 0, np.int64), []
    for durations in step_ns:
        start = perf_counter()
        program.run(inputs)
        whole.append(perf_counter() - start)
        program.run(inputs, durations)
    return step_ns.min(axis=0), min(whole)


def _row(step, seconds, model_name):
    layers = dict.fromkeys(_name(path, model_name) for path, _ in step.origins)
    return ProfileRow(tuple(layers), step.op.name, _algorithm(step), _fused(step), seconds, step.flops, step.nbytes)


def _name(path, model_name):
    """What a row calls a layer: its path inside the model, or the model's name for what is in none of its layers."""
    return path.removeprefix(f"{model_name}/") or model_name


def _algorithm(step):
    if "algorithm" in step.fields:
        return conv_algorithm.NAMES[step.fields["algorithm"]]
    return _FUNCTIONS[step.op.name][step.fields["func"]] if step.op.name in _FUNCTIONS else ""


def _fused(step):
    names = native.OPS[step.op.name].inputs
    fused = [name for name, spec in zip(names, step.inputs) if name in ("bias", "addend") and spec is not None]
    acts = dict.fromkeys(value for key, value in step.fields.items() if key == "act" or key.endswith("_act"))
    fused += [_ACTIVATIONS[act] for act in acts if act]
    if any(op == "batch_norm_fwd" for _, op in step.origins[1:]):
        fused.append("batch norm")
    packed = any(value for key, value in step.fields.items() if key == "packed" or key.endswith("_packed"))
    return (*fused, "packed") if packed else tuple(fused)
