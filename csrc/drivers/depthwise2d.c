/* Depthwise convolution. Each row of output (or of dx) is cut into runs of pixels that have the same taps, and a run is
 * one call of the kernel: y = bias + sum over taps of x[tap's offset] * w[tap's offset]. The backward pass for the data
 * is the same sum over dy, for each column phase of the stride on its own.
 *
 * With m > 1 the input row is first spread to c * m channels; then there is one kernel a channel again. */
#include "cnn/depthwise2d.h"

#include <string.h>

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/taps.h"

enum { WEIGHT_BLOCKS = 64 };

typedef struct {
    int64_t count, *x, *w; /* offsets; room for r * s of each in the local workspace */
    float *scratch;        /* behind them */
} taps_t;

static taps_t taps_in(const cnn_depthwise2d *d, char *local)
{
    int64_t *room = (int64_t *)local;
    return (taps_t){0, room, room + d->r * d->s, (float *)(room + 2 * d->r * d->s)};
}

/* Row of `w` cells, each channel repeated m times. */
static void spread(const float *x, int64_t cells, int64_t m, float *y)
{
    for (int64_t i = 0; i < cells; i++)
        for (int64_t j = 0; j < m; j++)
            y[i * m + j] = x[i];
}

/* The valid taps of output pixel (p, q), `rows` of its kernel. What row i of the kernel reads is row i of the scratch
 * when rows are spread there, else a row of the image. */
static void taps_forward(const cnn_depthwise2d *d, cnn_range rows, int64_t p, int64_t q, taps_t *taps)
{
    int64_t cm = d->c * d->m, h0 = p * d->stride_h - d->pad_t, w0 = q * d->stride_w - d->pad_l;
    cnn_range s = cnn_taps_inside(w0, d->dilation_w, d->s, d->w);
    taps->count = 0;
    for (int64_t i = rows.lo; i < rows.hi; i++) {
        int64_t row = d->m > 1 ? i : h0 + i * d->dilation_h;
        for (int64_t j = s.lo; j < s.hi; j++) {
            taps->x[taps->count] = (row * d->w + w0 + j * d->dilation_w) * cm;
            taps->w[taps->count++] = (i * d->s + j) * cm;
        }
    }
}

static void forward_row(const cnn_depthwise2d *d, int64_t p, const float *x, const float *w, const float *bias,
                        float *y, taps_t *taps)
{
    int64_t cm = d->c * d->m, h0 = p * d->stride_h - d->pad_t, row = d->w * d->c;
    cnn_range rows = cnn_taps_inside(h0, d->dilation_h, d->r, d->h);
    cnn_range inside = cnn_windows_inside((d->s - 1) * d->dilation_w + 1, d->stride_w, d->pad_l, d->w, d->q);
    if (d->m > 1) {
        for (int64_t i = rows.lo; i < rows.hi; i++)
            spread(x + (h0 + i * d->dilation_h) * row, row, d->m, taps->scratch + i * row * d->m);
        x = taps->scratch;
    }
    for (int64_t q = 0, run; q < d->q; q += run) {
        run = cnn_windows_alike(inside, q);
        taps_forward(d, rows, p, q, taps);
        cnn_k->depthwise2d(taps->count, taps->x, taps->w, run, d->stride_w * cm, cm, cm, x, w, bias, y + q * cm);
    }
    if (d->act != 0)
        cnn_k->unary_fwd(d->act, d->q * cm, (float)d->alpha, (float)d->beta, y, y);
}

static void depthwise2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    const float *x = buf[0];
    float *y = buf[3];
    taps_t taps = taps_in(d, team->local);
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->p, &lo, &hi);
    for (int64_t row = lo; row < hi; row++)
        forward_row(d, row % d->p, x + row / d->p * d->h * d->w * d->c, buf[1], buf[2], y + row * d->q * d->c * d->m,
                    &taps);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const cnn_depthwise2d *d = desc;
    size_t scratch = d->m > 1 ? (size_t)(d->r * d->w * d->c * d->m) * sizeof(float) : 0;
    return (cnn_workspace){.local = (size_t)(2 * d->r * d->s) * sizeof(int64_t) + scratch};
}

/* Which of `count` outputs reads cell x by tap t, or -1. */
static int64_t output_of(int64_t x, int64_t t, int64_t dilation, int64_t stride, int64_t pad, int64_t count)
{
    int64_t at = x + pad - t * dilation;
    return at >= 0 && at % stride == 0 && at / stride < count ? at / stride : -1;
}

/* The outputs that read dx cell (h, w). Returns for how many cells, stride_w apart, the same taps hold. */
static int64_t taps_backward(const cnn_depthwise2d *d, int64_t h, int64_t w, taps_t *taps)
{
    int64_t cm = d->c * d->m, alike = (d->w - w + d->stride_w - 1) / d->stride_w;
    taps->count = 0;
    for (int64_t j = 0; j < d->s; j++) {
        int64_t at = w + d->pad_l - j * d->dilation_w, q = cnn_floor_div(at, d->stride_w);
        if (at % d->stride_w != 0 || q >= d->q)
            continue;
        int64_t until = q < 0 ? -q : d->q - q; /* here the tap comes in or goes out */
        alike = until < alike ? until : alike;
        for (int64_t i = 0; i < d->r && q >= 0; i++) {
            int64_t p = output_of(h, i, d->dilation_h, d->stride_h, d->pad_t, d->p);
            if (p < 0)
                continue;
            taps->x[taps->count] = (p * d->q + q) * cm;
            taps->w[taps->count++] = (i * d->s + j) * cm;
        }
    }
    return alike;
}

