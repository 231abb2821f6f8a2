/* Depthwise convolution with one kernel a channel, channels in vectors. drivers/depthwise2d.c says what is called when.
 *
 * Three kernels of one arithmetic: each output is bias + the sum over its taps, by rows of taps from the first cell to
 * the last, and taps outside the image are left out, whichever tile or kernel makes the output. */
#include "simd/channels.h"
#include "simd/far.h"

/* Store `lines` lines of `pixels` pixels (constants); two loops, or the choice would be made for every vector. */
CNN_INLINE void depthwise_out(int lines, int pixels, const cnn_depthwise_line *d, const vf *sum, float *y)
{
    if (d->far) {
        CNN_UNROLL(16)
        for (int b = 0; b < lines * pixels; b++)
            v_store_far(y + b / pixels * d->y_line + b % pixels * d->y_step, sum[b]);
    } else {
        CNN_UNROLL(16)
        for (int b = 0; b < lines * pixels; b++)
            v_store(y + b / pixels * d->y_line + b % pixels * d->y_step, sum[b]);
    }
}

/* `pixels` neighbours of a row (a constant, at most 8), each the sum over `rows` rows of `taps` cells (a constant), the
 * next pixel's first cell `step` (a constant) further on. A cell is loaded once for all pixels that read it. Cells
 * outside [lo, hi) are not there. Three rows, if that is a constant, need no loop: 4 to 8 % less time. */
CNN_INLINE void depthwise_tile(int pixels, int64_t rows, int taps, int step, int64_t lo, int64_t hi,
                               const cnn_depthwise_line *d, const float *x, const float *w, const float *bias, float *y)
{
    vf sum[8];
    CNN_UNROLL(8)
    for (int b = 0; b < pixels; b++)
        sum[b] = bias ? v_load(bias) : (vf){0};
    CNN_UNROLL(3)
    for (int64_t i = 0; i < rows; i++, x += d->x_row, w += d->w_row) {
        vf k[5];
        CNN_UNROLL(5)
        for (int j = 0; j < taps; j++)
            k[j] = v_load(w + j * d->w_step);
        CNN_UNROLL(24)
        for (int cell = 0; cell < (pixels - 1) * step + taps; cell++) {
            if (cell < lo || cell >= hi)
                continue;
            vf v = v_load(x + cell * d->pitch);
            CNN_UNROLL(8)
            for (int b = 0; b < pixels; b++)
                if (cell >= b * step && cell < b * step + taps)
                    v_fma(&sum[b], v, k[cell - b * step]);
        }
    }
    if (d->bounds.given) {
        CNN_UNROLL(8)
        for (int b = 0; b < pixels; b++)
            sum[b] = bounded(sum[b], &d->bounds);
    }
    depthwise_out(1, pixels, d, sum, y);
}

/* The same of two lines for 3 x 3 taps, of which the second begins `step` rows below: rows that both read are loaded once,
 * and so are the weights. It takes 26 registers. (Zen 5, within L1: 62 to 75 % of the peak become 74 to 83.) */
CNN_INLINE void depthwise_pair(int pixels, int step, int64_t lo, int64_t hi, const cnn_depthwise_line *d,
                               const float *x, const float *w, const float *bias, float *y)
{
    vf sum[16], k[9];
    CNN_UNROLL(16)
    for (int b = 0; b < 2 * pixels; b++)
        sum[b] = bias ? v_load(bias) : (vf){0};
    CNN_UNROLL(9)
    for (int t = 0; t < 9; t++)
        k[t] = v_load(w + t / 3 * d->w_row + t % 3 * d->w_step);
    CNN_UNROLL(5)
    for (int i = 0; i < 3 + step; i++, x += d->x_row) {
        CNN_UNROLL(24)
        for (int cell = 0; cell < (pixels - 1) * step + 3; cell++) {
            if (cell < lo || cell >= hi)
                continue;
            const vf v = v_load(x + cell * d->pitch);
            CNN_UNROLL(8)
            for (int b = 0; b < pixels; b++) {
                const int t = cell - b * step;
                if (t >= 0 && t < 3 && i < 3)
                    v_fma(&sum[b], v, k[i * 3 + t]);
                if (t >= 0 && t < 3 && i >= step)
                    v_fma(&sum[pixels + b], v, k[(i - step) * 3 + t]);
            }
        }
    }
    if (d->bounds.given) {
        CNN_UNROLL(16)
        for (int b = 0; b < 2 * pixels; b++)
            sum[b] = bounded(sum[b], &d->bounds);
    }
    depthwise_out(2, pixels, d, sum, y);
}

