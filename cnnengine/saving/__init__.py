"""Models and weights as files, in the formats of Keras 3.

Files:
    hdf5_write.py, hdf5_read.py   the part of HDF5 that Keras's files use
    archive.py, strict_json.py    zip and JSON, read without trust
    source.py                     where their bytes come from
    weights.py                    which weight stands where
    config_write.py, config_read.py, operations.py
                                  configs of models, and of plain operations in them
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
from cnnengine.saving.config_read import (
    compile_from_config,
    functional_from_config,
    model_from_config,
    sequential_from_config,
)
from cnnengine.saving.config_write import (
    compile_config,
    functional_config,
    sequential_build_config,
    sequential_config,
)
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

_METHODS = {
    models.Model: {
        "save": save_model,
        "save_weights": save_weights,
        "load_weights": load_weights,
        "to_json": model_to_json,
        "from_config": classmethod(model_from_config),
        "get_compile_config": compile_config,
        "compile_from_config": compile_from_config,
        "__reduce__": reduce_model,
        "__setstate__": restore_model,
    },
    models.Functional: {"get_config": functional_config, "from_config": classmethod(functional_from_config)},
    models.Sequential: {
        "get_config": sequential_config,
        "from_config": classmethod(sequential_from_config),
        "get_build_config": sequential_build_config,
    },
}
for _class, _functions in _METHODS.items():
    for _name, _function in _functions.items():
        setattr(_class, _name, _function)
for _function in (clone_model, load_model, model_from_json, save_model):
    setattr(models, _function.__name__, _function)
