"""The floors of the project: who may import whom, and what may stand where (CONTRIBUTING.md, "Floors")."""

import ast
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "cnnengine"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

# Rooms of a floor share their line: they may import each other, and the rooms behind the colon.
LAYERS = "layers initializers regularizers constraints activations losses metrics optimizers"
ENGINE = "core _native reference ops graph"
MODELS = f"{ENGINE} engine {LAYERS}"
FLOORS = {
    "core": "",
    "_native reference": "core",
    "ops": "core _native reference",
    "graph": "core ops",
    "engine": ENGINE,
    LAYERS: "core ops",
    "models callbacks": MODELS,
    "saving applications datasets preprocessing utils examples backend config random __main__ __init__": (
        f"{MODELS} models callbacks"
    ),
}
# room -> the rooms it may import
KNOWS = {room: {*floor.split(), *below.split()} for floor, below in FLOORS.items() for room in floor.split()}
# Examples are programs of a user, and the command line is one, so they import the package as a whole.
IMPORTS_THE_PACKAGE = {"examples", "__main__"}

# folder of csrc -> the folders whose headers it may include
C_KNOWS = {
    "cnn": "cnn",
    "simd": "simd",
    "core": "cnn core",
    "kernels": "cnn core simd kernels",
    "isa": "kernels",
    "drivers": "cnn core drivers",
}


# --- Python ---------------------------------------------------------------------------------------


def room_of(path):
    """The room a file of the package is in: its first folder, or its own name without a folder."""
    parts = path.relative_to(ROOT / PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def _module(node, path):
    """Full name of the module that `from ... import` names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    parent = (PACKAGE, *path.relative_to(ROOT / PACKAGE).parts[:-1])
    base = parent[: len(parent) - node.level + 1]
    return ".".join((*base, *filter(None, [node.module])))


def _names(node, path):
    """The modules an import statement or a call of import_module names, as far as they are in the package."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        module = _module(node, path)
        names = [f"{PACKAGE}.{alias.name}" for alias in node.names] if module == PACKAGE else [module]
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
        "import_module",
        "__import__",
    ):
        names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    else:
        return []
    return [name for name in map(str, names) if name.split(".")[0] == PACKAGE]


def breaches(source, path):
    """What is wrong with a module's imports, one text each.

    Args:
        source: the module's text.
        path: where it stands, which decides what it may import.
    """
    tree, room = ast.parse(source), room_of(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        for name in _names(node, path):
            texts = _faults(name, room, id(node) in inside)
            found += [f"{path.relative_to(ROOT)}:{node.lineno}: {text}" for text in texts]
    return found


def _faults(name, room, in_function):
    if in_function:
        yield f"imports {name} inside a function"
    target = (name.split(".") + ["__init__"])[1]
    if target == "__init__":
        if room not in IMPORTS_THE_PACKAGE:
            yield f"imports the package as a whole; {room} may import {sorted(KNOWS[room])}"
    elif target not in KNOWS.get(room, ()):
        yield f"imports {name}; {room} may import {sorted(KNOWS.get(room, ()))}"


MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))
PYX = sorted((ROOT / PACKAGE).rglob("*.pyx"))