/* While a tile of `pixels` pixels is computed, fetch for `lines` lines what comes later in these channels and columns. */
CNN_INLINE void depthwise_fetch(int pixels, int step, int64_t lines, const cnn_depthwise_line *d, const float *x)
{
    for (int64_t i = 0; i < lines * d->ahead_rows; i++) {
        const float *row = x + d->ahead + i / d->ahead_rows * d->x_line + i % d->ahead_rows * d->x_row;
        CNN_UNROLL(16)
        for (int cell = 0; cell < pixels * step; cell++)
            __builtin_prefetch(row + cell * d->pitch, 0, 2);
    }
}

/* `group` channels of all lines, in tiles of `pixels`; the last tile of a line overlaps the one before. */
CNN_INLINE void depthwise_group(int pixels, int taps, int step, int64_t group, const cnn_depthwise_line *d,
                                const float *x, const float *w, const float *bias, float *y)
{
    const int64_t cells = (pixels - 1) * step + taps;
    const int pairs = CNN_VL == 16 && taps == 3 && d->rows == 3 && d->x_line == step * d->x_row;
    for (int64_t line = 0, together; line < d->lines;
         line += together, x += together * d->x_line, y += together * d->y_line) {
        together = pairs && line + 1 < d->lines ? 2 : 1;
        for (int64_t next = 0; next < d->pixels; next += pixels) {
            int64_t at = next + pixels <= d->pixels ? next : d->pixels - pixels, first = d->first + at * step;
            int inside = first >= 0 && first + cells <= d->cells;
            for (int64_t v = 0; v < group; v += CNN_VL) {
                int64_t i = v + CNN_VL <= group ? v : group - CNN_VL;
                const float *from = x + first * d->pitch + i, *b = bias ? bias + i : NULL;
                float *to = y + at * d->y_step + i;
                if (d->ahead_rows > 0)
                    depthwise_fetch(pixels, step, together, d, from);
                if (together == 2 && inside)
                    depthwise_pair(pixels, step, 0, cells, d, from, w + i, b, to);
                else if (together == 2)
                    depthwise_pair(pixels, step, -first, d->cells - first, d, from, w + i, b, to);
                else if (inside && taps == 3 && d->rows == 3)
                    depthwise_tile(pixels, 3, taps, step, 0, cells, d, from, w + i, b, to);
                else if (inside)
                    depthwise_tile(pixels, d->rows, taps, step, 0, cells, d, from, w + i, b, to);
                else
                    depthwise_tile(pixels, d->rows, taps, step, -first, d->cells - first, d, from, w + i, b, to);
            }
        }
    }
}

/* The tile that computes the fewest pixels twice, of those no longer than the line. */
CNN_INLINE int depthwise_tile_pixels(int64_t pixels)
{
    if (pixels < 7)
        return 4;
    return pixels >= 8 && (pixels + 7) / 8 * 8 <= (pixels + 6) / 7 * 7 ? 8 : 7;
}

/* Channels taken together through all lines, in groups of nearly equal size and of whole cache lines. With one cache
 * line a pixel, a pitch of many lines maps all pixels to few sets of L1, and no prefetcher follows; with all channels
 * of a wide pixel, rows no longer stay in L1 from line to line. Three taps at step 2 have little to gain from that: of
 * the five rows of two lines the next two read one. */
CNN_INLINE int64_t depthwise_group_channels(int taps, int step, int64_t channels)
{
    if (taps == 3 && step == 2)
        return channels;
    enum { MOST = 4 * LINE };
    int64_t groups = (channels + MOST - 1) / MOST, each = (channels + groups - 1) / groups;
    each = (each + LINE - 1) / LINE * LINE;
    return each < channels ? each : channels;
}

CNN_INLINE void depthwise_lines(int taps, int step, const cnn_depthwise_line *lines, const float *x, const float *w,
                                const float *bias, float *y)
{
    const cnn_depthwise_line copy = *lines, *d = &copy; /* of which the compiler knows that no store changes it */
    const int pixels = depthwise_tile_pixels(d->pixels);
    const int64_t group = d->ahead_rows ? d->channels : depthwise_group_channels(taps, step, d->channels);
    for (int64_t next = 0; next < d->channels; next += group) {
        int64_t i = next + group <= d->channels ? next : d->channels - group;
        const float *b = bias ? bias + i : NULL;
        if (pixels == 8)
            depthwise_group(8, taps, step, group, d, x + i, w + i, b, y + i);
        else if (pixels == 7)
            depthwise_group(7, taps, step, group, d, x + i, w + i, b, y + i);
        else
            depthwise_group(4, taps, step, group, d, x + i, w + i, b, y + i);
    }
}

