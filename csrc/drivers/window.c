#include "drivers/window.h"

#include <string.h>

/* A strip's input stays in L2 beside a panel of weights. */
enum { STRIP_BYTES = 224 * 1024, STRIP_PIXELS = 1024 };

static int64_t extent(int64_t taps, int64_t gap)
{
    return (taps - 1) * gap + 1;
}

static int reaches_out(int64_t cells, int64_t outputs, int64_t step, int64_t first, int64_t taps, int64_t gap)
{
    return first < 0 || (outputs - 1) * step + first + extent(taps, gap) > cells;
}

/* Whether a tap of some window lies outside the input. */
static int reaches_border(const cnn_window *win)
{
    return reaches_out(win->f, win->o, win->step_f, win->first_f, win->taps_f, win->gap_f) ||
           reaches_out(win->h, win->p, win->step_h, win->first_h, win->taps_h, win->gap_h) ||
           reaches_out(win->w, win->q, win->step_w, win->first_w, win->taps_w, win->gap_w);
}

/* Windows without taps read nothing, so there is nothing to copy; they may have no rows either. */
static int is_copied(const cnn_window *win)
{
    return win->taps_h > 0 && (reaches_border(win) || win->depth < win->c);
}

/* Cells in a row of the copy, or of the input where it is not copied. */
static int64_t row_cells(const cnn_window *win, int padded)
{
    return padded ? (win->q - 1) * win->step_w + extent(win->taps_w, win->gap_w) : win->w;
}

static int64_t all_rows(const cnn_window *win)
{
    return win->n * win->o * win->p;
}

cnn_window_strip cnn_window_rows(const cnn_window *win, int64_t rows, int padded)
{
    cnn_window_strip s = {.padded = padded || is_copied(win)};
    s.pitch = !s.padded ? win->c : win->block ? win->block : win->depth;
    s.copy_w = row_cells(win, s.padded);
    s.rows = cnn_equal_part(all_rows(win), rows);
    s.count = cnn_ceil_div(all_rows(win), s.rows);
    const int joined = win->gap_w == 1 && win->depth == s.pitch;
    s.runs = win->taps_f * win->taps_h * (joined ? 1 : win->taps_w);
    s.kc = joined ? win->taps_w * win->depth : win->depth;
    s.frame = win->gap_f * win->h * win->w;
    if (s.padded) {
        const int64_t reach = extent(win->taps_h, win->gap_h);
        const int64_t frames = (s.rows - 1) / win->p + 2; /* that a strip can touch */
        const int64_t of_frame = (cnn_min(s.rows, win->p) - 1) * win->step_h + reach;
        const int64_t last = cnn_min(frames * of_frame, s.rows * win->step_h + frames * reach);
        s.frame = of_frame * s.copy_w;
        s.plane = (frames * (win->taps_f - 1) * of_frame + last) * s.copy_w * s.pitch;
        s.copy_bytes = cnn_align64((size_t)(cnn_ceil_div(win->depth, s.pitch) * s.plane) * sizeof(float));
    }
    return s;
}

/* Bytes of the input that are read for an output row; of a deep sum for one part of it. */
static int64_t row_bytes(const cnn_window *win)
{
    const int64_t taps = win->taps_f * win->taps_h * win->taps_w;
    const int64_t cells = cnn_min(row_cells(win, is_copied(win)) * win->step_h * win->taps_f, win->q * taps);
    const int64_t bytes = cells * win->depth * 4;
    return taps * win->depth < CNN_DEEP ? bytes : cnn_min(bytes, win->q * CNN_DEPTH * 4);
}

cnn_window_strip cnn_window_cut(const cnn_window *win)
{
    const int64_t fit = cnn_min(STRIP_BYTES / cnn_max(row_bytes(win), 1), STRIP_PIXELS / cnn_max(win->q, 1));
    return cnn_window_rows(win, cnn_max(fit, 1), 0);
}

int64_t cnn_window_tap(const cnn_window *win, const cnn_window_strip *strip, int64_t tap)
{
    const int64_t j = tap % win->taps_w, i = tap / win->taps_w % win->taps_h, f = tap / win->taps_w / win->taps_h;
    return (f * strip->frame + i * win->gap_h * strip->copy_w + j * win->gap_w) * strip->pitch;
}

void cnn_window_runs(const cnn_window *win, const cnn_window_strip *strip, int64_t *run)
{
    const int64_t taps = win->taps_f * win->taps_h * win->taps_w;
    for (int64_t i = 0; i < strip->runs; i++)
        run[i] = cnn_window_tap(win, strip, i * taps / strip->runs);
}

