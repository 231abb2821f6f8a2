/* The gradient of depthwise kernels: sums over blocks of output rows, which are cut by the shape alone, then over the
 * blocks. With m > 1 the input row is first spread to c * m channels, as in depthwise2d.c. */
#include "drivers/depthwise2d.h"

#include <string.h>

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/far.h"
#include "drivers/join.h"

enum {
    WEIGHT_BLOCKS = 64,
    BLOCK_PIXELS = 1024, /* a block has so many pixels, unless there are more blocks than that */
    CHAIN_PIXELS = 128,  /* that the kernel takes together: their cells stay in L1 from vector to vector */
    PIECE = 16,
};

/* The output rows n * p are cut into blocks by the shape, each with a sum of its own. */
static int64_t weight_blocks(const cnn_depthwise2d *d)
{
    int64_t rows = d->n * d->p;
    return cnn_limited(rows * d->q / BLOCK_PIXELS, rows > 0, WEIGHT_BLOCKS < rows ? WEIGHT_BLOCKS : rows);
}

static int has_weights_kernel(const cnn_depthwise2d *d)
{
    return (d->s == 3 || d->s == 5) && d->dilation_w == 1 && d->c * d->m >= cnn_k->vl;
}

/* Add what `lines` lines from p on give, which see the same `rows`; x points to what row 0 of the kernel sees of line
 * p, rows `x_row` and lines `x_line` apart. */
static void weights_lines(const cnn_depthwise2d *d, cnn_range rows, int64_t lines, cnn_range channels, int64_t x_row,
                          int64_t x_line, const float *x, const float *dy, float *dw)
{
    int64_t cm = d->c * d->m;
    cnn_depthwise_line line = {
        .taps = d->s,
        .step = d->stride_w,
        .first = -d->pad_l,
        .cells = d->w,
        .rows = rows.hi - rows.lo,
        .lines = lines,
        .pixels = d->q,
        .channels = channels.hi - channels.lo,
        .pitch = cm,
        .x_row = x_row,
        .x_line = x_line,
        .w_row = d->s * cm,
        .w_step = cm,
        .y_step = cm,
        .y_line = d->q * cm,
    };
    /* With strides the hardware's own fetching is faster (Zen 5: 50 GB/s against 42). */
    const int far = d->m == 1 && line.step == 1 && d->n * d->h * d->w * d->c >= CNN_FAR_FLOATS;
    line.ahead_rows = far ? cnn_min(d->stride_h, line.rows) : 0; /* that the next lines are the first to read */
    line.ahead = lines * x_line + (line.rows - line.ahead_rows) * x_row;
    cnn_k->depthwise2d_weights_lines(&line, x + rows.lo * x_row + channels.lo, dy + channels.lo,
                                     dw + rows.lo * line.w_row + channels.lo);
}

/* The same of one line tap by tap. `scratch`: a tap's c * m sums. */
static void weights_taps(const cnn_depthwise2d *d, cnn_range rows, int64_t x_row, const float *x, const float *dy,
                         float *dw, float *scratch)
{
    int64_t cm = d->c * d->m;
    for (int64_t t = rows.lo * d->s; t < rows.hi * d->s; t++) {
        int64_t w0 = t % d->s * d->dilation_w - d->pad_l;
        cnn_range q = cnn_taps_inside(w0, d->stride_w, d->q, d->w);
        if (q.lo == q.hi)
            continue;
        cnn_k->depthwise2d_weights(q.hi - q.lo, d->stride_w * cm, cm,
                                   x + t / d->s * x_row + (w0 + q.lo * d->stride_w) * cm, dy + q.lo * cm, scratch);
        for (int64_t l = 0; l < cm; l++)
            dw[t * cm + l] += scratch[l];
    }
}

