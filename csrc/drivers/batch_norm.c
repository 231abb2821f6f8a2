/* Batch normalisation. Statistics are taken of blocks of rows, a block small enough for the cache, and joined in double
 * from first to last; blocks are cut by the shape.
 *
 * Rows shorter than a few vectors are folded: `fold` of them count as one row of fold * c columns, with the parameters
 * repeated; the rows left over are a last, shorter row. */
#include "cnn/batch_norm.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/activation.h"
#include "drivers/far.h"
#include "drivers/integers.h"

enum { WIDE = 64, BLOCK_FLOATS = 32768, BLOCK_ROWS_MIN = 32, BLOCK_ROWS_MAX = 1024, CHUNK_FLOATS = 4096, PIECE = 16 };

typedef struct {
    int64_t fold, cols, rows; /* the folded matrix */
    int64_t rest;             /* elements left over */
    int64_t block_rows, blocks;
} plan_t;

static plan_t plan_of(const cnn_batch_norm *d)
{
    plan_t p = {.fold = d->c > 0 && d->c < WIDE ? WIDE / d->c : 1};
    p.cols = p.fold * d->c;
    p.rows = d->rows / p.fold;
    p.rest = d->rows % p.fold * d->c;
    p.block_rows = cnn_limited(BLOCK_FLOATS / (p.cols > 0 ? p.cols : 1), BLOCK_ROWS_MIN, BLOCK_ROWS_MAX);
    p.blocks = (p.rows + p.block_rows - 1) / p.block_rows;
    return p;
}

static int64_t rows_of_block(const plan_t *p, int64_t block)
{
    int64_t left = p->rows - block * p->block_rows;
    return left < p->block_rows ? left : p->block_rows;
}

/* The partial results of part `part` = block * fold + copy of channel i: mean, rest and sum of squares. */
static const float *part_of(const plan_t *p, int64_t c, int values, const float *partial, int64_t part, int64_t i)
{
    return partial + part / p->fold * values * p->cols + part % p->fold * c + i;
}

/* Channels [i, i + n), n <= PIECE: mean = sum of n_b mean_b / n, var = (sum of m2_b + n_b (mean_b - mean)^2) / n
 * (Chan, Golub & LeVeque 1983). The rows left over count one by one. */
static void join_stats(const cnn_batch_norm *d, const plan_t *p, const float *partial, const float *x, int64_t i,
                       int64_t n, float *mean, float *var)
{
    int64_t parts = p->blocks * p->fold, done = p->rows * p->fold;
    double m[PIECE] = {0}, squares[PIECE] = {0}, share = d->rows > 0 ? 1.0 / (double)d->rows : 0.0;
    for (int64_t part = 0; part < parts; part++) {
        const float *v = part_of(p, d->c, 3, partial, part, i);
        double count = (double)rows_of_block(p, part / p->fold);
        for (int64_t l = 0; l < n; l++)
            m[l] += count * v[l] + v[p->cols + l];
    }
    for (int64_t j = done; j < d->rows; j++)
        for (int64_t l = 0; l < n; l++)
            m[l] += x[j * d->c + i + l];
    for (int64_t l = 0; l < n; l++)
        m[l] *= share;
    for (int64_t part = 0; part < parts; part++) {
        const float *v = part_of(p, d->c, 3, partial, part, i);
        double count = (double)rows_of_block(p, part / p->fold);
        for (int64_t l = 0; l < n; l++) {
            double off = v[l] - m[l];
            squares[l] += v[2 * p->cols + l] + off * (2.0 * v[p->cols + l] + count * off);
        }
    }
    for (int64_t j = done; j < d->rows; j++)
        for (int64_t l = 0; l < n; l++)
            squares[l] += (x[j * d->c + i + l] - m[l]) * (x[j * d->c + i + l] - m[l]);
    for (int64_t l = 0; l < n; l++) {
        mean[i + l] = (float)m[l];
        var[i + l] = (float)(squares[l] * share);
    }
}

static void batch_norm_stats(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_batch_norm *d = desc;
    const float *x = buf[0];
    float *partial = (float *)team->shared;
    plan_t p = plan_of(d);
    int64_t lo, hi;
    cnn_team_range(team, p.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi; b++) {
        float *v = partial + b * 3 * p.cols;
        cnn_k->batch_norm_stats(rows_of_block(&p, b), p.cols, x + b * p.block_rows * p.cols, v, v + p.cols,
                                v + 2 * p.cols);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, d->c, &lo, &hi);
    for (int64_t i = lo; i < hi; i += PIECE)
        join_stats(d, &p, partial, x, i, hi - i < PIECE ? hi - i : PIECE, buf[1], buf[2]);
}

static cnn_workspace stats_workspace(const void *desc)
{
    plan_t p = plan_of(desc);
    return (cnn_workspace){.shared = (size_t)(3 * p.blocks * p.cols) * sizeof(float)};
}

static double scale_of(const cnn_batch_norm *d, const float *var, const float *gamma, int64_t i)
{
    return (gamma ? gamma[i] : 1.0) / __builtin_sqrt(var[i] + d->epsilon);
}

