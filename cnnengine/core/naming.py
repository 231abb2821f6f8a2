"""Names: of layers, snake_case of the class, numbered where it is taken; of fields, behind a prefix."""

import re
import threading

_counts = {}
_lock = threading.Lock()


def snake_case(name):
    """Conv2D -> conv2d, MaxPooling2D -> max_pooling2d, ReLU -> re_lu, as Keras names layers and files."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def without_prefix(fields, prefix):
    """Of a dict what has a name with the prefix, under the rest of that name."""
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


def unique_name(base):
    """`base` the first time, then base_1, base_2, ..."""
    with _lock:
        count = _counts.get(base, 0)
        _counts[base] = count + 1
    return f"{base}_{count}" if count else base


def get_uid(prefix=""):
    """The next number for a prefix, from 1."""
    with _lock:
        _counts[prefix] = _counts.get(prefix, 0) + 1
        return _counts[prefix]


def reset_names():
    """Start numbering anew."""
    with _lock:
        _counts.clear()
