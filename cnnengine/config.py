"""Settings: implementation, ISA level, threads, and Keras's defaults."""

from cnnengine._native import get_isa, isa_levels
from cnnengine._native import set_isa as _set_isa
from cnnengine.core.config import (
    CONFIG,
    backend,
    epsilon,
    floatx,
    get_num_threads,
    image_data_format,
    set_backend,
    set_conv_algorithm,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    set_num_threads,
)
from cnnengine.core.errors import ConfigError


def set_isa(name):
    """Use the kernels of one ISA level ("generic", "avx2", "avx512") from now on.

    The environment variable CNNENGINE_ISA does the same at import.

    Raises:
        ConfigError: for a level that this CPU does not have.
    """
    if name not in isa_levels():
        raise ConfigError(f"ISA level must be one of {isa_levels()} on this CPU. Received: {name!r}")
    _set_isa(name)
    CONFIG.epoch += 1


__all__ = [
    "backend", "epsilon", "floatx", "get_isa", "get_num_threads", "image_data_format", "isa_levels", "set_backend",
    "set_conv_algorithm",
    "set_epsilon", "set_floatx", "set_image_data_format", "set_isa", "set_num_threads",
]  # fmt: skip
