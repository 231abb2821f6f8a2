"""JSON from files of unknown origin: bounded in size, depth and number of objects, strict where parsers differ."""

import json
import math
import re

from cnnengine.core.errors import CorruptFile, TooLarge

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_CONTAINERS = 500_000
_MAX_DIGITS = 19
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse(data, what):
    """The value of a JSON text.

    Args:
        data: bytes or str.
        what: name for messages.

    Raises:
        TooLarge: above the limits.
        CorruptFile: not JSON, duplicate keys, NaN or infinity, integers of more than 64 bits.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"{what} has {len(data)} bytes. Expected at most {MAX_BYTES}")
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8")
        _check_nesting(text, what)
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_number, parse_constant=_number
        )
    except UnicodeDecodeError:
        raise CorruptFile(f"{what} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise CorruptFile(f"{what} is not JSON: {error}") from None


def _check_nesting(text, what):
    """Raise TooLarge before the parser, which recurses, meets what is too deep for it."""
    depth = containers = 0
    for match in _BRACKET.finditer(_STRING.sub("", text)):
        opens = match.group() in "[{"
        depth += 1 if opens else -1
        containers += opens
        if depth > MAX_DEPTH or containers > MAX_CONTAINERS:
            raise TooLarge(f"{what}: more than {MAX_DEPTH} levels, or {MAX_CONTAINERS} lists and objects")


def _unique(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise CorruptFile(f"A key is given twice in one object of the JSON text: {[key for key, _ in pairs][:10]}")
    return out


def _integer(text):
    if len(text) > _MAX_DIGITS + 1:
        raise CorruptFile(f"An integer of the JSON text has {len(text)} digits")
    return int(text)


def _number(text):
    value = float(text)
    if not math.isfinite(value):
        raise CorruptFile(f"A number of the JSON text is not finite. Received: {text}")
    return value
