/* Backward pass of the convolution for the data, which with a bias and an activation is the transposed convolution:
 *
 *     dx[cell][c] = sum over taps, k of dy[cell, tap][k] w[tap][c][k]
 *
 * With strides, the cells of dx fall into stride_f * stride_h * stride_w parity classes, each a convolution of stride 1 with its
 * share of the taps, so that no multiplication by the zeros between the strides is done. A class that no tap reaches is
 * one with a sum of nothing. */
#include "drivers/conv2d.h"
#include "drivers/narrow.h"

/* The taps of one axis that reach cells start, start + stride, ... of dx: count, the first tap of the highest index,
 * the distance in taps and in dy cells, and the dy cell that the last tap (the lowest cell) reads for the first dx
 * cell. */
typedef struct {
    int64_t count, highest, tap_gap, cell_gap, first;
} parity_t;

static parity_t parity(int64_t start, int64_t taps, int64_t stride, int64_t dilation, int64_t pad)
{
    parity_t a = {.highest = -1};
    int64_t lowest = -1;
    for (int64_t t = 0; t < taps; t++) {
        if ((start + pad - t * dilation) % stride != 0)
            continue;
        if (lowest < 0)
            lowest = t;
        else if (a.tap_gap == 0)
            a.tap_gap = t - lowest;
        a.highest = t;
        a.count++;
    }
    if (a.tap_gap == 0)
        a.tap_gap = 1;
    a.cell_gap = a.count > 1 ? a.tap_gap * dilation / stride : 1;
    a.first = (start + pad - a.highest * dilation) / stride;
    return a;
}

/* A parity class: cells (start_f + z * stride_f, start_h + y * stride_h, ...) of dx, and the taps that reach them. */
typedef struct {
    int64_t start_f, start_h, start_w;
    parity_t back, down, across;
    int64_t taps;
} class_t;

static int64_t class_count(const cnn_conv2d *d)
{
    return d->stride_f * d->stride_h * d->stride_w;
}

static class_t class_at(const cnn_conv2d *d, int64_t i)
{
    class_t a = {
        .start_f = i / d->stride_w / d->stride_h, .start_h = i / d->stride_w % d->stride_h, .start_w = i % d->stride_w};
    a.back = parity(a.start_f, d->t, d->stride_f, d->dilation_f, d->pad_f);
    a.down = parity(a.start_h, d->r, d->stride_h, d->dilation_h, d->pad_t);
    a.across = parity(a.start_w, d->s, d->stride_w, d->dilation_w, d->pad_l);
    a.taps = a.back.count * a.down.count * a.across.count;
    return a;
}

/* How many of `size` cells are start, start + stride, ... */
static int64_t cells(int64_t size, int64_t start, int64_t stride)
{
    return cnn_ceil_div(cnn_max(0, size - start), stride);
}

/* The class as a window over dy; without taps where none reach it, or where the image has no cell of it. */
static cnn_conv_problem class_problem(const cnn_conv2d *d, const class_t *a)
{
    const int64_t cols = cells(d->w, a->start_w, d->stride_w), rows = cols ? cells(d->h, a->start_h, d->stride_h) : 0;
    const int64_t frames = cells(d->f, a->start_f, d->stride_f);
    const int reached = frames * rows > 0 && a->taps > 0;
    cnn_conv_problem p = {.win = {.n = d->n,
                                  .f = d->o,
                                  .h = d->p,
                                  .w = d->q,
                                  .c = d->k,
                                  .o = frames,
                                  .p = rows,
                                  .q = cols,
                                  .step_f = 1,
                                  .step_h = 1,
                                  .step_w = 1,
                                  .taps_f = reached ? a->back.count : 0,
                                  .taps_h = reached ? a->down.count : 0,
                                  .taps_w = reached ? a->across.count : 0,
                                  .first_f = a->back.first,
                                  .first_h = a->down.first,
                                  .first_w = a->across.first,
                                  .gap_f = a->back.cell_gap,
                                  .gap_h = a->down.cell_gap,
                                  .gap_w = a->across.cell_gap,
                                  .depth = d->k / d->groups},
                          .groups = d->groups,
                          .out_cols = d->c / d->groups,
                          .out_c = d->c,
                          .out_f = d->f,
                          .out_h = d->h,
                          .out_w = d->w,
                          .start_f = a->start_f,
                          .start_h = a->start_h,
                          .start_w = a->start_w,
                          .jump_f = d->stride_f,
                          .jump_h = d->stride_h,
                          .jump_w = d->stride_w,
                          .act = d->act,
                          .alpha = d->alpha,
                          .beta = d->beta};
    cnn_conv_open(&p);
    return p;
}

