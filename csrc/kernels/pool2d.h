/* Pooling, channels in vectors. A window is a list of valid taps: their offsets from the run's first pixel. A run is a
 * row of pixels whose windows have the same taps, x_step apart in x. */
#include "cnn/pool2d.h"
#include "simd/row.h"

/* Taps as bytes, of `vectors` vectors (up to 4) with `width` channels each. Always four are converted: of fewer lanes
 * gcc 12 converts one after the other. */
CNN_INLINE void index_out(int vectors, uint8_t *p, const vi *index, int64_t width)
{
    int32_t lane[4 * CNN_VL] = {0};
    uint8_t byte[4 * CNN_VL];
    memcpy(lane, index, (size_t)vectors * sizeof(vi));
    for (int l = 0; l < 4 * CNN_VL; l++)
        byte[l] = (uint8_t)lane[l];
    memcpy(p, byte, width < CNN_VL ? (size_t)width : (size_t)vectors * CNN_VL);
}

/* A loop over lanes, because gcc 12 converts lane by lane in this direction of __builtin_convertvector. */
CNN_INLINE vi index_in(const uint8_t *p, int64_t width)
{
    uint8_t byte[CNN_VL] = {0};
    int32_t lane[CNN_VL];
    vi index;
    memcpy(byte, p, width < CNN_VL ? (size_t)width : CNN_VL);
    for (int l = 0; l < CNN_VL; l++)
        lane[l] = byte[l];
    memcpy(&index, lane, sizeof index);
    return index;
}

/* The first maximum of `vectors` vectors (a constant, up to 4); once a NaN leads nothing replaces it. */
CNN_INLINE void max_vectors(int vectors, int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t width,
                            const float *x, float *y, uint8_t *index)
{
    vf best[4];
    vi best_tap[4];
    CNN_UNROLL(4)
    for (int i = 0; i < vectors; i++) {
        best[i] = channels_in(x + offset[0] + i * CNN_VL, width);
        best_tap[i] = (vi){0} + tap[0];
    }
    for (int64_t t = 1; t < taps; t++) {
        CNN_UNROLL(4)
        for (int i = 0; i < vectors; i++) {
            vf v = channels_in(x + offset[t] + i * CNN_VL, width);
            vi wins = ~(v <= best[i]) & (best[i] == best[i]);
            best[i] = v_select(wins, v, best[i]);
            best_tap[i] = (wins & ((vi){0} + tap[t])) | (~wins & best_tap[i]);
        }
    }
    CNN_UNROLL(4)
    for (int i = 0; i < vectors; i++)
        channels_out(y + i * CNN_VL, best[i], width);
    index_out(vectors, index, best_tap, width);
}

K(max_pool2d_fwd)
(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t pixels, int64_t x_step, int64_t c, const float *x,
 float *y, uint8_t *index)
{
    for (int64_t j = 0; j < pixels; j++, x += x_step, y += c, index += c) {
        int64_t done = 0;
        for (; done + 4 * CNN_VL <= c; done += 4 * CNN_VL)
            max_vectors(4, taps, offset, tap, CNN_VL, x + done, y + done, index + done);
#define BODY(i, width) max_vectors(1, taps, offset, tap, width, x + (i), y + (i), index + (i))
        FOR_CHANNELS_FROM(done, c, BODY)
#undef BODY
    }
}

/* `taps` is a constant where a number has a case of its own in FOR_TAPS. */
CNN_INLINE void max_bwd_vector(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t width, const float *dy,
                               const uint8_t *index, float *dx)
{
    vf sum = {0};
    for (int64_t t = 0; t < taps; t++) {
        vi chosen = index_in(index + offset[t], width) == tap[t];
        sum += (vf)(chosen & (vi)channels_in(dy + offset[t], width));
    }
    channels_out(dx, sum, width);
}

/* Cells of dx whose lines are fetched ahead: those of one run lie `dx_step` apart with gaps in between, which the
 * hardware takes for the end of a stream. */
enum { DX_AHEAD = 8 };