/* `depth` channels of each of `cells` cells, in blocks of `pitch`; which is best a constant that divides the depth. */
static inline __attribute__((always_inline)) void copy_blocks(int64_t pitch, const cnn_window *win,
                                                              const cnn_window_strip *strip, const float *x,
                                                              int64_t cells, float *out)
{
    const int64_t depth = win->depth, plane = strip->plane, step = win->c;
    for (int64_t i = 0; i < cells; i++, x += step, out += pitch) {
        float *to = out;
        for (int64_t first = 0; first < depth; first += pitch, to += plane)
            cnn_copy(to, x + first, __builtin_constant_p(pitch) ? pitch : cnn_min(pitch, depth - first));
    }
}

static void zero_cells(const cnn_window *win, const cnn_window_strip *strip, int64_t cells, float *out)
{
    for (int64_t first = 0; first < win->depth; first += strip->pitch, out += strip->plane)
        memset(out, 0, (size_t)(cells * strip->pitch) * sizeof(float));
}

static void copy_cells(const cnn_window *win, const cnn_window_strip *strip, const float *x, int64_t cells, float *out)
{
    const int64_t pitch = strip->pitch, depth = win->depth;
    if (pitch == win->c)
        memcpy(out, x, (size_t)(cells * pitch) * sizeof(float));
    else if (pitch == 8 && depth % 8 == 0)
        copy_blocks(8, win, strip, x, cells, out);
    else if (pitch == 16 && depth % 16 == 0)
        copy_blocks(16, win, strip, x, cells, out);
    else
        copy_blocks(pitch, win, strip, x, cells, out);
}

/* One input row with `left` zero cells (or cells cut off, when negative) before it. */
static void copy_row(const cnn_window *win, const cnn_window_strip *strip, const float *row, int64_t left, float *out)
{
    const int64_t cells = strip->copy_w, skip = cnn_max(-left, 0), before = cnn_limited(left, 0, cells);
    const int64_t body = cnn_max(0, cnn_min(win->w - skip, cells - before)), end = before + body;
    zero_cells(win, strip, before, out);
    copy_cells(win, strip, row + skip * win->c, body, out + before * strip->pitch);
    zero_cells(win, strip, cells - end, out + end * strip->pitch);
}

/* Rows of one frame, from y0 on; those outside are zeros. */
static void copy_rows(const cnn_window *win, const cnn_window_strip *strip, const float *frame, int64_t y0,
                      int64_t rows, float *out)
{
    for (int64_t y = y0; y < y0 + rows; y++, out += strip->copy_w * strip->pitch) {
        if (y < 0 || y >= win->h)
            zero_cells(win, strip, strip->copy_w, out);
        else
            copy_row(win, strip, frame + y * win->w * win->c, -win->first_w, out);
    }
}

/* The rows that the windows of one output frame read, of each of their frames; those outside are zeros. */
static void copy_frames(const cnn_window *win, const cnn_window_strip *strip, const float *image, int64_t z0,
                        int64_t y0, int64_t rows, float *out)
{
    for (int64_t i = 0; i < win->taps_f; i++, out += strip->frame * strip->pitch) {
        const int64_t z = z0 + i * win->gap_f;
        if (z < 0 || z >= win->f)
            zero_cells(win, strip, rows * strip->copy_w, out);
        else
            copy_rows(win, strip, image + z * win->h * win->w * win->c, y0, rows, out);
    }
}

void cnn_window_bases(const cnn_window *win, const cnn_window_strip *strip, const float *x, int64_t g0, int64_t g1,
                      float *copy, const float **bases)
{
    while (g0 < g1) { /* the part of the strip inside one output frame */
        const int64_t z0 = g0 / win->p % win->o * win->step_f + win->first_f;
        const int64_t y0 = g0 % win->p * win->step_h + win->first_h, rows = cnn_min(g1 - g0, win->p - g0 % win->p);
        const float *image = x + g0 / win->p / win->o * win->f * win->h * win->w * win->c;
        const float *base = image + ((z0 * win->h + y0) * win->w + win->first_w) * win->c;
        if (strip->padded) {
            const int64_t high = (rows - 1) * win->step_h + extent(win->taps_h, win->gap_h);
            copy_frames(win, strip, image, z0, y0, high, copy);
            base = copy;
            copy += ((win->taps_f - 1) * strip->frame + high * strip->copy_w) * strip->pitch;
        }
        for (int64_t y = 0; y < rows; y++)
            for (int64_t q = 0; q < win->q; q++)
                *bases++ = base + (y * win->step_h * strip->copy_w + q * win->step_w) * strip->pitch;
        g0 += rows;
    }
}
