"""Models as `.keras` files, weights as `.weights.h5` files, configs as JSON text."""

import datetime
import json
import os
import warnings
from contextlib import contextmanager

from cnnengine.core import registry
from cnnengine.core.context import weight_budget
from cnnengine.core.errors import CnnEngineError, ConfigError, CorruptFile, ModelFileError, UnsupportedVersion
from cnnengine.core.files import MappedFile, atomic_write
from cnnengine.models import Model
from cnnengine.saving import archive, config_write, hdf5_read, hdf5_write, strict_json, weights
from cnnengine.saving.source import Source

METADATA, CONFIG, WEIGHTS, WEIGHTS_NPZ = "metadata.json", "config.json", "model.weights.h5", "model.weights.npz"
_KERAS_VERSION = "3.15.1"  # whose form the files have
_GROWTH = 4  # a byte of a weight file may become so many in memory: float16 and integers are kept as float32


# --- paths --------------------------------------------------------------------------------------------------------


def _checked_path(filepath, extension, overwrite=True):
    path = os.fspath(filepath)
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    if not path.endswith(extension):
        if path.endswith((".h5", ".hdf5")) and extension == ".keras":
            raise ConfigError(f"Whole models in .h5 files are not supported yet: use .keras. Received: {path!r}")
        raise ConfigError(f"The name of the file must end in {extension!r}. Received: {path!r}")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(17, "The file exists, and overwrite=False", path)
    return path


@contextmanager
def _opened(path, mapped=False):
    """A file as a Source."""
    with open(path, "rb", buffering=1 << 16) as file:
        source = Source(file)
        if mapped and source.size:
            source.mapping = MappedFile(file)
        yield source


# --- models -------------------------------------------------------------------------------------------------------


def config_text(model, **options):
    """A model's config as JSON text, without weights. `options` are those of json.dumps.

    Raises:
        ConfigError: for what cannot be written: Lambda layers, unnamed functions.
    """
    with config_write.sharing(model):
        record = registry.serialize(model)
    text = json.dumps(record, **options)
    try:
        strict_json.parse(text, "The config of the model")  # what could not be read must not be written
    except ModelFileError as error:
        raise ConfigError(f"The model cannot be written. {error}") from None
    return text


def write_model(model, file):
    """Write a model to a binary file object, as `.keras`."""
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    config, root = config_text(model), weights.to_groups(model)
    with archive.writing(file) as member:
        for name, text in (
            (METADATA, json.dumps({"keras_version": _KERAS_VERSION, "date_saved": now})),
            (CONFIG, config),
        ):
            with member(name) as out:
                out.write(text.encode())
        with member(WEIGHTS) as out:
            hdf5_write.write(out, root)


def read_model(data, custom_objects=None, compile=True):
    """A model from a `.keras` file, given as a Source or as its bytes. Raises ModelFileError, OSError."""
    members = archive.read(data, (CONFIG, WEIGHTS, WEIGHTS_NPZ))
    if CONFIG not in members:
        raise CorruptFile(f"The .keras file has no {CONFIG}")
    if WEIGHTS not in members and WEIGHTS_NPZ in members:
        raise UnsupportedVersion(f"The weights are in {WEIGHTS_NPZ}, which holds pickled objects; those are never read")
    if WEIGHTS not in members:
        raise CorruptFile(f"The .keras file has no {WEIGHTS}")
    config = members[CONFIG].take(0, members[CONFIG].size)
    model = _from_text(config, custom_objects, compile, _GROWTH * members[WEIGHTS].size)
    groups = hdf5_read.read(members[WEIGHTS], verified=True)
    if model.built:
        weights.load(model, groups, is_new=True)
    elif any(groups.values()):
        raise CorruptFile(
            f'The file has weights, but its config does not say for which input the model "{model.name}" was built. '
            "Make the model in code, call it once, and use load_weights"
        )
    return model


