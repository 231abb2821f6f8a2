"""`python -m cnnengine profile`: its options, and finding the model they name."""

import argparse
import importlib
import importlib.util
import inspect
import json
import os
import re

from cnnengine.core.config import set_num_threads
from cnnengine.core.console import write
from cnnengine.core.errors import ConfigError
from cnnengine.core.files import atomic_write
from cnnengine.models import Model
from cnnengine.saving import load_model
from cnnengine.utils.profiling import profile

_DESCRIPTION = """\
Run a model and time each step of its program: how long it takes, its share,
its rate beside the peak of the multiply-add units, bytes moved, the algorithm
and what was fused into it. Operations are counted as the definition has them:
Winograd's algorithm needs fewer, so its rate may pass the peak."""
_EXAMPLES = """\
examples:
  python -m cnnengine profile model.keras
  python -m cnnengine profile model.keras --shape 1x224x224x3 --threads 1
  python -m cnnengine profile cnnengine.examples.fashion_mnist:build_cnn \\
      --batch 128 --train --by layer --sort time"""
_SHAPE = "of the input, the batch first: 32x28x28x1; given once for each input"
_BATCH = "samples, in the shape that the model itself says (default: 1)"
_EXPECTED = "Expected: a .keras file, or module:function (or file.py:function), a function that returns a model"


def add_parser(commands):
    """Add the command to the subparsers of argparse."""
    parser = commands.add_parser(
        "profile",
        help="where the time of a model goes, by layer and step",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .keras file, or module:function or file.py:function that returns a model")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--shape", type=_shape, action="append", help=_SHAPE)
    size.add_argument(
        "--batch", type=int, default=1, metavar="N", help="samples, with the model's own shape (default: 1)"
    )
    add("--train", action="store_true", help="a training step; with Adam and crossentropy unless compiled")
    add("--threads", type=int, metavar="N", help="default: OMP_NUM_THREADS, or all CPUs this process may use")
    add("--runs", type=int, default=20, metavar="N", help="of which the fastest counts (default: 20)")
    add("--by", choices=["step", "layer"], default="step", help="a line a step, or only one a layer (default: step)")
    add("--sort", choices=["order", "time"], default="order", help="as they run, or the longest first (default: order)")
    add("--json", metavar="FILE", help="also write all figures there")
    parser.set_defaults(run=_run)


def _shape(text):
    """A shape from text such as 32x28x28x1 or 32,28,28,1."""
    if not re.fullmatch(r"\d+([x,]\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected numbers such as 32x28x28x1, the batch first, received {text!r}")
    return tuple(map(int, re.split("[x,]", text)))


def _run(options):
    if options.json and not os.path.isdir(os.path.dirname(options.json) or os.curdir):
        raise ConfigError(f"There is no folder for the file of --json. Received: {options.json!r}")
    if options.threads is not None:
        set_num_threads(options.threads)
    model = find_model(options.model)
    if options.train and not model.compiled:
        model.compile("adam", "crossentropy")
    result = profile(model, options.shape, options.batch, options.train, options.runs)
    if options.json:
        with atomic_write(options.json) as file:
            file.write(json.dumps(result.as_dict(), indent=1).encode())
    write(result.table(options.by, options.sort))


def find_model(text):
    """The model that a file or a function holds.

    Args:
        text: path of a `.keras` file, or "module:function" or "path.py:function".

    Raises:
        ConfigError: it names none.  ModelFileError: the file cannot be read.
    """
    place, colon, name = text.rpartition(":")
    if not colon or os.path.exists(text):
        if not os.path.isfile(text):
            raise ConfigError(f"There is no such file. {_EXPECTED}. Received: {text!r}")
        return load_model(text)
    make = getattr(_module(place), name, None)
    if not callable(make):
        raise ConfigError(f"{place} has no function {name!r}. {_EXPECTED}. Received: {text!r}")
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{text} cannot be called without arguments: {error}") from None
    model = make()
    if not isinstance(model, Model):
        raise ConfigError(f"{text} returned no model. Expected: a cnnengine.Model. Received: {type(model).__name__}")
    return model


def _module(place):
    """The module of that name, or from that file. Raises ConfigError."""
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except (ImportError, ValueError, TypeError) as error:
            raise ConfigError(f"Cannot import {place!r}: {error}. {_EXPECTED}") from error
    if not os.path.isfile(place):
        raise ConfigError(f"There is no such file. {_EXPECTED}. Received: {place!r}")
    spec = importlib.util.spec_from_file_location(os.path.basename(place).removesuffix(".py"), place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
