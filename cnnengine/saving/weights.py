"""Where each weight stands in a file, in Keras's layout, and how weights get from there into a model."""

import warnings

import numpy as np

from cnnengine.core.errors import ConfigError, ModelFileError
from cnnengine.core.naming import snake_case
from cnnengine.layers import FunctionLayer, Layer
from cnnengine.models import Functional, Model, Sequential
from cnnengine.optimizers import Optimizer
from cnnengine.saving import hdf5_write
from cnnengine.saving.hdf5_read import StoredArray

_SHOWN = 20  # differences listed in an error


# --- which object stands where ------------------------------------------------------------------------------------


def places(model):
    """All objects with state in a model, each once, at the path where Keras keeps it.

    Returns:
        list of (path, layer or optimizer, the model or layer that it is an attribute of).
    """
    out = []
    _visit(model, "", None, out, set(), ())
    return out


def _visit(thing, path, owner, out, seen, around):
    if isinstance(thing, (Layer, Optimizer)):
        if id(thing) not in seen and not isinstance(thing, FunctionLayer):
            seen.add(id(thing))
            out.append((path, thing, owner))
            for name, child in _attributes(thing):
                _visit(child, f"{path}/{name}" if path else name, thing, out, seen, ())
    elif isinstance(thing, (list, tuple, dict)) and id(thing) not in around:
        _visit_container(thing, path, owner, out, seen, (*around, id(thing)))


def _visit_container(container, path, owner, out, seen, around):
    """Items are called after their class, numbered, not after their own names, which depend on what was made before.

    Args:
        around: ids of this container and those that it is in, for lists that hold themselves.
    """
    used = {}
    for item in container.values() if isinstance(container, dict) else container:
        if isinstance(item, (list, tuple, dict)):
            name = "container"
        elif isinstance(item, (Layer, Optimizer)) and not isinstance(item, FunctionLayer):
            name = snake_case(type(item).__name__)
        else:
            continue
        used[name] = used.get(name, -1) + 1
        _visit(item, f"{path}/{name}_{used[name]}" if used[name] else f"{path}/{name}", owner, out, seen, around)


def _attributes(thing):
    """(name, value) of attributes that may hold layers, private ones last."""
    if isinstance(thing, (Functional, Sequential)):
        yield "layers", thing.layers
    if isinstance(thing, Optimizer) or not (thing._layers or isinstance(thing, Model)):
        return
    plain = _names_of_plain_layers()
    for name in sorted(dir(thing), key=lambda name: f"~{name}" if name.startswith("_") else name):
        if name.startswith("__") or name in plain:
            continue
        try:
            yield name, getattr(thing, name)
        except Exception:  # a property that cannot be read now, such as the input of a layer without one
            continue


_plain = set()


def _names_of_plain_layers():
    if not _plain:
        _plain.update(dir(Layer(name="plain")), {"_functional"})
    return _plain


# --- writing ------------------------------------------------------------------------------------------------------


def _keeps_its_own_way(layer):
    cls = type(layer)
    return (
        cls.save_own_variables is not Layer.save_own_variables or cls.load_own_variables is not Layer.load_own_variables
    )


def _state(thing):
    """{"0": array, ...} of what an object itself keeps."""
    if isinstance(thing, Layer) and _keeps_its_own_way(thing):
        store = {}
        thing.save_own_variables(store)
        return {str(key): np.asarray(value) for key, value in store.items()}
    return {str(i): variable.array for i, variable in enumerate(_variables(thing))}


def to_groups(model):
    """The tree of groups to be written for a model."""
    root = hdf5_write.Group()
    for path, thing, _ in places(model):
        group = root.group(_vars(path))
        group.attrs["name"] = thing.name
        group.items.update(_state(thing))
    return root


def _vars(path):
    return f"{path}/vars" if path else "vars"


# --- reading ------------------------------------------------------------------------------------------------------


