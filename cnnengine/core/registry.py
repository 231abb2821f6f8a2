"""The table of what a config or a string may name: classes and functions by their Keras path, and how they are written.

Reading a config looks things up in this table and among the caller's custom objects, and nowhere else: nothing is ever
imported because a file says so.
"""

import functools
import inspect
import threading
from contextlib import contextmanager

import numpy as np

from cnnengine.core.errors import ConfigError, CorruptFile, UnsafeContent, UnsupportedVersion
from cnnengine.core.naming import snake_case
from cnnengine.core.spec import standard_dtype

_OBJECTS = {}  # (module, name) -> class or function
_PATHS = {}  # class or function -> (module, name) it is written under
_CUSTOM = {}  # "package>name" -> class or function
_CUSTOM_NAMES = {}  # the reverse
_FUNCTION_MODULES = ("keras.activations", "keras.losses", "keras.metrics")  # searched for those of "builtins"


class _Scope(threading.local):
    def __init__(self):
        self.custom = {}  # of custom_object_scope
        self.shared = None  # objects by shared_object_id while one file is read
        self.written = None  # own classes and functions by name, while recording_custom


_SCOPE = _Scope()

# Arguments that other versions of Keras write, and the values with which they change nothing; ANY where none does.
ANY = object()
_NEUTRAL = {
    "adjustment": (None,), "antialias": (False,), "autocast": ANY, "decay": (0, None), "groups": (1,),
    "implementation": ANY, "input_axes": (None,), "input_length": ANY, "is_legacy_optimizer": ANY, "jit_compile": ANY,
    "lora_alpha": ANY, "lora_rank": (None,), "loss_scale_factor": (None,), "optional": (False, None),
    "output_axes": (None,), "output_padding": (None,), "quantization_config": (None,), "ragged": (False, None),
    "renorm": (False, None), "renorm_clipping": ANY, "renorm_momentum": ANY, "rms_scaling": (False,),
    "sliding_window": (None,), "sparse": (False, None), "synchronized": (False, None), "time_major": (False,),
    "use_gate": (False,), "virtual_batch_size": (None,),
}  # fmt: skip

