/* Pooling, channels in vectors. A window is a list of valid taps: their offsets from the run's first pixel. A run is a
 * row of pixels whose windows have the same taps, x_step apart in x. */
#include "cnn/pool2d.h"
#include "simd/channels.h"

typedef uint8_t vb __attribute__((vector_size(CNN_VL)));

CNN_INLINE void index_out(uint8_t *p, vi index, int64_t width)
{
    vb bytes = __builtin_convertvector(index, vb);
    memcpy(p, &bytes, width < CNN_VL ? (size_t)width : CNN_VL);
}

CNN_INLINE vi index_in(const uint8_t *p, int64_t width)
{
    vb bytes = {0};
    memcpy(&bytes, p, width < CNN_VL ? (size_t)width : CNN_VL);
    return __builtin_convertvector(bytes, vi);
}

/* The first maximum; once a NaN leads nothing replaces it. */
CNN_INLINE void max_vector(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t width, const float *x,
                           float *y, uint8_t *index)
{
    vf best = channels_in(x + offset[0], width);
    vi best_tap = (vi){0} + tap[0];
    for (int64_t t = 1; t < taps; t++) {
        vf v = channels_in(x + offset[t], width);
        vi wins = (v > best) | ((v != v) & (best == best));
        best = v_select(wins, v, best);
        best_tap = (wins & ((vi){0} + tap[t])) | (~wins & best_tap);
    }
    channels_out(y, best, width);
    index_out(index, best_tap, width);
}

K(max_pool2d_fwd)
(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t pixels, int64_t x_step, int64_t c, const float *x,
 float *y, uint8_t *index)
{
    for (int64_t j = 0; j < pixels; j++, x += x_step, y += c, index += c) {
#define BODY(i, width) max_vector(taps, offset, tap, width, x + (i), y + (i), index + (i))
        FOR_CHANNELS(c, BODY)
#undef BODY
    }
}

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

/* One pixel of dx. `offset` and `tap`: the windows it lies in, and as which of their taps. */
K(max_pool2d_bwd)
(int64_t taps, const int64_t *offset, const uint8_t *tap, int64_t c, const float *dy, const uint8_t *index, float *dx){
#define BODY(i, width) max_bwd_vector(taps, offset, tap, width, dy + (i), index + (i), dx + (i))
    FOR_CHANNELS(c, BODY)
#undef BODY
}

CNN_INLINE void avg_vector(int64_t taps, const int64_t *offset, float scale, int64_t width, const float *x, float *y)
{
    vf sum = {0};
    for (int64_t t = 0; t < taps; t++)
        sum += channels_in(x + offset[t], width);
    channels_out(y, sum * scale, width);
}

K(avg_pool2d_fwd)
(int64_t taps, const int64_t *offset, float scale, int64_t pixels, int64_t x_step, int64_t c, const float *x, float *y)
{
    for (int64_t j = 0; j < pixels; j++, x += x_step, y += c) {
#define BODY(i, width) avg_vector(taps, offset, scale, width, x + (i), y + (i))
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

K(avg_pool2d_bwd)(int64_t taps, const int64_t *offset, const float *weight, int64_t c, const float *dy, float *dx)
{
#define BODY(i, width) avg_bwd_vector(taps, offset, weight, width, dy + (i), dx + (i))
    FOR_CHANNELS(c, BODY)
#undef BODY
}
