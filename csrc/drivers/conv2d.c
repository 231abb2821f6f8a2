/* 2-D convolution, forward and backward for the data, as indirect matrix products over windows (window.h).
 *
 * Forward:           y[pixel][k] = sum over taps, c of x[pixel, tap][c] w[tap][c][k]
 * Backward, data:    dx[cell][c] = sum over taps, k of dy[cell, tap][k] w[tap][c][k]
 *
 * With a stride, the cells of dx fall into stride_h * stride_w parity classes, each a convolution of stride 1 with its
 * share of the taps, so that no multiplication by the zeros between the strides is done.
 *
 * Both have Winograd's algorithm as another way (winograd.h); which one is the descriptor's choice. The backward pass
 * for the weights is in conv2d_weights.c. */
#include "drivers/conv2d.h"

#include <string.h>

int64_t cnn_conv_pixels(const cnn_conv_problem *p)
{
    return p->cut.rows * p->win.q;
}

size_t cnn_conv_table_bytes(const cnn_conv_problem *p)
{
    return cnn_align64((size_t)cnn_conv_pixels(p) * sizeof(void *));
}

static size_t run_bytes(const cnn_conv_problem *p)
{
    return cnn_align64((size_t)p->cut.runs * sizeof(int64_t));
}

static size_t local_bytes(const cnn_conv_problem *p)
{
    return p->cut.copy_bytes + 3 * cnn_conv_table_bytes(p) + run_bytes(p);
}

/* Floats of one group's packed weights. */
static int64_t group_size(const cnn_conv_problem *p)
{
    return p->cut.runs * p->cut.kc * cnn_packed_cols(p->out_cols);
}

/* Row pointers of the results (and what is added to them) of output rows [g0, g0 + ...), group g. */
static void fill_outputs(const cnn_conv_problem *p, int64_t g0, int64_t group, float *out, cnn_strip *strip)
{
    const int64_t rows = strip->m / p->win.q;
    int64_t i = 0;
    for (int64_t g = g0; g < g0 + rows; g++) {
        const int64_t y = p->start_h + g % p->win.p * p->jump_h;
        int64_t at = ((g / p->win.p * p->out_h + y) * p->out_w + p->start_w) * p->out_c + group * p->out_cols;
        for (int64_t x = 0; x < p->win.q; x++, i++, at += p->jump_w * p->out_c) {
            strip->c[i] = out + at;
            if (strip->addend)
                strip->addend[i] = p->addend + at;
        }
    }
}

/* Panels [lo, hi) of all groups, counted through, of one strip of rows. */
static void run_strip(const cnn_conv_problem *p, cnn_strip *strip, int64_t *run, int64_t g0, float *out, int64_t lo,
                      int64_t hi)
{
    const int64_t panels = cnn_panel_count(p->out_cols);
    while (lo < hi) {
        const int64_t group = lo / panels, first = lo % panels, last = cnn_min(panels, first + hi - lo);
        cnn_window_runs(&p->win, &p->cut, run);
        for (int64_t t = 0; t < p->cut.runs; t++)
            run[t] += group * p->win.depth;
        fill_outputs(p, g0, group, out, strip);
        strip->b = p->packed + group * group_size(p);
        strip->bias = p->bias ? p->bias + group * p->out_cols : NULL;
        cnn_strip_sweep(strip, first, last);
        lo += last - first;
    }
}

/* The thread's share of strip x (group, panel). */
static void solve(const cnn_conv_problem *p, const float *in, float *out, const cnn_team *team)
{
    const size_t table = cnn_conv_table_bytes(p);
    char *local = team->local;
    float *copy = (float *)local;
    const float **bases = (const float **)(local + p->cut.copy_bytes);
    int64_t *run = (int64_t *)(local + p->cut.copy_bytes + 3 * table);
    cnn_strip strip = {.rows = bases,
                       .c = (float **)((char *)bases + table),
                       .addend = p->addend ? (const float **)((char *)bases + 2 * table) : NULL,
                       .runs = p->cut.runs,
                       .run = run,
                       .kc = p->cut.kc,
                       .a_step = 1,
                       .n = p->out_cols,
                       .act = p->act,
                       .alpha = p->alpha,
                       .beta = p->beta};
    const int64_t units = p->groups * cnn_panel_count(p->out_cols), rows = p->win.n * p->win.p;
    int64_t lo, hi;
    cnn_team_range(team, p->cut.count * units, &lo, &hi);
    while (lo < hi) {
        const int64_t s = lo / units, first = lo % units, last = cnn_min(units, first + hi - lo);
        const int64_t g0 = s * p->cut.rows, g1 = cnn_min(g0 + p->cut.rows, rows);
        strip.m = (g1 - g0) * p->win.q;
        cnn_window_bases(&p->win, &p->cut, in, g0, g1, copy, bases);
        run_strip(p, &strip, run, g0, out, first, last);
        lo += last - first;
    }
}