_POLICIES = ("float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


def export(module, name=None, aliases=()):
    """Decorator: make a class or function known under its Keras path.

    Args:
        module: e.g. "keras.layers"; together with the name what `serialize` writes.
        name: the name there; the object's own by default.
        aliases: other names, or, with a dot, other modules; it is found under every combination.

    Example:
        >>> @export("keras.layers", aliases=("MaxPool2D",))
        ... class MaxPooling2D(Layer): ...
    """
    modules = (module, *[alias for alias in aliases if "." in alias])

    def decorator(obj):
        names = (name or obj.__name__, *[alias for alias in aliases if "." not in alias])
        _PATHS[obj] = (module, names[0])
        for place in modules:
            _OBJECTS.update({(place, each): obj for each in names})
        return obj

    return decorator


def known(module):
    """Sorted names in a module of the table."""
    return sorted(name for place, name in _OBJECTS if place == module)


def lookup(module, name, classes_first=False):
    """What the table has under a name, or a snake_case or lower-case form of a class's name; None without it.

    Args:
        classes_first: a class found by such a form comes before a function of that very name.
    """
    exact = _OBJECTS.get((module, name))
    if exact is not None and (inspect.isclass(exact) or not classes_first):
        return exact
    for (place, known_name), obj in _OBJECTS.items():
        if place == module and inspect.isclass(obj) and name in (snake_case(known_name), known_name.lower()):
            return obj
    return exact


def get(identifier, module, what, classes_first=False):
    """What an argument such as `loss="mse"` stands for.

    Args:
        identifier: None, a name, a config, a class, or any callable, which is taken as it is.
        module: where names are looked up, after the custom objects.
        what: for the message, e.g. "loss".
        classes_first: see `lookup`.

    Returns:
        an instance, a function, or None for None.

    Raises:
        ConfigError: for names and types that mean nothing here.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict) and "class_name" in identifier:
        return deserialize(identifier, module=module)
    found = identifier
    if isinstance(identifier, str):
        found = _custom_objects().get(identifier) or lookup(module, identifier, classes_first)
    if inspect.isclass(found):
        return found()
    if callable(found):
        return found
    expected = f"Expected a callable, a config or one of {known(module)}"
    raise ConfigError(f"Unknown {what}. {expected}. Received: {identifier!r}")


# --- custom objects ---------------------------------------------------------------------------------------------


def _custom_objects(more=None):
    return {**(more or {}), **_SCOPE.custom, **_CUSTOM}


@contextmanager
def custom_object_scope(custom_objects):
    """Let configs name these classes and functions inside the `with` block.

    Args:
        custom_objects: dict from name to class or function.
    """
    before = _SCOPE.custom
    _SCOPE.custom = {**before, **(custom_objects or {})}
    try:
        yield
    finally:
        _SCOPE.custom = before


CustomObjectScope = custom_object_scope


def register_keras_serializable(package="Custom", name=None):
    """Decorator: make an own class or function known to configs for good, as "package>name".

    Raises:
        ConfigError: for a class without `get_config`.
    """

    def decorator(obj):
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ConfigError(f"A class must have get_config() to be registered. Received: {obj.__name__}")
        registered_name = f"{package}>{name or obj.__name__}"
        _CUSTOM[registered_name] = obj
        _CUSTOM_NAMES[obj] = registered_name
        return obj

    return decorator


def get_custom_objects():
    """The dict of registered custom objects itself."""
    return _CUSTOM


def get_registered_name(obj):
    """The name an own class or function is written under."""
    return _CUSTOM_NAMES.get(obj, obj.__name__)


def get_registered_object(name, custom_objects=None):
    """The own class or function of a name, or None."""
    return _custom_objects(custom_objects).get(name)


# --- writing ------------------------------------------------------------------------------------------------------


def serialize_dtype(dtype):
    """A dtype as layers write it: the config of Keras's dtype policy."""
    return _record("keras", "DTypePolicy", {"name": dtype}, None)


def _record(module, class_name, config, registered_name):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}


def serialize(obj):
    """An object as plain data, from which `deserialize` makes an equal one.

    Args:
        obj: anything with `get_config()`, a named function, plain values and containers of these.

    Returns:
        for objects {"module", "class_name", "config", "registered_name"}; for functions of this package their name.

    Raises:
        ConfigError: for lambdas and objects without `get_config()`.
    """
    if obj is None or isinstance(obj, (str, int, float, bool)):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize(item) for item in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    if isinstance(obj, dict):
        return {key: serialize(value) for key, value in obj.items()}
    if isinstance(obj, (np.generic, np.ndarray, bytes, slice, type(Ellipsis))):
        return _serialize_value(obj)
    if inspect.isfunction(obj) or inspect.isbuiltin(obj):
        return _serialize_function(obj)
    return _serialize_object(obj)


def _serialize_value(obj):
    if isinstance(obj, np.generic) or (isinstance(obj, np.ndarray) and obj.ndim == 0):
        return obj.item()
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        return {"class_name": "__slice__", "config": {"start": obj.start, "stop": obj.stop, "step": obj.step}}
    return {"class_name": "__ellipsis__", "config": {}}


def _serialize_function(function):
    if function in _PATHS:
        return _PATHS[function][1]
    if function.__name__ == "<lambda>":
        raise ConfigError("A lambda cannot be written to a config. Use a named function, registered as a custom object")
    name = _note_custom(function)
    return _record(_module_of(function), "function", name, name)


@contextmanager
def recording_custom():
    """Inside, `serialize` puts the own classes and functions that it meets into the dict this yields, by name."""
    before, _SCOPE.written = _SCOPE.written, {}
    try:
        yield _SCOPE.written
    finally:
        _SCOPE.written = before


