/* Depthwise convolution. Forward and backward for the data are one correlation: line by line, each output sums what its
 * window sees. The backward pass for the data is such a correlation over dy with the kernel turned round, for each
 * phase of the strides on its own: cells of one phase are read by the same taps.
 *
 * Lines that see the same rows of taps go to the kernel together. Windows that the kernel of lines is not made for go
 * run by run, with their taps as a list of offsets.
 *
 * With m > 1 the input row is first spread to c * m channels; then there is one kernel a channel again. */
#include "drivers/depthwise2d.h"

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/activation.h"
#include "drivers/far.h"

enum {
    LINE_FLOATS = 32768, /* of x that the lines given to the kernel together may have */
    ROWS_EACH = 5,       /* of a thread at least; the convolutions around are shared by rows, so few cross the cores */
    ACT_FLOATS = 8192,   /* of the result that an activation should find in L1 */
    PIXELS = 64,         /* whose rows of channels it takes together */
    PIECE = 16,
};

typedef struct {
    cnn_depthwise_axis h, w;
    int64_t c, w_row, y_row;      /* channels; floats in a row of the weights and of the result */
    int64_t c_lo, c_hi;           /* this thread's channels */
    int lines;                    /* the kernel of lines can do it */
    int far, stores_far;          /* x is larger than the caches: fetch the next lines beside these; the result is */
    cnn_bounds bounds;            /* of the result, which only the kernel of lines knows */
    int64_t *x_offset, *w_offset; /* room for all taps */
} correlation_t;

/* The cells `phase`, `phase` + stride, ... of dx: tap j of output q sees cell q * stride - pad + j * dilation. Every
 * `period`-th tap sees cells of this phase. */
static cnn_depthwise_axis axis_backward(int64_t outputs, int64_t taps, int64_t cells, int64_t stride, int64_t dilation,
                                        int64_t pad, int64_t phase)
{
    int64_t period = 1, j = 0, seen;
    while (period * dilation % stride != 0)
        period++;
    while (j < period && (phase + pad - j * dilation) % stride != 0)
        j++;
    seen = j < period && j < taps ? (taps - j + period - 1) / period : 0;
    int64_t last = seen > 0 ? seen - 1 : 0, gap = period * dilation / stride;
    return (cnn_depthwise_axis){.outputs = (cells - phase + stride - 1) / stride,
                                .taps = seen,
                                .cells = outputs,
                                .step = 1,
                                .first = cnn_floor_div(phase + pad - j * dilation, stride) - last * gap,
                                .gap = gap,
                                .w_first = j + last * period,
                                .w_step = -period,
                                .y_first = phase,
                                .y_step = stride};
}

static int has_kernel(const cnn_depthwise_axis *w, int64_t channels)
{
    int narrow = w->taps == 1 || w->taps == 2, usual = w->taps == 3 || w->taps == 5;
    return ((narrow && w->step == 1) || (usual && w->step <= 2)) && w->gap == 1 && w->outputs >= 4 &&
           channels >= cnn_k->vl;
}

static correlation_t correlation(cnn_depthwise_axis h, cnn_depthwise_axis w, int64_t c, int64_t w_row, int64_t y_row,
                                 char *local)
{
    correlation_t k = {h, w, c, w_row, y_row, 0, c, has_kernel(&w, c), 0, 0, {0}, (int64_t *)local, NULL};
    k.w_offset = k.x_offset + h.taps * w.taps;
    return k;
}

