#include "drivers/winograd.h"

#include <string.h>

/* Tiles are taken in blocks whose transforms, of one row of positions, stay in L2. */
enum { BLOCK_BYTES = 512 * 1024, POSITIONS = 36, ROW = 6, SIZE = 4, PAD = 16, BLOCK_COLS = 64 };

typedef struct {
    int64_t tiles_h, tiles_w, tiles, most; /* tiles of one image, of all, of a block */
    int64_t v_step, z_step;                /* floats from one position to the next */
} cut_t;

static cut_t cut_of(const cnn_winograd *g)
{
    cut_t t = {.tiles_h = cnn_ceil_div(g->p, SIZE), .tiles_w = cnn_ceil_div(g->q, SIZE)};
    t.tiles = g->n * t.tiles_h * t.tiles_w;
    t.most = cnn_max(1, cnn_min(t.tiles, BLOCK_BYTES / (4 * ROW * (g->c + BLOCK_COLS))));
    t.v_step = t.most * g->c + PAD;
    t.z_step = t.most * BLOCK_COLS + PAD;
    return t;
}

size_t cnn_winograd_weights_shared_bytes(const cnn_winograd *g)
{
    return (size_t)(POSITIONS * g->c * cnn_packed_cols(g->k)) * sizeof(float);
}

size_t cnn_winograd_weights_local_bytes(const cnn_winograd *g)
{
    const cut_t t = cut_of(g);
    return (size_t)(ROW * (t.v_step + t.z_step) + cnn_max(g->c, BLOCK_COLS)) * sizeof(float);
}

/* Tiles [lo, hi): the values of one position row of x and, for a panel's filters, of dy. */
static void transform(const cnn_winograd *g, const cut_t *t, int row, cnn_panel panel, const float *x, const float *dy,
                      int64_t lo, int64_t hi, float *v, float *z, const float *zeros)
{
    const int64_t per_image = t->tiles_h * t->tiles_w;
    for (int64_t i = lo; i < hi; i++) {
        const float *cells[POSITIONS];
        const int64_t image = i / per_image, y0 = i % per_image / t->tiles_w * SIZE, x0 = i % t->tiles_w * SIZE;
        cnn_winograd_cells(x, image, g->h, g->w, g->c, y0 - g->pad_t, x0 - g->pad_l, ROW, zeros, cells);
        cnn_k->winograd_input_row_4(row, g->c, cells, v + (i - lo) * g->c, t->v_step);
        cnn_winograd_cells(dy + panel.first, image, g->p, g->q, g->k, y0, x0, SIZE, zeros, cells);
        cnn_k->winograd_gradient_row_4(row, panel.cols, cells, z + (i - lo) * BLOCK_COLS, t->z_step);
    }
}

/* sums[position][c][columns] += v^T z over the m tiles of a block, for the six positions of a row. */
static void accumulate(const cnn_winograd *g, const cut_t *t, int64_t width, int64_t m, const float *v, const float *z,
                       float *sums, int first_block)
{
    static const int64_t no_offset[1] = {0};
    const int nv = (int)(width / cnn_k->vl);
    const int64_t tiles = cnn_tile_count(g->c, nv);
    const cnn_epilogue e = {.cols = width, .accumulate = !first_block};
    for (int position = 0; position < ROW; position++)
        for (int64_t i = 0; i < tiles; i++) {
            const float *rows[CNN_MAX_MR];
            float *c[CNN_MAX_MR];
            int64_t lo, hi;
            cnn_tile_at(i, tiles, g->c, &lo, &hi);
            for (int64_t r = lo; r < hi; r++) {
                rows[r - lo] = v + position * t->v_step + r;
                c[r - lo] = sums + (position * g->c + r) * width;
            }
            cnn_k->tile[nv][hi - lo](1, no_offset, m, rows, g->c, z + position * t->z_step, BLOCK_COLS, c, &e);
        }
}

/* Sums of one panel: [position][c][columns] behind those of the panels before. */
static float *sums_of(const cnn_winograd *g, cnn_panel panel, const cnn_team *team)
{
    return (float *)team->shared + panel.first * g->c * POSITIONS;
}

/* The thread's share of panel x position row, over all tiles. */
static void sum_products(const cnn_winograd *g, const cut_t *t, const float *x, const float *dy, const cnn_team *team)
{
    float *v = (float *)team->local, *z = v + ROW * t->v_step, *zeros = z + ROW * t->z_step;
    memset(zeros, 0, (size_t)cnn_max(g->c, BLOCK_COLS) * sizeof(float));
    int64_t lo, hi;
    cnn_team_range(team, cnn_panel_count(g->k) * ROW, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const cnn_panel panel = cnn_panel_at(u / ROW, g->k);
        const int64_t width = (int64_t)panel.nv * cnn_k->vl;
        float *sums = sums_of(g, panel, team) + u % ROW * ROW * g->c * width;
        for (int64_t first = 0; first < t->tiles; first += t->most) {
            const int64_t last = cnn_min(first + t->most, t->tiles);
            transform(g, t, (int)(u % ROW), panel, x, dy, first, last, v, z, zeros);
            accumulate(g, t, width, last - first, v, z, sums, first == 0);
        }
    }
}

void cnn_winograd_weights(const cnn_winograd *g, const float *x, const float *dy, float *dw, cnn_team *team)
{
    const cut_t t = cut_of(g);
    const int64_t panels = cnn_panel_count(g->k);
    sum_products(g, &t, x, dy, team);
    cnn_team_barrier(team);
    int64_t lo, hi;
    cnn_team_range(team, panels * g->c, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const cnn_panel panel = cnn_panel_at(u / g->c, g->k);
        const int64_t width = (int64_t)panel.nv * cnn_k->vl, row = u % g->c;
        float *out = dw + row * g->k + panel.first;
        if (t.tiles == 0)
            for (int tap = 0; tap < 9; tap++)
                memset(out + tap * g->c * g->k, 0, (size_t)panel.cols * sizeof(float));
        else
            cnn_k->winograd_filter_gradient_4(panel.cols, sums_of(g, panel, team) + row * width, g->c * width, out,
                                              g->c * g->k);
    }
}