def _note_custom(obj):
    name = get_registered_name(obj)
    if _SCOPE.written is not None:
        _SCOPE.written[name] = obj
    return name


def _module_of(obj):
    return None if obj.__module__ == "__main__" else obj.__module__


def _serialize_object(obj):
    cls = type(obj)
    if not hasattr(obj, "get_config") or inspect.isclass(obj):
        raise ConfigError(f"Expected an object with get_config(). Received: {obj!r}")
    config = serialize(obj.get_config())
    if cls in _PATHS:
        record = _record(*_PATHS[cls], config, None)
    else:
        record = _record(_module_of(cls), cls.__name__, config, _note_custom(cls))
    for key in ("build_config", "compile_config"):
        part = getattr(obj, f"get_{key}", lambda: None)()
        if part is not None:
            record[key] = serialize(part)
    return record


# --- reading ------------------------------------------------------------------------------------------------------


@contextmanager
def object_sharing():
    """Inside, configs with the same `shared_object_id` give the same object."""
    before, _SCOPE.shared = _SCOPE.shared, {}
    try:
        yield
    finally:
        _SCOPE.shared = before


def deserialize(config, custom_objects=None, module=None):
    """The object that a config made by `serialize`, or by Keras, describes.

    Args:
        config: plain data.
        custom_objects: dict from name to class or function, besides those registered.
        module: where classes of configs without a module (Keras 2) and plain names are looked up.

    Returns:
        the object; plain values as they are, a dtype policy as the name of the dtype.

    Raises:
        UnsafeContent: the config holds code, or names something that would have to be imported.
        UnsupportedVersion: it names a class or an argument of Keras that does not exist here.
        CorruptFile: it is not a config.
    """
    if isinstance(config, str):
        found = _custom_objects(custom_objects).get(config) or (module and lookup(module, config))
        return found or config
    if isinstance(config, (list, tuple)):
        return [deserialize(item, custom_objects) for item in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: deserialize(value, custom_objects) for key, value in config.items()}
    if not isinstance(config["class_name"], str):
        raise CorruptFile(f"class_name must be a str. Received: {config['class_name']!r}")
    if config["class_name"] in _SPECIAL:
        return _SPECIAL[config["class_name"]](config["config"])
    if config["class_name"] == "function":
        return _find(config, config["config"], module, custom_objects, is_class=False)
    return _shared(config, lambda: _make(config, module, custom_objects))


def _shared(config, make):
    key = config.get("shared_object_id")
    if key is None or _SCOPE.shared is None:
        return make()
    if key not in _SCOPE.shared:
        _SCOPE.shared[key] = make()
    return _SCOPE.shared[key]


def _refuse_lambda(config=None):
    raise UnsafeContent(
        "The config holds Python code (a lambda), which is never run. "
        "Make the model in code and load only its weights, or use a layer class and pass it in custom_objects"
    )


def _read_policy(config):
    name = config.get("name") if isinstance(config, dict) else config
    if name in _POLICIES:
        return "float32"
    return standard_dtype(name)


def _read_array(config):
    if not isinstance(config, dict) or not isinstance(config.get("value"), (list, int, float, bool)):
        raise CorruptFile(f"Expected an array as {{'value': [...], 'dtype': str}}. Received: {config!r}")
    try:
        array = np.array(config["value"])
    except ValueError:
        raise CorruptFile("Rows of an array differ in length") from None
    if array.dtype.kind not in "bfiu":
        raise CorruptFile(f"Expected an array of numbers. Received: dtype {array.dtype}")
    return array.astype(standard_dtype(config.get("dtype")))


_SPECIAL = {
    "__lambda__": _refuse_lambda,
    "__numpy__": _read_array,
    "__tensor__": _read_array,
    "__bytes__": lambda config: str(config["value"]).encode("utf-8"),
    "__slice__": lambda config: slice(*[deserialize(config.get(key)) for key in ("start", "stop", "step")]),
    "__ellipsis__": lambda config: Ellipsis,
    "DTypePolicy": _read_policy,
    "FloatDTypePolicy": _read_policy,
}


