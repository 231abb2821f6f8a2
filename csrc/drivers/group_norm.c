/* Group normalisation with the leaf kernels of batch normalisation: an image's pixels are taken in blocks of rows that
 * fit the cache, each channel by itself, and a group's channels and blocks are joined in double from first to last.
 * Blocks are cut by the shape.
 *
 * A thread goes through an image from statistics to result, while the last-level cache may still hold it, if there are
 * images for all threads; else the threads share every image's blocks. The sums are the same. */
#include "cnn/group_norm.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/integers.h"

enum { BLOCK_FLOATS = 32768, BLOCK_ROWS_MIN = 32, BLOCK_ROWS_MAX = 1024 };

typedef struct {
    const cnn_group_norm *d;
    int64_t block_rows, blocks; /* of an image */
    int64_t width, size;        /* channels of a group, and its elements */
    void *const *buf;
    float *channel; /* an image's vectors, `vectors` of them, as wide as the channels */
    float *partial; /* a block's sums, `sums` of them */
    int64_t vectors, sums;
} work_t;

static work_t work_of(const cnn_group_norm *d, void *const *buf, char *shared, int64_t vectors, int64_t sums)
{
    work_t w = {.d = d, .buf = buf, .vectors = vectors, .sums = sums};
    w.block_rows = cnn_limited(BLOCK_FLOATS / cnn_max(d->c, 1), BLOCK_ROWS_MIN, BLOCK_ROWS_MAX);
    w.blocks = cnn_ceil_div(d->pixels, w.block_rows);
    w.width = d->c / cnn_max(d->groups, 1);
    w.size = w.width * d->pixels;
    w.channel = (float *)shared;
    w.partial = w.channel + d->n * vectors * d->c;
    return w;
}

static size_t space_of(const work_t *w)
{
    return (size_t)(w->d->n * (w->vectors + w->blocks * w->sums) * w->d->c) * sizeof(float);
}

/* Vector v of an image, and sum s of block `item`, counted through all images. */
static float *vector_of(const work_t *w, int64_t image, int64_t v)
{
    return w->channel + (image * w->vectors + v) * w->d->c;
}

static float *sum_of(const work_t *w, int64_t item, int64_t s)
{
    return w->partial + (item * w->sums + s) * w->d->c;
}

static int64_t rows_of(const work_t *w, int64_t item)
{
    return cnn_min(w->block_rows, w->d->pixels - item % w->blocks * w->block_rows);
}

/* Where block `item` starts in x. */
static int64_t start_of(const work_t *w, int64_t item)
{
    return (item / w->blocks * w->d->pixels + item % w->blocks * w->block_rows) * w->d->c;
}

/* The two passes over blocks, `first` and `last`, and what comes between them for each image. */
static void run(const work_t *w, cnn_team *team, void (*first)(const work_t *w, int64_t item),
                void (*between)(const work_t *w, int64_t image), void (*last)(const work_t *w, int64_t item))
{
    const int together = w->d->n < team->size;
    int64_t parts = w->d->n * w->blocks, lo, hi;
    if (!together) {
        cnn_team_range(team, w->d->n, &lo, &hi);
        for (int64_t image = lo; image < hi; image++) {
            for (int64_t b = 0; b < w->blocks; b++)
                first(w, image * w->blocks + b);
            between(w, image);
            for (int64_t b = w->blocks - 1; b >= 0; b--) /* what was read last is still near */
                last(w, image * w->blocks + b);
        }
        return;
    }
    cnn_team_range(team, parts, &lo, &hi);
    for (int64_t item = lo; item < hi; item++)
        first(w, item);
    cnn_team_barrier(team);
    cnn_team_range(team, w->d->n, &lo, &hi);
    for (int64_t image = lo; image < hi; image++)
        between(w, image);
    cnn_team_barrier(team);
    cnn_team_range(team, parts, &lo, &hi);
    for (int64_t item = lo; item < hi; item++)
        last(w, item);
}