/* Lines of at least 4 pixels and a vector of channels: taps 1, 2, 3 or 5 side by side, step 1, or 2 for 3 and 5. */
K(depthwise2d_lines)
(const cnn_depthwise_line *d, const float *x, const float *w, const float *bias, float *y)
{
    switch (d->taps * 2 + d->step) {
    case 1 * 2 + 1:
        depthwise_lines(1, 1, d, x, w, bias, y);
        break;
    case 2 * 2 + 1:
        depthwise_lines(2, 1, d, x, w, bias, y);
        break;
    case 3 * 2 + 1:
        depthwise_lines(3, 1, d, x, w, bias, y);
        break;
    case 3 * 2 + 2:
        depthwise_lines(3, 2, d, x, w, bias, y);
        break;
    case 5 * 2 + 1:
        depthwise_lines(5, 1, d, x, w, bias, y);
        break;
    case 5 * 2 + 2:
        depthwise_lines(5, 2, d, x, w, bias, y);
        break;
    }
}

/* `pixels` x `vectors` (constants, at most 8 sums) of the result, each sum in the order of the taps. Pixels share the
 * weights loaded for a tap; several vectors of one pixel hide the latency of the additions. */
CNN_INLINE void depthwise_run_tile(int pixels, int vectors, int64_t taps, const int64_t *x_offset,
                                   const int64_t *w_offset, int64_t x_step, int64_t y_step, int64_t width,
                                   const float *x, const float *w, const float *bias, float *y)
{
    vf sum[8];
    CNN_UNROLL(8)
    for (int i = 0; i < pixels * vectors; i++)
        sum[i] = bias ? channels_in(bias + i % vectors * CNN_VL, width) : (vf){0};
    for (int64_t t = 0; t < taps; t++) {
        const float *p = x + x_offset[t], *q = w + w_offset[t];
        CNN_UNROLL(8)
        for (int i = 0; i < pixels * vectors; i++) {
            int64_t at = i % vectors * CNN_VL;
            sum[i] += channels_in(p + i / vectors * x_step + at, width) * channels_in(q + at, width);
        }
    }
    CNN_UNROLL(8)
    for (int i = 0; i < pixels * vectors; i++)
        channels_out(y + i / vectors * y_step + i % vectors * CNN_VL, sum[i], width);
}

#define DEPTHWISE_RUN(pixels, vectors, j, i, width)                                                                    \
    depthwise_run_tile(pixels, vectors, taps, x_offset, w_offset, x_step, y_step, width, x + (j)*x_step + (i),         \
                       w + (i), bias ? bias + (i) : NULL, y + (j)*y_step + (i))

K(depthwise2d)
(int64_t taps, const int64_t *x_offset, const int64_t *w_offset, int64_t pixels, int64_t x_step, int64_t y_step,
 int64_t c, const float *x, const float *w, const float *bias, float *y)
{
    const int64_t fours = pixels / 4 * 4;
#define FOURS(i, width)                                                                                                \
    do {                                                                                                               \
        int64_t j = 0;                                                                                                 \
        for (; j + 8 <= fours; j += 8)                                                                                 \
            DEPTHWISE_RUN(8, 1, j, i, width);                                                                          \
        if (j < fours)                                                                                                 \
            DEPTHWISE_RUN(4, 1, j, i, width);                                                                          \
    } while (0)
    if (fours > 0) {
        FOR_CHANNELS(c, FOURS)
    }
#undef FOURS
    for (int64_t j = fours; j < pixels; j++) {
        int64_t done = 0;
        for (; done + 4 * CNN_VL <= c; done += 4 * CNN_VL)
            DEPTHWISE_RUN(1, 4, j, done, CNN_VL);
#define REST(i, width) DEPTHWISE_RUN(1, 1, j, i, width)
        FOR_CHANNELS_FROM(done, c, REST)
#undef REST
    }
}
#undef DEPTHWISE_RUN

CNN_INLINE void depthwise_weights_run(int64_t pixels, int64_t x_step, int64_t c, int64_t width, const float *x,
                                      const float *dy, float *dw)
{
    vf sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0};
    int64_t j = 0;
    for (; j + 4 <= pixels; j += 4, x += 4 * x_step, dy += 4 * c) {
        sum0 += channels_in(x, width) * channels_in(dy, width);
        sum1 += channels_in(x + x_step, width) * channels_in(dy + c, width);
        sum2 += channels_in(x + 2 * x_step, width) * channels_in(dy + 2 * c, width);
        sum3 += channels_in(x + 3 * x_step, width) * channels_in(dy + 3 * c, width);
    }
    for (; j < pixels; j++, x += x_step, dy += c)
        sum0 += channels_in(x, width) * channels_in(dy, width);
    channels_out(dw, (sum0 + sum1) + (sum2 + sum3), width);
}

