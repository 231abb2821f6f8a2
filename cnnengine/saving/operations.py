"""Plain operations of a layer graph (x + y, ops.mean(x), ...) as Keras writes them: one Operation class a function."""

import inspect

from cnnengine import activations, ops
from cnnengine.core.errors import ConfigError, CorruptFile, UnsupportedVersion
from cnnengine.core.registry import deserialize, serialize
from cnnengine.layers import FunctionLayer

# Functions whose class is called as they are, in CamelCase; the arguments after the first belong to the class.
_NAMES = {
    "keras.src.ops.numpy": """absolute add all any argmax argmin broadcast_to ceil clip concatenate cos divide equal exp
        expand_dims expm1 flip floor floor_divide greater greater_equal isfinite isnan less less_equal log log1p
        logical_and logical_not logical_or matmul max maximum mean min minimum mod moveaxis multiply negative not_equal
        ones_like pad power prod reciprocal repeat reshape round sign sin split sqrt square squeeze stack std subtract
        sum swapaxes take tanh tile transpose true_divide var where zeros_like""",
    "keras.src.ops.math": "erf logsumexp rsqrt",
    "keras.src.ops.core": "cast",
    "keras.src.ops.nn": """average_pool binary_crossentropy categorical_crossentropy conv depthwise_conv elu gelu
        hard_sigmoid hard_silu leaky_relu log_sigmoid log_softmax max_pool moments one_hot relu relu6 selu
        separable_conv sigmoid silu softmax softplus softsign sparse_categorical_crossentropy threshold""",
}
_OTHER_NAMES = {"abs": "absolute", "hard_swish": "hard_silu", "swish": "silu", "prod_": "prod"}
_CALLED_WITH = {  # arguments of the call, where it is not the first one alone
    **dict.fromkeys(
        """add divide equal floor_divide greater greater_equal less less_equal logical_and logical_or matmul maximum
        minimum mod multiply not_equal power subtract true_divide""".split(), ("x1", "x2"),
    ),
    "where": ("condition", "x1", "x2"), "take": ("x", "indices"), "getitem": ("x", "key"),
    "conv": ("inputs", "kernel"), "depthwise_conv": ("inputs", "kernel"),
    "separable_conv": ("inputs", "depthwise_kernel", "pointwise_kernel"),
    "binary_crossentropy": ("target", "output"), "categorical_crossentropy": ("target", "output"),
    "sparse_categorical_crossentropy": ("target", "output"), "pad": ("x", "constant_values"),
}  # fmt: skip
_ACTIVATIONS = "keras.src.activations.activations"  # classes of which the first word is in capitals: ReLU, SoftMax


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def _table():
    table = {}
    for module, names in _NAMES.items():
        table |= {(module, _camel(name)): name for name in names.split()}
    return table | {("keras.src.ops.numpy", "GetItem"): "getitem"}


_FUNCTIONS = _table()
_CLASSES = {name: key for key, name in _FUNCTIONS.items()}


def is_operation(record):
    """Whether a layer's record is that of a plain operation of Keras."""
    module = record.get("module")
    return isinstance(module, str) and (module.startswith("keras.src.ops.") or module == _ACTIVATIONS)


def to_record(layer, nodes, write_tensors):
    """The record of a FunctionLayer with its calls.

    Args:
        nodes: its CallNodes.
        write_tensors: from arguments to the same with symbolic tensors as plain data.

    Raises:
        ConfigError: for functions that Keras has no class for.
    """
    name = _OTHER_NAMES.get(layer.function.__name__, layer.function.__name__)
    if name not in _CLASSES or not nodes:
        raise ConfigError(
            f'The model calls ops.{name} on symbolic tensors ("{layer.name}"), for which the file format has no name. '
            "Put it into the call of a Layer subclass, and pass that as custom_objects when loading"
        )
    module, class_name = _CLASSES[name]
    signature, config, inbound = inspect.signature(layer.function), {}, []
    for node in nodes:
        bound = signature.bind(*node.args, **node.kwargs)
        called_with = _CALLED_WITH.get(name, tuple(signature.parameters)[:1])
        args = [bound.arguments.pop(key) for key in called_with if key in bound.arguments]
        config = bound.arguments
        inbound.append({"args": write_tensors(args), "kwargs": {}})
    record = {"module": module, "class_name": class_name, "config": serialize(dict(config))}
    return record | {"registered_name": class_name, "name": layer.name, "inbound_nodes": inbound}


def from_record(record):
    """(FunctionLayer, keyword arguments of all its calls) from the record of an operation of Keras.

    Raises:
        UnsupportedVersion: for operations and arguments that do not exist here.
    """
    key = (record.get("module"), record.get("class_name"))
    if key[0] == _ACTIVATIONS:
        function = getattr(activations, str(key[1]).lower(), None) if key[1] in ("ReLU", "Softmax") else None
    else:
        function = getattr(ops, _FUNCTIONS.get(key, ""), None)
    if function is None:
        raise UnsupportedVersion(f"The operation {key[1]!r} of {key[0]} does not exist here")
    config = record.get("config")
    if not isinstance(config, dict) or not isinstance(record.get("name"), str):
        raise CorruptFile(f"Expected an operation with a name and a config. Received: {config!r}")
    arguments = {name: value for name, value in config.items() if name != "name"}
    return FunctionLayer(function, name=record["name"]), known_arguments(function, arguments)


def known_arguments(function, arguments):
    """The arguments that a function takes, of those that a file gives; lists as tuples.

    Raises:
        UnsupportedVersion: for others that are set to something.
    """
    names, out = inspect.signature(function).parameters, {}
    for name, value in arguments.items():
        if name in names and value is not None:
            out[name] = _tuples(deserialize(value))
        elif name not in names and value not in (None, False):
            raise UnsupportedVersion(f"{function.__name__}: {name}={value!r} is not supported here")
    return out


def _tuples(value):
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