/* Lines [u, u + lines) of the result, which see the same `rows` of taps. */
static void correlate_lines(const correlation_t *k, cnn_range rows, int64_t u, int64_t lines, const float *x,
                            const float *w, const float *bias, float *y)
{
    int64_t x_row = k->w.cells * k->c;
    cnn_depthwise_line d = {
        .taps = k->w.taps,
        .step = k->w.step,
        .first = k->w.first,
        .cells = k->w.cells,
        .rows = rows.hi - rows.lo,
        .lines = lines,
        .pixels = k->w.outputs,
        .channels = k->c_hi - k->c_lo,
        .pitch = k->c,
        .x_row = k->h.gap * x_row,
        .x_line = k->h.step * x_row,
        .w_row = k->h.w_step * k->w_row,
        .w_step = k->w.w_step * k->c,
        .y_step = k->w.y_step * k->c,
        .y_line = k->h.y_step * k->y_row,
        .far = k->stores_far,
        .bounds = k->bounds,
    };
    d.ahead_rows = k->far ? cnn_min(k->h.step, d.rows) : 0; /* that the next lines are the first to read */
    d.ahead = lines * d.x_line + (d.rows - d.ahead_rows) * d.x_row;
    x += (u * k->h.step + k->h.first + rows.lo * k->h.gap) * x_row + k->c_lo;
    w += (k->h.w_first + rows.lo * k->h.w_step) * k->w_row + k->w.w_first * k->c + k->c_lo;
    y += (k->h.y_first + u * k->h.y_step) * k->y_row + k->w.y_first * k->c + k->c_lo;
    cnn_k->depthwise2d_lines(&d, x, w, bias ? bias + k->c_lo : NULL, y);
}

/* The taps of output `q` of line `u` as offsets. Returns how many there are. */
static int64_t list_taps(const correlation_t *k, cnn_range rows, int64_t u, int64_t q)
{
    int64_t h0 = u * k->h.step + k->h.first, w0 = q * k->w.step + k->w.first, count = 0;
    cnn_range s = cnn_taps_inside(w0, k->w.gap, k->w.taps, k->w.cells);
    for (int64_t i = rows.lo; i < rows.hi; i++)
        for (int64_t j = s.lo; j < s.hi; j++) {
            k->x_offset[count] = ((h0 + i * k->h.gap) * k->w.cells + w0 + j * k->w.gap) * k->c;
            k->w_offset[count++] =
                (k->h.w_first + i * k->h.w_step) * k->w_row + (k->w.w_first + j * k->w.w_step) * k->c;
        }
    return count;
}

/* Line u in runs of pixels that have the same taps. */
static void correlate_runs(const correlation_t *k, cnn_range rows, int64_t u, const float *x, const float *w,
                           const float *bias, float *y)
{
    const cnn_depthwise_axis *a = &k->w;
    cnn_range inside = cnn_windows_inside((a->taps - 1) * a->gap + 1, a->step, -a->first, a->cells, a->outputs);
    y += (k->h.y_first + u * k->h.y_step) * k->y_row + a->y_first * k->c;
    for (int64_t q = 0, run; q < a->outputs; q += run) {
        run = cnn_windows_alike(inside, q);
        cnn_k->depthwise2d(list_taps(k, rows, u, q), k->x_offset, k->w_offset, run, a->step * k->c, a->y_step * k->c,
                           k->c, x, w, bias, y + q * a->y_step * k->c);
    }
}

/* Lines [lo, hi) of one image. */
static void correlate(const correlation_t *k, int64_t lo, int64_t hi, const float *x, const float *w, const float *bias,
                      float *y)
{
    const cnn_depthwise_axis *h = &k->h;
    cnn_range inside = cnn_windows_inside((h->taps - 1) * h->gap + 1, h->step, -h->first, h->cells, h->outputs);
    int64_t most = cnn_limited(LINE_FLOATS / (k->w.cells * k->c * h->step + 1), 1, hi - lo);
    for (int64_t u = lo, lines; u < hi; u += lines) {
        cnn_range rows = cnn_taps_inside(u * h->step + h->first, h->gap, h->taps, h->cells);
        lines = u >= inside.lo && u < inside.hi && k->lines ? cnn_limited(inside.hi - u, 1, most) : 1;
        lines = lines < hi - u ? lines : hi - u;
        if (k->lines)
            correlate_lines(k, rows, u, lines, x, w, bias, y);
        else
            correlate_runs(k, rows, u, x, w, bias, y);
    }
}