def test_every_room_has_its_floor():
    assert {room_of(path) for path in MODULES} <= set(KNOWS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    assert breaches(path.read_text(), path) == []


def test_the_binding_imports_no_python_of_the_package():
    for path in PYX:
        assert re.findall(rf"^\s*(?:from|c?import)\s+{PACKAGE}\b.*", path.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core/x.py", "from cnnengine.ops import nn"),
        ("core/x.py", "import cnnengine.reference"),
        ("reference/x.py", "from cnnengine.ops.base import bind"),
        ("ops/x.py", "from cnnengine.graph.trace import trace"),
        ("ops/x.py", "from cnnengine import layers"),
        ("ops/x.py", "from ..engine import build"),
        ("graph/x.py", "from cnnengine.engine.build import build_program"),
        ("graph/x.py", "from cnnengine import _native as native"),
        ("engine/x.py", "from cnnengine.layers.layer import Layer"),
        ("layers/x.py", "from cnnengine.graph.graph import Graph"),
        ("layers/x.py", "from cnnengine.engine import build"),
        ("layers/x.py", "import cnnengine.models.model"),
        ("losses/x.py", "from cnnengine.models import Model"),
        ("optimizers/x.py", "from cnnengine._native import call"),
        ("models/x.py", "from cnnengine.saving import save_model"),
        ("models/x.py", "import cnnengine"),
        ("saving/x.py", "import cnnengine as keras"),
        ("models/x.py", "def f():\n    from cnnengine.engine import build"),
        ("saving/x.py", "f = lambda: __import__('cnnengine.models')"),
        ("layers/x.py", "import importlib\nimportlib.import_module('cnnengine.models')"),
        ("newroom/x.py", "from cnnengine.core import errors"),
    ],
)
def test_a_planted_breach_is_found(room, source):
    assert len(breaches(source, ROOT / PACKAGE / room)) >= 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core/x.py", "import numpy as np\nfrom cnnengine.core.errors import ShapeError"),
        ("core/x.py", "from .errors import ShapeError"),
        ("layers/x.py", "from cnnengine import initializers, ops"),
        ("models/x.py", "from cnnengine.layers.layer import Layer\nfrom cnnengine.engine.build import build_program"),
        ("saving/x.py", "def f():\n    import h5py"),
        ("examples/x.py", "import cnnengine as keras"),
    ],
)
def test_what_is_allowed_is_not_reported(room, source):
    assert breaches(source, ROOT / PACKAGE / room) == []


# --- C and the build ------------------------------------------------------------------------------

C_FILES = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".c", ".h", ".def"))
FORBIDDEN_FLAGS = ("-march=native", "-ffast-math", "-Ofast")


def c_breaches(source, path):
    """What is wrong with a C file: a header from above its floor, OpenMP outside core/team.c, Python."""
    place = path.relative_to(ROOT / "csrc")
    folder = place.parts[1] if place.parts[0] == "include" else place.parts[0]
    found = []
    for header in re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', source, re.MULTILINE):
        target = header.split("/")[0] if "/" in header else folder
        if header == "Python.h" or (target in C_KNOWS and target not in C_KNOWS[folder].split()):
            found.append(f"csrc/{place} includes {header}; {folder} may include {C_KNOWS[folder]}")
    if re.search(r"#\s*pragma\s+omp|[<\"]omp\.h[>\"]", source) and str(place) != "core/team.c":
        found.append(f"csrc/{place} uses OpenMP, which only core/team.c may")
    return found


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_c_files_keep_to_their_floor(path):
    assert c_breaches(path.read_text(), path) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("kernels/x.h", "#include <Python.h>"),
        ("kernels/x.h", '#include "drivers/panel.h"'),
        ("core/x.c", '#include "kernels/tile.h"'),
        ("simd/x.h", '#include "core/kernels.h"'),
        ("include/cnn/x.h", '#include "core/team.h"'),
        ("drivers/x.c", "#pragma omp parallel for"),
        ("core/x.c", "#  include <omp.h>"),
    ],
)
def test_a_planted_breach_in_c_is_found(place, source):
    assert len(c_breaches(source, ROOT / "csrc" / place)) == 1


def test_no_flags_that_bind_to_this_cpu_or_change_arithmetic():
    for path in [ROOT / "setup.py", ROOT / "pyproject.toml", *C_FILES, *MODULES, *PYX]:
        text = path.read_text()
        assert [flag for flag in FORBIDDEN_FLAGS if flag in text] == [], path


# --- sizes: reported, not enforced ----------------------------------------------------------------


def test_report_what_has_grown_large():
    """Warns of files and functions well over the house rule; splitting them may be worse, so nothing fails."""
    large = [f"{path.relative_to(ROOT)}: {lines} lines" for path in MODULES if (lines := _lines(path)) > 400]
    large += [f"{path.relative_to(ROOT)}: {lines} lines" for path in C_FILES if (lines := _lines(path)) > 500]
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, FUNCTIONS[:2]) and _code_lines(node) > 50:
                large.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {_code_lines(node)} lines")
    if large:
        warnings.warn("larger than CONTRIBUTING.md asks for:\n  " + "\n  ".join(large))


def _lines(path):
    return len(path.read_text().splitlines())


def _code_lines(function):
    """Lines of a function without its docstring."""
    start = function.body[1].lineno if ast.get_docstring(function) and len(function.body) > 1 else function.lineno
    return function.end_lineno - start + 1