/* Whether the result goes past the caches, by way of a piece that a row of it fits into. */
static int is_far(const cnn_batch_norm *d, int64_t cols)
{
    return cols <= CHUNK_FLOATS && cnn_is_far(d->rows * d->c);
}

/* Rows that are made together of a result that is far, or of at most so many floats. */
static int64_t rows_together(int far, int64_t most, int64_t cols, int64_t rows)
{
    return cnn_limited(cnn_far_part(far, most) / cnn_max(cols, 1), 1, cnn_max(rows, 1));
}

/* `rows` rows of `cols` columns, some at a time so that the activation finds them in the cache. */
static void normalize(const cnn_batch_norm *d, int64_t rows, int64_t cols, const float *x, const float *mean,
                      const float *scale, const float *shift, const float *addend, float *y)
{
    const int far = is_far(d, cols);
    const int64_t step = rows_together(far, CHUNK_FLOATS, cols, rows);
    float piece[CHUNK_FLOATS];
    for (int64_t j = 0; j < rows; j += step) {
        const int64_t n = cnn_min(rows - j, step);
        float *out = cnn_far_out(far, piece, y + j * cols);
        cnn_k->batch_norm_fwd(n, cols, x + j * cols, mean, scale, shift, addend ? addend + j * cols : NULL, out);
        if (d->act != 0)
            cnn_k->unary_fwd(d->act, n * cols, (float)d->alpha, (float)d->beta, out, out);
        cnn_far_done(far, n * cols, piece, y + j * cols);
    }
}

static void batch_norm_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_batch_norm *d = desc;
    const float *x = buf[0], *mean = buf[1], *var = buf[2], *gamma = buf[3], *beta = buf[4], *addend = buf[5];
    float *y = buf[6];
    plan_t p = plan_of(d);
    float *means = (float *)team->shared, *scale = means + p.cols, *shift = scale + p.cols;
    int64_t lo, hi, done = p.rows * p.cols;
    cnn_team_range(team, p.cols, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        means[i] = mean[i % d->c];
        scale[i] = (float)scale_of(d, var, gamma, i % d->c);
        shift[i] = beta ? beta[i % d->c] : 0.0f;
    }
    cnn_team_barrier(team);
    cnn_team_range(team, p.rows, &lo, &hi);
    normalize(d, hi - lo, p.cols, x + lo * p.cols, means, scale, shift, addend ? addend + lo * p.cols : NULL,
              y + lo * p.cols);
    if (team->id == team->size - 1 && p.rest > 0)
        normalize(d, 1, p.rest, x + done, means, scale, shift, addend ? addend + done : NULL, y + done);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    plan_t p = plan_of(desc);
    return (cnn_workspace){.shared = (size_t)(3 * p.cols) * sizeof(float)};
}

typedef struct {
    float *mean, *a, *b, *e, *shift, *partial; /* rows of parameters as wide as a folded row, then the blocks' sums */
    cnn_open limits;
    const cnn_open *open; /* those, or NULL without an activation */
} bwd_t;

enum { BWD_VECTORS = 5 };

static void open_bwd(const cnn_batch_norm *d, const plan_t *p, char *shared, bwd_t *w)
{
    const cnn_bounds bounds = cnn_bounds_of(d->act);
    float *s = (float *)shared;
    *w = (bwd_t){s,   s + p->cols, s + 2 * p->cols, s + 3 * p->cols, s + 4 * p->cols, s + BWD_VECTORS * p->cols,
                 {0}, NULL};
    w->limits = (cnn_open){w->a, w->shift, bounds.low, bounds.high};
    w->open = bounds.given ? &w->limits : NULL;
}

/* The thread's share of the parameters that are known before the sums are. */
static void fill_bwd(const cnn_batch_norm *d, const plan_t *p, const bwd_t *w, void *const *buf, const cnn_team *team)
{
    const float *mean = buf[2], *var = buf[3], *gamma = buf[4], *beta = buf[5];
    int64_t lo, hi;
    cnn_team_range(team, p->cols, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        w->mean[i] = mean[i % d->c];
        w->a[i] = (float)scale_of(d, var, gamma, i % d->c);
        w->shift[i] = beta ? beta[i % d->c] : 0.0f;
    }
}

/* What passes of dy at element `at`, in channel i; multiplied, as in the kernel. */
static double passed(const bwd_t *w, const float *x, const float *dy, int64_t at, int64_t i)
{
    if (!w->open)
        return dy[at];
    const float y = (x[at] - w->mean[i]) * w->a[i] + w->shift[i];
    return dy[at] * (y > w->open->low && y < w->open->high ? 1.0 : 0.0);
}

