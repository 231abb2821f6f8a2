"""`python -m cnnengine` says what is installed and what it runs on."""

import subprocess
import sys

import numpy
import pytest

import cnnengine
from cnnengine import __main__ as command
from cnnengine import _native as native
from cnnengine import config


def _facts():
    """Name -> text of the report; lines that go on are joined."""
    facts, name = {}, None
    for line in command.report():
        name = line[:12].strip() or name
        facts[name] = " ".join([*facts.get(name, "").split(), *line[12:].split()])
    return facts


def test_report_names_version_isa_threads_and_build():
    facts = _facts()
    assert facts["cnnengine"] == cnnengine.__version__
    assert facts["NumPy"] == numpy.__version__
    assert facts["ISA"].startswith(f"{native.get_isa()} in use")
    assert all(isa in facts["ISA"] for isa in native.isa_levels())
    assert facts["Threads"].startswith(f"{config.get_num_threads()} (")
    assert facts["Compiler"].split()[0] in ("gcc", "clang")
    assert "-O3" in facts["Flags"] and "-fPIC" in facts["Flags"]
    assert ("-fopenmp" in facts["Flags"]) == native.has_openmp()


def test_report_fits_a_narrow_terminal():
    assert max(map(len, command.report())) <= 80


@pytest.mark.parametrize("level", native.isa_levels())
def test_report_follows_the_isa_in_use(level):
    before = native.get_isa()
    native.set_isa(level)
    try:
        assert _facts()["ISA"].startswith(f"{level} in use")
    finally:
        native.set_isa(before)


def test_command_prints_the_report():
    run = subprocess.run([sys.executable, "-m", "cnnengine"], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[0].split() == ["cnnengine", cnnengine.__version__]
    assert run.stderr == ""


def test_command_takes_no_unknown_options():
    run = subprocess.run([sys.executable, "-m", "cnnengine", "--speed"], capture_output=True, text=True)
    assert run.returncode == 2 and "unrecognized arguments: --speed" in run.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_peak_is_a_rate_of_this_machine(threads):
    peak = native.fma_peak(threads, 0.01)
    assert 0.5 < peak < 1e4 * threads
