/* Reductions. The rows of each (red, inner) matrix are cut into blocks by its shape; a block's result goes to the
 * workspace, and the blocks' results are joined in double from first to last.
 *
 * Rows shorter than a few vectors are folded: `fold` of them count as one row of fold * inner columns, and the columns
 * of a channel are joined at the end with the blocks. The rows left over are joined last, one by one. */
#include "cnn/reduce.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/integers.h"

enum { WIDE = 64, BLOCK_FLOATS = 32768, BLOCK_ROWS_MIN = 64, CHUNK = 2048, CONTIGUOUS_BLOCK = 8192, PIECE = 16 };

typedef struct {
    int64_t fold, cols, rows, block_rows, blocks; /* of one folded matrix */
} plan_t;

static plan_t plan_of(const cnn_reduce *d)
{
    plan_t p = {.fold = 1};
    if (d->inner < WIDE && d->red >= 4 * WIDE) {
        p.fold = cnn_ceil_div(WIDE, d->inner);
        while (p.fold * d->inner % PIECE != 0) /* whole vectors */
            p.fold++;
    }
    p.cols = p.fold * d->inner;
    p.rows = d->red / p.fold;
    p.block_rows = cnn_limited(BLOCK_FLOATS / (p.cols > 0 ? p.cols : 1), BLOCK_ROWS_MIN, 1024);
    p.blocks = cnn_ceil_div(p.rows, p.block_rows);
    return p;
}

static double join(int64_t func, double a, double b)
{
    switch (func) {
    case CNN_MAX:
        return b > a || b != b ? b : a;
    case CNN_MIN:
        return b < a || b != b ? b : a;
    case CNN_PROD:
        return a * b;
    default:
        return a + b;
    }
}

/* y[at, at + n) of one matrix from the results of its blocks and the rows left over, n <= PIECE: rows of results are
 * walked along, not across. */
static void join_blocks(const cnn_reduce *d, const plan_t *p, const float *partial, const float *x, int64_t at,
                        int64_t n, float *y)
{
    int64_t o = at / d->inner, i = at % d->inner, parts = p->blocks * p->fold;
    const float *v = partial + o * parts * d->inner + i;
    double total[PIECE];
    for (int64_t l = 0; l < n; l++)
        total[l] = v[l];
    for (int64_t part = 1; part < parts; part++)
        for (int64_t l = 0; l < n; l++)
            total[l] = join(d->func, total[l], v[part * d->inner + l]);
    for (int64_t j = p->rows * p->fold; j < d->red; j++)
        for (int64_t l = 0; l < n; l++) {
            double left = x[(o * d->red + j) * d->inner + i + l];
            total[l] = join(d->func, total[l], d->func == CNN_SUM_SQUARES ? left * left : left);
        }
    for (int64_t l = 0; l < n; l++)
        y[at + l] = (float)(total[l] * d->scale);
}

static void scale_all(float *y, int64_t n, double scale)
{
    if (scale == 1.0)
        return;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(y[i] * scale);
}

/* One block and no folding: straight to y. The columns are cut into chunks as well. */
static void reduce_direct(const cnn_reduce *d, const float *x, float *y, cnn_team *team)
{
    int64_t chunks = cnn_ceil_div(d->inner, CHUNK), lo, hi;
    cnn_team_range(team, d->outer * chunks, &lo, &hi);
    for (int64_t item = lo; item < hi; item++) {
        int64_t o = item / chunks, i = item % chunks * CHUNK;
        int64_t cols = d->inner - i < CHUNK ? d->inner - i : CHUNK;
        float *out = y + o * d->inner + i;
        cnn_k->reduce_rows(d->func, d->red, cols, x + o * d->red * d->inner + i, d->inner, out);
        scale_all(out, cols, d->scale);
    }
}

