/* Backward pass of the convolution for the weights, by the window of the forward pass:
 * dw[tap, c][k] = sum over pixels of x[pixel, tap][c] dy[pixel][k]
 *
 * Strips of pixels are summed one after the other. Of a strip, a panel of dy is packed to lie in L1, and x is copied
 * into blocks of few channels, [block][cell][lane]: a block serves all taps from L1. Read where they lie, both would
 * have the pitch of a pixel, a multiple of 1 KB in most networks, which maps them to a few sets of the cache. */
#include "drivers/conv2d.h"
#include "drivers/narrow.h"

enum {
    LANES = 16,     /* channels of a block: a cache line of each cell */
    BAND_COLS = 64, /* columns of dy that are packed together */
    PIXELS = 512,   /* of a strip: fewer, and loading and storing tiles of dw shows */
};

/* Rows of dw are counted by (block, tap, lane), its columns are filters. */
typedef struct {
    cnn_conv_problem p;
    int64_t taps, pitch, blocks; /* floats of a cell in a block, blocks of a group */
    int64_t panels, tiles;       /* of a group; of a block in a panel */
    int64_t band, bands;         /* panels that are packed together, such bands of a group */
    int64_t cells;               /* that the copy of a strip can have */
    int in_place;                /* the window's own copy is the one block */
} weights_t;

static weights_t weights_problem(const cnn_conv2d *d)
{
    weights_t g = {.p = cnn_conv_groups(d), .taps = d->t * d->r * d->s};
    const int64_t depth = g.p.win.depth, kg = g.p.out_cols;
    g.p.cut = cnn_window_rows(&g.p.win, PIXELS / cnn_max(d->q, 1), g.taps > 1);
    g.pitch = cnn_min(depth, LANES);
    g.blocks = cnn_ceil_div(depth, LANES);
    g.panels = cnn_panel_count(kg);
    const int64_t rows = g.taps * g.pitch;
    g.tiles = cnn_tile_count(rows, cnn_panel_at(0, kg).nv);
    g.tiles = cnn_max(g.tiles, cnn_tile_count(rows, cnn_panel_at(g.panels - 1, kg).nv)); /* one cut for all panels */
    g.band = cnn_max(1, BAND_COLS / cnn_panel_cols());
    g.bands = cnn_ceil_div(g.panels, g.band);
    g.cells = g.taps > 1 ? (int64_t)g.p.cut.copy_bytes / (4 * depth) : cnn_conv_pixels(&g.p);
    g.in_place = g.taps > 1 && g.pitch == depth;
    return g;
}

/* A thread's scratch, in this order behind the window's copy. */
typedef struct {
    float *copy;
    const float **bases;
    int64_t *index, *tap; /* floats to a pixel's cell, and from there to a tap's, in a block */
    float *panels, *x;
    size_t bytes;
} scratch_t;

static scratch_t scratch_of(const weights_t *g, char *local)
{
    const size_t table = cnn_conv_table_bytes(&g->p),
                 panels = (size_t)(g->band * cnn_conv_pixels(&g->p) * cnn_panel_cols()) * 4;
    scratch_t s = {.copy = (float *)local};
    size_t at = g->p.cut.copy_bytes;
    s.bases = (const float **)(local + at);
    s.index = (int64_t *)(local + (at += table));
    s.tap = (int64_t *)(local + (at += table));
    s.panels = (float *)(local + (at += cnn_align64((size_t)g->taps * sizeof(int64_t))));
    s.x = (float *)(local + (at += cnn_align64(panels)));
    s.bytes = at + (g->in_place ? 0 : (size_t)(g->blocks * g->cells * g->pitch) * sizeof(float));
    return s;
}

cnn_workspace cnn_conv2d_bwd_weights_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        const cnn_winograd w = cnn_conv_winograd(d, 0);
        return (cnn_workspace){cnn_winograd_weights_shared_bytes(&w), cnn_winograd_weights_local_bytes(&w)};
    }
    if (cnn_narrow_applies_to_weights(d))
        return (cnn_workspace){0, cnn_narrow_weights_bytes(d)};
    const weights_t g = weights_problem(d);
    return (cnn_workspace){0, scratch_of(&g, NULL).bytes};
}

/* The strip at hand. */
typedef struct {
    scratch_t at;
    const float *x;
    int64_t g0, g1;  /* its output rows, counted over all images */
    int64_t m;       /* pixels */
    const float *dy; /* its first pixel */
    int64_t group;   /* whose blocks are in x, or -1 */
    int64_t band;    /* which one, counted over all groups, is in panels, or -1 */
    int accumulate;
    int64_t ahead; /* rows of the next band that were asked for */
} strip_t;

static void fill_taps(const weights_t *g, int64_t *tap)
{
    for (int64_t t = 0; t < g->taps; t++)
        tap[t] = cnn_window_tap(&g->p.win, &g->p.cut, t) / g->p.cut.pitch * g->pitch;
}

/* Copy a group's channels into blocks: of a window of one tap only the pixels, else all cells. */
static void fill_blocks(const weights_t *g, const strip_t *s)
{
    const int64_t cells = g->taps > 1 ? g->cells : s->m, depth = g->p.win.depth;
    for (int64_t b = 0; b < g->blocks; b++) {
        const int64_t lanes = cnn_min(LANES, depth - b * LANES);
        float *out = s->at.x + b * g->cells * g->pitch;
        for (int64_t i = 0; i < cells; i++, out += g->pitch)
            cnn_copy(out, (g->taps > 1 ? s->at.copy + i * depth : s->at.bases[i]) + b * LANES, lanes);
    }
}

