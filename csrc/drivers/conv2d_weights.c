/* Backward pass of the convolution for the weights, by the window of the forward pass:
 * dw[tap, c][k] = sum over pixels of x[pixel, tap][c] dy[pixel][k] */
#include "drivers/conv2d.h"

#include <string.h>

/* Backward for the weights: rows of dw are (tap, channel), its columns filters, the sum runs over pixels. */
typedef struct {
    cnn_conv_problem p;
    int64_t rows;   /* taps * channels of a group */
    int64_t narrow; /* columns of a last panel that dy cannot be read for in place, after rounding up; or 0 */
    cnn_panel last;
} weights_t;

static weights_t weights_problem(const cnn_conv2d *d)
{
    weights_t g = {.p = cnn_conv_forward(d)};
    g.p.cut = cnn_window_cut(&g.p.win, CNN_NO_SPREAD);
    g.rows = d->t * d->r * d->s * g.p.win.depth;
    g.last = cnn_panel_at(cnn_panel_count(g.p.out_cols) - 1, g.p.out_cols);
    if (g.last.cols != (int64_t)g.last.nv * cnn_k->vl)
        g.narrow = (int64_t)g.last.nv * cnn_k->vl;
    return g;
}

static size_t narrow_bytes(const weights_t *g)
{
    return cnn_align64((size_t)(cnn_conv_pixels(&g->p) * g->narrow) * sizeof(float));
}

cnn_workspace cnn_conv2d_bwd_weights_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        const cnn_winograd w = cnn_conv_winograd(d, 0);
        return (cnn_workspace){cnn_winograd_weights_shared_bytes(&w), cnn_winograd_weights_local_bytes(&w)};
    }
    const weights_t g = weights_problem(desc);
    return (cnn_workspace){0, g.p.cut.copy_bytes + 2 * cnn_conv_table_bytes(&g.p) + narrow_bytes(&g)};
}

/* What a thread holds of the strip at hand. */
typedef struct {
    const float *origin;
    const int64_t *index;
    int64_t m;
    const float *dy; /* the strip's first pixel */
    float *narrow;
    int64_t narrow_of; /* the group whose last panel is in `narrow`, or -1 */
    int accumulate;
} pixels_t;

static void weights_tile(const cnn_conv2d *d, const weights_t *g, const pixels_t *s, int64_t group, cnn_panel panel,
                         const float *b, int64_t b_step, int64_t lo, int64_t hi, float *dw)
{
    const cnn_window *win = &g->p.win;
    const float *rows[CNN_MAX_MR];
    float *c[CNN_MAX_MR];
    for (int64_t i = lo; i < hi; i++) {
        const int64_t tap = i / win->depth, channel = i % win->depth;
        rows[i - lo] = s->origin + cnn_window_tap(win, &g->p.cut, tap) + group * win->depth + channel;
        c[i - lo] = dw + i * d->k + group * g->p.out_cols;
    }
    const cnn_epilogue e = {.first = panel.first, .cols = panel.cols, .accumulate = s->accumulate};
    cnn_k->tile_index[panel.nv][hi - lo](s->m, s->index, rows, b, b_step, c, &e);
}

/* Units [lo, hi) of (group, panel, tile of rows) for one strip of pixels. */
static void weights_strip(const cnn_conv2d *d, const weights_t *g, pixels_t *s, int64_t lo, int64_t hi, float *dw)
{
    const int64_t kg = g->p.out_cols, panels = cnn_panel_count(kg);
    const int64_t most = cnn_tile_count(g->rows, cnn_panel_at(0, kg).nv);
    const int64_t tiles = cnn_max(most, cnn_tile_count(g->rows, g->last.nv)); /* the same cut for every panel */
    for (int64_t u = lo; u < hi; u++) {
        const int64_t group = u / (panels * tiles), j = u / tiles % panels;
        const cnn_panel panel = cnn_panel_at(j, kg);
        const float *b = s->dy + group * kg + panel.first;
        int64_t b_step = d->k, first, last;
        if (g->narrow && j == panels - 1) {
            if (s->narrow_of != group)
                cnn_pack(b, s->m, panel.cols, d->k, 1, s->narrow, 0, s->m, 0, 1);
            s->narrow_of = group;
            b = s->narrow;
            b_step = g->narrow;
        }
        cnn_tile_at(u % tiles, tiles, g->rows, &first, &last);
        if (first < last)
            weights_tile(d, g, s, group, panel, b, b_step, first, last, dw);
    }
}

static int64_t weights_units(const weights_t *g)
{
    const int64_t most = cnn_tile_count(g->rows, cnn_panel_at(0, g->p.out_cols).nv);
    return g->p.groups * cnn_panel_count(g->p.out_cols) * cnn_max(most, cnn_tile_count(g->rows, g->last.nv));
}

void cnn_conv2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    const float *x = buf[0], *dy = buf[1];
    float *dw = buf[2];
    if (d->algorithm != CNN_DIRECT) {
        const cnn_winograd w = cnn_conv_winograd(d, 0);
        cnn_winograd_weights(&w, x, dy, dw, team);
        return;
    }
    const weights_t g = weights_problem(d);
    const cnn_conv_problem *p = &g.p;
    char *local = team->local;
    float *copy = (float *)local;
    const float **bases = (const float **)(local + p->cut.copy_bytes);
    int64_t *index = (int64_t *)((char *)bases + cnn_conv_table_bytes(p));
    pixels_t s = {.origin = p->cut.padded ? copy : x,
                  .index = index,
                  .narrow = (float *)((char *)index + cnn_conv_table_bytes(p))};
    int64_t lo, hi;
    cnn_team_range(team, weights_units(&g), &lo, &hi);
    const int64_t out_rows = d->n * d->o * d->p;
    for (int64_t g0 = 0; g0 < out_rows; g0 += p->cut.rows) {
        const int64_t g1 = cnn_min(g0 + p->cut.rows, out_rows);
        cnn_window_bases(&p->win, &p->cut, x, g0, g1, copy, bases);
        s.m = (g1 - g0) * d->q;
        for (int64_t i = 0; i < s.m; i++)
            index[i] = bases[i] - s.origin;
        s.dy = dy + g0 * d->q * d->k;
        s.narrow_of = -1;
        s.accumulate = g0 > 0;
        weights_strip(d, &g, &s, lo, hi, dw);
    }
    if (out_rows * d->q == 0 && team->id == 0)
        memset(dw, 0, (size_t)(d->t * d->r * d->s * (d->c / d->groups) * d->k) * sizeof(float));
}
