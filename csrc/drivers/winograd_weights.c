#include "drivers/winograd.h"

#include <string.h>

/* The gradient of the filters, a block of tiles after the other: the team transforms x and dy of the block's tiles, and
 * then sums, for each position of the transformed tile, the products of channels and filters over them. Both are left
 * in the shared caches in the order in which the products read them: V [position][16 channels][tile][channel] and
 * Z [position][panel][tile][filter].
 *
 * A block is as large as may stay in the last-level cache, but not so small that loading and storing the sums shows. */
enum { BLOCK_BYTES = 4 * 1024 * 1024, TILES_MIN = 256, POSITIONS = 36, IN = 6, SIZE = 4, LANES = 16, PAD = 16 };

typedef struct {
    int64_t tiles_h, tiles_w, tiles, most; /* tiles of one frame, of all, of a block */
    int64_t v_step, z_step;                /* floats from one position to the next; padded, so that they do not alias */
    int64_t sums, v, z;                    /* floats of the sums, of V, of Z */
    cnn_panels panels;                     /* of the filters */
} cut_t;

static cut_t cut_of(const cnn_winograd *g)
{
    const int64_t k = cnn_packed_cols(g->k);
    cut_t t = {.tiles_h = cnn_ceil_div(g->p, SIZE), .tiles_w = cnn_ceil_div(g->q, SIZE)};
    t.tiles = g->n * g->o * t.tiles_h * t.tiles_w;
    t.most = cnn_max(1, cnn_min(t.tiles, cnn_max(TILES_MIN, BLOCK_BYTES / (4 * POSITIONS * (g->depth + k)))));
    t.v_step = t.most * g->depth + PAD;
    t.z_step = t.most * k + PAD;
    t.sums = POSITIONS * g->depth * k;
    t.v = POSITIONS * t.v_step;
    t.z = POSITIONS * t.z_step;
    t.panels = cnn_panels_of(g->k);
    return t;
}

size_t cnn_winograd_weights_shared_bytes(const cnn_winograd *g)
{
    const cut_t t = cut_of(g);
    return (size_t)(t.sums + t.v + t.z) * sizeof(float);
}

/* The 4 x 4 cells of dy for tile i of the block: filters in the wider panels, then those in the others. */
static void transform_gradient(const cnn_winograd *g, const cut_t *t, const float *cells[SIZE * SIZE], int64_t i,
                               float *z)
{
    const int64_t width = (int64_t)t->panels.nv * cnn_k->vl, narrow = width - cnn_k->vl, wide = t->panels.wide * width;
    cnn_k->winograd_gradient_4(wide, width, t->most * width, cells, z + i * width, t->z_step);
    if (wide == g->k)
        return;
    for (int cell = 0; cell < SIZE * SIZE; cell++)
        cells[cell] += wide;
    cnn_k->winograd_gradient_4(g->k - wide, narrow, t->most * narrow, cells, z + wide * t->most + i * narrow,
                               t->z_step);
}

/* Tiles [lo, hi), counted from the block's first. */
static void transform(const cnn_winograd *g, const cut_t *t, const float *x, const float *dy, int64_t first, int64_t lo,
                      int64_t hi, float *v, float *z, const float *zeros)
{
    const int64_t per_frame = t->tiles_h * t->tiles_w;
    for (int64_t i = lo; i < hi; i++) {
        const float *cells[POSITIONS];
        const int64_t tile = first + i, frame = tile / per_frame;
        const int64_t y0 = tile % per_frame / t->tiles_w * SIZE, x0 = tile % t->tiles_w * SIZE;
        for (int64_t tap = 0; tap < g->t; tap++) {
            cnn_winograd_input_cells(g, x, frame, tap, y0 - g->pad_t, x0 - g->pad_l, IN, zeros, cells);
            cnn_k->winograd_input_4(g->c, LANES, t->most * LANES, cells, v + tap * g->c * t->most + i * LANES,
                                    t->v_step);
        }
        cnn_winograd_cells(dy, frame, g->p, g->q, g->k, y0, x0, SIZE, zeros, cells);
        transform_gradient(g, t, cells, i, z);
    }
}

/* A thread's scratch. `row` points to each channel of V at the first position. */
typedef struct {
    float *zeros;
    const float **row;
    float **sum;
    size_t bytes;
} scratch_t;

