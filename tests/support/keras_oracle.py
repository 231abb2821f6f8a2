"""Keras itself, for comparison."""

import importlib.util
import os

import pytest


def import_keras():
    """The keras module; skips the test, saying what to install, where it cannot be imported.

    Keras's NumPy backend borrows from jax, so it works only where that is installed; any other backend does as well for
    what is compared through this function.
    """
    backend = "numpy" if importlib.util.find_spec("jax") else "torch"
    os.environ.setdefault("KERAS_BACKEND", backend)
    try:
        import keras
    except ImportError as error:
        pytest.skip(f"pip install keras jax ({error})")
    return keras