enum { MEAN, SCALE, SHIFT, FORWARD_VECTORS };
enum { BLOCK_MEAN, BLOCK_REST, BLOCK_SQUARES, FORWARD_SUMS };

static void take_stats(const work_t *w, int64_t item)
{
    const float *x = w->buf[0];
    cnn_k->batch_norm_stats(rows_of(w, item), w->d->c, x + start_of(w, item), sum_of(w, item, BLOCK_MEAN),
                            sum_of(w, item, BLOCK_REST), sum_of(w, item, BLOCK_SQUARES));
}

/* Mean and variance of a group of one image (Chan, Golub & LeVeque 1983). */
static void join_group(const work_t *w, int64_t image, int64_t group, double *mean, double *var)
{
    const double share = w->size > 0 ? 1.0 / (double)w->size : 0.0;
    const int64_t lo = group * w->width, hi = lo + w->width, from = image * w->blocks, to = from + w->blocks;
    double total = 0.0, squares = 0.0;
    for (int64_t item = from; item < to; item++)
        for (int64_t i = lo; i < hi; i++)
            total += (double)rows_of(w, item) * sum_of(w, item, BLOCK_MEAN)[i] + sum_of(w, item, BLOCK_REST)[i];
    *mean = total * share;
    for (int64_t item = from; item < to; item++)
        for (int64_t i = lo; i < hi; i++) {
            double off = sum_of(w, item, BLOCK_MEAN)[i] - *mean, rest = sum_of(w, item, BLOCK_REST)[i];
            squares += sum_of(w, item, BLOCK_SQUARES)[i] + off * (2.0 * rest + (double)rows_of(w, item) * off);
        }
    *var = squares * share;
}

static void join_image(const work_t *w, int64_t image)
{
    const cnn_group_norm *d = w->d;
    const float *gamma = w->buf[1], *beta = w->buf[2];
    float *mean = (float *)w->buf[4] + image * d->groups, *var = (float *)w->buf[5] + image * d->groups;
    for (int64_t group = 0; group < d->groups; group++) {
        double m, v;
        join_group(w, image, group, &m, &v);
        mean[group] = (float)m;
        var[group] = (float)v;
        for (int64_t i = group * w->width; i < (group + 1) * w->width; i++) {
            vector_of(w, image, MEAN)[i] = mean[group];
            vector_of(w, image, SCALE)[i] = (float)((gamma ? gamma[i] : 1.0) / __builtin_sqrt(v + d->epsilon));
            vector_of(w, image, SHIFT)[i] = beta ? beta[i] : 0.0f;
        }
    }
}

static void normalize(const work_t *w, int64_t item)
{
    const int64_t image = item / w->blocks, at = start_of(w, item);
    cnn_k->batch_norm_fwd(rows_of(w, item), w->d->c, (const float *)w->buf[0] + at, vector_of(w, image, MEAN),
                          vector_of(w, image, SCALE), vector_of(w, image, SHIFT), NULL, (float *)w->buf[3] + at);
}

static void group_norm_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const work_t w = work_of(desc, buf, team->shared, FORWARD_VECTORS, FORWARD_SUMS);
    run(&w, team, take_stats, join_image, normalize);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const work_t w = work_of(desc, NULL, NULL, FORWARD_VECTORS, FORWARD_SUMS);
    return (cnn_workspace){.shared = space_of(&w)};
}

enum { CENTRE, A, B, E, DGAMMA, DBETA, BACKWARD_VECTORS };
enum { BLOCK_DY, BLOCK_DY_X, BACKWARD_SUMS };

/* The image's means, for each channel. */
static void spread_mean(const work_t *w, int64_t image)
{
    const float *mean = (const float *)w->buf[2] + image * w->d->groups;
    for (int64_t i = 0; i < w->d->c; i++)
        vector_of(w, image, CENTRE)[i] = mean[i / w->width];
}

