"""`python -m cnnengine`: what is installed and what it runs on, and commands."""

import argparse
import platform
import textwrap

import numpy

import cnnengine
from cnnengine import _native as native
from cnnengine import config
from cnnengine.core.console import write
from cnnengine.core.errors import CnnEngineError
from cnnengine.utils import profile_command

_DESCRIPTION = "Without a command: which version this is, how it was built, and what it runs on."
_WIDTH, _INDENT = 80, 12


def report():
    """The lines of the report, 80 columns wide at most."""
    compiler, flags = native.build_info()
    openmp = "OpenMP" if native.has_openmp() else "built without OpenMP: one thread, whatever is asked for"
    facts = [
        ("cnnengine", cnnengine.__version__),
        ("ISA", f"{native.get_isa()} in use; this CPU has {', '.join(native.isa_levels())}"),
        ("Threads", f"{config.get_num_threads()} ({openmp})"),
        ("Compiler", compiler),
        *(("Flags" if i == 0 else "", line) for i, line in enumerate(flags)),
        ("NumPy", numpy.__version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
    ]
    return [line for name, text in facts for line in _wrapped(name, text)]


def _wrapped(name, text):
    """A name and its text beside it, on as many lines as that takes; flags are not cut at their hyphens."""
    after = " " * _INDENT
    return textwrap.wrap(
        text, _WIDTH, initial_indent=name.ljust(_INDENT), subsequent_indent=after, break_on_hyphens=False
    )


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m cnnengine", description=_DESCRIPTION)
    parser.set_defaults(run=lambda options: write("\n".join(report())))
    commands = parser.add_subparsers(title="commands", metavar="[COMMAND]")
    profile_command.add_parser(commands)
    options = parser.parse_args(argv)
    try:
        options.run(options)
    except (CnnEngineError, OSError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
