# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""The binding: C's table of operations, single calls, and programs.

Every operation has the same form in C (csrc/include/cnn/op.h), so this file knows none of them: it reads their names, fields
and buffers from the table, packs descriptors and passes addresses. Shapes are checked above (ops/), never here, but for
those of a run's inputs (first_misfit): every call pays for that.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from cpython.exc cimport PyErr_Occurred
cimport numpy as cnp

import struct

cnp.import_array()

cdef extern from "Python.h":
    int PyErr_CheckSignals()

cdef extern from "core/program.h" nogil:
    ctypedef struct cnn_workspace:
        size_t shared, local

    ctypedef struct cnn_op:
        const char *name
        const char *fields
        const char *buffers
        cnn_workspace (*workspace)(const void *desc)

    ctypedef struct cnn_ref:
        int64_t base, offset, stride

    ctypedef struct cnn_step:
        const cnn_op *op
        const void *desc
        int64_t first, count

    ctypedef struct cnn_section:
        int64_t end, rounds

    ctypedef struct cnn_program:
        int64_t sections
        const cnn_section *section
        const cnn_step *steps
        const cnn_ref *refs
        int64_t commit

    ctypedef struct cnn_run:
        void **bases
        char *shared
        char *local
        size_t local_bytes
        int threads
        int (*interrupted)() noexcept nogil
        int64_t *step_ns

    int CNN_MAX_BUFFERS
    int CNN_MAX_DIMS
    int cnn_program_run(const cnn_program *program, const cnn_run *run)
    const cnn_op *cnn_op_find(const char *name)
    const cnn_op *cnn_op_at(int64_t i)

cdef extern from "core/kernels.h":
    int cnn_isa_count()
    const char *cnn_isa_name(int level)
    int cnn_isa_available(int level)
    int cnn_isa_use(int level)
    ctypedef struct cnn_kernels:
        const char *isa
        int vl
    const cnn_kernels *cnn_k

cdef extern from "core/team.h":
    int cnn_team_openmp()

cdef extern from *:
    """
    #ifdef __clang__
    #define CNN_COMPILER "clang " __clang_version__
    #else
    #define CNN_COMPILER "gcc " __VERSION__
    #endif
    """
    const char *CNN_COMPILER
    const char *CNN_BUILD_FLAGS

cdef extern from "drivers/panel.h":
    int64_t cnn_packed_cols(int64_t cols)

cdef extern from "drivers/peak.h" nogil:
    double cnn_fma_peak(int threads, double seconds)

cdef extern from "core/arena.h" nogil:
    void *cnn_arena_alloc(size_t bytes)
    void cnn_arena_free(void *memory, size_t bytes)


class OpInfo:
    """One line of C's table: the fields of the descriptor with their kinds, and the buffers."""

    def __init__(self, name, fields, buffers):
        self.name = name
        self.fields = [tuple(field.split(":")) for field in fields.split()]
        inputs, outputs = buffers.split("->")
        self.inputs = [name.rstrip("?") for name in inputs.split()]
        self.optional = {name.rstrip("?") for name in inputs.split() if name.endswith("?")}
        self.outputs = outputs.split()
        codes = {"i": "q", "f": "d", "a": f"{CNN_MAX_DIMS}q"}
        self._packer = struct.Struct("=" + "".join(codes[kind] for _, kind in self.fields))

    def pack(self, values):
        """The descriptor's bytes. `values` must name every field and no other."""
        flat = []
        if len(values) != len(self.fields):
            raise TypeError(f"{self.name}: fields are {[n for n, _ in self.fields]}. Received: {sorted(values)}")
        for name, kind in self.fields:
            value = values[name]
            if kind == "a":
                flat.extend(value)
                flat.extend([0] * (CNN_MAX_DIMS - len(value)))
            else:
                flat.append(value)
        return self._packer.pack(*flat)


def _read_ops():
    ops = {}
    cdef int64_t i = 0
    cdef const cnn_op *op = cnn_op_at(0)
    while op != NULL:
        name = op.name.decode()
        ops[name] = OpInfo(name, op.fields.decode(), op.buffers.decode())
        i += 1
        op = cnn_op_at(i)
    return ops


OPS = _read_ops()


