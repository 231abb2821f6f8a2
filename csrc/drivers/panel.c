#include "drivers/panel.h"

enum { BAND_COLS = 64 }; /* columns that are packed together: a few writing streams are as good as one */

int64_t cnn_panel_cols(void)
{
    return (int64_t)cnn_k->nv_max * cnn_k->vl;
}

int64_t cnn_panel_count(int64_t n)
{
    return cnn_ceil_div(n, cnn_panel_cols());
}

cnn_panel cnn_panel_at(int64_t j, int64_t n)
{
    cnn_panel p = {.first = j * cnn_panel_cols()};
    p.cols = cnn_min(cnn_panel_cols(), n - p.first);
    p.nv = (int)cnn_ceil_div(p.cols, cnn_k->vl);
    return p;
}

int64_t cnn_packed_cols(int64_t cols)
{
    return cnn_ceil_div(cols, cnn_k->vl) * cnn_k->vl;
}

/* Columns contiguous in b: panels [lo, hi) together row by row, so that b is read in whole cache lines and more. */
static void pack_rows(const float *b, int64_t rows, int64_t cols, int64_t row_step, float *packed, int64_t row0,
                      int64_t total_rows, int64_t lo, int64_t hi)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = lo; j < hi; j++) {
            const cnn_panel p = cnn_panel_at(j, cols);
            const int64_t width = (int64_t)p.nv * cnn_k->vl;
            float *out = packed + p.first * total_rows + (row0 + i) * width;
            cnn_copy(out, b + i * row_step + p.first, p.cols);
            for (int64_t c = p.cols; c < width; c++)
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
    for (int64_t j = lo; j < hi && col_step == 1; j += band)
        pack_rows(b, rows, cols, row_step, packed, row0, total_rows, j, cnn_min(j + band, hi));
    for (int64_t j = lo; j < hi && col_step != 1; j++) {
        const cnn_panel p = cnn_panel_at(j, cols);
        const int64_t width = (int64_t)p.nv * cnn_k->vl;
        pack_transposed(b + p.first * col_step, rows, p.cols, col_step, packed + p.first * total_rows + row0 * width,
                        width);
    }
}

int64_t cnn_tile_count(int64_t m, int nv)
{
    return cnn_ceil_div(m, cnn_k->mr_max[nv]);
}

void cnn_strip_sweep(const cnn_strip *s, int64_t lo, int64_t hi)
{
    const int64_t depth = s->depth ? s->depth : s->runs * s->kc;
    for (int64_t j = lo; j < hi; j++) {
        const cnn_panel p = cnn_panel_at(j, s->n);
        const int64_t width = (int64_t)p.nv * cnn_k->vl, tiles = cnn_tile_count(s->m, p.nv);
        const int plain = s->b_step != 0 && p.cols == width;
        const int64_t b_step = plain ? s->b_step : width;
        const float *b = plain ? s->b + p.first : s->b_step ? s->b_narrow : s->b + p.first * depth;
        cnn_epilogue e = {.first = p.first,
                          .cols = p.cols,
                          .bias = s->bias,
                          .act = s->act,
                          .alpha = (float)s->alpha,
                          .beta = (float)s->beta,
                          .accumulate = s->accumulate};
        for (int64_t i = 0, m0 = 0, height; i < tiles; i++, m0 += height) {
            height = cnn_tile_height(i, tiles, s->m);
            e.addend = s->addend ? s->addend + m0 : NULL;
            cnn_k->tile[p.nv][height](s->runs, s->run, s->kc, s->rows + m0, s->a_step, b + s->k0 * b_step, b_step,
                                      s->c + m0, &e);
        }
    }
}