def _find(config, name, default_module, custom_objects, is_class=True):
    """The class or function of a config, from the table or the custom objects."""
    if not isinstance(name, str):
        raise CorruptFile(f"The name of a function must be a str. Received: {name!r}")
    custom = _custom_objects(custom_objects)
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom and (is_class or not inspect.isclass(custom[key])):
            return custom[key]
    module = config.get("module") or default_module
    places = _FUNCTION_MODULES if module == "builtins" and not is_class else (module, *_public_modules(module, name))
    for place in places:
        obj = _OBJECTS.get((place, name))
        obj = lookup(default_module, name) if obj is None and place == default_module else obj
        if obj is not None and inspect.isclass(obj) == is_class:
            return obj
    raise _unknown(module, name)


def _public_modules(module, name):
    """Where a name is known for a module inside Keras, such as keras.src.backend.torch.optimizers.torch_adam."""
    if not isinstance(module, str) or not module.startswith("keras.src."):
        return []
    parts = module.split(".")
    return [place for place, known_name in _OBJECTS if known_name == name and place.split(".")[-1] in parts]


def _unknown(module, name):
    if isinstance(module, str) and (module == "keras" or module.startswith(("keras.", "builtins"))):
        return UnsupportedVersion(f"{module}.{name} does not exist here. Known in {module}: {known(module)}")
    return UnsafeContent(
        f"{name!r} of module {module!r} is not known, and modules are never imported for a config. "
        f"Pass custom_objects={{{name!r}: ...}} or register it. Registered: {sorted(_custom_objects())}"
    )


def _make(config, module, custom_objects):
    cls = _find(config, config["class_name"], module, custom_objects)
    if _PATHS.get(cls) == ("keras.layers", "Lambda"):
        _refuse_lambda()
    arguments = {} if config["config"] is None else config["config"]
    if not isinstance(arguments, dict):
        raise CorruptFile(f"The config of {config['class_name']} must be a dict. Received: {arguments!r}")
    if not hasattr(cls, "from_config"):
        raise ConfigError(f"{config['class_name']} has no from_config(). Received: {cls!r}")
    with custom_object_scope(custom_objects):
        try:
            instance = cls.from_config(_without_drift(cls, arguments))
        except TypeError as error:
            raise ConfigError(f"{config['class_name']} cannot be made from its config: {error}") from error
        if config.get("build_config") and not getattr(instance, "built", True):
            instance.build_from_config(config["build_config"])
        if config.get("compile_config"):
            instance.compile_from_config(config["compile_config"])
    return instance


def _accepted(cls):
    """Names of all arguments that a class or its bases name in `__init__`."""
    names = set()
    for base in cls.__mro__[:-1]:
        if "__init__" in vars(base):
            names |= _parameters(base.__init__)
    return names


@functools.lru_cache(256)
def _parameters(function):
    """Names of a function's parameters. A file holds many layers of few classes, and looking takes a while."""
    return frozenset(inspect.signature(function).parameters)


def _without_drift(cls, config):
    """The config without arguments that other versions of Keras write and this class does not have.

    Raises:
        UnsupportedVersion: when one has a value that would change something.
    """
    accepted, out = _accepted(cls) if inspect.isclass(cls) else (), {}
    for key, value in config.items():
        if key in _NEUTRAL and key not in accepted:
            if _NEUTRAL[key] is ANY or value in _NEUTRAL[key]:
                continue
            if cls in _PATHS:
                raise UnsupportedVersion(f"{cls.__name__}: {key}={value!r} is not supported here")
            out[key] = value  # an own class may take it as **kwargs
        else:
            out[key] = value
    if isinstance(out.get("dtype"), dict):
        out["dtype"] = deserialize(out["dtype"])
    return out
