#include "drivers/panel.h"
#include "drivers/activation.h"

enum {
    BAND_COLS = 256, /* columns that are packed together: as many as the hardware fetches ahead in a row of b */
    A_AHEAD = 4096,  /* floats of A that are fetched before they are read */
    TOGETHER = 16,   /* rows of a plain B that are read side by side: as many streams as the hardware fetches ahead */
};

int64_t cnn_panel_cols(void)
{
    return (int64_t)cnn_k->nv_max * cnn_k->vl;
}

int64_t cnn_panel_count(int64_t n)
{
    return cnn_ceil_div(n, cnn_panel_cols());
}

cnn_panels cnn_panels_of(int64_t n)
{
    const int64_t vectors = cnn_ceil_div(n, cnn_k->vl), count = cnn_panel_count(n),
                  uneven = count ? vectors % count : 0;
    return (cnn_panels){n, count, uneven ? uneven : count, (int)cnn_ceil_div(vectors, cnn_max(count, 1))};
}

int64_t cnn_packed_cols(int64_t cols)
{
    return cnn_ceil_div(cols, cnn_k->vl) * cnn_k->vl;
}

/* One row of the columns [first, end), in panels of `width` columns. */
static inline __attribute__((always_inline)) void pack_row(const float *b, int64_t width, int64_t total_rows,
                                                           int64_t first, int64_t end, float *packed)
{
    for (; first < end; first += width)
        cnn_copy(packed + first * total_rows, b + first, width);
}

/* Rows of the columns [first, end), which fill panels of `width` columns. */
static void pack_panels(const float *b, int64_t rows, int64_t row_step, int64_t width, float *packed, int64_t row0,
                        int64_t total_rows, int64_t first, int64_t end)
{
    for (int64_t i = row0; i < row0 + rows && first < end; i++, b += row_step)
        if (width == 16)
            pack_row(b, 16, total_rows, first, end, packed + i * 16);
        else
            pack_row(b, width, total_rows, first, end, packed + i * width);
}

/* Columns contiguous in b: panels [lo, hi) together row by row, so that b is read in whole cache lines and more. */
static void pack_rows(const float *b, int64_t rows, int64_t cols, int64_t row_step, float *packed, int64_t row0,
                      int64_t total_rows, int64_t lo, int64_t hi)
{
    const cnn_panels panels = cnn_panels_of(cols);
    const cnn_panel last = cnn_panel_at(&panels, hi - 1);
    const int64_t wide = (int64_t)panels.nv * cnn_k->vl, width = (int64_t)last.nv * cnn_k->vl;
    const int64_t first = cnn_panel_at(&panels, lo).first, whole = last.first + (last.cols < width ? 0 : width);
    const int64_t turn = cnn_limited(panels.wide * wide, first, whole);
    pack_panels(b, rows, row_step, wide, packed, row0, total_rows, first, turn);
    pack_panels(b, rows, row_step, width, packed, row0, total_rows, turn, whole);
    for (int64_t i = row0; i < row0 + rows && last.cols < width; i++, b += row_step) {
        float *out = packed + last.first * total_rows + i * width;
        cnn_copy(out, b + last.first, last.cols);
        for (int64_t c = last.cols; c < width; c++)
            out[c] = 0.0f;
    }
}

/* Rows contiguous in b, columns col_step apart: a panel is the transpose of a few rows of b. */
static void pack_transposed(const float *b, int64_t rows, int64_t cols, int64_t col_step, float *out, int64_t width)
{
    cnn_k->transpose(cols, rows, b, col_step, out, width);
    for (int64_t i = 0; i < rows && cols < width; i++)
        memset(out + i * width + cols, 0, (size_t)(width - cols) * sizeof(float));
}