cdef class Arena:
    """Aligned memory. Raises MemoryError."""
    cdef object __weakref__
    cdef void *memory
    cdef readonly size_t nbytes

    def __cinit__(self, size_t nbytes):
        self.memory = cnn_arena_alloc(nbytes)
        self.nbytes = nbytes
        if self.memory == NULL:
            raise MemoryError(f"cannot allocate {nbytes:,} bytes")

    def __dealloc__(self):
        cnn_arena_free(self.memory, self.nbytes)

    @property
    def address(self):
        return <size_t>self.memory

    def view(self, size_t offset, shape, dtype):
        """An array over part of the arena, without a copy; it keeps the arena alive."""
        import numpy
        return numpy.ndarray(shape, dtype, self, offset)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self._length = <Py_ssize_t>self.nbytes
        buffer.buf = self.memory
        buffer.obj = self
        buffer.len = self._length
        buffer.itemsize = 1
        buffer.readonly = 0
        buffer.ndim = 1
        buffer.format = NULL
        buffer.shape = &self._length
        buffer.strides = NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL

    cdef Py_ssize_t _length


cdef int _check_signals() noexcept nogil:
    with gil:
        return PyErr_CheckSignals() != 0


cdef int _raise_pending() except -1:
    """The exception that _check_signals left behind, a KeyboardInterrupt as a rule."""
    if PyErr_Occurred() != NULL:
        return -1
    raise KeyboardInterrupt


cdef size_t _align(size_t bytes) noexcept nogil:
    return (bytes + 63) & ~<size_t>63


cdef class Program:
    """A list of steps over numbered bases, run by C in one call without the GIL.

    Args:
        steps: list of (op name, fields, refs); a ref is (base, byte offset, bytes from round to round) or None for an
            absent input, in the order of the op's buffers.
        bases: how many bases there are. Base 0 is the arena.
        arena_bytes: of the values; the workspace of the steps comes on top (total_bytes).
        commit: the first step whose effects outlive the run; an interrupt is heeded before it, not after.
        sections: list of (end, rounds) that cover the steps: those up to `end` run so many times, one after the other
            in each round. By default all steps once.
    """
    cdef cnn_program program
    cdef cnn_section *sections
    cdef cnn_step *steps
    cdef cnn_ref *refs
    cdef size_t shared_bytes, local_bytes, values_bytes
    cdef void **bound
    cdef int64_t base_count
    cdef list keep

    def __cinit__(self, list steps, int64_t bases, size_t arena_bytes, int64_t commit, list sections=None):
        cdef int64_t i, total = sum(len(refs) for _, _, refs in steps)
        if sections is None:
            sections = [(len(steps), 1)]
        self.sections = <cnn_section *>calloc(max(len(sections), 1), sizeof(cnn_section))
        self.steps = <cnn_step *>calloc(max(len(steps), 1), sizeof(cnn_step))
        self.refs = <cnn_ref *>calloc(max(total, 1), sizeof(cnn_ref))
        self.bound = <void **>calloc(max(bases, 1), sizeof(void *))
        if self.sections == NULL or self.steps == NULL or self.refs == NULL or self.bound == NULL:
            raise MemoryError("cannot allocate a program")
        self.keep = []
        self.base_count = bases
        self.values_bytes = _align(arena_bytes)
        total = 0
        for i in range(len(steps)):
            total = self._add(i, total, steps[i])
        for i in range(len(sections)):
            self.sections[i].end, self.sections[i].rounds = sections[i]
            if not 0 <= self.sections[i].end <= len(steps):
                raise ValueError(f"a section ends at step {self.sections[i].end} of {len(steps)}")
        self.program = cnn_program(len(sections), self.sections, self.steps, self.refs, commit)

    cdef int64_t _add(self, int64_t i, int64_t first, step) except -1:
        cdef cnn_step *out = &self.steps[i]
        cdef cnn_workspace space
        name, fields, refs = step
        info = OPS[name]
        desc = info.pack(fields)
        self.keep.append(desc)
        out.op = cnn_op_find(name.encode())
        out.desc = <const char *>desc
        out.first = first
        out.count = len(refs)
        if out.count > CNN_MAX_BUFFERS:
            raise ValueError(f"{name}: at most {CNN_MAX_BUFFERS} buffers. Received: {out.count}")
        for ref in refs:
            self.refs[first].base, self.refs[first].offset, self.refs[first].stride = (-1, 0, 0) if ref is None else ref
            if self.refs[first].base >= self.base_count:
                raise ValueError(f"{name}: base {ref} of {self.base_count}")
            first += 1
        if out.op.workspace != NULL:
            space = out.op.workspace(out.desc)
            self.shared_bytes = max(self.shared_bytes, _align(space.shared))
            self.local_bytes = max(self.local_bytes, _align(space.local))
        return first

    def __dealloc__(self):
        free(self.sections)
        free(self.steps)
        free(self.refs)
        free(self.bound)

    def bind(self, int64_t base, cnp.ndarray array):
        """Fix a base to an array for all runs (a variable); the program keeps it alive."""
        self.keep.append(array)
        self.bound[base] = cnp.PyArray_DATA(array)

    def total_bytes(self, int threads):
        return self.values_bytes + self.shared_bytes + threads * self.local_bytes

    def run(
        self, Arena arena, int first_base, list arrays, int threads, bint interruptible=True, cnp.ndarray step_ns=None
    ):
        """Run all steps. `arrays` are the bases from `first_base` on. Raises KeyboardInterrupt when interrupted.

        `step_ns` is None, or a contiguous array of int64, one a step, to which is added how many nanoseconds it took.
        """
        cdef cnn_run run
        cdef int64_t i
        cdef int status
        cdef void **bases = <void **>calloc(self.base_count, sizeof(void *))
        if bases == NULL:
            raise MemoryError("cannot allocate the bases of a run")
        memcpy(bases, self.bound, self.base_count * sizeof(void *))
        for i in range(len(arrays)):
            bases[first_base + i] = cnp.PyArray_DATA(<cnp.ndarray>arrays[i])
        bases[0] = arena.memory
        run.bases = bases
        run.shared = <char *>arena.memory + self.values_bytes
        run.local = run.shared + self.shared_bytes
        run.local_bytes = self.local_bytes
        run.threads = threads
        run.interrupted = NULL
        if interruptible:
            run.interrupted = _check_signals
        run.step_ns = NULL
        if step_ns is not None:
            run.step_ns = <int64_t *>cnp.PyArray_DATA(step_ns)
        with nogil:
            status = cnn_program_run(&self.program, &run)
        free(bases)
        if status:
            _raise_pending()


