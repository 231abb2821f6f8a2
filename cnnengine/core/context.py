"""What is going on in this thread: who records operations, and in which mode layers are called."""

import threading
from contextlib import contextmanager


class _Context(threading.local):
    tracer = None  # records operations instead of running them; see ops/base.py
    training = None  # mode of the layer call around, None outside of any
    weight_budget = None  # bytes that new weights may still take, while a file is read; None for any


CONTEXT = _Context()


@contextmanager
def tracing(tracer):
    """Let `tracer` record every operation of this thread."""
    before, CONTEXT.tracer = CONTEXT.tracer, tracer
    try:
        yield tracer
    finally:
        CONTEXT.tracer = before


@contextmanager
def calling(training):
    """Layers called without an own `training` argument inherit this one."""
    before, CONTEXT.training = CONTEXT.training, training
    try:
        yield
    finally:
        CONTEXT.training = before


@contextmanager
def weight_budget(nbytes):
    """New weights may take so many bytes together."""
    before, CONTEXT.weight_budget = CONTEXT.weight_budget, nbytes
    try:
        yield
    finally:
        CONTEXT.weight_budget = before