/* A loop over pixels for the usual numbers of windows a cell is in, and one for all others. */
#define FOR_TAPS(taps, pixels)                                                                                         \
    if ((taps) == 1) {                                                                                                 \
        pixels(1)                                                                                                      \
    } else if ((taps) == 2) {                                                                                          \
        pixels(2)                                                                                                      \
    } else if ((taps) == 4) {                                                                                          \
        pixels(4)                                                                                                      \
    } else {                                                                                                           \
        pixels(taps)                                                                                                   \
    }

/* A run of cells of dx, `dx_step` apart. `offset` and `tap`: the windows the first lies in, and as which of their taps;
 * the next cell is in the windows next to them. */
K(max_pool2d_bwd)
(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t pixels, int64_t dx_step, int64_t c, const float *dy,
 const uint8_t *index, float *dx)
{
#define PIXELS(number)                                                                                                 \
    for (int64_t j = 0, count = (number); j < pixels; j++, dy += c, index += c, dx += dx_step) {                       \
        FOR_CHANNELS(c, BODY)                                                                                          \
    }
#define BODY(i, width)                                                                                                 \
    max_bwd_vector(count, offset, tap, width, dy + (i), index + (i), dx + (i));                                        \
    __builtin_prefetch(dx + (i) + DX_AHEAD * dx_step, 1)
    FOR_TAPS(taps, PIXELS)
#undef BODY
#undef PIXELS
}

CNN_INLINE void avg_vector(int64_t taps, const int64_t *offset, float scale, int64_t width, const float *x, float *y)
{
    vf sum = {0};
    for (int64_t t = 0; t < taps; t++)
        sum += channels_in(x + offset[t], width);
    channels_out(y, sum * scale, width);
}

enum { AVG_WIDE = 512, AVG_AHEAD = 1024 };

/* The same sums of a pixel of many channels, one tap after the other: that is the order of addresses, and the taps of
 * a vector would fall into few sets of the cache. */
CNN_INLINE void avg_wide(int64_t taps, const int64_t *offset, float scale, int64_t c, const float *x, float *y)
{
    const vf none = {0};
    memset(y, 0, (size_t)c * sizeof(float));
    for (int64_t t = 0; t < taps; t++) {
        const float *row = x + offset[t];
        for (int64_t i = 0, left = c; left > 0; i += CNN_VL, left -= CNN_VL) {
            if (i % LINE == 0)
                __builtin_prefetch(row + i + AVG_AHEAD);
            next_out(y + i, left, next_in(y + i, left, none) + next_in(row + i, left, none));
        }
    }
    for (int64_t i = 0; i < c; i++)
        y[i] *= scale;
}

K(avg_pool2d_fwd)
(int64_t taps, const int64_t *offset, float scale, int64_t pixels, int64_t x_step, int64_t c, const float *x, float *y)
{
    for (int64_t j = 0; j < pixels; j++, x += x_step, y += c) {
#define BODY(i, width) avg_vector(taps, offset, scale, width, x + (i), y + (i))
        if (c >= AVG_WIDE)
            avg_wide(taps, offset, scale, c, x, y);
        else
            FOR_CHANNELS(c, BODY)
#undef BODY
    }
}

CNN_INLINE void avg_bwd_vector(int64_t taps, const int64_t *offset, const float *weight, int64_t width, const float *dy,
                               float *dx)
{
    vf sum = {0};
    for (int64_t t = 0; t < taps; t++)
        sum += channels_in(dy + offset[t], width) * weight[t];
    channels_out(dx, sum, width);
}

K(avg_pool2d_bwd)
(int64_t taps, const int64_t *offset, const float *weight, int64_t pixels, int64_t dx_step, int64_t c, const float *dy,
 float *dx)
{
#define PIXELS(number)                                                                                                 \
    for (int64_t j = 0, count = (number); j < pixels; j++, dy += c, dx += dx_step) {                                   \
        FOR_CHANNELS(c, BODY)                                                                                          \
    }
#define BODY(i, width)                                                                                                 \
    avg_bwd_vector(count, offset, weight, width, dy + (i), dx + (i));                                                  \
    __builtin_prefetch(dx + (i) + DX_AHEAD * dx_step, 1)
    FOR_TAPS(taps, PIXELS)
#undef BODY
#undef PIXELS
}
#undef FOR_TAPS
