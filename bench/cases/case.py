"""What a case is, the table of all cases, and what the families need to fill it."""

import zlib
from dataclasses import dataclass
from math import prod

import numpy as np

from cnnengine.ops.base import OPS

F32, I32, U8 = np.float32, np.int32, np.uint8
DRAWN = 1 << 20  # random numbers of an array at most, then the same ones again: drawing takes longer than measuring
NO_ACT = {"act": 0, "alpha": 0.0, "beta": 0.0}


@dataclass(frozen=True)
class BenchCase:
    """One call of an operation to measure.

    `inputs` are shapes (drawn from a normal distribution), functions of a generator, None for an absent input, a list
    for a list of inputs; `outputs` are (shape, dtype). `flops` is 0 where moving data is all the work. `pack` names the
    operation that packs the second input beforehand, as a program for inference does; None: it is taken as it is.
    `target` is a key of bench.targets, `beside` the case of a plain convolution to compare with. With `sets` > 1
    calls take so many copies of the second input in turn, as the layers of a network come with weights of their own.
    `twice` numbers the inputs that are read in two passes, because what the first one finds is needed for the second.
    """

    name: str
    fields: dict
    inputs: list
    outputs: list
    flops: int
    pack: str | None = None
    target: str | None = None
    beside: str | None = None
    sets: int = 1
    twice: tuple = ()


CASES: dict[str, list[BenchCase]] = {}


def arrays(case):
    """The inputs of a case as arrays, and outputs filled with ones."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))

    def value(spec):
        if isinstance(spec, list):
            return tuple(value(one) for one in spec)
        if callable(spec):
            return spec(rng)
        return None if spec is None else np.resize(rng.standard_normal(min(prod(spec), DRAWN), F32), spec)

    return [value(spec) for spec in case.inputs], [np.ones(shape, dtype) for shape, dtype in case.outputs]


def add(op, name, fields, inputs, outputs, **more):
    """Put a case into the table; an output of float32 may be given by its shape alone."""
    outputs = [(spec, F32) if isinstance(spec[-1], int) else spec for spec in outputs]
    CASES.setdefault(op, []).append(BenchCase(name, fields, inputs, outputs, OPS[op].flops(fields), **more))


def integers(shape, high):
    return lambda rng: rng.integers(0, high, shape, I32)


def positive(shape):
    return lambda rng: rng.random(shape, F32) + F32(0.5)


def times(*sizes):
    return "x".join(map(str, sizes))