static void backward_row(const cnn_depthwise2d *d, int64_t h, const float *dy, const float *w, float *dx, taps_t *taps)
{
    int64_t cm = d->c * d->m;
    float *wide = d->m > 1 ? taps->scratch : dx;
    for (int64_t phase = 0; phase < d->stride_w && phase < d->w; phase++)
        for (int64_t at = phase, run; at < d->w; at += run * d->stride_w) {
            run = taps_backward(d, h, at, taps);
            cnn_k->depthwise2d(taps->count, taps->x, taps->w, run, cm, d->stride_w * cm, cm, dy, w, NULL,
                               wide + at * cm);
        }
    if (d->m > 1)
        for (int64_t i = 0; i < d->w * d->c; i++) {
            dx[i] = wide[i * d->m];
            for (int64_t j = 1; j < d->m; j++)
                dx[i] += wide[i * d->m + j];
        }
}

static void depthwise2d_bwd_data(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    const float *dy = buf[0];
    float *dx = buf[2];
    taps_t taps = taps_in(d, team->local);
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->h, &lo, &hi);
    for (int64_t row = lo; row < hi; row++)
        backward_row(d, row % d->h, dy + row / d->h * d->p * d->q * d->c * d->m, buf[1], dx + row * d->w * d->c, &taps);
}

static cnn_workspace bwd_data_workspace(const void *desc)
{
    const cnn_depthwise2d *d = desc;
    size_t scratch = d->m > 1 ? (size_t)(d->w * d->c * d->m) * sizeof(float) : 0;
    return (cnn_workspace){.local = (size_t)(2 * d->r * d->s) * sizeof(int64_t) + scratch};
}

/* The output rows n * p are cut into blocks by the shape, each with a sum of its own. */
static int64_t weight_blocks(const cnn_depthwise2d *d)
{
    return d->n * d->p < WEIGHT_BLOCKS ? d->n * d->p : WEIGHT_BLOCKS;
}

/* Add what output row p gives. `scratch`: a tap's c * m sums, then a spread row of x. */
static void weights_row(const cnn_depthwise2d *d, int64_t p, const float *x, const float *dy, float *dw, float *scratch)
{
    int64_t cm = d->c * d->m, h0 = p * d->stride_h - d->pad_t;
    cnn_range rows = cnn_taps_inside(h0, d->dilation_h, d->r, d->h);
    for (int64_t i = rows.lo; i < rows.hi; i++) {
        const float *row = x + (h0 + i * d->dilation_h) * d->w * d->c;
        if (d->m > 1) {
            spread(row, d->w * d->c, d->m, scratch + cm);
            row = scratch + cm;
        }
        for (int64_t j = 0; j < d->s; j++) {
            int64_t w0 = j * d->dilation_w - d->pad_l;
            cnn_range q = cnn_taps_inside(w0, d->stride_w, d->q, d->w);
            float *sum = dw + (i * d->s + j) * cm;
            if (q.lo == q.hi)
                continue;
            cnn_k->depthwise2d_weights(q.hi - q.lo, d->stride_w * cm, cm, row + (w0 + q.lo * d->stride_w) * cm,
                                       dy + q.lo * cm, scratch);
            for (int64_t l = 0; l < cm; l++)
                sum[l] += scratch[l];
        }
    }
}

static void depthwise2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    const float *x = buf[0], *dy = buf[1];
    float *dw = buf[2], *partial = (float *)team->shared;
    int64_t cm = d->c * d->m, size = d->r * d->s * cm, rows = d->n * d->p, blocks = weight_blocks(d), lo, hi;
    cnn_team_range(team, blocks, &lo, &hi);
    for (int64_t b = lo; b < hi; b++) {
        memset(partial + b * size, 0, (size_t)size * sizeof(float));
        for (int64_t row = rows * b / blocks; row < rows * (b + 1) / blocks; row++)
            weights_row(d, row % d->p, x + row / d->p * d->h * d->w * d->c, dy + row * d->q * cm, partial + b * size,
                        (float *)team->local);
    }
    cnn_team_barrier(team);
    cnn_team_range(team, size, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        double total = 0;
        for (int64_t b = 0; b < blocks; b++)
            total += partial[b * size + i];
        dw[i] = (float)total;
    }
}

static cnn_workspace bwd_weights_workspace(const void *desc)
{
    const cnn_depthwise2d *d = desc;
    int64_t cm = d->c * d->m;
    return (cnn_workspace){.shared = (size_t)(weight_blocks(d) * d->r * d->s * cm) * sizeof(float),
                           .local = (size_t)(cm + (d->m > 1 ? d->w * cm : 0)) * sizeof(float)};
}

const cnn_op cnn_ops_depthwise2d[] = {
    {"depthwise2d_fwd", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "x w bias? -> y", depthwise2d_fwd, fwd_workspace},
    {"depthwise2d_bwd_data", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "dy w -> dx", depthwise2d_bwd_data,
     bwd_data_workspace},
    {"depthwise2d_bwd_weights", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "x dy -> dw", depthwise2d_bwd_weights,
     bwd_weights_workspace},
    {0},
};
