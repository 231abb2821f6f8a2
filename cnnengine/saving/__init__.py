"""Models and weights as files, in the formats of Keras 3.

Files:
    hdf5_write.py, hdf5_read.py   the part of HDF5 that Keras's files use
    archive.py, strict_json.py    zip and JSON, read without trust
    weights.py                    which weight stands where
    graph_config.py, operations.py  configs of models and of plain operations in them
    model_file.py, cloning.py     what users call

models/ knows nothing of files: its methods save, load_weights and so on are put into its classes here.
"""

from cnnengine import models
from cnnengine.core.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from cnnengine.core.registry import deserialize as deserialize_keras_object
from cnnengine.core.registry import serialize as serialize_keras_object
from cnnengine.saving.cloning import clone_model, reduce_model, restore_model
from cnnengine.saving.graph_config import install
from cnnengine.saving.model_file import (
    load_model,
    load_weights,
    model_from_json,
    model_to_json,
    save_model,
    save_weights,
)

__all__ = [
    "CustomObjectScope", "clone_model", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights", "model_from_json", "model_to_json",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip

install(
    models.Model,
    save=save_model,
    save_weights=save_weights,
    load_weights=load_weights,
    to_json=model_to_json,
    __reduce__=reduce_model,
    __setstate__=restore_model,
)
for _function in (clone_model, load_model, model_from_json, save_model):
    setattr(models, _function.__name__, _function)