cnn_conv_problem cnn_conv_forward(const cnn_conv2d *d)
{
    cnn_conv_problem p = {.win = {.n = d->n,
                                  .h = d->h,
                                  .w = d->w,
                                  .c = d->c,
                                  .p = d->p,
                                  .q = d->q,
                                  .step_h = d->stride_h,
                                  .step_w = d->stride_w,
                                  .taps_h = d->r,
                                  .taps_w = d->s,
                                  .first_h = -d->pad_t,
                                  .first_w = -d->pad_l,
                                  .gap_h = d->dilation_h,
                                  .gap_w = d->dilation_w,
                                  .depth = d->c / d->groups},
                          .groups = d->groups,
                          .out_cols = d->k / d->groups,
                          .out_c = d->k,
                          .out_h = d->p,
                          .out_w = d->q,
                          .jump_h = 1,
                          .jump_w = 1,
                          .act = d->act,
                          .alpha = d->alpha,
                          .beta = d->beta};
    p.cut = cnn_window_cut(&p.win, d->groups * cnn_panel_count(p.out_cols));
    return p;
}

/* Pack the forward weights: the thread's share of the taps of all groups. */
static void pack_forward(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team)
{
    const int64_t cg = d->c / d->groups, kg = d->k / d->groups, rows = d->r * d->s * cg;
    const int64_t panels = cnn_panel_count(kg);
    int64_t lo, hi;
    cnn_team_range(team, d->groups * panels, &lo, &hi);
    for (int64_t u = lo; u < hi; u++)
        cnn_pack(w + u / panels * kg, rows, kg, d->k, 1, packed + u / panels * rows * cnn_packed_cols(kg), 0, rows,
                 u % panels, u % panels + 1);
}

static size_t packed_bytes(const cnn_conv2d *d)
{
    return (size_t)(d->groups * d->r * d->s * (d->c / d->groups) * cnn_packed_cols(d->k / d->groups)) * sizeof(float);
}

cnn_winograd cnn_conv_winograd(const cnn_conv2d *d, int turned)
{
    cnn_winograd g = {
        .size = d->algorithm == CNN_WINOGRAD_4 ? 4 : 2, .n = d->n, .act = d->act, .alpha = d->alpha, .beta = d->beta};
    if (turned) {
        g.h = d->p, g.w = d->q, g.c = d->k, g.k = d->c, g.p = d->h, g.q = d->w;
        g.pad_t = 2 - d->pad_t, g.pad_l = 2 - d->pad_l, g.act = 0;
    } else {
        g.h = d->h, g.w = d->w, g.c = d->c, g.k = d->k, g.p = d->p, g.q = d->q;
        g.pad_t = d->pad_t, g.pad_l = d->pad_l;
    }
    return g;
}

static cnn_workspace winograd_workspace(const cnn_conv2d *d, int turned)
{
    const cnn_winograd g = cnn_conv_winograd(d, turned);
    const size_t filters = (size_t)cnn_winograd_filter_size(g.size, g.c, g.k) * sizeof(float);
    return (cnn_workspace){d->packed ? 0 : filters, cnn_winograd_local_bytes(&g)};
}

static void winograd_convolve(const cnn_conv2d *d, int turned, const float *x, const float *w, const float *bias,
                              const float *addend, float *y, cnn_team *team)
{
    cnn_winograd g = cnn_conv_winograd(d, turned);
    g.bias = bias;
    g.addend = addend;
    g.filters = w;
    if (!d->packed) {
        cnn_winograd_pack(g.size, d->c, d->k, w, turned, (float *)team->shared, team);
        g.filters = (float *)team->shared;
        cnn_team_barrier(team);
    }
    cnn_winograd_run(&g, x, y, team);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT)
        return winograd_workspace(d, 0);
    const cnn_conv_problem p = cnn_conv_forward(d);
    return (cnn_workspace){d->packed ? 0 : packed_bytes(d), local_bytes(&p)};
}

static void conv2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        winograd_convolve(d, 0, buf[0], buf[1], buf[2], buf[3], buf[4], team);
        return;
    }
    cnn_conv_problem p = cnn_conv_forward(d);
    p.packed = buf[1];
    p.bias = buf[2];
    p.addend = buf[3];
    if (!d->packed) {
        pack_forward(d, buf[1], (float *)team->shared, team);
        p.packed = (float *)team->shared;
        cnn_team_barrier(team);
    }
    solve(&p, buf[0], buf[4], team);
}

static void conv2d_pack(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm == CNN_DIRECT)
        pack_forward(d, buf[0], buf[1], team);
    else
        cnn_winograd_pack(d->algorithm == CNN_WINOGRAD_4 ? 4 : 2, d->c, d->k, buf[0], 0, buf[1], team);
}

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