def load(model, groups, skip_mismatch=False, is_new=False):
    """Set a model's weights, and its optimizer's state, from a file. Nothing is set unless everything fits.

    Args:
        model: built.
        groups: {path: {name: StoredArray}} of the file.
        skip_mismatch: set what fits, and warn about the rest.
        is_new: nobody else has the model yet; if the file cannot be read to its end it is thrown away half set.

    Raises:
        ModelFileError: lists what is missing, superfluous or of another shape.
        ConfigError: the model has no weights yet.
    """
    if not model.built:
        raise ConfigError(f'Model "{model.name}" has no weights yet: build it by calling it or model.build(shape)')
    fitting, differences, known = [], [], set()
    for path, thing, owner in places(model):
        known.add(_vars(path))
        stored = groups.get(_vars(path), {})
        if isinstance(thing, Optimizer):
            fitting.extend(_optimizer_state(thing, owner, stored))
            continue
        wrong = _differences(path, thing, stored)
        differences.extend(wrong)
        if not wrong and stored:
            fitting.append((thing, stored))
    for path, stored in groups.items():
        if stored and path not in known and "optimizer" not in path.split("/"):
            differences.append(f"{path}: {len(stored)} weight(s) that the model does not have")
    _report(differences, model, skip_mismatch)
    if not is_new:
        for thing, _ in fitting:
            for variable in _variables(thing):
                variable.check_writable()
        fitting = [(thing, {key: np.asarray(value) for key, value in stored.items()}) for thing, stored in fitting]
    _assign(fitting, is_new)


def _differences(path, thing, stored):
    expected, out = _state(thing), []
    for key, array in expected.items():
        where = f'{_vars(path)}/{key} ("{thing.name}")'
        if key not in stored:
            out.append(f"{where}: missing. Expected: shape {array.shape}")
        elif stored[key].shape != array.shape:
            out.append(f"{where}: expected shape {array.shape}. Received: {stored[key].shape}")
        elif not _fits(stored[key], array):
            out.append(f"{where}: expected {array.dtype} values. Received: {stored[key].dtype}, or values out of range")
    extra = sorted(set(stored) - set(expected))
    if extra:
        out.append(f'{_vars(path)} ("{thing.name}"): superfluous: {extra[:_SHOWN]}')
    return out


def _fits(value, array):
    if array.dtype.kind == "f":
        return value.dtype.kind in "fiu"
    limits, numbers = np.iinfo(array.dtype), np.asarray(value)
    return numbers.dtype.kind in "iu" and (
        numbers.size == 0 or (numbers.min() >= limits.min and numbers.max() <= limits.max)
    )


def _optimizer_state(optimizer, owner, stored):
    """[(optimizer, its stored state)], or nothing, with a warning, where it is the state of another optimizer."""
    if not stored:
        return []
    if not optimizer.built and isinstance(owner, Model):
        optimizer.build(owner.trainable_weights)
    if _differences("optimizer", optimizer, stored):
        if set(stored) <= {"0", "1"}:
            return []  # step number and learning rate alone: saved before the first step, there is no state yet
        warnings.warn(
            f'The state of the optimizer "{optimizer.name}" is not loaded: the file has that of another one, with '
            f"{len(stored)} variables. Expected: {len(optimizer.variables)}"
        )
        return []
    return [(optimizer, stored)]


def _report(differences, model, skip_mismatch):
    if not differences:
        return
    more = f"\n  and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    text = f'The weights do not fit the model "{model.name}":\n  ' + "\n  ".join(differences[:_SHOWN]) + more
    if not skip_mismatch:
        raise ModelFileError(text)
    warnings.warn(text)


def _assign(fitting, is_new):
    """Set the state of each object; all of it back as it was, unless it is new, when a layer's own loading fails."""
    own_ways = [thing for thing, _ in fitting if isinstance(thing, Layer) and _keeps_its_own_way(thing)]
    before = [(v, v.numpy()) for thing, _ in fitting for v in _variables(thing)] if own_ways and not is_new else []
    try:
        for thing, stored in fitting:
            if thing in own_ways:
                thing.load_own_variables({key: np.array(value) for key, value in stored.items()})
            else:
                for i, variable in enumerate(_variables(thing)):
                    _set(variable, stored[str(i)], isinstance(thing, Layer))
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise


def _set(variable, value, may_stay):
    """Set a variable from a file, where the value may stay if the file is mapped."""
    if not isinstance(value, StoredArray):
        variable.assign(value)
    elif may_stay and (mapped := value.mapped(variable.array.dtype)):
        variable.lie_in(*mapped)
    else:
        value.read_into(variable.writable())
        variable.touched()


def _variables(thing):
    if isinstance(thing, Optimizer):
        return thing.variables
    return [*thing._trainable_variables, *thing._non_trainable_variables]
