/* Filters of Winograd's algorithm: transformed once and for all, or as they are, in bands that a run transforms for
 * itself. Transformed ones are four times as large, or 16/9 times. Where few tiles use each of them, they are all that
 * memory has to bring, and transforming takes less time than that (four times as large, on a 2-core Xeon with AVX-512
 * that brought 19 GB/s: a tenth less for ResNet-50's layers of 14x14; with AVX2 7 % more). */
#include "drivers/winograd.h"

#include <string.h>

enum { TURNED_COLS = 64, LANES = 16, MOST_COLS = 32 };

int64_t cnn_winograd_filter_size(int size, int64_t depth, int64_t k)
{
    return (int64_t)(size + 2) * (size + 2) * depth * cnn_packed_cols(k);
}

/* LANES rows of a panel of `rows` packed rows: from row `row` on of one frame of the taps w. */
static void pack_rows(int size, int64_t c, int64_t k, const float *w, int64_t row, cnn_panel panel, int64_t rows,
                      float *out)
{
    const int64_t width = (int64_t)panel.nv * cnn_k->vl;
    for (int64_t i = 0; i < LANES; i++)
        (size == 4 ? cnn_k->winograd_filter_4 : cnn_k->winograd_filter_2)(width, w + (row + i) * k + panel.first, c * k,
                                                                          out + i * width, rows * width);
}

/* The same of w turned by 180 degrees, with channels and filters exchanged. */
static void pack_turned(int size, int64_t c, int64_t k, const float *w, int64_t row, cnn_panel panel, int64_t rows,
                        float *out)
{
    const int64_t width = (int64_t)panel.nv * cnn_k->vl;
    float taps[9][LANES * TURNED_COLS];
    for (int t = 0; t < 9; t++)
        cnn_k->transpose(panel.cols, LANES, w + ((8 - t) * c + panel.first) * k + row, k, taps[t], TURNED_COLS);
    for (int64_t i = 0; i < LANES; i++)
        (size == 4 ? cnn_k->winograd_filter_4 : cnn_k->winograd_filter_2)(
            width, taps[0] + i * TURNED_COLS, LANES * TURNED_COLS, out + i * width, rows * width);
}

void cnn_winograd_pack(int size, int64_t t, int64_t c, int64_t k, const float *w, int turned, float *packed,
                       const cnn_team *team)
{
    const int64_t of_frame = turned ? k : c, rows = t * of_frame, blocks = rows / LANES;
    const cnn_panels panels = cnn_panels_of(turned ? c : k);
    int64_t lo, hi;
    cnn_team_range(team, panels.count * blocks, &lo, &hi);
    for (int64_t u = lo; u < hi; u++) {
        const cnn_panel panel = cnn_panel_at(&panels, u / blocks);
        const int64_t row = u % blocks * LANES, at = row / of_frame, frame = turned ? t - 1 - at : at;
        float *out = packed + panel.first * rows * (size + 2) * (size + 2) + row * panel.nv * cnn_k->vl;
        (turned ? pack_turned : pack_rows)(size, c, k, w + frame * 9 * c * k, row % of_frame, panel, rows, out);
    }
}

int64_t cnn_winograd_band_cols(void)
{
    return cnn_min(cnn_panel_cols(), MOST_COLS);
}

/* Where the taps of the band that begins with filter `first` are. */
static const float *band_at(int64_t depth, const float *bands, int64_t first)
{
    return bands + first * 9 * depth;
}

void cnn_winograd_pack_bands(int64_t t, int64_t c, int64_t k, const float *w, float *bands, const cnn_team *team)
{
    const int64_t width = cnn_winograd_band_cols(), rows = t * 9 * c;
    int64_t lo, hi;
    cnn_team_range(team, cnn_ceil_div(k, width), &lo, &hi);
    for (int64_t first = lo * width; first < cnn_min(hi * width, k); first += width) {
        const int64_t cols = cnn_min(width, k - first);
        float *out = (float *)band_at(t * c, bands, first);
        for (int64_t row = 0; row < rows; row++)
            cnn_copy(out + row * cols, w + row * k + first, cols);
    }
}

void cnn_winograd_transform_band(const cnn_winograd *g, int64_t first, int64_t cols, float *filters, int64_t step)
{
    const float *taps = band_at(g->depth, g->filters, first);
    for (int64_t i = 0; i < g->depth; i++) {
        const int64_t frame = i / g->c, row = frame * 9 * g->c + i % g->c;
        (g->size == 4 ? cnn_k->winograd_filter_4 : cnn_k->winograd_filter_2)(cols, taps + row * cols, g->c * cols,
                                                                             filters + i * cols, step);
    }
}

const float *cnn_winograd_band_part(const cnn_winograd *g, int64_t first, int64_t part, int64_t parts)
{
    const int64_t floats = 9 * g->depth * cnn_min(cnn_winograd_band_cols(), g->k - first);
    return band_at(g->depth, g->filters, first) + floats * part / parts;
}
