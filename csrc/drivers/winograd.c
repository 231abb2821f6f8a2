#include "drivers/winograd.h"

#include <string.h>

#include "drivers/activation.h"

/* A band is BLOCK_COLS filters, fewer where there are no more or a team would have too little to do; where no band is
 * narrower, blocks of fewer tiles give it more. V (the block's transformed inputs) and M (one band's products) are about
 * as large as L2, while the filters stream by. With many channels V is larger: a block of fewer tiles would have the
 * filters, which are larger still, stream by too often. */
enum { BLOCK_BYTES = 640 * 1024, TILES_MIN = 32, PAD = 16, BLOCK_COLS = 64, ENOUGH = 8 };

/* The cut of a problem into blocks of tiles. */
typedef struct {
    int in, positions;
    int64_t tiles_h, tiles_w, tiles; /* of one frame, of all */
    int64_t most, blocks;            /* tiles of a block */
    cnn_panels panels;
    int64_t panel_cols;     /* filters of a panel at most, or of a band that is transformed in the run */
    int64_t cols, bands;    /* filters of a band, and bands */
    int64_t v_step, m_step; /* floats from one position to the next; padded, so that they do not alias */
} cut_t;

/* Whether so few units cannot be shared evenly: of many, one more or less does not show. */
static int leaves_idle(int64_t units, int threads)
{
    return units % threads > 0 && units < ENOUGH * threads;
}

static cut_t cut_of(const cnn_winograd *g, int threads)
{
    cut_t t = {.in = g->size + 2, .tiles_h = cnn_ceil_div(g->p, g->size), .tiles_w = cnn_ceil_div(g->q, g->size)};
    t.positions = t.in * t.in;
    t.tiles = g->n * g->o * t.tiles_h * t.tiles_w;
    const int64_t tile_bytes = 4 * t.positions * (g->depth + BLOCK_COLS);
    t.most = cnn_max(1, cnn_min(t.tiles, cnn_max(TILES_MIN, BLOCK_BYTES / tile_bytes)));
    t.blocks = cnn_ceil_div(t.tiles, t.most);
    t.panels = cnn_panels_of(g->k);
    t.panel_cols = g->in_bands ? cnn_winograd_band_cols() : cnn_panel_cols();
    for (t.cols = g->in_bands ? t.panel_cols : BLOCK_COLS; t.cols > t.panel_cols; t.cols /= 2)
        if (t.cols / 2 < g->k && !leaves_idle(t.blocks * cnn_ceil_div(g->k, t.cols), threads))
            break;
    t.bands = cnn_ceil_div(g->k, t.cols);
    while (t.blocks < t.tiles && leaves_idle(t.blocks * t.bands, threads))
        t.blocks++;
    t.most = t.blocks ? cnn_ceil_div(t.tiles, t.blocks) : 1;
    t.v_step = t.most * g->depth + PAD;
    t.m_step = t.most * t.cols + PAD;
    return t;
}

void cnn_winograd_cells(const float *x, int64_t image, int64_t h, int64_t w, int64_t c, int64_t y0, int64_t x0,
                        int side, const float *outside, const float **cells)
{
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            const int64_t y = y0 + i, z = x0 + j;
            const int inside = y >= 0 && y < h && z >= 0 && z < w;
            cells[i * side + j] = inside ? x + ((image * h + y) * w + z) * c : outside;
        }
}

void cnn_winograd_input_cells(const cnn_winograd *g, const float *x, int64_t frame, int64_t tap, int64_t y0, int64_t x0,
                              int side, const float *outside, const float **cells)
{
    const int64_t z = frame % g->o - g->pad_f + tap;
    const int64_t h = z >= 0 && z < g->f ? g->h : 0; /* a frame that is not there has no rows */
    cnn_winograd_cells(x, frame / g->o * g->f + z, h, g->w, g->c, y0, x0, side, outside, cells);
}