/* This thread's share of the rows of `n` images of `rows`: all of them if it has a share of the channels. Small maps
 * are shared out by channels, for want of rows. */
static cnn_range share(int by_channels, int64_t channels, int64_t n, int64_t rows, cnn_team *team, cnn_range *c)
{
    cnn_range all = {0, n * rows};
    *c = (cnn_range){0, channels};
    if (by_channels && n * rows < ROWS_EACH * team->size && channels >= CNN_DEPTHWISE_CHANNELS * team->size)
        cnn_team_range_grain(team, channels, PIECE, &c->lo, &c->hi);
    else
        cnn_team_range(team, n * rows, &all.lo, &all.hi);
    return all;
}

/* Row of `w` cells, each channel repeated m times. */
static void spread(const float *x, int64_t cells, int64_t m, float *y)
{
    for (int64_t i = 0; i < cells; i++)
        for (int64_t j = 0; j < m; j++)
            y[i * m + j] = x[i];
}

cnn_range cnn_depthwise2d_spread_rows(const cnn_depthwise_axis *h, int64_t u, int64_t row, int64_t m, const float *x,
                                      float *scratch)
{
    int64_t first = u * h->step + h->first;
    cnn_range rows = cnn_taps_inside(first, h->gap, h->taps, h->cells);
    for (int64_t i = rows.lo; i < rows.hi; i++)
        spread(x + (first + i * h->gap) * row, row, m, scratch + i * row * m);
    return rows;
}

/* Line u with m > 1. */
static void forward_spread(const cnn_depthwise2d *d, const correlation_t *k, int64_t u, const float *x, const float *w,
                           const float *bias, float *y, float *scratch)
{
    correlation_t from_scratch = *k;
    cnn_range rows = cnn_depthwise2d_spread_rows(&k->h, u, d->w * d->c, d->m, x, scratch);
    from_scratch.h.step = from_scratch.h.first = 0; /* row i of the scratch is what row i of the kernel sees */
    from_scratch.h.gap = 1;
    if (k->lines)
        correlate_lines(&from_scratch, rows, u, 1, scratch, w, bias, y);
    else
        correlate_runs(&from_scratch, rows, u, scratch, w, bias, y);
}

/* Whether a result of so many floats goes past the caches: whole cache lines must be stored at once. */
static int stores_far(const correlation_t *k, int64_t floats, const float *y)
{
    return k->lines && cnn_k->vl == PIECE && cnn_lines_are_far(floats, k->c, y);
}

static correlation_t forward(const cnn_depthwise2d *d, char *local)
{
    int64_t cm = d->c * d->m;
    correlation_t k = correlation(cnn_depthwise_axis_forward(d->p, d->r, d->h, d->stride_h, d->dilation_h, d->pad_t),
                                  cnn_depthwise_axis_forward(d->q, d->s, d->w, d->stride_w, d->dilation_w, d->pad_l),
                                  cm, d->s * cm, d->q * cm, local);
    if (k.lines)
        k.bounds = cnn_bounds_of(d->act);
    k.far = d->m == 1 && d->n * d->h * d->w * d->c >= CNN_FAR_FLOATS;
    return k;
}

/* An activation that is none of the lines kernel's. */
static int acts_after(const cnn_depthwise2d *d, const correlation_t *k)
{
    return d->act != ACT_NONE && !k->bounds.given;
}

