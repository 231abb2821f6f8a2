"""The base class of optimizers: state, clipping, weight decay, moving averages; subclasses give the rule of one step.

What a step computes is traced once. What changes from step to step (the learning rate, Adam's bias correction) is
computed on the host in float64 by `step_rates` and given to each run as a small vector.
"""

import inspect
import math
import warnings

import numpy as np

from cnnengine import initializers, ops
from cnnengine.core.checks import checked_number, is_number
from cnnengine.core.errors import ConfigError
from cnnengine.core.naming import snake_case, unique_name
from cnnengine.core.registry import deserialize, export, serialize
from cnnengine.core.variable import Variable
from cnnengine.ops.elementwise import as_float
from cnnengine.ops.update import update
from cnnengine.optimizers.clipping import clipped
from cnnengine.optimizers.schedules import LearningRateSchedule

_BASE_RATES = ("alpha", "learning_rate", "ema_momentum", "overwrite")


class Rates:
    """The vector of a step's rates with names: `rates.learning_rate` is a scalar, `rates.hyper` what kernels take."""

    def __init__(self, vector, names):
        self._vector = vector
        self._names = names
        self.hyper = vector[0:1]

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._names:
            raise AttributeError(name)
        return self._vector[self._names.index(name)]


def _checked_learning_rate(rate, what):
    if not isinstance(rate, (float, np.floating)) or not math.isfinite(rate) or rate < 0:
        raise ConfigError(
            f"{what}: learning_rate: expected a float of at least 0, a LearningRateSchedule, or a callable without "
            f"arguments. Received: {rate!r}"
        )
    return float(rate)