/* dw = sum over the pixels of a row of x dy: the gradient of one tap's weights. */
K(depthwise2d_weights)
(int64_t pixels, int64_t x_step, int64_t c, const float *x, const float *dy, float *dw){
#define BODY(i, width) depthwise_weights_run(pixels, x_step, c, width, x + (i), dy + (i), dw + (i))
    FOR_CHANNELS(c, BODY)
#undef BODY
}

/* The products of pixel u with the cells it reads, in [lo, hi), added to the sums of `rows` x `taps` weights
   (constants). */
CNN_INLINE void depthwise_weights_pixel(int rows, int taps, int64_t lo, int64_t hi, const cnn_depthwise_line *d,
                                        const float *x, const float *dy, vf *sum)
{
    vf g = v_load(dy);
    CNN_UNROLL(5)
    for (int j = 0; j < taps; j++) {
        if (j < lo || j >= hi)
            continue;
        CNN_UNROLL(5)
        for (int i = 0; i < rows; i++)
            sum[i * taps + j] += v_load(x + i * d->x_row + j * d->pitch) * g;
    }
}

/* Beside a pixel, fetch what the next lines are the first to read in its place. */
CNN_INLINE void depthwise_weights_fetch(const cnn_depthwise_line *d, const float *x, const float *dy)
{
    for (int64_t i = 0; i < d->ahead_rows; i++)
        for (int64_t j = 0; j < d->step; j++)
            __builtin_prefetch(x + d->ahead + i * d->x_row + j * d->pitch, 0, 2);
    __builtin_prefetch(dy + d->lines * d->y_line, 0, 2);
}

/* A vector of channels of `rows` x `taps` weights (constants, at most 25 in all). The first `skip` lanes of dw stay as
 * they are. */
CNN_INLINE void depthwise_weights_group(int rows, int taps, const cnn_depthwise_line *d, int fetches, int64_t skip,
                                        const float *x, const float *dy, float *dw)
{
    vf sum[25];
    CNN_UNROLL(25)
    for (int t = 0; t < rows * taps; t++)
        sum[t] = (vf){0};
    for (int64_t line = 0; line < d->lines; line++) {
        const float *cell = x + line * d->x_line + d->first * d->pitch, *g = dy + line * d->y_line;
        int64_t first = d->first, until = d->first + d->pixels * d->step;
        for (; first < until; first += d->step, cell += d->step * d->pitch, g += d->y_step) {
            if (fetches)
                depthwise_weights_fetch(d, cell, g);
            if (first >= 0 && first + taps <= d->cells)
                depthwise_weights_pixel(rows, taps, 0, taps, d, cell, g, sum);
            else
                depthwise_weights_pixel(rows, taps, -first, d->cells - first, d, cell, g, sum);
        }
    }
    vi adds = v_lane() >= (int32_t)skip;
    CNN_UNROLL(25)
    for (int t = 0; t < rows * taps; t++) {
        float *p = dw + t / taps * d->w_row + t % taps * d->w_step;
        v_store(p, v_load(p) + (vf)(adds & (vi)sum[t]));
    }
}

/* All rows of weights, as many at a time as the registers hold. */
CNN_INLINE void depthwise_weights_vector(int group, int taps, const cnn_depthwise_line *d, int64_t skip, const float *x,
                                         const float *dy, float *dw)
{
    int64_t i = 0;
    for (; i + group <= d->rows; i += group)
        depthwise_weights_group(group, taps, d, i == 0 && d->ahead_rows > 0, skip, x + i * d->x_row, dy,
                                dw + i * d->w_row);
    for (; group > 2 && i + 2 <= d->rows; i += 2)
        depthwise_weights_group(2, taps, d, 0, skip, x + i * d->x_row, dy, dw + i * d->w_row);
    for (; i < d->rows; i++)
        depthwise_weights_group(1, taps, d, 0, skip, x + i * d->x_row, dy, dw + i * d->w_row);
}

/* dw += the gradient that lines of dy give, for at least a vector of channels, 3 or 5 taps side by side. Here y is dy.
 */
K(depthwise2d_weights_lines)(const cnn_depthwise_line *lines, const float *x, const float *dy, float *dw)
{
    const cnn_depthwise_line copy = *lines, *d = &copy;
    for (int64_t next = 0; next < d->channels; next += CNN_VL) {
        int64_t i = next + CNN_VL <= d->channels ? next : d->channels - CNN_VL;
        if (d->taps == 3)
            depthwise_weights_vector(3, 3, d, next - i, x + i, dy + i, dw + i);
        else
            depthwise_weights_vector(CNN_VL == 16 ? 5 : 2, 5, d, next - i, x + i, dy + i, dw + i);
    }
}