/* Apply it to this thread's channels of lines [lo, hi) of the result. */
static void activate(const cnn_depthwise2d *d, const correlation_t *k, int64_t lo, int64_t hi, float *y)
{
    const int64_t cm = d->c * d->m;
    if (k->c_lo == 0 && k->c_hi == cm) {
        cnn_k->unary_fwd(d->act, (hi - lo) * d->q * cm, (float)d->alpha, (float)d->beta, y + lo * d->q * cm,
                         y + lo * d->q * cm);
        return;
    }
    float *pixels[PIXELS];
    for (int64_t at = lo * d->q, count; at < hi * d->q; at += count) {
        count = cnn_min(PIXELS, hi * d->q - at);
        for (int64_t i = 0; i < count; i++)
            pixels[i] = y + (at + i) * cm;
        cnn_k->unary_rows(d->act, count, k->c_hi - k->c_lo, (float)d->alpha, (float)d->beta,
                          (const float *const *)pixels, pixels, k->c_lo);
    }
}

static void forward_lines(const cnn_depthwise2d *d, const correlation_t *k, int64_t lo, int64_t hi, const float *x,
                          const float *w, const float *bias, float *y)
{
    if (d->m == 1)
        correlate(k, lo, hi, x, w, bias, y);
    for (int64_t u = lo; u < hi && d->m > 1; u++)
        forward_spread(d, k, u, x, w, bias, y, (float *)(k->w_offset + d->r * d->s));
}

/* Lines [lo, hi) of one image, a few at a time where an activation comes after them, which then finds them in L1 or L2. */
static void forward_image(const cnn_depthwise2d *d, const correlation_t *k, int64_t lo, int64_t hi, const float *x,
                          const float *w, const float *bias, float *y)
{
    const int64_t pair = cnn_max(2 * d->q * (k->c_hi - k->c_lo), 1), few = 2 * cnn_max(ACT_FLOATS / pair, 1);
    const int64_t most = acts_after(d, k) ? few : cnn_max(hi - lo, 1);
    for (int64_t u = lo, end; u < hi; u = end) {
        end = cnn_min(u + most, hi);
        forward_lines(d, k, u, end, x, w, bias, y);
        if (acts_after(d, k))
            activate(d, k, u, end, y);
    }
}

static void depthwise2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    int64_t cm = d->c * d->m;
    correlation_t k = forward(d, team->local);
    int by_channels = d->m == 1 && k.lines;
    cnn_range channels, rows = share(by_channels, cm, d->n, d->p, team, &channels);
    k.c_lo = channels.lo;
    k.c_hi = channels.hi;
    k.stores_far = by_channels && !acts_after(d, &k) && stores_far(&k, d->n * d->p * d->q * cm, buf[3]);
    for (int64_t row = rows.lo, image, lo, hi; row < rows.hi; row += hi - lo) {
        image = row / d->p;
        lo = row % d->p;
        hi = cnn_limited(rows.hi - image * d->p, 0, d->p);
        forward_image(d, &k, lo, hi, (const float *)buf[0] + image * d->h * d->w * d->c, buf[1], buf[2],
                      (float *)buf[3] + image * d->p * d->q * cm);
    }
}

void cnn_depthwise2d_rows(const cnn_depthwise2d *d, int64_t lo, int64_t hi, const float *x, const float *w,
                          const float *bias, float *y, char *local)
{
    const correlation_t k = forward(d, local);
    forward_image(d, &k, lo, hi, x, w, bias, y);
}

size_t cnn_depthwise2d_local_bytes(const cnn_depthwise2d *d)
{
    size_t scratch = d->m > 1 ? (size_t)(d->r * d->w * d->c * d->m) * sizeof(float) : 0;
    return (size_t)(2 * d->r * d->s) * sizeof(int64_t) + scratch;
}

static cnn_workspace fwd_workspace(const void *desc)
{
    return (cnn_workspace){.local = cnn_depthwise2d_local_bytes(desc)};
}

