"""What a training or evaluation step computes, as one program.

Forward, loss, metrics; in training also the gradients and the optimizer's updates. All of it is traced into one graph.
"""

import warnings

from cnnengine import ops
from cnnengine.core.context import in_layer
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import TensorSpec, standard_dtype
from cnnengine.core.tree import flatten, form_of, pack_like
from cnnengine.engine.build import build_program
from cnnengine.graph.gradients import gradients
from cnnengine.models.compiled import CompiledMetrics, regularisation


def _spec(array):
    return TensorSpec(array.shape, standard_dtype(array.dtype))


def build_step(model, x, inputs, targets, weights, training):
    """The program of a step for arrays of these shapes, from the model's cache.

    Args:
        x: the inputs as the user gave them (for their structure), `inputs` their specs.
        targets, weights: one array an output, None where there is none.

    Returns:
        the program; it takes the inputs, the targets and weights, and in training the optimizer's rates.
    """
    structure = form_of(x)
    present = [a for a in (*targets, *weights) if a is not None]
    specs = [*inputs, *map(_spec, present)]
    if training:
        specs.append(TensorSpec((len(model.optimizer.step_rates()),)))
    shape_key = tuple(None if a is None else _spec(a) for a in (*targets, *weights))
    key = ("step", training, model._mode_key(training), tuple(specs), shape_key, repr(structure))

    def build():
        _build_state(model)

        def step(tracer, *values):
            parts = _Parts(values, structure, len(inputs), targets, weights)
            return _record(model, tracer, parts, training)

        store = None if training else model._prepared
        return build_program(step, specs, training, store, training and model._recompute)

    return model._programs.get(key, build)


def _build_state(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_weights)


class _Parts:
    """The traced inputs of a step, told apart."""

    def __init__(self, values, structure, inputs, targets, weights):
        values = list(values)
        self.x = pack_like(structure, values[:inputs])
        rest = iter(values[inputs:])
        self.targets = [None if a is None else next(rest) for a in targets]
        self.weights = [None if a is None else next(rest) for a in weights]
        self.rates = next(rest, None)


def _record(model, tracer, parts, training):
    outputs = flatten(model(parts.x, training=training))
    with in_layer("loss"):
        total, each = _loss(model, tracer, parts, outputs)
    with in_layer("metrics"):
        _track(model, parts, outputs, total, each)
    if training:
        _learn(model, tracer, total, parts.rates)
    return []


def _loss(model, tracer, parts, outputs):
    """The whole loss of a step, and that of each output."""
    total, each = model._compiled_loss(parts.targets, outputs, parts.weights)
    for extra in (regularisation(model.trainable_weights), *tracer.losses):
        total = extra if total is None else total if extra is None else ops.add(total, extra)
    if total is None:
        raise ConfigError("There is nothing to minimise: compile the model with a loss, or call add_loss in a layer")
    if total.shape != ():
        raise ConfigError(f"A loss must reduce to one number. Received: shape {total.shape}")
    return total, each


def _track(model, parts, outputs, total, each):
    """Update the state of the loss's average and of all metrics."""
    samples = float(flatten(parts.x)[0].shape[0])
    model._loss_tracker.update_state(total, sample_weight=samples)
    for tracker, loss in zip(model._part_trackers, [part for part in each if part is not None]):
        tracker.update_state(loss, sample_weight=samples)
    if model._compiled_metrics is None:
        args = model._compile_args
        shapes = [None if y is None else y.shape for y in parts.targets]
        model._compiled_metrics = CompiledMetrics(
            args["metrics"], args["weighted_metrics"], model._compiled_loss.names, shapes, [y.shape for y in outputs]
        )
    model._compiled_metrics.update(parts.targets, outputs, parts.weights)


def _learn(model, tracer, total, rates):
    """Gradients of all trainable weights, and the optimizer's updates."""
    weights = model.trainable_weights
    if not weights:
        warnings.warn(f'Model "{model.name}" has no trainable weights: a training step changes none')
        return
    with in_layer("loss"):
        slopes = gradients(tracer.graph, total, [tracer.leaf(variable) for variable in weights])
    pairs = [(slope, variable) for slope, variable in zip(slopes, weights) if slope is not None]
    if not pairs:
        raise ConfigError("The loss depends on no trainable weight: there is nothing to train")
    with in_layer("optimizer"):
        model.optimizer.apply_traced([slope for slope, _ in pairs], [variable for _, variable in pairs], rates)
