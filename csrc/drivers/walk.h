/* Walking over the elements of an array in order while operands are read at strides of their own. */
#ifndef CNN_WALK_H
#define CNN_WALK_H

#include <string.h>

#include "cnn/op.h"

enum { WALK_OPERANDS = 2 };

typedef struct cnn_walk {
    int64_t count, ndim;
    int64_t dims[CNN_MAX_DIMS];
    int64_t stride[WALK_OPERANDS][CNN_MAX_DIMS];
} cnn_walk;

/* Start with no axes, then add them from the outermost. Axes of one element go, and an axis that continues the one
 * before in all operands is merged with it. */
static inline void cnn_walk_start(cnn_walk *w)
{
    w->count = 1;
    w->ndim = 0;
}

static inline void cnn_walk_axis(cnn_walk *w, int64_t dim, int64_t stride_a, int64_t stride_b)
{
    w->count *= dim;
    if (dim == 1)
        return;
    int64_t last = w->ndim - 1;
    int merges = last >= 0 && w->stride[0][last] == stride_a * dim && w->stride[1][last] == stride_b * dim;
    if (!merges)
        w->dims[++last] = 1;
    w->ndim = last + 1;
    w->dims[last] *= dim;
    w->stride[0][last] = stride_a;
    w->stride[1][last] = stride_b;
}

/* Never without an axis. */
static inline void cnn_walk_end(cnn_walk *w)
{
    if (w->ndim > 0)
        return;
    w->ndim = 1;
    w->dims[0] = w->count;
    w->stride[0][0] = w->stride[1][0] = 1;
}

static inline int64_t cnn_walk_inner(const cnn_walk *w)
{
    return w->dims[w->ndim - 1];
}

/* Where operand `o` has element i of the array. */
static inline int64_t cnn_walk_offset(const cnn_walk *w, int o, int64_t i)
{
    int64_t offset = 0;
    for (int64_t axis = w->ndim - 1; axis >= 0; axis--) {
        offset += i % w->dims[axis] * w->stride[o][axis];
        i /= w->dims[axis];
    }
    return offset;
}

/* The number of elements from i to the end of its innermost row, at most `most`. */
static inline int64_t cnn_walk_run(const cnn_walk *w, int64_t i, int64_t most)
{
    int64_t run = cnn_walk_inner(w) - i % cnn_walk_inner(w);
    return run < most ? run : most;
}

/* Copy elements [first, first + n) of operand o, of 4 bytes each, to y. */
static inline void cnn_walk_gather(const cnn_walk *w, int o, int64_t first, int64_t n, const int32_t *x, int32_t *y)
{
    int64_t step = w->stride[o][w->ndim - 1];
    for (int64_t i = 0, run; i < n; i += run) {
        const int32_t *p = x + cnn_walk_offset(w, o, first + i);
        run = cnn_walk_run(w, first + i, n - i);
        if (step == 1)
            memcpy(y + i, p, (size_t)run * sizeof(int32_t));
        else
            for (int64_t l = 0; l < run; l++)
                y[i + l] = p[l * step];
    }
}

#endif
