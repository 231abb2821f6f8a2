#include "drivers/window.h"

#include <string.h>

/* A strip's input stays in L2 beside a panel of weights; enough strips that threads share evenly. */
enum { STRIP_BYTES = 192 * 1024, STRIP_PIXELS = 1024, WANTED_UNITS = CNN_NO_SPREAD };

static int64_t extent(int64_t taps, int64_t gap)
{
    return (taps - 1) * gap + 1;
}

static int reaches_out(int64_t cells, int64_t outputs, int64_t step, int64_t first, int64_t reach)
{
    return first < 0 || (outputs - 1) * step + first + reach > cells;
}

cnn_window_strip cnn_window_cut(const cnn_window *win, int64_t panels)
{
    const int64_t reach_h = extent(win->taps_h, win->gap_h), reach_w = extent(win->taps_w, win->gap_w);
    cnn_window_strip s = {0};
    s.padded = win->taps_h && (reaches_out(win->h, win->p, win->step_h, win->first_h, reach_h) ||
                               reaches_out(win->w, win->q, win->step_w, win->first_w, reach_w));
    s.copy_w = s.padded ? (win->q - 1) * win->step_w + reach_w : win->w;
    const int64_t row_bytes = cnn_max(s.copy_w * win->c * 4 * win->step_h, 1);
    const int64_t fit = cnn_max(1, cnn_min(STRIP_BYTES / row_bytes, STRIP_PIXELS / cnn_max(win->q, 1)));
    const int64_t spread = cnn_max(1, cnn_ceil_div(win->n * win->p * panels, WANTED_UNITS));
    s.rows = cnn_max(1, cnn_min(cnn_min(fit, spread), win->n * win->p));
    s.count = cnn_ceil_div(win->n * win->p, s.rows);
    const int joined = win->gap_w == 1 && win->depth == win->c;
    s.runs = joined ? win->taps_h : win->taps_h * win->taps_w;
    s.kc = joined ? win->taps_w * win->depth : win->depth;
    if (s.padded) {
        const int64_t images = (s.rows - 1) / win->p + 2; /* that a strip can touch */
        const int64_t of_image = (cnn_min(s.rows, win->p) - 1) * win->step_h + reach_h;
        const int64_t all_rows = cnn_min(images * of_image, s.rows * win->step_h + images * reach_h);
        s.copy_bytes = cnn_align64((size_t)(all_rows * s.copy_w * win->c) * sizeof(float));
    }
    return s;
}

void cnn_window_runs(const cnn_window *win, const cnn_window_strip *strip, int64_t *run)
{
    const int64_t across = win->taps_h ? strip->runs / win->taps_h : 0;
    for (int64_t i = 0; i < win->taps_h; i++)
        for (int64_t j = 0; j < across; j++)
            run[i * across + j] = (i * win->gap_h * strip->copy_w + j * win->gap_w) * win->c;
}

/* One input row with `left` zero cells (or cells cut off, when negative) before it, `cells` long in all. */
static void copy_row(const cnn_window *win, const float *row, int64_t left, int64_t cells, float *out)
{
    const int64_t skip = cnn_max(-left, 0), before = cnn_max(left, 0);
    const int64_t body = cnn_max(0, cnn_min(win->w - skip, cells - before));
    memset(out, 0, (size_t)(cnn_min(before, cells) * win->c) * sizeof(float));
    memcpy(out + before * win->c, row + skip * win->c, (size_t)(body * win->c) * sizeof(float));
    if (before + body < cells)
        memset(out + (before + body) * win->c, 0, (size_t)((cells - before - body) * win->c) * sizeof(float));
}

static void copy_rows(const cnn_window *win, const float *image, int64_t y0, int64_t rows, int64_t cells, float *out)
{
    for (int64_t y = y0; y < y0 + rows; y++, out += cells * win->c) {
        if (y < 0 || y >= win->h)
            memset(out, 0, (size_t)(cells * win->c) * sizeof(float));
        else
            copy_row(win, image + y * win->w * win->c, -win->first_w, cells, out);
    }
}

void cnn_window_bases(const cnn_window *win, const cnn_window_strip *strip, const float *x, int64_t g0, int64_t g1,
                      float *copy, const float **bases)
{
    while (g0 < g1) { /* the part of the strip inside one image */
        const int64_t image = g0 / win->p, y0 = g0 % win->p, rows = cnn_min(g1 - g0, win->p - y0);
        const float *origin = x + image * win->h * win->w * win->c;
        const float *base = origin + ((y0 * win->step_h + win->first_h) * win->w + win->first_w) * win->c;
        if (strip->padded) {
            const int64_t high = (rows - 1) * win->step_h + extent(win->taps_h, win->gap_h);
            copy_rows(win, origin, y0 * win->step_h + win->first_h, high, strip->copy_w, copy);
            base = copy;
            copy += high * strip->copy_w * win->c;
        }
        for (int64_t y = 0; y < rows; y++)
            for (int64_t q = 0; q < win->q; q++)
                *bases++ = base + (y * win->step_h * strip->copy_w + q * win->step_w) * win->c;
        g0 += rows;
    }
}
