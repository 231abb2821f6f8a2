"""Training, evaluation and prediction over batches. Every step is one program; see steps.py for what is in it."""

import warnings

import numpy as np

from cnnengine import metrics as metrics_module
from cnnengine import optimizers
from cnnengine.callbacks import CallbackList
from cnnengine.core.checks import checked_int
from cnnengine.core.errors import ConfigError, ShapeError
from cnnengine.core.tree import flatten, form_of, map_structure, pack_like
from cnnengine.models.compiled import CompiledLoss, check_losses, leaves_of
from cnnengine.models.data import ArrayBatches, class_weights, make_batches, split_validation, steps_of
from cnnengine.models.steps import build_step
from cnnengine.ops.abstract import infer_shapes


def _checked_verbose(verbose):
    """0, 1 or 2; "auto" is 1. Raises ConfigError."""
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ConfigError(f"verbose must be 0, 1, 2 or 'auto'. Received: {verbose!r}")
    return int(verbose)


def _validation_parts(data):
    """(x, y, sample_weight) from (x, y), (x, y, sample_weight) or a dataset. Raises ConfigError."""
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if len(data) not in (2, 3):
        raise ConfigError(
            f"validation_data must be (x, y), (x, y, sample_weight) or a dataset. Received: {len(data)} items"
        )
    return (*data, None)[:3]


