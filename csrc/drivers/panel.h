/* The matrix product's frame, shared by matmul and convolution: B as packed panels, rows of A and C as pointers,
 * tiles swept over a strip of rows.
 *
 * A packed matrix of `rows` x `cols` is a sequence of panels, each [rows][its columns]. The columns, rounded up to whole
 * vectors and filled with zeros, are cut into as few panels of at most nv_max vectors as there can be, and these into
 * nearly equal ones, the wider first: tiles of one vector reach three quarters of the rate of others. */
#ifndef CNN_PANEL_H
#define CNN_PANEL_H

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/integers.h"

#include <string.h>

/* How n columns are cut: the first `wide` panels of nv vectors each, the others of one vector less. */
typedef struct cnn_panels {
    int64_t n, count, wide;
    int nv;
} cnn_panels;

int64_t cnn_panel_cols(void); /* of the widest panel there can be */
int64_t cnn_panel_count(int64_t n);
cnn_panels cnn_panels_of(int64_t n);

typedef struct cnn_panel {
    int64_t first, cols; /* its columns */
    int nv;              /* vectors that hold them */
} cnn_panel;

/* Vectors of the panels before panel j. */
static inline int64_t cnn_panel_vector(const cnn_panels *p, int64_t j)
{
    return j * p->nv - cnn_max(0, j - p->wide);
}

static inline cnn_panel cnn_panel_at(const cnn_panels *p, int64_t j)
{
    const int nv = p->nv - (j >= p->wide);
    const int64_t first = cnn_panel_vector(p, j) * cnn_k->vl;
    return (cnn_panel){first, cnn_min((int64_t)nv * cnn_k->vl, p->n - first), nv};
}

/* Columns after rounding up to whole vectors; floats of a packed matrix = rows * cnn_packed_cols(cols). */
int64_t cnn_packed_cols(int64_t cols);

/* Pack `rows` x `cols` of b (element at b[i * row_step + j * col_step], one of the steps is 1) as the rows [row0, row0 + rows) of a packed
 * matrix of `total_rows`, panels [lo, hi) only. */
void cnn_pack(const float *b, int64_t rows, int64_t cols, int64_t row_step, int64_t col_step, float *packed,
              int64_t row0, int64_t total_rows, int64_t lo, int64_t hi);

/* A strip of rows of a product: which rows of A (by pointer and run, see cnn_tile_fn), where they go, and what B is. */
typedef struct cnn_strip {
    int64_t m;
    const float **rows;
    float **c;
    const float **addend; /* or NULL */
    int64_t runs, kc, a_step;
    const int64_t *run;
    int64_t k0, depth; /* the runs are rows [k0, k0 + runs * kc) of B's `depth` rows; set by cnn_strip_sweep */
    const float *b;    /* packed, or plain with b_step != 0 and columns that fill a vector at least */
    int64_t b_step;
    float *sums; /* of a plain B: room for CNN_SUMS floats */
    cnn_panels panels;
    const float *bias;
    int64_t act;
    double alpha, beta;
    int accumulate; /* set by cnn_strip_sweep */
    int streams;    /* rows of A follow each other in memory, where they come from: fetch the next ones */
    int far;        /* the result is larger than the caches, see cnn_epilogue; of sums in parts, this is unset */
} cnn_strip;

/* Panels [lo, hi) of the strip. A sum over CNN_DEEP or more is taken in parts of about CNN_DEPTH, so that a part of
 * a panel stays in L1 while the strip goes by. The addend may be where the result goes. */
enum { CNN_DEPTH = 512, CNN_DEEP = 2048, CNN_SUMS = 16 * 1024 };
void cnn_strip_sweep(const cnn_strip *strip, int64_t lo, int64_t hi);

/* While `tiles` tiles of sums over `rows` rows are computed, fetch as many rows of `width` floats from `next` on. */
static inline void cnn_fetch(cnn_epilogue *e, const float *next, int64_t width, int64_t tiles)
{
    e->next = (const char *)next;
    e->next_step = cnn_ceil_div(width * (int64_t)sizeof(float), tiles);
}

/* m rows are cut into tiles of nearly equal height, the higher ones first: how many. */
int64_t cnn_tile_count(int64_t m, int nv);

/* All tiles of m rows and one panel of nv vectors; arguments as those of cnn_tile_fn. */
void cnn_tiles(int nv, int64_t m, int64_t runs, const int64_t *run, int64_t kc, const float *const *rows,
               int64_t a_step, const float *b, float *const *c, const cnn_epilogue *e);

/* Copies n floats in pieces of a known size, for rows are too short to call memcpy for each. */
static inline void cnn_copy(float *out, const float *in, int64_t n)
{
    for (; n >= 16; n -= 16, out += 16, in += 16)
        memcpy(out, in, 16 * sizeof(float));
    for (; n >= 8; n -= 8, out += 8, in += 8)
        memcpy(out, in, 8 * sizeof(float));
    for (; n >= 4; n -= 4, out += 4, in += 4)
        memcpy(out, in, 4 * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        out[i] = in[i];
}

static inline size_t cnn_align64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

#endif