static void reduce_blocks(const cnn_reduce *d, const plan_t *p, const float *x, float *y, cnn_team *team)
{
    float *partial = (float *)team->shared;
    int64_t chunks = cnn_ceil_div(p->cols, CHUNK), lo, hi;
    cnn_team_range(team, d->outer * p->blocks * chunks, &lo, &hi);
    for (int64_t item = lo; item < hi; item++) {
        int64_t block = item / chunks, i = item % chunks * CHUNK;
        int64_t o = block / p->blocks, row = block % p->blocks * p->block_rows;
        int64_t rows = p->rows - row < p->block_rows ? p->rows - row : p->block_rows;
        int64_t cols = p->cols - i < CHUNK ? p->cols - i : CHUNK;
        cnn_k->reduce_rows(d->func, rows, cols, x + o * d->red * d->inner + row * p->cols + i, p->cols,
                           partial + block * p->cols + i);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, d->outer * d->inner, &lo, &hi);
    for (int64_t at = lo, n; at < hi; at += n) {
        n = cnn_limited(d->inner - at % d->inner, 1, PIECE);
        n = n < hi - at ? n : hi - at;
        join_blocks(d, p, partial, x, at, n, y);
    }
}

/* inner == 1: runs of contiguous elements, long ones in blocks. */
static void reduce_contiguous(const cnn_reduce *d, const float *x, float *y, cnn_team *team)
{
    float *partial = (float *)team->shared;
    int64_t blocks = cnn_ceil_div(d->red, CONTIGUOUS_BLOCK), lo, hi;
    if (blocks == 1) {
        cnn_team_range(team, d->outer, &lo, &hi);
        cnn_k->reduce_contiguous(d->func, hi - lo, d->red, x + lo * d->red, y + lo);
        scale_all(y + lo, hi - lo, d->scale);
        return;
    }
    cnn_team_range(team, d->outer * blocks, &lo, &hi);
    for (int64_t item = lo; item < hi; item++) {
        int64_t o = item / blocks, first = item % blocks * CONTIGUOUS_BLOCK;
        int64_t n = d->red - first < CONTIGUOUS_BLOCK ? d->red - first : CONTIGUOUS_BLOCK;
        cnn_k->reduce_contiguous(d->func, 1, n, x + o * d->red + first, partial + item);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, d->outer, &lo, &hi);
    for (int64_t o = lo; o < hi; o++) {
        double total = partial[o * blocks];
        for (int64_t b = 1; b < blocks; b++)
            total = join(d->func, total, partial[o * blocks + b]);
        y[o] = (float)(total * d->scale);
    }
}

/* A reduction of nothing. */
static void reduce_empty(const cnn_reduce *d, float *y)
{
    static const float neutral[] = {
        [CNN_SUM] = 0.0f,  [CNN_MAX] = -__builtin_inff(), [CNN_MIN] = __builtin_inff(),
        [CNN_PROD] = 1.0f, [CNN_SUM_SQUARES] = 0.0f,
    };
    for (int64_t i = 0; i < d->outer * d->inner; i++)
        y[i] = (float)(neutral[d->func] * d->scale);
}

static void reduce(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_reduce *d = desc;
    plan_t p;
    if (d->red == 0 || d->inner == 0) {
        if (team->id == 0)
            reduce_empty(d, buf[1]);
        return;
    }
    p = plan_of(d);
    if (d->inner == 1)
        reduce_contiguous(d, buf[0], buf[1], team);
    else if (p.fold == 1 && p.blocks == 1)
        reduce_direct(d, buf[0], buf[1], team);
    else
        reduce_blocks(d, &p, buf[0], buf[1], team);
}

static cnn_workspace reduce_workspace(const void *desc)
{
    const cnn_reduce *d = desc;
    plan_t p;
    if (d->red == 0 || d->inner == 0)
        return (cnn_workspace){0, 0};
    p = plan_of(d);
    int64_t floats = d->inner == 1 ? cnn_ceil_div(d->red, CONTIGUOUS_BLOCK) : p.blocks * p.cols;
    return (cnn_workspace){.shared = (size_t)(d->outer * floats) * sizeof(float)};
}

static void argmax(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_reduce *d = desc;
    const float *x = buf[0];
    int32_t *y = buf[1];
    int64_t lo, hi;
    cnn_team_range(team, d->outer, &lo, &hi);
    cnn_k->argmax(hi - lo, d->red, d->inner, x + lo * d->red * d->inner, y + lo * d->inner);
}

const cnn_op cnn_ops_reduce[] = {
    {"reduce", CNN_FIELD_NAMES(CNN_REDUCE_FIELDS), "x -> y", reduce, reduce_workspace},
    {"argmax", CNN_FIELD_NAMES(CNN_REDUCE_FIELDS), "x -> y", argmax, NULL},
    {0},
};