static void transform_in(const cnn_winograd *g, const cut_t *t, const float *x, int64_t lo, int64_t hi, float *v,
                         const float *zeros)
{
    const int64_t per_frame = t->tiles_h * t->tiles_w;
    for (int64_t i = lo; i < hi; i++) {
        const float *cells[36];
        const int64_t y = i % per_frame / t->tiles_w * g->size, z = i % t->tiles_w * g->size;
        for (int64_t tap = 0; tap < g->t; tap++) {
            cnn_winograd_input_cells(g, x, i / per_frame, tap, y - g->pad_t, z - g->pad_l, t->in, zeros, cells);
            (g->size == 4 ? cnn_k->winograd_input_4 : cnn_k->winograd_input_2)(
                g->c, g->c, g->c, cells, v + (i - lo) * g->depth + tap * g->c, t->v_step);
        }
    }
}

/* A thread's scratch. `row` and `product` point to the first position of each tile of a block, for the products. */
typedef struct {
    float *v, *m, *zeros, *filters; /* filters: of one band, where they are transformed here */
    const float **row;
    float **product;
    size_t bytes;
} scratch_t;

static scratch_t scratch_of(const cnn_winograd *g, const cut_t *t, char *local)
{
    const size_t table = cnn_align64((size_t)t->most * sizeof(void *));
    scratch_t s = {
        .row = (const float **)local, .product = (float **)(local + table), .v = (float *)(local + 2 * table)};
    s.m = s.v + t->positions * t->v_step;
    s.zeros = s.m + t->positions * t->m_step;
    s.filters = s.zeros + g->c;
    s.bytes = 2 * table + (size_t)(t->positions * (t->v_step + t->m_step) + g->c) * sizeof(float);
    if (g->in_bands)
        s.bytes += (size_t)(t->positions * (g->depth * t->cols + PAD)) * sizeof(float);
    return s;
}

static void open_scratch(const cnn_winograd *g, const cut_t *t, const scratch_t *s)
{
    memset(s->zeros, 0, (size_t)g->c * sizeof(float));
    for (int64_t i = 0; i < t->most; i++) {
        s->row[i] = s->v + i * g->depth;
        s->product[i] = s->m + i * t->cols;
    }
}

static cnn_panel panel_of(const cnn_winograd *g, const cut_t *t, int64_t j)
{
    if (!g->in_bands)
        return cnn_panel_at(&t->panels, j);
    const int64_t first = j * t->panel_cols, cols = cnn_min(t->panel_cols, g->k - first);
    return (cnn_panel){first, cols, (int)cnn_ceil_div(cols, cnn_k->vl)};
}

/* Floats from one position of a panel's filters to the next. Where a thread writes them, they may not alias. */
static int64_t filter_step(const cnn_winograd *g, cnn_panel panel)
{
    return panel.nv * cnn_k->vl * g->depth + (g->in_bands ? PAD : 0);
}

static const float *filters_of(const cnn_winograd *g, const cut_t *t, const scratch_t *s, int64_t position, int64_t j)
{
    const cnn_panel panel = panel_of(g, t, j);
    const float *filters = g->in_bands ? s->filters : g->filters + panel.first * t->positions * g->depth;
    return filters + position * filter_step(g, panel);
}

/* While a position is multiplied with panel j of [lo, hi), fetch what is read next: filters of the next panel or
 * position, of the next band, of the next block's first band; or a part of the taps of the next band. */
static void fetch_after(const cnn_winograd *g, const cut_t *t, const scratch_t *s, int64_t position, int64_t j,
                        int64_t lo, int64_t hi, int64_t tiles, cnn_epilogue *e)
{
    const int64_t following = hi * t->panel_cols < g->k ? hi : 0;
    if (g->in_bands) {
        cnn_fetch(e, cnn_winograd_band_part(g, panel_of(g, t, following).first, position, t->positions),
                  cnn_ceil_div(9 * t->cols, t->positions), tiles);
        return;
    }
    const float *next = filters_of(g, t, s, 0, following);
    if (j + 1 < hi)
        next = filters_of(g, t, s, position, j + 1);
    else if (position + 1 < t->positions)
        next = filters_of(g, t, s, position + 1, lo);
    cnn_fetch(e, next, e->cols, tiles);
}

