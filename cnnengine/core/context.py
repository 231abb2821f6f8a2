"""What is going on in this thread: who records operations, and in which mode layers are called."""

import threading
from contextlib import contextmanager


class _Context(threading.local):
    tracer = None  # records operations instead of running them; see ops/base.py
    training = None  # mode of the layer call around, None outside of any
    layer = ""  # path of the layer that operations are recorded for, "model/block/conv"; see in_layer
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
def in_layer(path):
    """Operations recorded inside belong to the layer with this path, which the rows of a profile name."""
    before, CONTEXT.layer = CONTEXT.layer, path
    try:
        yield
    finally:
        CONTEXT.layer = before


def path_of(name):
    """The path of a layer that is called inside of the present one."""
    return f"{CONTEXT.layer}/{name}" if CONTEXT.layer else name


@contextmanager
def weight_budget(nbytes):
    """New weights may take so many bytes together."""
    before, CONTEXT.weight_budget = CONTEXT.weight_budget, nbytes
    try:
        yield
    finally:
        CONTEXT.weight_budget = before
