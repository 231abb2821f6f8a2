/* Convolution as an indirect matrix product over windows (window.h):
 *
 *     y[pixel][k] = sum over taps, c of x[pixel, tap][c] w[tap][c][k]
 *
 * Winograd's algorithm is another way (winograd.h); which one is the descriptor's choice. The backward passes are in
 * conv2d_data.c and conv2d_weights.c, and are problems of the same form. */
#include "drivers/conv2d.h"
#include "drivers/activation.h"
#include "drivers/far.h"
#include "drivers/narrow.h"
#include "drivers/share.h"

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

/* Row pointers of a group's results (and what is added to them) in output rows [rows.lo, rows.hi). */
static void fill_outputs(const cnn_conv_problem *p, cnn_range rows, int64_t group, float *out, cnn_strip *strip)
{
    int64_t i = 0;
    for (int64_t g = rows.lo; g < rows.hi; g++) {
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

/* Whatever is larger, the input or the weights, the threads share. Narrow groups are computed vector by vector, in whole
 * rows of pixels. */
static cnn_share share_of(const cnn_conv_problem *p, const cnn_team *team)
{
    const cnn_window *win = &p->win;
    const int64_t in = win->n * win->f * win->h * win->w * win->depth, rows = win->n * win->o * win->p;
    const int64_t vectors = cnn_ceil_div(p->out_cols, cnn_k->vl);
    const cnn_panels narrow = {p->out_cols, vectors, vectors, 1};
    return cnn_share_of(team, rows * win->q, p->width ? win->q : 1, p->groups,
                        p->width ? narrow : cnn_panels_of(p->out_cols), cnn_conv_group_size(p) > in);
}

/* The output rows that have pixels of a range. */
static cnn_range rows_of(const cnn_conv_problem *p, cnn_range pixels)
{
    return (cnn_range){pixels.lo / p->win.q, cnn_ceil_div(pixels.hi, p->win.q)};
}

/* A piece of the thread's share, of which the rows are pixels. */
static void solve_piece(const cnn_conv_problem *p, const cnn_piece *piece, const float *in, float *out, float *copy,
                        const cnn_strip *tables)
{
    const cnn_range rows = rows_of(p, piece->rows);
    const int64_t skip = piece->rows.lo - rows.lo * p->win.q;
    const float *x = in + piece->group * p->win.depth;
    cnn_strip strip = *tables;
    cnn_window win = p->win;
    if (p->width) { /* a vector of results needs the same vector of channels */
        x += piece->first * cnn_k->vl;
        win.depth = (piece->last - piece->first) * cnn_k->vl;
    }
    cnn_window_bases(&win, &p->cut, x, rows.lo, rows.hi, copy, strip.rows);
    fill_outputs(p, rows, piece->group, out, &strip);
    strip.m = piece->rows.hi - piece->rows.lo;
    strip.rows += skip;
    strip.c += skip;
    strip.addend += strip.addend ? skip : 0;
    strip.b = p->packed + piece->group * cnn_conv_group_size(p);
    strip.bias = p->bias ? p->bias + piece->group * p->out_cols : NULL;
    if (p->width)
        cnn_narrow_sweep(p, &strip, piece->first, piece->last);
    else
        cnn_strip_sweep(&strip, piece->first, piece->last);
}

enum { STREAMED_FLOATS = 1 << 18 }; /* that an L2 does not hold */

/* Whether a pixel's window is one cell of such an input, and the next pixel's the next one. */
static int streams(const cnn_conv_problem *p)
{
    const cnn_window *win = &p->win;
    const int64_t taps = win->taps_f * win->taps_h * win->taps_w, steps = win->step_f * win->step_h * win->step_w;
    return taps == 1 && steps == 1 && !p->cut.padded && win->n * win->f * win->h * win->w * win->c >= STREAMED_FLOATS;
}

void cnn_conv_solve(const cnn_conv_problem *p, const float *in, float *out, const cnn_team *team)
{
    const size_t table = cnn_conv_table_bytes(p);
    char *local = team->local;
    const float **bases = (const float **)(local + p->cut.copy_bytes);
    int64_t *run = (int64_t *)(local + p->cut.copy_bytes + 3 * table);
    const int64_t floats = p->win.n * p->out_f * p->out_h * p->out_w * p->out_c;
    const cnn_strip tables = {.far = cnn_lines_are_far(floats, p->out_c, out) && p->out_cols % 16 == 0 &&
                                     !cnn_act_after_bounds(p->act),
                              .streams = streams(p),
                              .rows = bases,
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
    const cnn_share share = share_of(p, team);
    cnn_strips strips = cnn_share_strips(&share, cnn_max(p->win.q, 1), p->cut.rows);
    cnn_window_runs(&p->win, &p->cut, run);
    while (cnn_strips_next(&strips))
        solve_piece(p, &strips.piece, in, out, (float *)local, &tables);
}

void cnn_conv_open(cnn_conv_problem *p)
{
    if (cnn_narrow_applies(p->groups, p->win.depth, p->out_cols))
        cnn_narrow_open(p);
    else
        p->cut = cnn_window_cut(&p->win);
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

void cnn_conv_winograd_run(const cnn_conv2d *d, int turned, void *const *buf, const cnn_conv_out *out, cnn_team *team)
{
    cnn_winograd g = cnn_conv_winograd(d, turned);
    g.filters = buf[1];
    g.bias = buf[2];
    g.addend = out->addend;
    g.y_c = out->y_c;
    if (!d->packed) {
        cnn_winograd_pack(g.size, d->t, d->c, d->k, buf[1], turned, (float *)team->shared, team);
        g.filters = (float *)team->shared;
        cnn_team_barrier(team);
    }
    cnn_winograd_run(&g, buf[0], out->y, team);
}

static cnn_workspace fwd_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT)
        return cnn_conv_winograd_workspace(d, 0);
    const cnn_conv_problem p = forward(d);
    return (cnn_workspace){d->packed ? 0 : cnn_conv2d_packed_bytes(d), cnn_conv_local_bytes(&p)};
}

static void run_forward(const cnn_conv2d *d, void *const *buf, const cnn_conv_out *out, cnn_team *team)
{
    if (d->algorithm != CNN_DIRECT) {
        cnn_conv_winograd_run(d, 0, buf, out, team);
        return;
    }
    cnn_conv_problem p = forward(d);
    p.packed = buf[1];
    p.bias = buf[2];
    p.addend = out->addend;
    p.out_c = out->y_c;
    if (!d->packed) {
        cnn_conv2d_pack_direct(d, buf[1], (float *)team->shared, team);
        p.packed = (float *)team->shared;
        cnn_team_barrier(team);
    }
    cnn_conv_solve(&p, buf[0], out->y, team);
}

static void conv2d_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    const cnn_conv_out out = {buf[4], d->k, buf[3]};
    run_forward(d, buf, &out, team);
}

/* The channels that are not the convolution's: the thread's share. */
static void copy_base(const cnn_conv2d_into *d, const float *base, float *y, const cnn_team *team)
{
    const int64_t after = d->y_at + d->conv.k;
    int64_t lo, hi;
    cnn_team_range(team, d->conv.n * d->conv.o * d->conv.p * d->conv.q, &lo, &hi);
    for (base += lo * d->y_c, y += lo * d->y_c; lo < hi; lo++, base += d->y_c, y += d->y_c) {
        cnn_copy(y, base, d->y_at);
        cnn_copy(y + after, base + after, d->y_c - after);
    }
}

static void conv2d_into(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d_into *d = desc;
    const float *base = buf[3];
    float *y = buf[4];
    const cnn_conv_out out = {y + d->y_at, d->y_c, NULL};
    if (base && base != y)
        copy_base(d, base, y, team);
    run_forward(&d->conv, buf, &out, team);
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
    {"conv2d_into", CNN_CONV2D_INTO_NAMES, "x w bias? base? -> y", conv2d_into, fwd_workspace},
    {"conv2d_pack", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "w -> packed", conv2d_pack, NULL},
    {"conv2d_bwd_data", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "dy w bias? addend? -> dx", cnn_conv2d_bwd_data,
     cnn_conv2d_bwd_data_workspace},
    {"conv2d_bwd_data_pack", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "w -> packed", cnn_conv2d_bwd_data_pack, NULL},
    {"conv2d_bwd_weights", CNN_FIELD_NAMES(CNN_CONV2D_FIELDS), "x dy -> dw", cnn_conv2d_bwd_weights,
     cnn_conv2d_bwd_weights_workspace},
    {0},
};