/* Floats of a class's packed weights. Classes lie one after the other, also those without cells in dx, so that the
 * packed weights do not depend on the size of the image. */
static int64_t class_size(const cnn_conv2d *d, const class_t *a)
{
    return a->taps * d->k * cnn_packed_cols(d->c / d->groups);
}

/* Pack the class's taps, transposed and from the highest to the lowest, as its window reads them. */
static void pack_class(const cnn_conv2d *d, const class_t *a, const float *w, float *packed, const cnn_team *team)
{
    const int64_t cg = d->c / d->groups, kg = d->k / d->groups, vl = cnn_k->vl;
    const int narrow = cnn_narrow_applies(d->groups, kg, cg);
    const int64_t units = narrow ? d->k / vl : d->groups; /* vectors of groups, or groups */
    const int64_t panels = narrow ? 1 : cnn_panel_count(cg), plane = a->down.count * a->across.count;
    const int64_t size = a->taps * kg * (narrow ? vl : cnn_packed_cols(cg)); /* of a unit */
    const int64_t beside = cnn_narrow_beside(a->across.count, a->across.cell_gap, 1);
    int64_t lo, hi;
    cnn_team_range(team, units * a->taps * panels, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const int64_t unit = u / panels / a->taps, tap = u / panels % a->taps, panel = u % panels;
        const int64_t t = a->back.highest - tap / plane * a->back.tap_gap;
        const int64_t r = a->down.highest - tap % plane / a->across.count * a->down.tap_gap;
        const int64_t s = a->across.highest - tap % a->across.count * a->across.tap_gap;
        const float *from = w + ((t * d->r + r) * d->s + s) * cg * d->k + unit * (narrow ? vl : kg);
        if (narrow)
            cnn_narrow_pack(from, kg, kg, 1, d->k, tap, beside, packed + unit * size);
        else
            cnn_pack(from, kg, cg, 1, d->k, packed + unit * size, tap * kg, a->taps * kg, panel, panel + 1);
    }
}

static void pack_classes(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team)
{
    for (int64_t i = 0; i < class_count(d); i++) {
        const class_t a = class_at(d, i);
        pack_class(d, &a, w, packed, team);
        packed += class_size(d, &a);
    }
}

cnn_workspace cnn_conv2d_bwd_data_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT)
        return cnn_conv_winograd_workspace(d, 1);
    cnn_workspace w = {0, 0};
    if (!d->packed)
        w.shared = (size_t)(d->t * d->r * d->s * d->k * cnn_packed_cols(d->c / d->groups)) * sizeof(float);
    for (int64_t i = 0; i < class_count(d); i++) {
        const class_t a = class_at(d, i);
        const cnn_conv_problem p = class_problem(d, &a);
        if (cnn_conv_local_bytes(&p) > w.local)
            w.local = cnn_conv_local_bytes(&p);
    }
    return w;
}

void cnn_conv2d_bwd_data(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        const cnn_conv_out dx = {buf[4], d->c, buf[3]};
        cnn_conv_winograd_run(d, 1, buf, &dx, team);
        return;
    }
    const float *packed = buf[1];
    if (!d->packed) {
        pack_classes(d, buf[1], (float *)team->shared, team);
        packed = (float *)team->shared;
        cnn_team_barrier(team);
    }
    for (int64_t i = 0; i < class_count(d); i++) {
        const class_t a = class_at(d, i);
        cnn_conv_problem p = class_problem(d, &a);
        p.packed = packed;
        p.bias = buf[2];
        p.addend = buf[3];
        cnn_conv_solve(&p, buf[0], buf[4], team);
        packed += class_size(d, &a);
    }
}

void cnn_conv2d_bwd_data_pack(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm == CNN_DIRECT)
        pack_classes(d, buf[0], buf[1], team);
    else
        cnn_winograd_pack(cnn_conv_winograd(d, 1).size, d->t, d->c, d->k, buf[0], 1, buf[1], team);
}