def _from_text(text, custom_objects, compile, budget=None):
    """The model of a config.

    Args:
        budget: bytes that its weights may take; None for any.

    Raises:
        ModelFileError: whatever is wrong with the config.
    """
    record = strict_json.parse(text, CONFIG)
    if not isinstance(record, dict):
        raise CorruptFile(f"{CONFIG} must be an object. Received: {type(record).__name__}")
    if not compile:
        record = {key: value for key, value in record.items() if key != "compile_config"}
    try:
        with weight_budget(budget), registry.object_sharing():
            model = registry.deserialize(record, custom_objects)
    except ModelFileError:
        raise
    except CnnEngineError as error:
        raise CorruptFile(f"The model cannot be made from its config: {error}") from error
    except (TypeError, KeyError, IndexError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CorruptFile(f"The config is damaged: {type(error).__name__}: {error}") from error
    if not isinstance(model, Model):
        raise CorruptFile(f"Expected a model. Received: {type(model).__name__}")
    return model


def save_model(model, filepath, overwrite=True):
    """Save a model, its weights, and how it was compiled with the state of its optimizer.

    The file is that of Keras 3 and opens there. It is written beside its place and moved there when it is whole, so a
    failed save leaves the old file.

    Args:
        filepath: str or path that ends in ".keras".
        overwrite: False: raise FileExistsError when the file exists.

    Raises:
        ConfigError: another extension, or the model holds what cannot be written: Lambda layers, unnamed functions.
        OSError: as the system reports it.

    Example:
        >>> model.save("digits.keras")
        >>> model = cnnengine.saving.load_model("digits.keras")
    """
    path = _checked_path(filepath, ".keras", overwrite)
    if not model.built:
        warnings.warn(f'Model "{model.name}" has no weights yet: only its configuration is saved')
    with atomic_write(path) as file:
        write_model(model, file)


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True, mmap=False):
    """Load a model that cnnengine or Keras 3 has saved.

    Nothing a file says is ever executed, imported, opened or downloaded; classes come from this package, from
    `register_keras_serializable` or from `custom_objects`.

    Args:
        filepath: str or path that ends in ".keras".
        custom_objects: dict from name to class or function.
        compile: whether to compile it as it was, with the state of its optimizer.
        safe_mode: accepted for Keras's sake; there is no other mode.
        mmap: leave the weights in the file, mapped into memory, for a model that only predicts: it holds weights once,
            as its kernels want them, and not a second time as they were saved. Neither they nor other state of its
            layers can be changed, and nobody may write into the file while the model lives; saving over it from here
            is safe, since that makes a new file. The model keeps the file open (before Python 3.13). Arrays whose place
            in the file is not a multiple of their numbers' size are read as always; in files that cnnengine writes
            there are none.

    Returns:
        the model.

    Raises:
        ModelFileError: the file is damaged, of an unknown form, or asks for code; its sub-classes say which.
        ConfigError: another extension.
        OSError: as the system reports it.
    """
    with _opened(_checked_path(filepath, ".keras"), mmap) as source:
        model = read_model(source, custom_objects, compile)
    if mmap:
        for variable in model.variables:  # also those that cannot stay in the file
            variable.freeze()
    return model


def model_to_json(model, **kwargs):
    """The architecture of a model as JSON text, without weights. Keyword arguments are those of json.dumps.

    Raises:
        ConfigError: for what cannot be written: Lambda layers, unnamed functions.
    """
    return config_text(model, **kwargs)


def model_from_json(json_string, custom_objects=None, compile=True):
    """A model, with new weights, from what `model_to_json` or Keras's `to_json` gave. Raises ModelFileError."""
    return _from_text(json_string, custom_objects, compile)


# --- weights ------------------------------------------------------------------------------------------------------


def save_weights(model, filepath, overwrite=True):
    """Save a model's weights, and the state of its optimizer, in Keras's `.weights.h5` layout.

    Args:
        filepath: str or path that ends in ".weights.h5".
        overwrite: False: raise FileExistsError when the file exists.

    Raises:
        ConfigError: another extension, or the model has no weights yet.
        OSError: as the system reports it; an old file is then unchanged.
    """
    path = _checked_path(filepath, ".weights.h5", overwrite)
    if not model.built:
        raise ConfigError(f'Model "{model.name}" has no weights yet: build it by calling it or model.build(shape)')
    root = weights.to_groups(model)
    with atomic_write(path) as file:
        hdf5_write.write(file, root)


def load_weights(model, filepath, skip_mismatch=False):
    """Set a model's weights from a `.weights.h5` or `.keras` file of cnnengine or Keras 3.

    All are compared before any is set.

    Args:
        filepath: str or path.
        skip_mismatch: set what fits, and warn about the rest, instead of raising.

    Raises:
        ModelFileError: the file is damaged, or does not fit the model: lists all differences.
        ConfigError: another extension, or the model has no weights yet.
        OSError: as the system reports it.
    """
    whole = str(filepath).endswith(".keras")
    with _opened(_checked_path(filepath, ".keras" if whole else ".weights.h5")) as source:
        if whole:
            members = archive.read(source, (WEIGHTS,))
            if WEIGHTS not in members:
                raise CorruptFile(f"The .keras file has no {WEIGHTS}")
            source = members[WEIGHTS]
        weights.load(model, hdf5_read.read(source, verified=whole), skip_mismatch)