void cnn_pack(const float *b, int64_t rows, int64_t cols, int64_t row_step, int64_t col_step, float *packed,
              int64_t row0, int64_t total_rows, int64_t lo, int64_t hi)
{
    const int64_t band = cnn_max(1, BAND_COLS / cnn_panel_cols());
    const cnn_panels panels = cnn_panels_of(cols);
    for (int64_t j = lo; j < hi && col_step == 1; j += band)
        pack_rows(b, rows, cols, row_step, packed, row0, total_rows, j, cnn_min(j + band, hi));
    for (int64_t j = lo; j < hi && col_step != 1; j++) {
        const cnn_panel p = cnn_panel_at(&panels, j);
        const int64_t width = (int64_t)p.nv * cnn_k->vl;
        pack_transposed(b + p.first * col_step, rows, p.cols, col_step, packed + p.first * total_rows + row0 * width,
                        width);
    }
}

int64_t cnn_tile_count(int64_t m, int nv)
{
    return cnn_ceil_div(m, cnn_k->mr_max[nv]);
}

void cnn_tiles(int nv, int64_t m, int64_t runs, const int64_t *run, int64_t kc, const float *const *rows,
               int64_t a_step, const float *b, float *const *c, const cnn_epilogue *e)
{
    const int64_t tiles = cnn_tile_count(m, nv);
    if (tiles == 0)
        return;
    const int64_t low = m / tiles, higher = m % tiles, above = higher * (low + 1);
    cnn_epilogue rest = *e;
    if (higher > 0) {
        cnn_k->tile[nv][low + 1](higher, runs, run, kc, rows, a_step, b, c, e);
        rest.addend += rest.addend ? above : 0;
        rest.next += higher * runs * kc * rest.next_step;
    }
    cnn_k->tile[nv][low](tiles - higher, runs, run, kc, rows + above, a_step, b, c + above, &rest);
}

/* Panel j of the strip: where its B is, from the sum's first row on, and how it is read; its part of the epilogue. */
typedef struct {
    cnn_panel panel;
    const float *b;
    int64_t b_step;
    cnn_epilogue e;
} piece_t;

static piece_t piece_of(const cnn_strip *s, int64_t j)
{
    piece_t p = {.panel = cnn_panel_at(&s->panels, j)};
    const int64_t first = p.panel.first, width = (int64_t)p.panel.nv * cnn_k->vl;
    p.b_step = s->b_step ? s->b_step : width;
    p.b = s->b + (s->b_step ? first : first * s->depth) + s->k0 * p.b_step;
    p.e = (cnn_epilogue){.first = first,
                         .cols = p.panel.cols,
                         .bias = s->bias,
                         .addend = s->addend,
                         .bounds = cnn_bounds_of(s->act),
                         .act = cnn_act_after_bounds(s->act),
                         .alpha = (float)s->alpha,
                         .beta = (float)s->beta,
                         .accumulate = s->accumulate,
                         .far = s->far && width % 16 == 0,
                         .b_step = p.b_step,
                         .next = (const char *)s->rows};
    return p;
}

/* What is read of a packed B after panel j of [lo, hi): the next panel or, after the last, the first one's rows of the sum's next part. */
static const float *after(const cnn_strip *s, int64_t j, int64_t lo, int64_t hi)
{
    const piece_t p = piece_of(s, j + 1 < hi ? j + 1 : lo);
    if (j + 1 < hi)
        return p.b;
    const int64_t rows = s->runs * s->kc;
    return s->k0 + rows < s->depth ? p.b + rows * p.b_step : NULL;
}

static void sweep_panel(const cnn_strip *s, int64_t j, const float *next, int streams)
{
    piece_t p = piece_of(s, j);
    if (streams)
        cnn_fetch(&p.e, s->rows[0] + A_AHEAD, s->m, cnn_tile_count(s->m, p.panel.nv));
    else if (next)
        cnn_fetch(&p.e, next, p.b_step, cnn_tile_count(s->m, p.panel.nv));
    cnn_tiles(p.panel.nv, s->m, s->runs, s->run, s->kc, s->rows, s->a_step, p.b, s->c, &p.e);
}

/* A row of sums as a tile begins it. */
static void start_sums(const cnn_epilogue *e, float *sums)
{
    const int64_t rest = e->cols % cnn_k->vl, whole = e->cols - rest;
    if (!e->bias) {
        memset(sums, 0, (size_t)cnn_packed_cols(e->cols) * sizeof(float));
        return;
    }
    memcpy(sums, e->bias + e->first, (size_t)whole * sizeof(float));
    if (rest)
        memcpy(sums + whole, e->bias + e->first + e->cols - cnn_k->vl, (size_t)cnn_k->vl * sizeof(float));
}

