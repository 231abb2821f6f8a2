"""Build of the C library and its binding. Everything else about the package is in pyproject.toml."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

WARNINGS = ["-Wall", "-Wextra"]
# -fno-version-loops-for-strides: the copies gcc makes of a tile's loop for a step of 1 cost registers and gain nothing.
COMMON = ["-std=gnu11", "-O3", "-g0", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"]
GCC_ONLY = ["-fno-version-loops-for-strides"]
ISA_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-march=x86-64-v4", "-mtune=znver3", "-mprefer-vector-width=512"],
}
# For tests: the code of every ISA, compiled for the lowest one, counts as available on every CPU.
EMULATE = os.environ.get("CNNENGINE_EMULATE", "0") == "1"
if EMULATE:
    ISA_FLAGS = {isa: [] for isa in ISA_FLAGS}
    WARNINGS.append("-Wno-psabi")  # that wide vectors are passed otherwise than by an older gcc
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


def compiler():
    """The C compiler setuptools will call: $CC, else what Python was built with."""
    import sysconfig

    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def compiles(code, flags, link=False):
    """Whether the compiler takes `code` with `flags`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(code)
        command = [*compiler(), *flags, str(source), "-o", str(Path(folder, "probe"))] + ([] if link else ["-c"])
        return subprocess.run(command, capture_output=True).returncode == 0


def openmp_flags():
    if os.environ.get("CNNENGINE_OPENMP", "1") == "0":
        print("cnnengine: built without OpenMP, as CNNENGINE_OPENMP=0 asks: one thread only", file=sys.stderr)
        return []
    if compiles(OPENMP_PROBE, ["-fopenmp"], link=True):
        return ["-fopenmp"]
    print(
        "cnnengine: the compiler has no OpenMP (-fopenmp does not link): building for one thread only. "
        "Install libgomp (gcc) or libomp (clang: libomp-dev), or set CC, and build again for all cores.",
        file=sys.stderr,
    )
    return []


X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
OPENMP = openmp_flags()
EXTRA = os.environ.get("CNNENGINE_CFLAGS", "").split()
FLAGS = COMMON + WARNINGS + [flag for flag in GCC_ONLY if compiles("int x;\n", ["-Werror", flag])] + EXTRA
MACROS = [("CNN_X86", "1")] if X86 else []
if EMULATE:
    MACROS.append(("CNN_EMULATE", "1"))
INCLUDE = ["csrc", "csrc/include"]
# What `python -m cnnengine` prints: the flags of all files, then those of each ISA's file, as a C string.
BUILD_FLAGS = [" ".join(flag for flag in [*FLAGS, *OPENMP] if flag not in WARNINGS)]
if X86:
    BUILD_FLAGS += [f"{isa}: {' '.join(flags)}" for isa, flags in ISA_FLAGS.items()]


def library(name, sources, flags=()):
    cflags = [*FLAGS, *flags, *(f"-D{key}={value}" for key, value in MACROS)]
    headers = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.def", recursive=True))
    return name, {
        "sources": sources,
        "include_dirs": INCLUDE,
        "cflags": cflags,
        "obj_deps": {"": headers},
    }


libraries = [
    library("cnn_core", sorted(glob("csrc/core/*.c") + glob("csrc/drivers/*.c")), OPENMP),
    library("cnn_generic", ["csrc/isa/isa_generic.c"]),
]
if X86:
    libraries += [library(f"cnn_{isa}", [f"csrc/isa/isa_{isa}.c"], flags) for isa, flags in ISA_FLAGS.items()]

extension = Extension(
    "cnnengine._native.runtime",
    ["cnnengine/_native/runtime.pyx"],
    include_dirs=[*INCLUDE, numpy.get_include()],
    define_macros=[
        *MACROS,
        ("CNN_BUILD_FLAGS", json.dumps("\n".join(BUILD_FLAGS))),
        ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
    ],
    extra_compile_args=["-O2", "-g0", *EXTRA],
    extra_link_args=[*OPENMP, *EXTRA],
    depends=[path for path in glob("csrc/**/*", recursive=True) if path.endswith((".c", ".h", ".def"))],
)

setup(libraries=libraries, ext_modules=cythonize([extension], build_dir="build/cython"))