cdef bint _fits(object array, tuple shape, object dtype):
    cdef int i
    if not isinstance(array, cnp.ndarray):
        return False
    cdef cnp.ndarray x = array
    if not cnp.PyArray_IS_C_CONTIGUOUS(x) or cnp.PyArray_NDIM(x) != len(shape):
        return False
    for i in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(x, i) != shape[i]:
            return False
    return x.dtype is dtype or x.dtype == dtype


def first_misfit(inputs, expected):
    """The place of the first of `inputs` that is no contiguous array of its (shape, dtype); -1 if all are.

    Raises ValueError for more or fewer inputs than expected.
    """
    if len(inputs) != len(expected):
        raise ValueError(f"expected {len(expected)} inputs, received {len(inputs)}")
    for i, (shape, dtype) in enumerate(expected):
        if not _fits(inputs[i], shape, dtype):
            return i
    return -1


def call(name, fields, inputs, outputs, threads=1):
    """Run one operation: a program of one step. Arrays must be contiguous and of the shapes the fields say."""
    refs, arrays = [], []
    for array in (*inputs, *outputs):
        refs.append(None if array is None else (1 + len(arrays), 0, 0))
        if array is not None:
            arrays.append(array)
    program = Program([(name, fields, refs)], 1 + len(arrays), 0, 0)
    program.run(Arena(program.total_bytes(threads)), 1, arrays, threads, False)


def isa_levels():
    """Names of the ISA levels this CPU can run, lowest first."""
    return [cnn_isa_name(i).decode() for i in range(cnn_isa_count()) if cnn_isa_available(i)]


def set_isa(name):
    """Use the kernels of one ISA level from now on. Raises ValueError for one this CPU does not have."""
    for i in range(cnn_isa_count()):
        if cnn_isa_name(i).decode() == name and cnn_isa_use(i) == 0:
            return
    raise ValueError(f"ISA level not available. Expected one of {isa_levels()}. Received: {name!r}")


def get_isa():
    return cnn_k.isa.decode()


def packed_cols(int64_t cols):
    """Columns of a packed matrix: rounded up to whole vectors of the ISA in use."""
    return cnn_packed_cols(cols)


def has_openmp():
    return bool(cnn_team_openmp())


def build_info():
    """(compiler, its flags): one string, and a list of those of all C files and then of each ISA's."""
    return CNN_COMPILER.decode(), CNN_BUILD_FLAGS.decode().splitlines()


def fma_peak(int threads, double seconds=0.1):
    """GFLOP/s that `threads` threads reach with the ISA in use when they do nothing but multiply and add in registers."""
    cdef double peak
    with nogil:
        peak = cnn_fma_peak(threads, seconds)
    return peak / 1e9
