/* Elementwise operations: flat arrays cut into shares; broadcast operands read row by row. */
#include "cnn/elementwise.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/far.h"
#include "drivers/walk.h"

enum { GRAIN = 1024, TILE = 1024, LONG_ROW = 256 };

static void unary_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_unary *d = desc;
    const float *x = buf[0];
    float *y = buf[1], piece[CNN_FAR_PIECE];
    const int far = cnn_is_far(d->count);
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    for (int64_t n; lo < hi; lo += n) {
        n = cnn_far_part(far, hi - lo);
        cnn_k->unary_fwd(d->func, n, (float)d->alpha, (float)d->beta, x + lo, cnn_far_out(far, piece, y + lo));
        cnn_far_done(far, n, piece, y + lo);
    }
}

static void unary_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_unary *d = desc;
    const float *x = buf[0], *y = buf[1], *dy = buf[2];
    float *dx = buf[3], piece[CNN_FAR_PIECE];
    const int far = cnn_is_far(d->count);
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    for (int64_t n; lo < hi; lo += n) {
        n = cnn_far_part(far, hi - lo);
        cnn_k->unary_bwd(d->func, n, (float)d->alpha, (float)d->beta, x ? x + lo : NULL, y ? y + lo : NULL, dy + lo,
                         cnn_far_out(far, piece, dx + lo));
        cnn_far_done(far, n, piece, dx + lo);
    }
}

/* Rows long enough for a call each. */
static void binary_rows(int64_t func, const cnn_walk *w, int64_t lo, int64_t hi, const float *a, const float *b,
                        float *y)
{
    const int far = cnn_is_far(w->count);
    float piece[CNN_FAR_PIECE];
    int64_t last = w->ndim - 1;
    for (int64_t i = lo, run; i < hi; i += run) {
        run = cnn_walk_run(w, i, cnn_far_part(far, hi - i));
        cnn_k->binary(func, run, w->stride[0][last], w->stride[1][last], a + cnn_walk_offset(w, 0, i),
                      b + cnn_walk_offset(w, 1, i), cnn_far_out(far, piece, y + i));
        cnn_far_done(far, run, piece, y + i);
    }
}

/* Is operand o a plain array with the elements in order? */
static int is_plain(const cnn_walk *w, int o)
{
    int64_t step = 1;
    for (int64_t axis = w->ndim - 1; axis >= 0; step *= w->dims[axis], axis--)
        if (w->stride[o][axis] != step)
            return 0;
    return 1;
}

static const float *plain_tile(const cnn_walk *w, int o, int64_t first, int64_t n, const float *x, float *tile)
{
    if (is_plain(w, o))
        return x + first;
    cnn_walk_gather(w, o, first, n, (const int32_t *)x, (int32_t *)tile);
    return tile;
}

/* Short rows: operands are laid out as plain arrays first, a tile at a time. */
static void binary_tiles(int64_t func, const cnn_walk *w, int64_t lo, int64_t hi, const float *a, const float *b,
                         float *y)
{
    float a_tile[TILE], b_tile[TILE];
    for (int64_t i = lo; i < hi; i += TILE) {
        int64_t n = hi - i < TILE ? hi - i : TILE;
        cnn_k->binary(func, n, 1, 1, plain_tile(w, 0, i, n, a, a_tile), plain_tile(w, 1, i, n, b, b_tile), y + i);
    }
}

static void binary(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_binary *d = desc;
    cnn_walk w;
    int64_t lo, hi;
    cnn_walk_start(&w);
    for (int64_t axis = 0; axis < d->ndim; axis++)
        cnn_walk_axis(&w, d->dims[axis], d->stride_a[axis], d->stride_b[axis]);
    cnn_walk_end(&w);
    cnn_team_range_grain(team, w.count, GRAIN, &lo, &hi);
    if (w.ndim == 1 || cnn_walk_inner(&w) >= LONG_ROW)
        binary_rows(d->func, &w, lo, hi, buf[0], buf[1], buf[2]);
    else
        binary_tiles(d->func, &w, lo, hi, buf[0], buf[1], buf[2]);
}

static void select_op(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_select *d = desc;
    const float *condition = buf[0], *a = buf[1], *b = buf[2];
    float *y = buf[3];
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    cnn_k->select(hi - lo, condition + lo, a + lo, b + lo, y + lo);
}

static void fill(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_fill *d = desc;
    float *y = buf[0];
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    cnn_k->fill(hi - lo, (float)d->value, y + lo);
}

static void broadcast(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_broadcast *d = desc;
    const int32_t *x = buf[0];
    int32_t *y = buf[1];
    cnn_walk w;
    int64_t lo, hi;
    cnn_walk_start(&w);
    for (int64_t axis = 0; axis < d->ndim; axis++)
        cnn_walk_axis(&w, d->dims[axis], d->stride_a[axis], d->stride_a[axis]);
    cnn_walk_end(&w);
    cnn_team_range_grain(team, w.count, GRAIN, &lo, &hi);
    cnn_walk_gather(&w, 0, lo, hi - lo, x, y + lo);
}

static int64_t element_size(int64_t type)
{
    return type == CNN_U8 ? 1 : 4;
}

static void cast(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_cast *d = desc;
    const char *x = buf[0];
    char *y = buf[1];
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    cnn_k->cast(d->from, d->to, hi - lo, x + lo * element_size(d->from), y + lo * element_size(d->to));
}

const cnn_op cnn_ops_elementwise[] = {
    {"unary_fwd", CNN_FIELD_NAMES(CNN_UNARY_FIELDS), "x -> y", unary_fwd, NULL},
    {"unary_bwd", CNN_FIELD_NAMES(CNN_UNARY_FIELDS), "x? y? dy -> dx", unary_bwd, NULL},
    {"binary", CNN_FIELD_NAMES(CNN_BINARY_FIELDS), "a b -> y", binary, NULL},
    {"select", CNN_FIELD_NAMES(CNN_SELECT_FIELDS), "cond a b -> y", select_op, NULL},
    {"fill", CNN_FIELD_NAMES(CNN_FILL_FIELDS), "-> y", fill, NULL},
    {"broadcast", CNN_FIELD_NAMES(CNN_BROADCAST_FIELDS), "x -> y", broadcast, NULL},
    {"cast", CNN_FIELD_NAMES(CNN_CAST_FIELDS), "x -> y", cast, NULL},
    {0},
};