/* Take up a group of the strip: its blocks, and where the windows of the pixels begin in them. */
static void open_group(const weights_t *g, strip_t *s, int64_t group)
{
    const int64_t depth = g->p.win.depth;
    cnn_window_bases(&g->p.win, &g->p.cut, s->x + group * depth, s->g0, s->g1, s->at.copy, s->at.bases);
    for (int64_t i = 0; i < s->m; i++)
        s->at.index[i] = g->taps > 1 ? (s->at.bases[i] - s->at.copy) / depth * g->pitch : i * g->pitch;
    if (!g->in_place)
        fill_blocks(g, s);
    s->group = group;
}

/* Pack the strip's dy for a band, counted over all groups. */
static void pack_band(const cnn_conv2d *d, const weights_t *g, strip_t *s, int64_t band)
{
    const int64_t kg = g->p.out_cols, col = band % g->bands * g->band * cnn_panel_cols();
    const int64_t cols = cnn_min(kg - col, g->band * cnn_panel_cols());
    cnn_pack(s->dy + band / g->bands * kg + col, s->m, cols, d->k, 1, s->at.panels, 0, s->m, 0, cnn_panel_count(cols));
    s->band = band;
    s->ahead = 0;
}

/* Ask for some rows of the band that comes after this one, so that they are in L2 when it is packed; called once a
 * tile. */
static void look_ahead(const cnn_conv2d *d, const weights_t *g, strip_t *s)
{
    const int64_t next = (s->band + 1) % g->bands, lines = g->band * cnn_panel_cols() / LANES;
    const int64_t until = cnn_min(s->m, s->ahead + 1 + s->m / (g->tiles * g->blocks * g->band));
    const float *dy = s->dy + next * g->band * cnn_panel_cols() + (next == 0 ? s->m * d->k : 0);
    for (; s->ahead < until; s->ahead++)
        for (int64_t l = 0; l < lines; l++)
            __builtin_prefetch(dy + s->ahead * d->k + l * LANES, 0, 2);
}

/* Rows [lo, hi) of a block. */
static void weights_tile(const cnn_conv2d *d, const weights_t *g, const strip_t *s, int64_t block, cnn_panel panel,
                         const float *dy, int64_t lo, int64_t hi, float *dw)
{
    const float *x = (g->in_place ? s->at.copy : s->at.x) + block * g->cells * g->pitch;
    const int64_t depth = g->p.win.depth, lanes = cnn_min(LANES, depth - block * LANES);
    const cnn_epilogue e = {.first = panel.first, .cols = panel.cols, .accumulate = s->accumulate};
    const float *rows[CNN_MAX_MR];
    float *c[CNN_MAX_MR];
    int64_t tap = lo / lanes, lane = lo % lanes;
    for (int64_t i = 0; i < hi - lo; i++) {
        rows[i] = x + s->at.tap[tap] + lane;
        c[i] = dw + (tap * depth + block * LANES + lane) * d->k;
        if (++lane == lanes) {
            lane = 0;
            tap++;
        }
    }
    cnn_k->tile_index[panel.nv][hi - lo](s->m, s->at.index, rows, dy, (int64_t)panel.nv * cnn_k->vl, c, &e);
}

/* Units [lo, hi) of (group, panel, block, tile) for the strip. */
static void weights_strip(const cnn_conv2d *d, const weights_t *g, strip_t *s, int64_t lo, int64_t hi, float *dw)
{
    const int64_t kg = g->p.out_cols;
    for (int64_t u = lo; u < hi; u++) {
        const int64_t block = u / g->tiles % g->blocks, unit = u / (g->tiles * g->blocks);
        const int64_t group = unit / g->panels, j = unit % g->panels, band = group * g->bands + j / g->band;
        if (s->group != group)
            open_group(g, s, group);
        if (s->band != band)
            pack_band(d, g, s, band);
        const int64_t rows = g->taps * cnn_min(LANES, g->p.win.depth - block * LANES);
        const float *panel = s->at.panels + j % g->band * cnn_panel_cols() * s->m;
        int64_t first, last;
        cnn_tile_at(u % g->tiles, g->tiles, rows, &first, &last);
        if (first < last)
            weights_tile(d, g, s, block, cnn_panel_at(j, kg), panel, first, last, dw + group * kg);
        look_ahead(d, g, s);
    }
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
    const int64_t rows = d->n * d->o * d->p;
    if (rows * d->q == 0) {
        if (team->id == 0)
            memset(dw, 0, (size_t)(d->t * d->r * d->s * (d->c / d->groups) * d->k) * sizeof(float));
        return;
    }
    if (cnn_narrow_applies_to_weights(d)) {
        cnn_narrow_weights(d, buf, team);
        return;
    }
    const weights_t g = weights_problem(d);
    strip_t s = {.at = scratch_of(&g, team->local), .x = x};
    fill_taps(&g, s.at.tap);
    int64_t lo, hi;
    cnn_team_range(team, d->groups * g.panels * g.blocks * g.tiles, &lo, &hi);
    for (int64_t g0 = 0; g0 < rows; g0 += g.p.cut.rows) {
        s.g0 = g0;
        s.g1 = cnn_min(g0 + g.p.cut.rows, rows);
        s.m = (s.g1 - g0) * d->q;
        s.dy = dy + g0 * d->q * d->k;
        s.group = s.band = -1;
        s.accumulate = g0 > 0;
        weights_strip(d, &g, &s, lo, hi, dw);
    }
}