class Trainer:
    """The part of a model that trains, evaluates and predicts."""

    def __init__(self):
        self.optimizer = None
        self.compiled = False
        self.stop_training = False
        self.history = None
        self._compile_args = None
        self._recompute = False
        self._compiled_loss = None
        self._compiled_metrics = None
        self._loss_tracker = None
        self._part_trackers = []

    # --- compile ----------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        recompute=False,
    ):
        """Choose how to train.

        Args:
            optimizer: name or Optimizer.
            loss: name, Loss or function(y_true, y_pred); a list or dict for several outputs.
            loss_weights: factor of each output's loss.
            metrics, weighted_metrics: names, Metrics or functions; the second use sample weights.
            recompute: train with less memory: what the gradients need of the forward pass is not all kept but partly
                computed a second time. The same bits, for up to one more forward pass. Not in Keras, and not saved.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted for Keras's sake, without effect.

        Raises:
            ConfigError: for unknown names.
        """
        if optimizer is None:
            raise ConfigError("compile needs an optimizer. Received: None")
        self.optimizer = optimizers.get(optimizer)
        self._compile_args = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._recompute = bool(recompute)
        self._compiled_loss = self._compiled_metrics = None
        check_losses(loss)  # report unknown names now, not at the first step
        self._loss_tracker = metrics_module.Mean(name="loss")
        self._part_trackers = []
        self.compiled = True
        self.stop_training = False
        self._changed()

    @property
    def loss(self):
        """The loss as it was given to compile."""
        return self._compile_args["loss"] if self._compile_args else None

    @property
    def metrics(self):
        """All metrics that a step updates, the loss first."""
        if not self.compiled:
            return []
        resolved = self._compiled_metrics.metrics if self._compiled_metrics else []
        return [self._loss_tracker, *self._part_trackers, *resolved]

    @property
    def metrics_names(self):
        return ["loss", *(name for name in self.get_metrics_result() if name != "loss")]

    def reset_metrics(self):
        """Set the state of all metrics to their start."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self):
        """{name: value} of all metrics, as they stand."""
        if not self.compiled:
            return {}
        logs = {"loss": self._loss_tracker.result()}
        logs |= {tracker.name: tracker.result() for tracker in self._part_trackers}
        if self._compiled_metrics is not None:
            logs |= self._compiled_metrics.results()
        return logs

    def _logs(self):
        return {
            name: float(value) if np.ndim(value) == 0 else value
            for name, value in sorted(self.get_metrics_result().items())
        }

    def _need_compile(self):
        if not self.compiled:
            raise ConfigError("The model must be compiled first: model.compile(optimizer, loss)")

    # --- one step ---------------------------------------------------------------------------------------------

    def _output_names(self, count):
        names = getattr(self, "output_names", None) if self.built else None
        return names if names and len(names) == count else [f"output_{i + 1}" for i in range(count)]

    def _step(self, x, y, sample_weight, training):
        """Run one training or evaluation step on a batch."""
        program, inputs = self._step_program(x, y, sample_weight, training)
        program.run(inputs)
        if training:
            self.optimizer.finish_step()

    def _step_program(self, x, y, sample_weight, training):
        """The program of a step on a batch, and its inputs."""
        x = self._in_order(x)
        arrays, specs = self._as_inputs(x)
        if any(array.shape[0] == 0 for array in arrays):
            raise ShapeError("A step needs samples. Received: an empty batch")
        if self._compiled_loss is None:
            self._resolve_loss(x, y)
        self._compiled_loss.check(y)
        names = self._compiled_loss.names
        targets = self._compiled_loss.targets(y)
        weights = [None] * len(names) if sample_weight is None else self._weights(sample_weight, names)
        program = build_step(self, x, specs, targets, weights, training)
        rates = [np.asarray(self.optimizer.step_rates(), np.float32)] if training else []
        present = [a for a in (*targets, *weights) if a is not None]
        return program, [*arrays, *present, *rates]

    def _weights(self, sample_weight, names):
        leaves = leaves_of(sample_weight, names)
        leaves = leaves * len(names) if len(leaves) == 1 else leaves
        return [None if w is None else np.ascontiguousarray(w, np.float32) for w in leaves]

    def _infer_outputs(self, x):
        """The outputs for an input, as shapes; makes the weights of a model that has seen none yet."""
        (_, specs), structure = self._as_inputs(x), form_of(x)
        self._build_now(specs, structure)
        return infer_shapes(lambda *values: self(pack_like(structure, values), training=False), specs)

    def _resolve_loss(self, x, y):
        """Match losses with outputs, which are known once the model has seen an input."""
        outputs = self._infer_outputs(x)
        shapes = [output.shape for output in flatten(outputs)]
        names = sorted(outputs) if isinstance(outputs, dict) else self._output_names(len(shapes))
        targets = [None if leaf is None else np.shape(leaf) for leaf in leaves_of(y, names)]
        args = self._compile_args
        loss = CompiledLoss(args["loss"], args["loss_weights"], names, targets, shapes)
        used = [name for name, item in zip(names, loss.losses) if item is not None]
        self._part_trackers = [metrics_module.Mean(name=f"{name}_loss") for name in used] if len(used) > 1 else []
        self._compiled_loss = loss

    def _check_targets(self, x, y):
        """Look at all class numbers once, before the first step."""
        if self._compiled_loss is None:
            first = self._in_order(map_structure(lambda a: np.asarray(a)[:1], x))
            self._resolve_loss(first, y)
        self._compiled_loss.check(y)

    # --- fit --------------------------------------------------------------------------------------------------

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        nb_epoch=None,
    ):
        """Train for a number of epochs.

        Args:
            x, y: arrays, or lists or dicts of them; or x alone, a generator or dataset of batches.
            batch_size: samples a step, 32 by default.
            epochs: `nb_epoch` is understood as the old name.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 one line an epoch.
            callbacks: list of Callbacks.
            validation_split: share of the samples, from the end, kept for validation.
            validation_data: (x, y) or (x, y, sample_weight), or a dataset.
            shuffle: whether samples are taken in a new order each epoch.
            class_weight: dict from class number to weight.
            sample_weight: one weight a sample.
            initial_epoch: number of the first epoch.
            steps_per_epoch, validation_steps: batches taken of a dataset.

        Returns:
            History: `history` is a dict of lists, one value an epoch.

        Raises:
            ConfigError, ShapeError, DTypeError. KeyboardInterrupt leaves the model as the last finished step left it.
        """
        self._need_compile()
        epochs = checked_int(epochs if nb_epoch is None else nb_epoch, "epochs", low=0)
        initial_epoch = checked_int(initial_epoch, "initial_epoch", low=0)
        validation_freq = checked_int(validation_freq, "validation_freq", low=1)
        verbose = _checked_verbose(verbose)
        if class_weight is not None and sample_weight is not None:
            raise ConfigError("class_weight and sample_weight cannot be given together")
        if validation_split:
            (x, y, sample_weight), held_out = split_validation((x, y, sample_weight), validation_split)
            validation_data = held_out if validation_data is None else validation_data
        if class_weight is not None:
            sample_weight = class_weights(y, class_weight)
        batches = make_batches(x, y, sample_weight, batch_size, shuffle, steps_per_epoch)
        if isinstance(batches, ArrayBatches) and batches.samples:
            self._check_targets(x, y)
        steps = steps_of(batches, steps_per_epoch)
        listeners = CallbackList(
            callbacks, add_history=True, add_progbar=verbose != 0, model=self,
            verbose=verbose, epochs=epochs, steps=steps,
        )  # fmt: skip
        validate = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        self.stop_training = False
        listeners.on_train_begin()
        logs = {}
        for epoch in range(initial_epoch, epochs):
            logs = self._epoch(batches, epoch, steps, listeners)
            if validate is not None and (epoch + 1) % validation_freq == 0:
                logs = dict(sorted((logs | {f"val_{k}": v for k, v in validate().items()}).items()))
            listeners.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        finish = getattr(self.optimizer, "finalize_variable_values", None)
        if finish is not None and epochs > initial_epoch:
            finish(self.trainable_weights)
        listeners.on_train_end(logs)
        return self.history

    def _epoch(self, batches, epoch, steps, listeners):
        listeners.on_epoch_begin(epoch)
        self.reset_metrics()
        i = -1
        for i, (x, y, weight) in enumerate(batches.batches(epoch)):
            listeners.on_train_batch_begin(i)
            self._step(x, y, weight, training=True)
            listeners.on_train_batch_end(i, self._logs)
            if self.stop_training or (steps is not None and i + 1 >= steps):
                break
        _need_batches(i + 1)
        if steps is not None and i + 1 < steps and not self.stop_training:
            warnings.warn(f"The data ended after {i + 1} of {steps} batches of an epoch: training stops here")
            self.stop_training = True
        batches.end_epoch()
        return self._logs()

    def _validation(self, data, batch_size, steps):
        """A function that evaluates on the validation data, or None."""
        if data is None:
            return None
        x, y, weight = _validation_parts(data)
        batches = make_batches(x, y, weight, batch_size, steps=steps)
        if isinstance(batches, ArrayBatches):
            _need_batches(batches.samples)
            self._infer_outputs(self._in_order(map_structure(lambda a: a[:1], batches.x)))
            self._check_targets(x, y)

        def validate():
            before = [metric_state(metric) for metric in self.metrics]
            logs = self._evaluate(batches, steps, None)
            for metric, state in zip(self.metrics, before):
                restore_state(metric, state)
            return logs

        return validate

    # --- evaluate, predict ------------------------------------------------------------------------------------

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Loss and metrics on given data, in inference mode.

        Returns:
            the loss, or a list of the loss and the metrics, or with `return_dict` a dict.
        """
        self._need_compile()
        verbose = _checked_verbose(verbose)
        batches = make_batches(x, y, sample_weight, batch_size, steps=steps)
        if isinstance(batches, ArrayBatches) and batches.samples:
            self._check_targets(x, y)
        listeners = CallbackList(
            callbacks, add_history=False, add_progbar=verbose != 0, model=self,
            verbose=verbose, epochs=1, steps=steps_of(batches, steps),
        )  # fmt: skip
        logs = self._evaluate(batches, steps, listeners)
        return logs if return_dict else self._as_list(logs)

    def _evaluate(self, batches, steps, listeners):
        if listeners:
            listeners.on_test_begin()
        self.reset_metrics()
        i = -1
        for i, (x, y, weight) in enumerate(batches.batches()):
            if listeners:
                listeners.on_test_batch_begin(i)
            self._step(x, y, weight, training=False)
            if listeners:
                listeners.on_test_batch_end(i, self._logs)
            if steps is not None and i + 1 >= steps:
                break
        _need_batches(i + 1)
        logs = self._logs()
        if listeners:
            listeners.on_test_end(logs)
        return logs

    def _as_list(self, logs):
        values = [logs[name] for name in self.get_metrics_result()]
        return values[0] if len(values) == 1 else values

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Outputs for given data, in inference mode, computed in batches.

        Returns:
            an array, or a structure of arrays as the model returns it.
        """
        verbose = _checked_verbose(verbose)
        batches = make_batches(x, None, None, batch_size, steps=steps)
        if isinstance(batches, ArrayBatches) and batches.samples == 0:
            return self._run(x, False)
        listeners = CallbackList(
            callbacks, add_history=False, add_progbar=verbose != 0, model=self,
            verbose=verbose, epochs=1, steps=steps_of(batches, steps),
        )  # fmt: skip
        listeners.on_predict_begin()
        results = []
        for i, (part, _, _) in enumerate(batches.batches()):
            listeners.on_predict_batch_begin(i)
            results.append(self._run(part, False))
            listeners.on_predict_batch_end(i, {"outputs": results[-1]})
            if steps is not None and i + 1 >= steps:
                break
        listeners.on_predict_end()
        _need_batches(len(results))
        leaves = [np.concatenate(column) for column in zip(*(flatten(result) for result in results))]
        return pack_like(results[0], leaves)

    def predict_on_batch(self, x):
        """Outputs for one batch."""
        return self._run(x, False)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step of training on one batch; returns the loss and metrics of this batch, in the forms of `evaluate`."""
        self._need_compile()
        if class_weight is not None:
            if sample_weight is not None:
                raise ConfigError("class_weight and sample_weight cannot be given together")
            sample_weight = class_weights(y, class_weight)
        return self._on_batch(x, y, sample_weight, True, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics on one batch, in inference mode."""
        self._need_compile()
        return self._on_batch(x, y, sample_weight, False, return_dict)

    def _on_batch(self, x, y, sample_weight, training, return_dict):
        batch = ArrayBatches(x, y, sample_weight, batch_size=1)
        if batch.samples:
            self._check_targets(x, y)
        self.reset_metrics()
        self._step(batch.x, batch.y, batch.sample_weight, training)
        logs = self._logs()
        return logs if return_dict else self._as_list(logs)


def _need_batches(count):
    if count == 0:
        raise ShapeError("The data have no samples (left): expected at least one batch an epoch. Received: none")


def metric_state(metric):
    """Copies of a metric's variables."""
    return [variable.numpy() for variable in metric.variables]


def restore_state(metric, state):
    """Put a metric back to a state that `metric_state` gave."""
    for variable, value in zip(metric.variables, state):
        variable.assign(value)