static void take_sums(const work_t *w, int64_t item)
{
    const int64_t at = start_of(w, item);
    cnn_k->batch_norm_bwd_sums(rows_of(w, item), w->d->c, (const float *)w->buf[0] + at, (const float *)w->buf[1] + at,
                               vector_of(w, item / w->blocks, CENTRE), NULL, sum_of(w, item, BLOCK_DY),
                               sum_of(w, item, BLOCK_DY_X));
}

/* dx = a dy + b (x - mean) + e; the image's part of dgamma and dbeta. */
static void join_slopes(const work_t *w, int64_t image)
{
    const cnn_group_norm *d = w->d;
    const float *gamma = w->buf[4], *var = (const float *)w->buf[3] + image * d->groups;
    const double share = w->size > 0 ? 1.0 / (double)w->size : 0.0;
    for (int64_t group = 0; group < d->groups; group++) {
        const double inverse = 1.0 / __builtin_sqrt(var[group] + d->epsilon);
        double sum = 0.0, sum_x = 0.0;
        for (int64_t i = group * w->width; i < (group + 1) * w->width; i++) {
            double dy = 0.0, dy_x = 0.0, g = gamma ? gamma[i] : 1.0;
            for (int64_t item = image * w->blocks; item < (image + 1) * w->blocks; item++) {
                dy += sum_of(w, item, BLOCK_DY)[i];
                dy_x += sum_of(w, item, BLOCK_DY_X)[i];
            }
            vector_of(w, image, DGAMMA)[i] = (float)(dy_x * inverse);
            vector_of(w, image, DBETA)[i] = (float)dy;
            vector_of(w, image, A)[i] = (float)(g * inverse);
            sum += g * dy;
            sum_x += g * dy_x;
        }
        for (int64_t i = group * w->width; i < (group + 1) * w->width; i++) {
            vector_of(w, image, B)[i] = (float)(-inverse * inverse * inverse * sum_x * share);
            vector_of(w, image, E)[i] = (float)(-inverse * sum * share);
        }
    }
}

static void write_dx(const work_t *w, int64_t item)
{
    const int64_t image = item / w->blocks, at = start_of(w, item);
    cnn_k->batch_norm_bwd_dx(rows_of(w, item), w->d->c, (const float *)w->buf[0] + at, (const float *)w->buf[1] + at,
                             vector_of(w, image, CENTRE), NULL, vector_of(w, image, A), vector_of(w, image, B),
                             vector_of(w, image, E), (float *)w->buf[5] + at);
}

static void group_norm_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const work_t w = work_of(desc, buf, team->shared, BACKWARD_VECTORS, BACKWARD_SUMS);
    float *dgamma = buf[6], *dbeta = buf[7];
    int64_t lo, hi;
    cnn_team_range(team, w.d->n, &lo, &hi);
    for (int64_t image = lo; image < hi; image++)
        spread_mean(&w, image);
    cnn_team_barrier(team);
    run(&w, team, take_sums, join_slopes, write_dx);
    cnn_team_barrier(team);
    cnn_team_range(team, w.d->c, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        double slope = 0.0, shift = 0.0;
        for (int64_t image = 0; image < w.d->n; image++) {
            slope += vector_of(&w, image, DGAMMA)[i];
            shift += vector_of(&w, image, DBETA)[i];
        }
        dgamma[i] = (float)slope;
        dbeta[i] = (float)shift;
    }
}

static cnn_workspace bwd_workspace(const void *desc)
{
    const work_t w = work_of(desc, NULL, NULL, BACKWARD_VECTORS, BACKWARD_SUMS);
    return (cnn_workspace){.shared = space_of(&w)};
}

const cnn_op cnn_ops_group_norm[] = {
    {"group_norm_fwd", CNN_FIELD_NAMES(CNN_GROUP_NORM_FIELDS), "x gamma? beta? -> y mean var", group_norm_fwd,
     fwd_workspace},
    {"group_norm_bwd", CNN_FIELD_NAMES(CNN_GROUP_NORM_FIELDS), "x dy mean var gamma? -> dx dgamma dbeta",
     group_norm_bwd, bwd_workspace},
    {0},
};