static scratch_t scratch_of(const cnn_winograd *g, char *local)
{
    const size_t table = cnn_align64((size_t)g->depth * sizeof(void *));
    const size_t zeros = (size_t)cnn_max(g->c, g->k) * sizeof(float);
    return (scratch_t){(float *)(local + 2 * table), (const float **)local, (float **)(local + table),
                       2 * table + zeros};
}

/* sums[depth][columns] += V^T Z over the m tiles of a block, at one position and for one panel of `width` columns. */
static void accumulate(const cnn_winograd *g, const scratch_t *s, int64_t width, int64_t m, int64_t offset,
                       const float *z, float *sums, int first_block)
{
    const int nv = (int)(width / cnn_k->vl);
    const int64_t height = cnn_ceil_div(g->depth, cnn_tile_count(g->depth, nv)); /* of a tile */
    const cnn_epilogue e = {.cols = width,
                            .b_step = width,
                            .accumulate = !first_block,
                            .next = (const char *)(sums + height * width), /* what the next tile adds to */
                            .next_step = cnn_ceil_div(height * width * (int64_t)sizeof(float), m)};
    for (int64_t i = 0; i < g->depth; i++)
        s->sum[i] = sums + i * width;
    cnn_tiles(nv, g->depth, 1, &offset, m, s->row, LANES, z, s->sum, &e);
}

/* Sums of one panel, [position][depth][columns], behind those of the panels before. */
static float *sums_of(const cnn_winograd *g, cnn_panel panel, const cnn_team *team)
{
    return (float *)team->shared + panel.first * g->depth * POSITIONS;
}

/* The thread's share of position x panel, over the m tiles of a block. */
static void sum_products(const cnn_winograd *g, const cut_t *t, const scratch_t *s, int64_t m, const float *z,
                         int first_block, const cnn_team *team)
{
    int64_t lo, hi;
    cnn_team_range(team, POSITIONS * t->panels.count, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const int64_t position = u / t->panels.count;
        const cnn_panel panel = cnn_panel_at(&t->panels, u % t->panels.count);
        const int64_t width = (int64_t)panel.nv * cnn_k->vl;
        accumulate(g, s, width, m, position * t->v_step, z + position * t->z_step + panel.first * t->most,
                   sums_of(g, panel, team) + position * g->depth * width, first_block);
    }
}

/* The thread's share of dw from the sums; without tiles there are none. */
static void transform_back(const cnn_winograd *g, const cut_t *t, float *dw, const cnn_team *team)
{
    int64_t lo, hi;
    cnn_team_range(team, t->panels.count * g->depth, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const cnn_panel panel = cnn_panel_at(&t->panels, u / g->depth);
        const int64_t width = (int64_t)panel.nv * cnn_k->vl, row = u % g->depth;
        float *out = dw + (row / g->c * 9 * g->c + row % g->c) * g->k + panel.first;
        if (t->tiles == 0)
            for (int tap = 0; tap < 9; tap++)
                memset(out + tap * g->c * g->k, 0, (size_t)panel.cols * sizeof(float));
        else
            cnn_k->winograd_filter_gradient_4(panel.cols, sums_of(g, panel, team) + row * width, g->depth * width, out,
                                              g->c * g->k);
    }
}

size_t cnn_winograd_weights_local_bytes(const cnn_winograd *g)
{
    return scratch_of(g, NULL).bytes;
}

void cnn_winograd_weights(const cnn_winograd *g, const float *x, const float *dy, float *dw, cnn_team *team)
{
    const cut_t t = cut_of(g);
    const scratch_t s = scratch_of(g, team->local);
    float *v = (float *)team->shared + t.sums, *z = v + t.v;
    memset(s.zeros, 0, (size_t)cnn_max(g->c, g->k) * sizeof(float));
    for (int64_t c = 0; c < g->depth; c++)
        s.row[c] = v + c / LANES * t.most * LANES + c % LANES;
    for (int64_t first = 0; first < t.tiles; first += t.most) {
        const int64_t m = cnn_min(t.most, t.tiles - first);
        int64_t lo, hi;
        cnn_team_range(team, m, &lo, &hi);
        transform(g, &t, x, dy, first, lo, hi, v, z, s.zeros);
        cnn_team_barrier(team);
        sum_products(g, &t, &s, m, z, first == 0, team);
        cnn_team_barrier(team);
    }
    transform_back(g, &t, dw, team);
}
