"""The C implementation of each operation, through one generic binding (runtime.pyx)."""

import os
import warnings

from cnnengine._native.runtime import (
    OPS,
    Arena,
    Program,
    build_info,
    call,
    first_misfit,
    fma_peak,
    get_isa,
    has_openmp,
    isa_levels,
    packed_cols,
    set_isa,
)

__all__ = [
    "IN_BANDS",
    "OPS",
    "Arena",
    "Program",
    "build_info",
    "call",
    "first_misfit",
    "fma_peak",
    "get_isa",
    "has_openmp",
    "isa_levels",
    "packed_cols",
    "packed_size",
    "set_isa",
]


IN_BANDS = 2  # what `packed` is where a convolution transforms its packed filters in each run: CNN_IN_BANDS of conv2d.h


def packed_size(name, fields):
    """Floats that the output of an operation that packs weights takes with the ISA in use."""
    if name != "matmul_pack":
        rows, cols = ("c", "k") if name == "conv2d_pack" else ("k", "c")
        transformed = fields["algorithm"] if fields["packed"] != IN_BANDS else 0
        taps = (fields["r"] * fields["s"], 36, 16)[transformed]  # Winograd's: positions of a transformed tile
        return fields["t"] * taps * fields[rows] * packed_cols(fields[cols] // fields["groups"])
    batch = fields["batch"] if fields["b_batched"] else 1
    return batch * fields["k"] * packed_cols(fields["n"])


def _choose_isa():
    """The highest level this CPU has, or the one CNNENGINE_ISA names."""
    wanted = os.environ.get("CNNENGINE_ISA", "").strip().lower()
    levels = isa_levels()
    if wanted and wanted not in levels:
        warnings.warn(
            f"CNNENGINE_ISA must be one of {levels} on this CPU. Received: {wanted!r}; using {levels[-1]}.",
            RuntimeWarning,
        )
    set_isa(wanted if wanted in levels else levels[-1])


_choose_isa()