/* Rows [lo, hi) of one image of dx. */
static void backward_rows(const cnn_depthwise2d *d, cnn_range channels, int64_t lo, int64_t hi, const float *dy,
                          const float *w, float *dx, char *local)
{
    const int64_t floats = d->n * d->h * d->w * d->c; /* of dx */
    int64_t cm = d->c * d->m;
    for (int64_t i = 0; i < d->stride_h; i++)
        for (int64_t j = 0; j < d->stride_w; j++) {
            correlation_t k = correlation(axis_backward(d->p, d->r, d->h, d->stride_h, d->dilation_h, d->pad_t, i),
                                          axis_backward(d->q, d->s, d->w, d->stride_w, d->dilation_w, d->pad_l, j), cm,
                                          d->s * cm, d->w * cm, local);
            k.far = i == 0 && j == 0 && d->n * d->p * d->q * cm >= CNN_FAR_FLOATS;
            k.stores_far = stores_far(&k, floats, dx);
            if (k.lines) {
                k.c_lo = channels.lo;
                k.c_hi = channels.hi;
            } else if (channels.lo > 0) {
                continue; /* the first thread makes all channels */
            }
            int64_t from = -cnn_floor_div(i - lo, d->stride_h), until = -cnn_floor_div(i - hi, d->stride_h);
            correlate(&k, cnn_limited(from, 0, k.h.outputs), cnn_limited(until, 0, k.h.outputs), dy, w, NULL, dx);
        }
}

/* Row h of dx with m > 1, through a row of c * m channels. */
static void backward_spread(const cnn_depthwise2d *d, int64_t h, const float *dy, const float *w, float *dx,
                            char *local)
{
    cnn_depthwise2d wide = *d;
    float *scratch = (float *)(local + 2 * (size_t)(d->r * d->s) * sizeof(int64_t));
    wide.c = d->c * d->m;
    wide.m = 1;
    wide.n = 0; /* of a row in scratch nothing is far */
    backward_rows(&wide, (cnn_range){0, wide.c}, h, h + 1, dy, w, scratch - h * d->w * wide.c, local);
    for (int64_t i = 0; i < d->w * d->c; i++) {
        dx[i] = scratch[i * d->m];
        for (int64_t j = 1; j < d->m; j++)
            dx[i] += scratch[i * d->m + j];
    }
}

static void depthwise2d_bwd_data(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    int64_t row = d->w * d->c, most = d->stride_h * cnn_limited(LINE_FLOATS / (d->stride_h * row + 1), 1, d->h);
    cnn_range channels, rows = share(d->m == 1, d->c * d->m, d->n, d->h, team, &channels);
    for (int64_t at = rows.lo, lo, hi; at < rows.hi; at += hi - lo) {
        int64_t image = at / d->h;
        const float *dy = (const float *)buf[0] + image * d->p * d->q * d->c * d->m;
        float *dx = (float *)buf[2] + image * d->h * row;
        lo = at % d->h;
        hi = cnn_limited(rows.hi - image * d->h, 0, d->h);
        hi = hi - lo < most ? hi : lo + most; /* all phases of these rows while they are in the cache */
        if (d->m == 1)
            backward_rows(d, channels, lo, hi, dy, buf[1], dx, team->local);
        for (int64_t h = lo; h < hi && d->m > 1; h++)
            backward_spread(d, h, dy, buf[1], dx + h * row, team->local);
    }
}

static cnn_workspace bwd_data_workspace(const void *desc)
{
    const cnn_depthwise2d *d = desc;
    size_t scratch = d->m > 1 ? (size_t)(d->w * d->c * d->m) * sizeof(float) : 0;
    return (cnn_workspace){.local = (size_t)(2 * d->r * d->s) * sizeof(int64_t) + scratch};
}

const cnn_op cnn_ops_depthwise2d[] = {
    {"depthwise2d_fwd", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "x w bias? -> y", depthwise2d_fwd, fwd_workspace},
    {"depthwise2d_bwd_data", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "dy w -> dx", depthwise2d_bwd_data,
     bwd_data_workspace},
    {"depthwise2d_bwd_weights", CNN_FIELD_NAMES(CNN_DEPTHWISE2D_FIELDS), "x dy -> dw", cnn_depthwise2d_bwd_weights,
     cnn_depthwise2d_bwd_weights_workspace},
    {0},
};
