"""Operations have one signature in C and in the reference, and cases; codes match C's tables."""

import inspect

import pytest

from cnnengine import _native as native
from cnnengine.core.codes import BINARY, DTYPE, REDUCE, UNARY
from cnnengine.core.needs import READS_X, READS_Y
from cnnengine.reference import IMPLEMENTATIONS
from tests.support.cases import CASES
from tests.support.defs import binary_names, enum_names, unary_needs


def test_same_operations():
    assert set(native.OPS) == set(IMPLEMENTATIONS) == set(CASES)


@pytest.mark.parametrize("op", native.OPS)
def test_same_parameters(op):
    info = native.OPS[op]
    buffers = [name.lstrip("*") for name in (*info.inputs, *info.outputs)]
    assert list(inspect.signature(IMPLEMENTATIONS[op]).parameters) == ["d", *buffers]


@pytest.mark.parametrize("op", native.OPS)
def test_cases_name_the_fields_and_all_buffers(op):
    info = native.OPS[op]
    for case in CASES[op]:
        assert set(case.fields) == {name for name, _ in info.fields}, case.id
        assert len(case.inputs) == len(info.inputs) and len(case.outputs) == len(info.outputs), case.id
        absent = {name for name, array in zip(info.inputs, case.inputs, strict=True) if array is None}
        assert absent <= info.optional, case.id


@pytest.mark.parametrize("op", native.OPS)
def test_every_optional_input_is_once_given_and_once_absent(op):
    info = native.OPS[op]
    for name in info.optional:
        at = info.inputs.index(name)
        assert {case.inputs[at] is None for case in CASES[op]} == {True, False}, name


def test_codes_equal_the_tables():
    assert list(UNARY) == list(unary_needs())
    assert list(BINARY) == binary_names()
    assert [f"CNN_{name.upper()}" for name in REDUCE] == enum_names("reduce.h")
    short = {"float32": "CNN_F32", "int32": "CNN_I32", "uint8": "CNN_U8"}
    assert [short[name] for name in DTYPE] == enum_names("elementwise.h")
    for codes in (UNARY, BINARY, REDUCE, DTYPE):
        assert list(codes.values()) == list(range(len(codes)))


def test_what_derivatives_read_equals_the_table():
    # An argument the kernel reads and the graph leaves out would be a null pointer.
    needs = unary_needs()
    assert {name for name, reads in needs.items() if reads == "X"} == READS_X
    assert {name for name, reads in needs.items() if reads == "Y"} == READS_Y
