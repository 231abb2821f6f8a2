/* Pooling: rows of output (or of dx) cut into shares; for each pixel the list of its valid taps. */
#include "cnn/pool2d.h"

#include <string.h>

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/far.h"
#include "drivers/taps.h"

enum { TAPS_MAX = 256, AHEAD_PIXELS = 4, ROW_FLOATS = 8192 };

typedef struct {
    int64_t count;
    int64_t offset[TAPS_MAX];
    uint8_t tap[TAPS_MAX];
    float weight[TAPS_MAX];
} taps_t;

/* The valid taps of output pixel (p, q), and the offset of their cells in the image. */
static void taps_forward(const cnn_pool2d *d, int64_t p, int64_t q, taps_t *taps)
{
    int64_t h0 = p * d->stride_h - d->pad_t, w0 = q * d->stride_w - d->pad_l;
    cnn_range r = cnn_taps_inside(h0, 1, d->r, d->h), s = cnn_taps_inside(w0, 1, d->s, d->w);
    taps->count = 0;
    for (int64_t i = r.lo; i < r.hi; i++)
        for (int64_t j = s.lo; j < s.hi; j++) {
            taps->offset[taps->count] = ((h0 + i) * d->w + w0 + j) * d->c;
            taps->tap[taps->count++] = (uint8_t)(i * d->s + j);
        }
}

/* Those p of [0, count) whose window, from p * stride - pad on, `size` long, holds cell x. */
static cnn_range windows_of(int64_t x, int64_t size, int64_t stride, int64_t pad, int64_t count)
{
    int64_t lo = cnn_limited(cnn_floor_div(x + pad - size, stride) + 1, 0, count);
    return (cnn_range){lo, cnn_limited(cnn_floor_div(x + pad, stride) + 1, lo, count)};
}

/* The windows that hold input cell (h, w): their offset in the image of dy, and as which tap they see the cell. */
static void taps_backward(const cnn_pool2d *d, cnn_range p, int64_t h, int64_t w, taps_t *taps)
{
    cnn_range q = windows_of(w, d->s, d->stride_w, d->pad_l, d->q);
    taps->count = 0;
    for (int64_t i = p.lo; i < p.hi; i++)
        for (int64_t j = q.lo; j < q.hi; j++) {
            int64_t tap = (h + d->pad_t - i * d->stride_h) * d->s + w + d->pad_l - j * d->stride_w;
            taps->offset[taps->count] = (i * d->q + j) * d->c;
            taps->tap[taps->count++] = (uint8_t)tap;
        }
}

/* From cell w on, for how many cells, stride apart, the windows are the next ones in turn: none is missing at an end of
 * the row, and all have the same cells inside. */
static int64_t cells_alike(const cnn_pool2d *d, int64_t w)
{
    cnn_range inside = cnn_windows_inside(d->s, d->stride_w, d->pad_l, d->w, d->q);
    int64_t lo = (inside.lo - 1) * d->stride_w + d->s - d->pad_l, hi = inside.hi * d->stride_w - d->pad_l;
    hi = hi < d->w ? hi : d->w;
    return w >= lo && w < hi ? (hi - w + d->stride_w - 1) / d->stride_w : 1;
}

static int64_t floats_in(const cnn_pool2d *d)
{
    return d->n * d->h * d->w * d->c;
}

/* How many pixels from q on to compute together, all of them with the same taps. While those of an input larger than the
 * caches are computed, the rows that the next output row is the first to read are fetched: rows are taken side by side,
 * so to the hardware each is a new stream. Rows past the image are the next one's. */
static int64_t pixels_at(const cnn_pool2d *d, cnn_range inside, int64_t row, int64_t q, const float *x)
{
    const int64_t alike = cnn_windows_alike(inside, q), all = floats_in(d);
    if (all < CNN_FAR_FLOATS)
        return alike;
    const int64_t pixels = cnn_min(alike, AHEAD_PIXELS), rows = cnn_min(d->r, d->stride_h);
    const int64_t h = row / d->p * d->h + (row % d->p + 1) * d->stride_h - d->pad_t + d->r - rows;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t at = ((h + i) * d->w + q * d->stride_w - d->pad_l) * d->c, n = pixels * d->stride_w * d->c;
        for (int64_t f = cnn_max(at, 0); f < cnn_min(at + n, all); f += 16)
            __builtin_prefetch(x + f);
    }
    return pixels;
}

/* Output row p of an image, counted over all. A window without a valid cell has no maximum: -infinity. */
static void max_row(const cnn_pool2d *d, int64_t row, const float *all, float *y, uint8_t *index)
{
    taps_t taps;
    cnn_range inside = cnn_windows_inside(d->s, d->stride_w, d->pad_l, d->w, d->q);
    const int64_t p = row % d->p;
    const float *x = all + row / d->p * d->h * d->w * d->c;
    for (int64_t q = 0, run; q < d->q; q += run) {
        run = pixels_at(d, inside, row, q, all);
        taps_forward(d, p, q, &taps);
        if (taps.count > 0) {
            cnn_k->max_pool2d_fwd(taps.count, taps.offset, taps.tap, run, d->stride_w * d->c, d->c, x, y + q * d->c,
                                  index + q * d->c);
        } else {
            cnn_k->fill(run * d->c, -__builtin_inff(), y + q * d->c);
            memset(index + q * d->c, 0, (size_t)(run * d->c));
        }
    }
}

