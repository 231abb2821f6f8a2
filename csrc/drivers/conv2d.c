/* Convolution as an indirect matrix product over windows (window.h):
 *
 *     y[pixel][k] = sum over taps, c of x[pixel, tap][c] w[tap][c][k]
 *
 * Winograd's algorithm is another way (winograd.h); which one is the descriptor's choice. The backward passes are in
 * conv2d_data.c and conv2d_weights.c, and are problems of the same form. */
#include "drivers/conv2d.h"
#include "drivers/narrow.h"

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

size_t cnn_conv_local_bytes(const cnn_conv_problem *p)
{
    return p->cut.copy_bytes + 3 * cnn_conv_table_bytes(p) + run_bytes(p);
}

int64_t cnn_conv_group_size(const cnn_conv_problem *p)
{
    if (p->width)
        return p->win.taps_f * p->win.taps_h * p->win.taps_w * p->width * p->out_cols;
    return p->cut.runs * p->cut.kc * cnn_packed_cols(p->out_cols);
}

/* Row pointers of the results (and what is added to them) of output rows [g0, g0 + ...), group g. */
static void fill_outputs(const cnn_conv_problem *p, int64_t g0, int64_t group, float *out, cnn_strip *strip)
{
    const int64_t rows = strip->m / p->win.q;
    int64_t i = 0;
    for (int64_t g = g0; g < g0 + rows; g++) {
        const int64_t y = p->start_h + g % p->win.p * p->jump_h, frame = g / p->win.p;
        const int64_t z = p->start_f + frame % p->win.o * p->jump_f,
                      row = (frame / p->win.o * p->out_f + z) * p->out_h + y;
        int64_t at = (row * p->out_w + p->start_w) * p->out_c + group * p->out_cols;
        for (int64_t x = 0; x < p->win.q; x++, i++, at += p->jump_w * p->out_c) {
            strip->c[i] = out + at;
            if (strip->addend)
                strip->addend[i] = p->addend + at;
        }
    }
}

/* Pieces of a group's columns that threads share. */
static int64_t panel_count(const cnn_conv_problem *p)
{
    return p->width ? p->out_cols / cnn_k->vl : cnn_panel_count(p->out_cols);
}

/* The unit at place x of `units` for each of all rows: strips may differ in their rows, and count for as much. */
static int64_t unit_at(const cnn_conv_problem *p, int64_t units, int64_t x)
{
    const int64_t rows = p->win.n * p->win.o * p->win.p, strip = x / units / p->cut.rows, row = strip * p->cut.rows;
    const int64_t height = cnn_min(p->cut.rows, rows - row);
    return strip * units + (height > 0 ? (x - row * units) / height : 0);
}

/* The thread's units of (strip, unit). */
static void share(const cnn_conv_problem *p, int64_t units, const cnn_team *team, int64_t *lo, int64_t *hi)
{
    cnn_team_range(team, p->win.n * p->win.o * p->win.p * units, lo, hi);
    *lo = unit_at(p, units, *lo);
    *hi = unit_at(p, units, *hi);
}

/* The thread's share of strip x (group, panel). */
void cnn_conv_solve(const cnn_conv_problem *p, const float *in, float *out, const cnn_team *team)
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
                       .panels = cnn_panels_of(p->out_cols),
                       .act = p->act,
                       .alpha = p->alpha,
                       .beta = p->beta};
    const int64_t panels = panel_count(p), rows = p->win.n * p->win.o * p->win.p;
    int64_t lo, hi;
    share(p, p->groups * panels, team, &lo, &hi);
    cnn_window_runs(&p->win, &p->cut, run);
    while (lo < hi) { /* of one strip and group */
        const int64_t s = lo / (p->groups * panels), group = lo / panels % p->groups;
        const int64_t first = lo % panels, last = cnn_min(panels, first + hi - lo);
        const int64_t g0 = s * p->cut.rows, g1 = cnn_min(g0 + p->cut.rows, rows);
        const float *x = in + group * p->win.depth;
        cnn_window win = p->win;
        if (p->width) { /* a vector of results needs the same vector of channels */
            x += first * cnn_k->vl;
            win.depth = (last - first) * cnn_k->vl;
        }
        strip.m = (g1 - g0) * p->win.q;
        cnn_window_bases(&win, &p->cut, x, g0, g1, copy, bases);
        fill_outputs(p, g0, group, out, &strip);
        strip.b = p->packed + group * cnn_conv_group_size(p);
        strip.bias = p->bias ? p->bias + group * p->out_cols : NULL;
        if (p->width)
            cnn_narrow_sweep(p, &strip, first, last);
        else
            cnn_strip_sweep(&strip, first, last);
        lo += last - first;
    }
}

