/* The table of leaf kernels of one ISA, and the table in use. */
#ifndef CNN_KERNELS_H
#define CNN_KERNELS_H

#include <stdint.h>

enum { CNN_MAX_NV = 4, CNN_MAX_MR = 13, CNN_ROW_PANELS = 4 };

/* Limits of a result, if any are given. */
typedef struct cnn_bounds {
    int given;
    float low, high;
} cnn_bounds;

/* Where the gradient of a normalisation with limits passes: where (x - mean) * scale + shift lies between them. */
typedef struct cnn_open {
    const float *scale, *shift; /* one a column */
    float low, high;
} cnn_open;

/* What happens to a tile of the product before it is stored, and what is fetched meanwhile. */
typedef struct cnn_epilogue {
    int64_t first, cols; /* columns [first, first + cols) of the rows c; more than (nv - 1) * vl, at most nv * vl */
    const float *bias;   /* one a column of the row, or NULL */
    const float *const *addend; /* one row pointer a row, or NULL */
    cnn_bounds bounds;
    int64_t act; /* after it: a line of unary.def, 0: none */
    float alpha, beta;
    int accumulate;    /* add to what c holds */
    int far;           /* store past the caches, to whole cache lines */
    int64_t b_step;    /* floats from a row of B to the next; of panels of one vector, that vector */
    const char *next;  /* memory that is wanted soon, so that it comes while the tile is computed; never NULL: ... */
    int64_t next_step; /* ... so many bytes for each step of the sum; tiles of one vector fetch them before the first */
} cnn_epilogue;

/* `tiles` tiles of mr rows each, C[tiles * mr][nv * vl] = sum over runs t and i < kc of (rows[r] + run[t])[i * a_step] *
 * b[t * kc + i][...], then the epilogue. Rows of b are e->b_step apart. Each element of C is one chain of multiply-adds
 * from the bias on, in the order of t, i, whatever the tile it falls into, so its bits do not depend on how rows and
 * columns are cut into tiles. */
typedef void (*cnn_tile_fn)(int64_t tiles, int64_t runs, const int64_t *run, int64_t kc, const float *const *rows,
                            int64_t a_step, const float *b, float *const *c, const cnn_epilogue *e);

/* One row times CNN_ROW_PANELS full panels, panel_step floats apart. */
typedef void (*cnn_tile_row_fn)(int64_t runs, const int64_t *run, int64_t kc, const float *row, int64_t a_step,
                                const float *b, int64_t panel_step, float *c, const cnn_epilogue *e);

/* Lines of a depthwise convolution: pixel u of line v is the sum over rows i and taps j, as far as its cell is inside,
 * of x[v * x_line + i * x_row + (first + u * step + j) * pitch] * w[i * w_row + j * w_step], stored at y[v * y_line + u
 * * y_step]; each for `channels` channels. Lines have `cells` cells. */
typedef struct cnn_depthwise_line {
    int64_t taps, step, first, cells;
    int64_t rows, lines, pixels, channels;
    int64_t pitch, x_row, x_line, w_row, w_step, y_step, y_line;
    int64_t ahead, ahead_rows; /* beside a line, fetch so many rows so far behind its first one; 0 rows: none */
    int64_t far;               /* store past the caches, to whole cache lines */
    cnn_bounds bounds;
} cnn_depthwise_line;

/* Rows of a convolution of which a vector of channels has several groups of `width` lanes, or one. Pixel q of row i is
 * the sum over runs r, lanes j of a group and taps t of lane j of each group in the cell at x[i * pixels + q] + first +
 * run[r] + t * vl, times the vector w[r][j][t]; it is kept at y[i * pixels + q] + the epilogue's first. The next pixel's
 * cell is `step` further on. Up to CNN_NARROW_PIXELS - 1 pixels past the end of a row are computed for nothing. taps,
 * step: 1 and any, 2 and 1, 3 and 1, 3 and 2. */
enum { CNN_NARROW_PIXELS = 12 };
typedef struct cnn_narrow {
    int64_t width, runs, taps, step, pixels, first;
    const int64_t *run;
    int64_t nothing; /* 0 */
    int64_t depth;   /* for narrow_weights */
} cnn_narrow;

/* narrow_weights: the gradient of such weights, one tap a run. Lane j of each group in a pixel's cell, times the vector of
 * dy, whose pixels follow each other, summed over the pixels, is what dw has at (r * depth + j) * dw_step. `add`: to what
 * dw holds. */

typedef struct cnn_kernels {
    const char *isa;
    int vl;                     /* floats in a vector */
    int nv_max;                 /* vectors in the widest panel */
    int mr_max[CNN_MAX_NV + 1]; /* rows of the tallest tile for a panel of nv vectors */
    cnn_tile_fn tile[CNN_MAX_NV + 1][CNN_MAX_MR + 1];
    cnn_tile_row_fn tile_row;
#define KERNEL(name, arguments) void(*name) arguments;
#include "core/kernels.def"
#undef KERNEL
} cnn_kernels;

extern const cnn_kernels cnn_kernels_generic;
#ifdef CNN_X86
extern const cnn_kernels cnn_kernels_avx2, cnn_kernels_avx512;
#endif

extern const cnn_kernels *cnn_k; /* the table in use */
extern int cnn_stores_far;       /* whether stores past the caches gain on this CPU */

/* ISA levels from the lowest: their names, whether this CPU has them, and taking one into use (0: done). */
int cnn_isa_count(void);
const char *cnn_isa_name(int level);
int cnn_isa_available(int level);
int cnn_isa_use(int level);

#endif