@export("keras", aliases=("keras.optimizers",))
class Optimizer:
    """Base of optimizers. Own ones define `build(variables)` and `update_step(gradient, variable, learning_rate)`.

    Args:
        learning_rate: float, LearningRateSchedule, or a callable without arguments.
        weight_decay: share of each weight, times the learning rate, that is taken away before each step.
        clipnorm: largest norm of each gradient; 0 means no limit, here and for the next two.
        clipvalue: largest absolute value in a gradient.
        global_clipnorm: largest norm of all gradients together. At most one of the three may be given.
        use_ema: keep a moving average of the weights, and put it in their place at the end of fit.
        ema_momentum: share of the old average in the new.
        ema_overwrite_frequency: put it in their place every so many steps, too.
        loss_scale_factor, gradient_accumulation_steps: not supported; only None.
        name: of the optimizer.

    Raises:
        ConfigError.
    """

    rate_names = ()  # of what `_extra_rates` returns

    def __init__(
        self,
        learning_rate,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        **kwargs,
    ):
        self._refuse(kwargs, loss_scale_factor, gradient_accumulation_steps)
        what = type(self).__name__
        self.name = name or unique_name(snake_case(what))
        self.weight_decay = self._number("weight_decay", weight_decay, low=0)
        self.clipnorm = self._number("clipnorm", clipnorm, low=0)
        self.clipvalue = self._number("clipvalue", clipvalue, low=0)
        self.global_clipnorm = self._number("global_clipnorm", global_clipnorm, low=0)
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ConfigError(f"{what}: expected one of clipnorm, clipvalue, global_clipnorm. Received: several")
        self.use_ema = bool(use_ema)
        self.ema_momentum = checked_number(ema_momentum, f"{what}: ema_momentum", low=0, high=1)
        self.ema_overwrite_frequency = self._count("ema_overwrite_frequency", ema_overwrite_frequency)
        self.built = False
        self._iterations = Variable(0, "iteration", trainable=False, dtype="int32", path=f"{self.name}/iteration")
        self._set_learning_rate(learning_rate)
        self._slots, self._trainable_variables, self._averages = [], [], []
        self._excluded, self._excluded_names = set(), ()

    def _refuse(self, kwargs, loss_scale_factor, gradient_accumulation_steps):
        what = type(self).__name__
        if kwargs.pop("decay", None):
            warnings.warn("The argument `decay` is ignored. Use a schedule as learning_rate.", stacklevel=4)
        for key in ("is_legacy_optimizer", "jit_compile"):  # written by Keras 2, without an effect here
            kwargs.pop(key, None)
        if kwargs:
            raise ConfigError(f"{what}: unknown argument(s). Expected those of {what}(). Received: {sorted(kwargs)}")
        if loss_scale_factor is not None or gradient_accumulation_steps is not None:
            raise ConfigError(
                f"{what}: loss_scale_factor and gradient_accumulation_steps are not supported: expected None. "
                f"Received: {loss_scale_factor!r} and {gradient_accumulation_steps!r}"
            )

    def _number(self, name, value, **bounds):
        """An optional argument that is a number."""
        return None if value is None else checked_number(value, f"{type(self).__name__}: {name}", **bounds)

    def _count(self, name, value):
        """An optional argument that is a positive int."""
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"{type(self).__name__}: {name}: expected an int of at least 1. Received: {value!r}")
        return value

    # --- learning rate and step number --------------------------------------------------------------------------

    def _set_learning_rate(self, rate):
        if not callable(rate):
            value = _checked_learning_rate(rate, type(self).__name__)
            rate = Variable(value, "learning_rate", trainable=False, path=f"{self.name}/learning_rate")
        elif inspect.isclass(rate):
            raise ConfigError(f"{type(self).__name__}: learning_rate: expected an object. Received: the class {rate}")
        self._learning_rate = rate

    @property
    def iterations(self):
        """Variable: number of steps done."""
        return self._iterations

    @property
    def learning_rate(self):
        """Variable of the learning rate, which can be set; with a schedule or callable, its present value."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self._present_learning_rate()

    @learning_rate.setter
    def learning_rate(self, rate):
        if callable(rate):
            self._set_learning_rate(rate)
        elif not isinstance(self._learning_rate, Variable):
            raise TypeError(
                f"{type(self).__name__}: the learning rate is a schedule or callable and cannot be set to a number. "
                f"Received: {rate!r}"
            )
        else:
            rate = rate.array if isinstance(rate, Variable) else rate
            rate = rate.item() if isinstance(rate, np.ndarray) and rate.ndim == 0 else rate
            rate = float(rate) if is_number(rate) else rate
            self._learning_rate.assign(_checked_learning_rate(rate, type(self).__name__))

    def _step_number(self):
        return int(self._iterations.array)

    def _present_learning_rate(self):
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return float(rate.array)
        value = rate(self._step_number()) if isinstance(rate, LearningRateSchedule) else rate()
        return _checked_learning_rate(float(value), type(self).__name__)

    def _alpha(self, rate, step):
        """What the kernel takes as its learning rate in step 1, 2, ..."""
        return rate

    def _extra_rates(self, rate, step):
        """Further numbers that the rule of a step needs, in the order of `rate_names`."""
        return ()

    def step_rates(self):
        """All that differs in the coming step, as floats: the input `rates` of `apply_traced`."""
        rate, step = self._present_learning_rate(), self._step_number() + 1
        every = self.ema_overwrite_frequency
        ema = (self.ema_momentum if step > 1 else 0.0, float(bool(every) and step % every == 0))
        return (self._alpha(rate, step), rate, *ema, *self._extra_rates(rate, step))

    def finish_step(self):
        """A step has been run: count it."""
        self._iterations.assign_add(1)

    # --- state ----------------------------------------------------------------------------------------------------

    def build(self, variables):
        """Make the state for these variables, once. Subclasses add theirs by `add_optimizer_variables`."""
        if self.built:
            return
        self._trainable_variables = list(variables)
        if self.use_ema:
            self._averages = self.add_optimizer_variables(self._trainable_variables, "average")
        self.built = True

    def add_variable(self, shape, initializer="zeros", dtype=None, name=None):
        """Make one Variable of this optimizer's state."""
        name = name or "variable"
        value = initializers.get(initializer)(shape, dtype=dtype)
        variable = Variable(value, name, trainable=False, dtype=dtype or "float32", path=f"{self.name}/{name}")
        self._slots.append(variable)
        return variable

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        """A Variable of the shape of another one."""
        path = reference_variable.path.replace("/", "_")
        return self.add_variable(reference_variable.shape, initializer, name=f"{path}_{name or 'var'}")

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        """One Variable for each of the given ones; several lists, made interleaved, for several names."""
        names = [name] if isinstance(name, str) else list(name)
        lists = [[] for _ in names]
        for variable in trainable_variables:
            for made, each in zip(lists, names):
                made.append(self.add_variable_from_reference(variable, each, initializer))
        return lists[0] if isinstance(name, str) else lists

    @property
    def variables(self):
        """The state in Keras's order: iteration, learning rate unless scheduled, then what `build` made."""
        rate = [self._learning_rate] if isinstance(self._learning_rate, Variable) else []
        return [self._iterations, *rate, *self._slots]

    def _get_variable_index(self, variable):
        for index, each in enumerate(self._trainable_variables):
            if each is variable:
                return index
        raise ConfigError(
            f'{type(self).__name__}: the optimizer was not built for the variable "{variable.path}". '
            "Compile the model again after changing what is trainable"
        )

    def set_weights(self, weights):
        """Set the whole state, in the order of `variables`. Raises ConfigError, ShapeError."""
        weights = list(weights)
        if not self.built or len(weights) != len(self.variables):
            raise ConfigError(
                f"{type(self).__name__}: expected {len(self.variables)} arrays after build(). Received: {len(weights)}"
            )
        for variable, weight in zip(self.variables, weights):
            variable._check(np.asarray(weight))
        for variable, weight in zip(self.variables, weights):
            variable.assign(np.asarray(weight))

    def save_own_variables(self, store):
        """Put the state into a mapping, under "0", "1", ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        """Set the state from such a mapping; one of another length is left alone with a warning."""
        if len(store.keys()) != len(self.variables):
            warnings.warn(
                f"The state of optimizer '{self.name}' was not loaded: expected {len(self.variables)} variables. "
                f"Received: {len(store.keys())}",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(self.variables):
            variable.assign(np.asarray(store[str(i)]))

    # --- a step ---------------------------------------------------------------------------------------------------

    def apply_traced(self, gradients, variables, rates):
        """Record (or do) one step.

        Args:
            gradients: tensors, one a variable.
            variables: the Variables they belong to.
            rates: float32 tensor with the numbers of `step_rates()`.
        """
        rates = Rates(rates, (*_BASE_RATES, *self.rate_names))
        gradients = [as_float(gradient) for gradient in gradients]
        gradients = clipped(gradients, self.clipnorm, self.global_clipnorm, self.clipvalue)
        self._decay_weights(variables, rates)
        for gradient, variable in zip(gradients, variables):
            self._step_of(gradient, variable, rates)
        if self.use_ema:
            self._average(rates)
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def _step_of(self, gradient, variable, rates):
        """The rule for one variable; by default the user's `update_step`."""
        self.update_step(gradient, variable, rates.learning_rate)

    def update_step(self, gradient, variable, learning_rate):
        """Change one variable by `variable.assign`; own optimizers define it."""
        what = type(self).__name__
        raise NotImplementedError(f"{what} must define update_step(self, gradient, variable, learning_rate)")

    def _update(self, name, gradient, rates, variables, **attrs):
        """A step by an update kernel of csrc/include/cnn/update.h."""
        update(name, [gradient, rates.hyper], variables, **attrs)

    def _decay_weights(self, variables, rates):
        if not self.weight_decay:
            return
        kept = ops.subtract(1.0, ops.multiply(rates.learning_rate, self.weight_decay))
        for variable in variables:
            if self._decays(variable):
                variable.assign(ops.multiply(variable, kept))

    def _average(self, rates):
        """Move the averages towards the new weights; in some steps put them in their place."""
        for variable, average in zip(self._trainable_variables, self._averages):
            kept = ops.multiply(average, rates.ema_momentum)
            average.assign(ops.add(kept, ops.multiply(variable, ops.subtract(1.0, rates.ema_momentum))))
            if self.ema_overwrite_frequency:
                variable.assign(ops.where(rates.overwrite, average, variable))

    def apply(self, grads, trainable_variables=None):
        """One step at once, on arrays.

        Args:
            grads: one a variable, None where there is none.
            trainable_variables: Variables; those of `build` by default.

        Raises:
            ConfigError: when there is no gradient at all, or the numbers differ.
        """
        grads = list(grads)
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if len(grads) != len(variables):
            raise ConfigError(f"Expected a gradient for each of {len(variables)} variables. Received: {len(grads)}")
        if not self.built:
            self.build(variables)
        pairs = [(grad, variable) for grad, variable in zip(grads, variables) if grad is not None]
        if not pairs:
            raise ConfigError("Expected a gradient for at least one variable. Received: none")
        if len(pairs) < len(grads):
            missing = [variable.path for grad, variable in zip(grads, variables) if grad is None]
            warnings.warn(f"There are no gradients for the variables {missing}", stacklevel=2)
        rates = np.asarray(self.step_rates(), np.float32)
        self.apply_traced([grad for grad, _ in pairs], [variable for _, variable in pairs], rates)
        self.finish_step()

    def apply_gradients(self, grads_and_vars):
        """`apply` for pairs of gradient and variable. Returns `iterations`."""
        grads, variables = zip(*grads_and_vars)
        self.apply(grads, variables)
        return self._iterations

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Leave variables, given themselves or by a part of their names, out of the weight decay.

        Raises:
            ConfigError: after `build`.
        """
        if self.built:
            raise ConfigError("exclude_from_weight_decay: expected an optimizer before build(). Received: a built one")
        self._excluded = {id(variable) for variable in var_list or ()}
        self._excluded_names = tuple(var_names or ())

    def _decays(self, variable):
        return id(variable) not in self._excluded and not any(part in variable.name for part in self._excluded_names)

    def finalize_variable_values(self, var_list):
        """With use_ema: put the averages in the place of the weights; the end of a fit."""
        if self.use_ema and self.built:
            for variable in var_list:
                variable.assign(self._averages[self._get_variable_index(variable)].array)

    # --- config ---------------------------------------------------------------------------------------------------

    def get_config(self):
        """Arguments that make an equal optimizer, without its state."""
        rate = self._learning_rate
        config = {
            "name": self.name,
            "learning_rate": float(rate.array) if isinstance(rate, Variable) else serialize(rate),
        }
        keys = (
            "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
            "ema_overwrite_frequency",
        )  # fmt: skip
        config |= {key: getattr(self, key) for key in keys}
        return config | {"loss_scale_factor": None, "gradient_accumulation_steps": None}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            rate = deserialize(rate, custom_objects, "keras.optimizers.schedules")
            config = config | {"learning_rate": rate}
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"