/* The sums over the batch of channels [i, i + n), n <= PIECE. */
static void join_sums(const cnn_batch_norm *d, const plan_t *p, const bwd_t *w, void *const *buf, int64_t i, int64_t n,
                      double *sum, double *sum_x)
{
    const float *x = buf[0], *dy = buf[1], *mean = buf[2];
    for (int64_t l = 0; l < n; l++)
        sum[l] = sum_x[l] = 0.0;
    for (int64_t part = 0; part < p->blocks * p->fold; part++) {
        const float *v = part_of(p, d->c, 2, w->partial, part, i);
        for (int64_t l = 0; l < n; l++) {
            sum[l] += v[l];
            sum_x[l] += v[p->cols + l];
        }
    }
    for (int64_t j = p->rows * p->fold; j < d->rows; j++)
        for (int64_t l = 0; l < n; l++) {
            int64_t at = j * d->c + i + l;
            const double g = passed(w, x, dy, at, i + l);
            sum[l] += g;
            sum_x[l] += g * ((double)x[at] - mean[i + l]);
        }
}

/* dgamma, dbeta and, of dx = a dy + b (x - mean) + e, b and e of channels [i, i + n) from those sums. */
static void join_bwd(const cnn_batch_norm *d, const plan_t *p, const bwd_t *w, void *const *buf, int64_t i, int64_t n)
{
    const float *var = buf[3], *gamma = buf[4];
    float *dgamma = buf[7], *dbeta = buf[8];
    double sum[PIECE], sum_x[PIECE], share = d->training && d->rows > 0 ? 1.0 / (double)d->rows : 0.0;
    join_sums(d, p, w, buf, i, n, sum, sum_x);
    for (int64_t l = 0; l < n; l++) {
        double inverse = scale_of(d, var, NULL, i + l), scale = scale_of(d, var, gamma, i + l);
        dgamma[i + l] = (float)(sum_x[l] * inverse);
        dbeta[i + l] = (float)sum[l];
        for (int64_t at = i + l; at < p->cols; at += d->c) {
            w->b[at] = (float)(-scale * inverse * inverse * sum_x[l] * share);
            w->e[at] = (float)(-scale * sum[l] * share);
        }
    }
}

/* dx of `rows` rows of `cols` columns. */
static void write_dx(const cnn_batch_norm *d, const bwd_t *w, int64_t rows, int64_t cols, const float *x,
                     const float *dy, float *dx)
{
    const int far = is_far(d, cols);
    const int64_t step = rows_together(far, rows * cols, cols, rows);
    float piece[CHUNK_FLOATS];
    for (int64_t j = 0; j < rows; j += step) {
        const int64_t n = cnn_min(rows - j, step), at = j * cols;
        cnn_k->batch_norm_bwd_dx(n, cols, x + at, dy + at, w->mean, w->open, w->a, w->b, w->e,
                                 cnn_far_out(far, piece, dx + at));
        cnn_far_done(far, n * cols, piece, dx + at);
    }
}

static void batch_norm_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_batch_norm *d = desc;
    const float *x = buf[0], *dy = buf[1];
    float *dx = buf[6];
    plan_t p = plan_of(d);
    bwd_t w;
    open_bwd(d, &p, team->shared, &w);
    fill_bwd(d, &p, &w, buf, team);
    cnn_team_barrier(team);
    int64_t lo, hi, done = p.rows * p.cols;
    cnn_team_range(team, p.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi; b++) {
        int64_t at = b * p.block_rows * p.cols;
        float *v = w.partial + b * 2 * p.cols;
        cnn_k->batch_norm_bwd_sums(rows_of_block(&p, b), p.cols, x + at, dy + at, w.mean, w.open, v, v + p.cols);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, d->c, &lo, &hi);
    for (int64_t i = lo; i < hi; i += PIECE)
        join_bwd(d, &p, &w, buf, i, hi - i < PIECE ? hi - i : PIECE);
    cnn_team_barrier(team);
    cnn_team_range(team, p.blocks, &lo, &hi);
    for (int64_t b = hi - 1; b >= lo; b--) { /* what was read last is still near */
        int64_t at = b * p.block_rows * p.cols;
        write_dx(d, &w, rows_of_block(&p, b), p.cols, x + at, dy + at, dx + at);
    }
    if (team->id == team->size - 1 && p.rest > 0)
        write_dx(d, &w, 1, p.rest, x + done, dy + done, dx + done);
}

static cnn_workspace bwd_workspace(const void *desc)
{
    plan_t p = plan_of(desc);
    return (cnn_workspace){.shared = (size_t)(BWD_VECTORS * p.cols + 2 * p.blocks * p.cols) * sizeof(float)};
}

const cnn_op cnn_ops_batch_norm[] = {
    {"batch_norm_stats", CNN_FIELD_NAMES(CNN_BATCH_NORM_FIELDS), "x -> mean var", batch_norm_stats, stats_workspace},
    {"batch_norm_fwd", CNN_FIELD_NAMES(CNN_BATCH_NORM_FIELDS), "x mean var gamma? beta? addend? -> y", batch_norm_fwd,
     fwd_workspace},
    {"batch_norm_bwd", CNN_FIELD_NAMES(CNN_BATCH_NORM_FIELDS), "x dy mean var gamma? beta? -> dx dgamma dbeta",
     batch_norm_bwd, bwd_workspace},
    {0},
};
