"""Keras itself, for comparison."""

import importlib.util
import os

import pytest


def import_keras():
    """The keras module; skips the test, saying what to install, where it cannot be imported.

    Any backend of Keras does that can also train: jax, which the extra `test` installs, else torch.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax" if importlib.util.find_spec("jax") else "torch")
    try:
        import keras
    except ImportError as error:
        pytest.skip(f"pip install keras jax ({error})")
    return keras