static void max_pool2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_pool2d *d = desc;
    const float *x = buf[0];
    float *y = buf[1];
    uint8_t *index = buf[2];
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->p, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        int64_t at = row * d->q * d->c;
        max_row(d, row, x, y + at, index + at);
    }
}

/* Whether rows of dx are made in scratch, to be stored past the caches. Of average pooling, which has less to read and to
 * compute beside, that takes longer (Zen 5). */
static int is_far(const cnn_pool2d *d)
{
    return d->w * d->c <= ROW_FLOATS && cnn_is_far(floats_in(d));
}

static void max_pool2d_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_pool2d *d = desc;
    const float *dy = buf[0];
    const uint8_t *index = buf[1];
    const int far = is_far(d);
    float *dx = buf[2], scratch[ROW_FLOATS];
    taps_t taps;
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->h, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        int64_t h = row % d->h, image = row / d->h * d->p * d->q * d->c;
        cnn_range p = windows_of(h, d->r, d->stride_h, d->pad_t, d->p);
        float *out = cnn_far_out(far, scratch, dx + row * d->w * d->c);
        for (int64_t phase = 0; phase < d->stride_w; phase++)
            for (int64_t w = phase, run; w < d->w; w += run * d->stride_w) {
                run = cells_alike(d, w);
                taps_backward(d, p, h, w, &taps);
                cnn_k->max_pool2d_bwd(taps.count, taps.offset, taps.tap, run, d->stride_w * d->c, d->c, dy + image,
                                      index + image, out + w * d->c);
            }
        cnn_far_done(far, d->w * d->c, scratch, dx + row * d->w * d->c);
    }
}

/* Output row p of an image, counted over all. The mean over no cell is 0. */
static void avg_row(const cnn_pool2d *d, int64_t row, const float *all, float *y)
{
    taps_t taps;
    cnn_range inside = cnn_windows_inside(d->s, d->stride_w, d->pad_l, d->w, d->q);
    const int64_t p = row % d->p;
    const float *x = all + row / d->p * d->h * d->w * d->c;
    for (int64_t q = 0, run; q < d->q; q += run) {
        run = pixels_at(d, inside, row, q, all);
        taps_forward(d, p, q, &taps);
        float scale = taps.count > 0 ? 1.0f / (float)taps.count : 0.0f;
        cnn_k->avg_pool2d_fwd(taps.count, taps.offset, scale, run, d->stride_w * d->c, d->c, x, y + q * d->c);
    }
}

static void avg_pool2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_pool2d *d = desc;
    const float *x = buf[0];
    float *y = buf[1];
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->p, &lo, &hi);
    for (int64_t row = lo; row < hi; row++)
        avg_row(d, row, x, y + row * d->q * d->c);
}

/* How many cells of window i are inside. */
static int64_t cells(int64_t i, int64_t size, int64_t stride, int64_t pad, int64_t limit)
{
    cnn_range t = cnn_taps_inside(i * stride - pad, 1, size, limit);
    return t.hi - t.lo;
}

/* The weights of the taps of taps_backward: one over the cells of each window. */
static void avg_weights(const cnn_pool2d *d, cnn_range p, int64_t w, taps_t *taps)
{
    cnn_range q = windows_of(w, d->s, d->stride_w, d->pad_l, d->q);
    float *weight = taps->weight;
    for (int64_t i = p.lo; i < p.hi; i++) {
        int64_t rows = cells(i, d->r, d->stride_h, d->pad_t, d->h);
        for (int64_t j = q.lo; j < q.hi; j++)
            *weight++ = 1.0f / (float)(rows * cells(j, d->s, d->stride_w, d->pad_l, d->w));
    }
}

static void avg_pool2d_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_pool2d *d = desc;
    const float *dy = buf[0];
    float *dx = buf[1];
    taps_t taps;
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->h, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        int64_t h = row % d->h, image = row / d->h * d->p * d->q * d->c;
        cnn_range p = windows_of(h, d->r, d->stride_h, d->pad_t, d->p);
        for (int64_t phase = 0; phase < d->stride_w; phase++)
            for (int64_t w = phase, run; w < d->w; w += run * d->stride_w) {
                run = cells_alike(d, w);
                taps_backward(d, p, h, w, &taps);
                avg_weights(d, p, w, &taps);
                cnn_k->avg_pool2d_bwd(taps.count, taps.offset, taps.weight, run, d->stride_w * d->c, d->c, dy + image,
                                      dx + (row * d->w + w) * d->c);
            }
    }
}

const cnn_op cnn_ops_pool2d[] = {
    {"max_pool2d_fwd", CNN_FIELD_NAMES(CNN_POOL2D_FIELDS), "x -> y index", max_pool2d_fwd, NULL},
    {"max_pool2d_bwd", CNN_FIELD_NAMES(CNN_POOL2D_FIELDS), "dy index -> dx", max_pool2d_bwd, NULL},
    {"avg_pool2d_fwd", CNN_FIELD_NAMES(CNN_POOL2D_FIELDS), "x -> y", avg_pool2d_fwd, NULL},
    {"avg_pool2d_bwd", CNN_FIELD_NAMES(CNN_POOL2D_FIELDS), "dy -> dx", avg_pool2d_bwd, NULL},
    {0},
};