void cnn_conv_open(cnn_conv_problem *p)
{
    if (cnn_narrow_applies(p->groups, p->win.depth, p->out_cols))
        cnn_narrow_open(p);
    else
        p->cut = cnn_window_cut(&p->win, p->groups * cnn_panel_count(p->out_cols));
}

cnn_conv_problem cnn_conv_groups(const cnn_conv2d *d)
{
    return (cnn_conv_problem){.win = {.n = d->n,
                                      .f = d->f,
                                      .h = d->h,
                                      .w = d->w,
                                      .c = d->c,
                                      .o = d->o,
                                      .p = d->p,
                                      .q = d->q,
                                      .step_f = d->stride_f,
                                      .step_h = d->stride_h,
                                      .step_w = d->stride_w,
                                      .taps_f = d->t,
                                      .taps_h = d->r,
                                      .taps_w = d->s,
                                      .first_f = -d->pad_f,
                                      .first_h = -d->pad_t,
                                      .first_w = -d->pad_l,
                                      .gap_f = d->dilation_f,
                                      .gap_h = d->dilation_h,
                                      .gap_w = d->dilation_w,
                                      .depth = d->c / d->groups},
                              .groups = d->groups,
                              .out_cols = d->k / d->groups,
                              .out_c = d->k,
                              .out_f = d->o,
                              .out_h = d->p,
                              .out_w = d->q,
                              .jump_f = 1,
                              .jump_h = 1,
                              .jump_w = 1,
                              .act = d->act,
                              .alpha = d->alpha,
                              .beta = d->beta};
}

static cnn_conv_problem forward(const cnn_conv2d *d)
{
    cnn_conv_problem p = cnn_conv_groups(d);
    cnn_conv_open(&p);
    return p;
}

/* Pack the forward weights: the thread's share of the panels of all groups ... */
static void pack_panels(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team)
{
    const int64_t kg = d->k / d->groups, rows = d->t * d->r * d->s * (d->c / d->groups);
    const int64_t panels = cnn_panel_count(kg);
    int64_t lo, hi;
    cnn_team_range(team, d->groups * panels, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const int64_t group = u / panels;
        cnn_pack(w + group * kg, rows, kg, d->k, 1, packed + group * rows * cnn_packed_cols(kg), 0, rows, u % panels,
                 u % panels + 1);
    }
}

/* ... or of the vectors of narrow ones. */
static void pack_narrow(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team)
{
    const int64_t width = d->k / d->groups, vl = cnn_k->vl, taps = d->t * d->r * d->s, size = taps * width * vl;
    const int64_t beside = cnn_narrow_beside(d->s, d->dilation_w, d->stride_w);
    int64_t lo, hi;
    cnn_team_range(team, d->k / vl, &lo, &hi);
    for (int64_t v = lo; v < hi; v++)
        for (int64_t tap = 0; tap < taps; tap++)
            cnn_narrow_pack(w + tap * width * d->k + v * vl, width, width, d->k, 1, tap, beside, packed + v * size);
}

void cnn_conv2d_pack_direct(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team)
{
    if (cnn_narrow_applies(d->groups, d->c / d->groups, d->k / d->groups))
        pack_narrow(d, w, packed, team);
    else
        pack_panels(d, w, packed, team);
}

size_t cnn_conv2d_packed_bytes(const cnn_conv2d *d)
{
    return (size_t)(d->groups * d->t * d->r * d->s * (d->c / d->groups) * cnn_packed_cols(d->k / d->groups)) *
           sizeof(float);
}