/* Products of the block's m tiles with the panels [lo, hi) of a band, position by position: the position's part of V
 * goes to L1 and serves all of them. */
static void multiply(const cnn_winograd *g, const cut_t *t, const scratch_t *s, int64_t lo, int64_t hi, int64_t m)
{
    const int64_t band = panel_of(g, t, lo).first;
    for (int64_t position = 0; position < t->positions; position++)
        for (int64_t j = lo; j < hi; j++) {
            const cnn_panel panel = panel_of(g, t, j);
            const int64_t width = (int64_t)panel.nv * cnn_k->vl, offset = position * t->v_step;
            cnn_epilogue e = {.first = position * t->m_step + panel.first - band, .cols = width, .b_step = width};
            fetch_after(g, t, s, position, j, lo, hi, cnn_tile_count(m, panel.nv), &e);
            cnn_tiles(panel.nv, m, 1, &offset, g->depth, s->row, 1, filters_of(g, t, s, position, j), s->product, &e);
        }
}

static void transform_out(const cnn_winograd *g, const cut_t *t, int64_t first, int64_t cols, int64_t lo, int64_t hi,
                          const float *products, float *y)
{
    const int64_t per_frame = t->tiles_h * t->tiles_w, act = cnn_act_after_bounds(g->act);
    const cnn_bounds bounds = cnn_bounds_of(g->act);
    for (int64_t i = lo; i < hi; i++) {
        const float *cells[16], *addend[16];
        const int64_t row = i % per_frame / t->tiles_w * g->size, col = i % t->tiles_w * g->size;
        cnn_winograd_cells(y + first, i / per_frame, g->p, g->q, g->y_c, row, col, g->size, NULL, cells);
        if (g->addend)
            cnn_winograd_cells(g->addend + first, i / per_frame, g->p, g->q, g->k, row, col, g->size, NULL, addend);
        (g->size == 4 ? cnn_k->winograd_output_4
                      : cnn_k->winograd_output_2)(cols, products + (i - lo) * t->cols, t->m_step, (float *const *)cells,
                                                  g->addend ? addend : NULL, g->bias ? g->bias + first : NULL, &bounds);
        if (act)
            cnn_k->unary_rows(act, g->size * g->size, cols, (float)g->alpha, (float)g->beta, cells,
                              (float *const *)cells, 0);
    }
}

size_t cnn_winograd_local_bytes(const cnn_winograd *g)
{
    const cut_t t = cut_of(g, 1); /* a band is never wider */
    return scratch_of(g, &t, NULL).bytes;
}

void cnn_winograd_run(const cnn_winograd *g, const float *x, float *y, const cnn_team *team)
{
    const cut_t t = cut_of(g, team->size);
    const int64_t bands = t.bands, in_band = t.cols / t.panel_cols, all_panels = cnn_ceil_div(g->k, t.panel_cols);
    const scratch_t s = scratch_of(g, &t, team->local);
    open_scratch(g, &t, &s);
    int64_t lo, hi;
    cnn_team_range(team, t.blocks * bands, &lo, &hi);
    while (lo < hi) { /* the thread's share of block x band */
        const int64_t block = lo / bands, first = lo % bands, last = cnn_min(bands, first + hi - lo);
        int64_t tile0, tile1;
        cnn_part_at(block, t.blocks, t.tiles, &tile0, &tile1);
        transform_in(g, &t, x, tile0, tile1, s.v, s.zeros);
        for (int64_t j = first; j < last; j++) {
            const int64_t panels = cnn_min((j + 1) * in_band, all_panels);
            const cnn_panel low = panel_of(g, &t, j * in_band), high = panel_of(g, &t, panels - 1);
            const int64_t cols = high.first + high.cols - low.first;
            if (g->in_bands)
                cnn_winograd_transform_band(g, low.first, cols, s.filters, filter_step(g, low));
            multiply(g, &t, &s, j * in_band, panels, tile1 - tile0);
            transform_out(g, &t, low.first, cols, tile0, tile1, s.m, y);
        }
        lo += last - first;
    }
}