/* Parity class (start_h, start_w) of the backward pass for the data; no taps: taps_h or taps_w is 0. */
static cnn_conv_problem class_problem(const cnn_conv2d *d, int64_t start_h, int64_t start_w, parity_t *down,
                                      parity_t *across)
{
    *down = parity(start_h, d->r, d->stride_h, d->dilation_h, d->pad_t);
    *across = parity(start_w, d->s, d->stride_w, d->dilation_w, d->pad_l);
    cnn_conv_problem p = {.win = {.n = d->n,
                                  .h = d->p,
                                  .w = d->q,
                                  .c = d->k,
                                  .p = cnn_ceil_div(d->h - start_h, d->stride_h),
                                  .q = cnn_ceil_div(d->w - start_w, d->stride_w),
                                  .step_h = 1,
                                  .step_w = 1,
                                  .taps_h = down->count,
                                  .taps_w = across->count,
                                  .first_h = down->first,
                                  .first_w = across->first,
                                  .gap_h = down->cell_gap,
                                  .gap_w = across->cell_gap,
                                  .depth = d->k / d->groups},
                          .groups = d->groups,
                          .out_cols = d->c / d->groups,
                          .out_c = d->c,
                          .out_h = d->h,
                          .out_w = d->w,
                          .start_h = start_h,
                          .start_w = start_w,
                          .jump_h = d->stride_h,
                          .jump_w = d->stride_w};
    if (down->count && across->count && p.win.p > 0 && p.win.q > 0)
        p.cut = cnn_window_cut(&p.win, d->groups * cnn_panel_count(p.out_cols));
    return p;
}

static int is_empty(const cnn_conv_problem *p)
{
    return p->cut.rows == 0;
}

static cnn_workspace bwd_data_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT)
        return winograd_workspace(d, 1);
    cnn_workspace w = {0, 0};
    w.shared = (size_t)(d->r * d->s * d->k * cnn_packed_cols(d->c / d->groups)) * sizeof(float);
    for (int64_t i = 0; i < d->stride_h * d->stride_w; i++) {
        parity_t down, across;
        const cnn_conv_problem p = class_problem(d, i / d->stride_w, i % d->stride_w, &down, &across);
        if (!is_empty(&p) && local_bytes(&p) > w.local)
            w.local = local_bytes(&p);
    }
    return w;
}

/* Pack the class's taps, transposed and from the highest to the lowest, as its window reads them. */
static void pack_class(const cnn_conv2d *d, const cnn_conv_problem *p, const parity_t *down, const parity_t *across,
                       const float *w, float *packed, const cnn_team *team)
{
    const int64_t cg = d->c / d->groups, kg = d->k / d->groups, taps = down->count * across->count;
    int64_t lo, hi;
    cnn_team_range(team, d->groups * taps, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const int64_t group = u / taps, tap = u % taps;
        const int64_t r = down->highest - tap / across->count * down->tap_gap;
        const int64_t s = across->highest - tap % across->count * across->tap_gap;
        cnn_pack(w + (r * d->s + s) * cg * d->k + group * kg, kg, cg, 1, d->k, packed + group * group_size(p), tap * kg,
                 taps * kg, 0, cnn_panel_count(cg));
    }
}

/* Cells of dx that no tap reaches. */
static void clear_class(const cnn_conv_problem *p, float *dx, const cnn_team *team)
{
    int64_t lo, hi;
    cnn_team_range(team, p->win.n * p->win.p, &lo, &hi);
    for (int64_t g = lo; g < hi; g++) {
        float *row = dx + (g / p->win.p * p->out_h + p->start_h + g % p->win.p * p->jump_h) * p->out_w * p->out_c;
        for (int64_t x = p->start_w; x < p->out_w; x += p->jump_w)
            memset(row + x * p->out_c, 0, (size_t)p->out_c * sizeof(float));
    }
}

static void conv2d_bwd_data(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    const float *dy = buf[0], *w = buf[1];
    float *dx = buf[2], *packed = (float *)team->shared;
    if (d->algorithm != CNN_DIRECT) {
        winograd_convolve(d, 1, dy, w, NULL, NULL, dx, team);
        return;
    }
    const int64_t classes = d->stride_h * d->stride_w;
    for (int pass = 0; pass < 2; pass++) { /* pack all classes, then compute them */
        float *at = packed;
        for (int64_t i = 0; i < classes; i++) {
            parity_t down, across;
            cnn_conv_problem p = class_problem(d, i / d->stride_w, i % d->stride_w, &down, &across);
            if (is_empty(&p)) {
                if (pass == 1)
                    clear_class(&p, dx, team);
                continue;
            }
            p.packed = at;
            if (pass == 0)
                pack_class(d, &p, &down, &across, w, at, team);
            else
                solve(&p, dy, dx, team);
            at += p.groups * group_size(&p);
        }
        if (pass == 0)
            cnn_team_barrier(team);
    }
}

const cnn_op cnn_ops_conv2d[] = {
    {"conv2d_fwd", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "x w bias? addend? -> y", conv2d_fwd, fwd_workspace},
    {"conv2d_pack", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "w -> packed", conv2d_pack, NULL},
    {"conv2d_bwd_data", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "dy w -> dx", conv2d_bwd_data, bwd_data_workspace},
    {"conv2d_bwd_weights", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "x dy -> dw", cnn_conv2d_bwd_weights,
     cnn_conv2d_bwd_weights_workspace},
    {0},
};
