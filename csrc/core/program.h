/* A program: a list of steps that the team walks in one call, with a barrier between steps. */
#ifndef CNN_PROGRAM_H
#define CNN_PROGRAM_H

#include "cnn/op.h"

enum { CNN_MAX_BUFFERS = 12 };

/* Where a buffer lies: in the round i of its section `offset` + i * `stride` bytes into base number `base` of the run;
 * base < 0: an absent input. */
typedef struct cnn_ref {
    int64_t base, offset, stride;
} cnn_ref;

typedef struct cnn_step {
    const cnn_op *op;
    const void *desc;
    int64_t first, count; /* its buffers in the program's refs */
} cnn_step;

/* The steps from the end of the section before to `end`, run `rounds` times over: each round takes another part of the
 * batch through all of them. */
typedef struct cnn_section {
    int64_t end, rounds;
} cnn_section;

typedef struct cnn_program {
    int64_t sections;
    const cnn_section *section;
    const cnn_step *steps;
    const cnn_ref *refs;
    int64_t commit; /* the first step that writes what outlives the run; a run is not given up from there on */
} cnn_program;

/* The memory of one run. `local` holds `threads` pieces of local_bytes each. */
typedef struct cnn_run {
    void *const *bases;
    char *shared, *local;
    size_t local_bytes;
    int threads;
    int (*interrupted)(void); /* asked by the first thread every few milliseconds; NULL: never */
    int64_t *step_ns;         /* NULL, or a zero for each step, to which is added how long it took, barrier included */
} cnn_run;

/* 0 when all steps ran, 1 when given up because of `interrupted`. */
int cnn_program_run(const cnn_program *program, const cnn_run *run);

/* The operation of that name, or NULL; and all of them, by number. */
const cnn_op *cnn_op_find(const char *name);
const cnn_op *cnn_op_at(int64_t i);

#endif
