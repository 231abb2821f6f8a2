"""What the tables of csrc/include/cnn/ say: the lines of the .def files and the members of the enums."""

import re
from pathlib import Path

INCLUDE = Path(__file__).parents[2] / "csrc" / "include" / "cnn"


def unary_needs():
    """Name of each line of unary.def -> what its derivative reads: NONE, X or Y."""
    return dict(re.findall(r"^UNARY\((\w+), (\w+),", (INCLUDE / "unary.def").read_text(), re.MULTILINE))


def binary_names():
    """Names of the lines of binary.def, in order."""
    return re.findall(r"^BINARY\((\w+),", (INCLUDE / "binary.def").read_text(), re.MULTILINE)


def enum_names(header):
    """Members of the one enum of a header, in order."""
    (members,) = re.findall(r"^enum \{([^}]*)\}", (INCLUDE / header).read_text(), re.MULTILINE)
    return [name.strip() for name in members.split(",")]