/* Panels [lo, hi) of a plain B: their columns are one block, read row by row. */
static void stream_panels(const cnn_strip *s, int64_t lo, int64_t hi)
{
    const cnn_panel last = cnn_panel_at(&s->panels, hi - 1);
    const int64_t end = last.first + last.cols, most = CNN_SUMS / cnn_panel_cols() / s->m * cnn_panel_cols();
    piece_t p = piece_of(s, lo);
    const int64_t width = cnn_min(cnn_packed_cols(end - p.panel.first), most);
    for (; p.e.first < end; p.e.first += width, p.b += width) {
        p.e.cols = cnn_min(width, end - p.e.first);
        for (int64_t i = 0; i < s->m; i++)
            start_sums(&p.e, s->sums + i * width);
        for (int64_t k = 0; k < s->kc; k += TOGETHER)
            cnn_k->stream(s->m, cnn_min(TOGETHER, s->kc - k), p.e.cols, s->rows, s->run[0] + k * s->a_step, s->a_step,
                          p.b + k * p.b_step, p.b_step, s->sums, width);
        cnn_k->stream_out(s->m, s->sums, width, s->c, &p.e);
    }
}

/* One part of the sum. */
static void sweep_part(const cnn_strip *s, int64_t lo, int64_t hi)
{
    const int64_t most = cnn_panel_cols();
    if (s->b_step) {
        if (lo < hi)
            stream_panels(s, lo, hi);
        return;
    }
    for (; s->m == 1 && lo + CNN_ROW_PANELS <= hi; lo += CNN_ROW_PANELS) {
        const piece_t p = piece_of(s, lo);
        if (cnn_panel_at(&s->panels, lo + CNN_ROW_PANELS - 1).cols < most)
            break;
        cnn_k->tile_row(s->runs, s->run, s->kc, s->rows[0], s->a_step, p.b, most * s->depth, s->c[0], &p.e);
    }
    for (int64_t j = lo; j < hi; j++)
        sweep_panel(s, j, after(s, j, lo, hi), s->streams && j == lo);
}

/* Rows [k0, k0 + runs * kc) of the whole strip's depth. The addend comes with the first part, for the results of the
 * first may overwrite it; bias and activation come with the last. */
static void sweep_rows(const cnn_strip *whole, int64_t k0, int64_t runs, const int64_t *run, int64_t kc, int64_t lo,
                       int64_t hi)
{
    cnn_strip s = *whole;
    s.depth = whole->runs * whole->kc;
    s.k0 = k0;
    s.runs = runs;
    s.run = run;
    s.kc = kc;
    s.accumulate = k0 > 0;
    s.far = whole->far && runs * kc == s.depth;
    if (k0 > 0)
        s.addend = NULL;
    if (k0 + runs * kc < s.depth) {
        s.bias = NULL;
        s.act = 0;
    }
    sweep_part(&s, lo, hi);
}

void cnn_strip_sweep(const cnn_strip *s, int64_t lo, int64_t hi)
{
    if (s->runs * s->kc < CNN_DEEP) {
        sweep_rows(s, 0, s->runs, s->run, s->kc, lo, hi);
        return;
    }
    const int64_t together = cnn_max(1, CNN_DEPTH / s->kc),
                  pieces = cnn_max(1, s->kc / CNN_DEPTH); /* of runs; of one */
    for (int64_t r = 0; r < s->runs; r += together)
        for (int64_t i = 0; i < pieces; i++) {
            const int64_t first = s->kc * i / pieces, kc = s->kc * (i + 1) / pieces - first;
            const int64_t offset = s->run[r] + first * s->a_step;
            sweep_rows(s, r * s->kc + first, cnn_min(together, s->runs - r), pieces > 1 ? &offset : s->run + r, kc, lo,
                       hi);
        }
}
