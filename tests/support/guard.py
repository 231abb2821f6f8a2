"""Arrays that touch a page no one may read, so that a kernel that goes too far crashes at once.

Run as a module it puts every case of every operation between such pages, for every ISA; test_kernels.py
runs it as a process of its own, and the last line it printed names the culprit. Inputs are read-only there.
"""

import ctypes
import faulthandler
import mmap
import sys

import numpy as np

_PROT_NONE, _PROT_READ = 0, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _protect(address, nbytes, protection):
    if _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(nbytes), protection):
        raise OSError(ctypes.get_errno(), "mprotect")


def guarded(array, writable=True, at_end=True):
    """A copy of an array, its last byte right before a forbidden page, or its first right after one."""
    page = mmap.PAGESIZE
    inner = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    offset = page + inner - array.nbytes if at_end else page
    copy = np.ndarray(array.shape, array.dtype, memory, offset)
    copy[...] = array
    _protect(address, page, _PROT_NONE)
    _protect(address + page + inner, page, _PROT_NONE)
    if inner and not writable:
        _protect(address + page, inner, _PROT_READ)
    return copy


def main():
    """Run all cases guarded; bits must not depend on where arrays lie."""
    from cnnengine import _native as native
    from tests.support.cases import CASES
    from tests.support.compare import assert_same_bits
    from tests.support.native import run_native

    faulthandler.enable()
    only = sys.argv[1:] or list(CASES)
    for isa in native.isa_levels():
        native.set_isa(isa)
        for op in only:
            for case in packable(native, op, CASES[op]):
                print(isa, op, case.id, flush=True)
                plain = run_native(op, case)
                for at_end in (True, False):

                    def place(array, writable, at_end=at_end):
                        return guarded(array, writable, at_end)

                    for one, other in zip(run_native(op, case, 2, place), plain, strict=True):
                        assert_same_bits(one, other)


def packable(native, op, cases):
    """The cases with outputs as large as the kernels' packed form, which is not the reference's."""
    if not op.endswith("_pack"):
        return cases
    return [
        type(case)(case.id, case.fields, case.inputs, [((native.packed_size(op, case.fields),), np.float32)])
        for case in cases
    ]


if __name__ == "__main__":
    main()
