"""Copies of models: anew from the config, and exact ones by pickle and copy.deepcopy."""

import io

from cnnengine.core import registry
from cnnengine.models import Functional, Model, Sequential
from cnnengine.saving.model_file import config_text, model_from_json, read_model, write_model

# Made for one model object and of no use to a copy; compiled losses and metrics are matched anew at the first step.
_NOT_COPIED = ("_programs", "_prepared", "_compiled_loss", "_compiled_metrics", "history")


def clone_model(model):
    """A model of the same architecture with weights of its own, initialised anew, and not compiled.

    Raises:
        ConfigError: for what has no config: Lambda layers, unnamed functions.
    """
    with registry.recording_custom() as custom:
        text = config_text(model)
    return model_from_json(text, custom, compile=False)


def reduce_model(model):
    """What pickle and copy.deepcopy take: for models of known form the bytes of a `.keras` file, else their attributes.

    Own classes and functions go by reference, as pickle has it for all classes.
    """
    if not isinstance(model, (Functional, Sequential)):
        state = {key: value for key, value in vars(model).items() if key not in _NOT_COPIED}
        return _blank, (type(model),), state
    file = io.BytesIO()
    with registry.recording_custom() as custom:
        write_model(model, file)
    return _revive, (file.getvalue(), custom, [stream.numpy() for stream in _streams(model)])


def _streams(model):
    """Variables of the random streams of a model's layers."""
    return [generator.state for layer in model._own_and_nested() for generator in layer._seed_generators]


def _revive(data, custom, streams):
    model = read_model(data, custom)
    for variable, value in zip(_streams(model), streams):
        variable.assign(value)
    return model


def _blank(cls):
    return cls.__new__(cls)


def restore_model(model, state):
    """Set the attributes of a model that `_blank` has made; what belongs to one object alone is made anew."""
    fresh = vars(Model(name=state["name"]))
    vars(model).update({key: fresh[key] for key in _NOT_COPIED} | state)