cnn_winograd cnn_conv_winograd(const cnn_conv2d *d, int turned)
{
    cnn_winograd g = {
        .size = d->algorithm == CNN_WINOGRAD_4 ? 4 : 2, .n = d->n, .act = d->act, .alpha = d->alpha, .beta = d->beta};
    if (turned) {
        g.f = d->o, g.h = d->p, g.w = d->q, g.c = d->k, g.k = d->c, g.o = d->f, g.p = d->h, g.q = d->w;
        g.pad_f = d->t - 1 - d->pad_f, g.pad_t = 2 - d->pad_t, g.pad_l = 2 - d->pad_l;
    } else {
        g.f = d->f, g.h = d->h, g.w = d->w, g.c = d->c, g.k = d->k, g.o = d->o, g.p = d->p, g.q = d->q;
        g.pad_f = d->pad_f, g.pad_t = d->pad_t, g.pad_l = d->pad_l;
    }
    g.t = d->t;
    g.depth = g.t * g.c;
    g.in_bands = d->packed == CNN_IN_BANDS;
    return g;
}

cnn_workspace cnn_conv_winograd_workspace(const cnn_conv2d *d, int turned)
{
    const cnn_winograd g = cnn_conv_winograd(d, turned);
    const size_t filters = (size_t)cnn_winograd_filter_size(g.size, g.depth, g.k) * sizeof(float);
    return (cnn_workspace){d->packed ? 0 : filters, cnn_winograd_local_bytes(&g)};
}

void cnn_conv_winograd_run(const cnn_conv2d *d, int turned, void *const *buf, cnn_team *team)
{
    cnn_winograd g = cnn_conv_winograd(d, turned);
    g.filters = buf[1];
    g.bias = buf[2];
    g.addend = buf[3];
    if (!d->packed) {
        cnn_winograd_pack(g.size, d->t, d->c, d->k, buf[1], turned, (float *)team->shared, team);
        g.filters = (float *)team->shared;
        cnn_team_barrier(team);
    }
    cnn_winograd_run(&g, buf[0], buf[4], team);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT)
        return cnn_conv_winograd_workspace(d, 0);
    const cnn_conv_problem p = forward(d);
    return (cnn_workspace){d->packed ? 0 : cnn_conv2d_packed_bytes(d), cnn_conv_local_bytes(&p)};
}

static void conv2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        cnn_conv_winograd_run(d, 0, buf, team);
        return;
    }
    cnn_conv_problem p = forward(d);
    p.packed = buf[1];
    p.bias = buf[2];
    p.addend = buf[3];
    if (!d->packed) {
        cnn_conv2d_pack_direct(d, buf[1], (float *)team->shared, team);
        p.packed = (float *)team->shared;
        cnn_team_barrier(team);
    }
    cnn_conv_solve(&p, buf[0], buf[4], team);
}

static void conv2d_pack(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm == CNN_DIRECT)
        cnn_conv2d_pack_direct(d, buf[0], buf[1], team);
    else if (d->packed == CNN_IN_BANDS)
        cnn_winograd_pack_bands(d->t, d->c, d->k, buf[0], buf[1], team);
    else
        cnn_winograd_pack(cnn_conv_winograd(d, 0).size, d->t, d->c, d->k, buf[0], 0, buf[1], team);
}

const cnn_op cnn_ops_conv2d[] = {
    {"conv2d_fwd", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "x w bias? addend? -> y", conv2d_fwd, fwd_workspace},
    {"conv2d_pack", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "w -> packed", conv2d_pack, NULL},
    {"conv2d_bwd_data", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "dy w bias? addend? -> dx", cnn_conv2d_bwd_data,
     cnn_conv2d_bwd_data_workspace},
    {"conv2d_bwd_data_pack", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "w -> packed", cnn_conv2d_bwd_data_pack, NULL},
    {"conv2d_bwd_weights", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "x dy -> dw", cnn_conv2d_bwd_weights,
     cnn_conv2d_bwd_weights_workspace},
    {0},
};
