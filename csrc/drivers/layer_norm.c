/* Layer normalisation: rows cut into shares; in the backward pass into blocks, whose parts of dgamma and dbeta are
 * joined in double from first to last. Blocks are cut by the shape. */
#include "cnn/layer_norm.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/integers.h"

enum { BLOCK_FLOATS = 65536, BLOCK_ROWS_MIN = 64 };

static int64_t block_rows(const cnn_layer_norm *d)
{
    return cnn_max(BLOCK_FLOATS / cnn_max(d->c, 1), BLOCK_ROWS_MIN);
}

/* `given`, or c times `value` written to `space`, of which every thread fills a share. */
static const float *vector_of(const float *given, int64_t c, float value, float *space, cnn_team *team)
{
    int64_t lo, hi;
    if (given)
        return given;
    cnn_team_range(team, c, &lo, &hi);
    cnn_k->fill(hi - lo, value, space + lo);
    return space;
}

static void layer_norm_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_layer_norm *d = desc;
    const float *x = buf[0];
    float *y = buf[3], *mean = buf[4], *var = buf[5], *space = (float *)team->shared;
    const float *gamma = vector_of(buf[1], d->c, 1.0f, space, team);
    const float *beta = vector_of(buf[2], d->c, 0.0f, space + d->c, team);
    int64_t lo, hi;
    cnn_team_barrier(team);
    cnn_team_range(team, d->rows, &lo, &hi);
    cnn_k->layer_norm_fwd(hi - lo, d->c, (float)d->epsilon, x + lo * d->c, gamma, beta, y + lo * d->c, mean + lo,
                          var + lo);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const cnn_layer_norm *d = desc;
    return (cnn_workspace){.shared = (size_t)(2 * d->c) * sizeof(float)};
}

static void join(const float *partial, int64_t blocks, int64_t step, float *sum, int64_t lo, int64_t hi)
{
    for (int64_t i = lo; i < hi; i++) {
        double total = 0.0;
        for (int64_t b = 0; b < blocks; b++)
            total += partial[b * step + i];
        sum[i] = (float)total;
    }
}

static void layer_norm_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_layer_norm *d = desc;
    const float *x = buf[0], *dy = buf[1], *mean = buf[2], *var = buf[3];
    float *dx = buf[5], *space = (float *)team->shared, *partial = space + d->c;
    const float *gamma = vector_of(buf[4], d->c, 1.0f, space, team);
    int64_t rows = block_rows(d), blocks = cnn_ceil_div(d->rows, rows), lo, hi;
    cnn_team_barrier(team);
    cnn_team_range(team, blocks, &lo, &hi);
    for (int64_t b = lo; b < hi; b++) {
        int64_t first = b * rows, at = first * d->c;
        float *part = partial + 2 * b * d->c;
        cnn_k->layer_norm_bwd(cnn_min(rows, d->rows - first), d->c, (float)d->epsilon, x + at, dy + at, mean + first,
                              var + first, gamma, dx + at, part, part + d->c);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, d->c, &lo, &hi);
    join(partial, blocks, 2 * d->c, buf[6], lo, hi);
    join(partial + d->c, blocks, 2 * d->c, buf[7], lo, hi);
}

static cnn_workspace bwd_workspace(const void *desc)
{
    const cnn_layer_norm *d = desc;
    int64_t blocks = cnn_ceil_div(d->rows, block_rows(d));
    return (cnn_workspace){.shared = (size_t)((1 + 2 * blocks) * d->c) * sizeof(float)};
}

const cnn_op cnn_ops_layer_norm[] = {
    {"layer_norm_fwd", CNN_FIELD_NAMES(CNN_LAYER_NORM_FIELDS), "x gamma? beta? -> y mean var", layer_norm_fwd,
     fwd_workspace},
    {"layer_norm_bwd", CNN_FIELD_NAMES(CNN_LAYER_NORM_FIELDS), "x dy mean var gamma? -> dx dgamma dbeta",
     layer_norm_bwd, bwd_workspace},
    {0},
};
