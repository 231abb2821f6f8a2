"""What `compile` fixes: losses and metrics, matched with the model's outputs."""

import itertools

import numpy as np

from cnnengine import losses, metrics, ops
from cnnengine.core.checks import checked_number
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.tree import flatten
from cnnengine.models.data import as_numbers


def check_losses(loss):
    """Raise ConfigError for a loss (or one in a list or dict) that means nothing."""
    for item in loss.values() if isinstance(loss, dict) else loss if isinstance(loss, (list, tuple)) else [loss]:
        if not (isinstance(item, str) and item.lower() in ("crossentropy", "ce")):  # those depend on shapes
            losses.get(item)


def per_output(value, names, what):
    """One item an output from a single item, a list or a dict by output name. Raises ConfigError."""
    if isinstance(value, dict):
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise ConfigError(f"{what}: unknown output(s) {unknown}. Expected: {names}")
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ConfigError(f"{what}: expected one item for each of {len(names)} outputs. Received: {len(value)}")
        return list(value)
    return [value] * len(names)


class CompiledLoss:
    """The sum of the outputs' losses.

    Args:
        loss: name, Loss, function, or a list or dict of them, one an output.
        weights: factor of each output's loss, in the same form; None: 1.
        names: names of the outputs.
        targets, outputs: shapes, one an output; a target's may be None.
    """

    def __init__(self, loss, weights, names, targets, outputs):
        items = per_output(loss, names, "loss")
        self.losses = [losses.resolve(item, y or (), y_pred) for item, y, y_pred in zip(items, targets, outputs)]
        weights = per_output(weights, names, "loss_weights")
        self.weights = [1.0 if w is None else float(checked_number(w, "loss_weights")) for w in weights]
        self.names = names
        self._classes = [shape[-1] if shape else 1 for shape in outputs]

    def targets(self, y):
        """Arrays of the right type for a step from what the user gave. Raises ShapeError, DTypeError, ConfigError."""
        leaves = leaves_of(y, self.names)
        if len(leaves) != len(self.losses):
            raise ShapeError(f"Expected targets for {len(self.losses)} output(s). Received: {len(leaves)}")
        return [self._target(item, leaf) for item, leaf in zip(self.losses, leaves)]

    @staticmethod
    def _target(loss, y):
        if y is None:
            if loss is not None:
                raise ConfigError("y must be given: the model was compiled with a loss")
            return None
        whole = getattr(loss, "integer_targets", False)
        y = as_numbers(y, "y")
        return np.ascontiguousarray(y, np.int32 if whole else np.float32).reshape(y.shape)

    def check(self, y):
        """Raise ConfigError for class numbers that the outputs' last axes do not have."""
        for loss, leaf, classes in zip(self.losses, leaves_of(y, self.names), self._classes):
            if leaf is not None and getattr(loss, "integer_targets", False):
                loss.check_targets(np.asarray(leaf), classes)

    def __call__(self, targets, outputs, sample_weights):
        """(total or None, [each output's loss or None]) as values."""
        parts, total = [], None
        for loss, y, y_pred, sample_weight, weight in zip(self.losses, targets, outputs, sample_weights, self.weights):
            part = None if loss is None else loss(y, y_pred, sample_weight=sample_weight)
            parts.append(part)
            if part is not None:
                weighted = part if weight == 1.0 else part * weight
                total = weighted if total is None else total + weighted
        return total, parts


def leaves_of(y, names):
    """Targets or weights in the order of the outputs, from None, an array, a list or a dict by name."""
    if y is None:
        return [None] * len(names)
    if isinstance(y, dict):
        return per_output(y, names, "targets or sample weights")
    return list(y) if isinstance(y, (list, tuple)) else [y]


def _free_name(prefix, name, uses_weights, taken):
    """Keras's names for metrics of equal name: "weighted_" in front where weights are used, then a number behind."""
    full = prefix + name
    if full in taken and uses_weights:
        full = f"{prefix}weighted_{name}"
    numbered = (f"{full}_{number}" for number in itertools.count(1))
    return full if full not in taken else next(each for each in numbered if each not in taken)


class CompiledMetrics:
    """The metrics of each output, resolved for the shapes of targets and outputs.

    Args:
        plain, weighted: `metrics` and `weighted_metrics` of compile.
        names: names of the outputs.
        targets, outputs: shapes, one an output; a target's may be None.
    """

    def __init__(self, plain, weighted, names, targets, outputs):
        self._of_output = []  # (metric, output, uses sample weights)
        self.names = {}
        for group, uses_weights in ((plain, False), (weighted, True)):
            for i, items in enumerate(_per_output_lists(group, names)):
                for item in items:
                    metric = metrics.resolve(item, targets[i] or (), outputs[i])
                    self._of_output.append((metric, i, uses_weights))
                    prefix = f"{names[i]}_" if len(names) > 1 else ""
                    self.names[id(metric)] = _free_name(prefix, metric.name, uses_weights, self.names.values())

    @property
    def metrics(self):
        return [metric for metric, _, _ in self._of_output]

    def update(self, targets, outputs, sample_weights):
        """Record the updates of all metrics' states."""
        for metric, i, uses_weights in self._of_output:
            if targets[i] is not None:
                weight = sample_weights[i] if uses_weights else None
                metric.update_state(targets[i], outputs[i], sample_weight=weight)

    def results(self):
        """{name: value}; a metric that gives several values gives several entries."""
        out = {}
        for metric in self.metrics:
            value = metric.result()
            if isinstance(value, dict):
                out |= value
            else:
                out[self.names[id(metric)]] = value
        return out


def _per_output_lists(group, names):
    """A list of metrics for each output from the forms that compile takes."""
    if group is None:
        return [[] for _ in names]
    if isinstance(group, dict):
        per = per_output(group, names, "metrics")
    elif len(names) == 1:
        per = [group if isinstance(group, (list, tuple)) and len(flatten(group)) == len(group) else flatten(group)]
    else:
        per = per_output(group, names, "metrics") if isinstance(group, (list, tuple)) else [group] * len(names)
    return [[] if item is None else list(item) if isinstance(item, (list, tuple)) else [item] for item in per]


def regularisation(weights):
    """Sum of the penalties on trainable weights, or None."""
    total = None
    for variable in weights:
        if variable.regularizer is not None:
            penalty = variable.regularizer(variable)
            total = penalty if total is None else ops.add(total, penalty)
    return total