/* Add what lines [lo, hi) of one image give. `scratch`: a tap's sums, then the spread rows. */
static void weights_image(const cnn_depthwise2d *d, int64_t lo, int64_t hi, cnn_range channels, const float *x,
                          const float *dy, float *dw, float *scratch)
{
    cnn_depthwise_axis h = cnn_depthwise_axis_forward(d->p, d->r, d->h, d->stride_h, d->dilation_h, d->pad_t);
    cnn_range inside = cnn_windows_inside((h.taps - 1) * h.gap + 1, h.step, -h.first, h.cells, h.outputs);
    int64_t cm = d->c * d->m, row = d->w * cm, most = d->m > 1 ? 1 : cnn_limited(CHAIN_PIXELS / d->q, 1, d->p);
    for (int64_t p = lo, lines; p < hi; p += lines) {
        cnn_range rows = cnn_taps_inside(p * h.step + h.first, h.gap, h.taps, h.cells);
        const float *from = x + (p * h.step + h.first) * row;
        int64_t gap = h.gap * row;
        lines = p >= inside.lo && p < inside.hi ? cnn_limited(inside.hi - p, 1, most) : 1;
        lines = lines < hi - p ? lines : hi - p;
        if (d->m > 1) {
            cnn_depthwise2d_spread_rows(&h, p, d->w * d->c, d->m, x, scratch + cm);
            from = scratch + cm;
            gap = row;
        }
        if (has_weights_kernel(d))
            weights_lines(d, rows, lines, channels, gap, h.step * row, from, dy + p * d->q * cm, dw);
        else
            for (int64_t i = 0; i < lines; i++)
                weights_taps(d, rows, gap, from + i * h.step * row, dy + (p + i) * d->q * cm, dw, scratch);
    }
}

/* Block b of the sums, these channels. */
static void weights_block(const cnn_depthwise2d *d, int64_t b, cnn_range channels, const float *x, const float *dy,
                          float *dw, float *scratch)
{
    int64_t cm = d->c * d->m, blocks = weight_blocks(d), rows = d->n * d->p, until = rows * (b + 1) / blocks;
    for (int64_t t = 0; t < d->r * d->s; t++)
        memset(dw + t * cm + channels.lo, 0, (size_t)(channels.hi - channels.lo) * sizeof(float));
    for (int64_t at = rows * b / blocks, lo, hi; at < until; at += hi - lo) {
        int64_t image = at / d->p;
        lo = at % d->p;
        hi = cnn_limited(until - image * d->p, 0, d->p);
        weights_image(d, lo, hi, channels, x + image * d->h * d->w * d->c, dy + image * d->p * d->q * cm, dw, scratch);
    }
}

/* Work is shared out by blocks and, where the kernel of lines does it, channels. */
void cnn_depthwise2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise2d *d = desc;
    float *partial = (float *)team->shared;
    int64_t cm = d->c * d->m, size = d->r * d->s * cm, blocks = weight_blocks(d), lo, hi;
    int64_t chunks = has_weights_kernel(d) && d->m == 1 ? cm / CNN_DEPTHWISE_CHANNELS : 1;
    chunks = chunks > 1 ? chunks : 1;
    cnn_team_range(team, blocks * chunks, &lo, &hi);
    for (int64_t item = lo; item < hi; item++) {
        int64_t i = item % chunks;
        cnn_range channels = {i * CNN_DEPTHWISE_CHANNELS, i == chunks - 1 ? cm : (i + 1) * CNN_DEPTHWISE_CHANNELS};
        weights_block(d, item / chunks, channels, buf[0], buf[1], partial + item / chunks * size, (float *)team->local);
    }
    cnn_team_barrier(team);
    cnn_team_range_grain(team, size, PIECE, &lo, &hi);
    cnn_join(blocks, size, lo, hi, partial, buf[2]);
}

cnn_workspace cnn_depthwise2d_bwd_weights_workspace(const void *desc)
{
    const cnn_depthwise2d *d = desc;
    int64_t cm = d->c * d->m;
    return (cnn_workspace){.shared = (size_t)(weight_blocks(d) * d->r * d->s * cm) * sizeof(float),
                           .local = (size_t)(cm + (d->m > 1 ? d->r * d->w * cm : 0)) * sizeof(float)};
}
