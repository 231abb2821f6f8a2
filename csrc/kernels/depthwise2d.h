/* Depthwise convolution with one kernel a channel, channels in vectors. Taps as offsets, see drivers/depthwise2d.c. */
#include "simd/channels.h"

/* `pixels` x `vectors` (constants, at most 8 sums) of the result, each sum in the order of the taps. Pixels share the
 * weights loaded for a tap; several vectors of one pixel hide the latency of the additions. */
CNN_INLINE void depthwise_tile(int pixels, int vectors, int64_t taps, const int64_t *x_offset, const int64_t *w_offset,
                               int64_t x_step, int64_t y_step, int64_t width, const float *x, const float *w,
                               const float *bias, float *y)
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

#define DEPTHWISE_TILE(pixels, vectors, j, i, width)                                                                   \
    depthwise_tile(pixels, vectors, taps, x_offset, w_offset, x_step, y_step, width, x + (j)*x_step + (i), w + (i),    \
                   bias ? bias + (i) : NULL, y + (j)*y_step + (i))

K(depthwise2d)
(int64_t taps, const int64_t *x_offset, const int64_t *w_offset, int64_t pixels, int64_t x_step, int64_t y_step,
 int64_t c, const float *x, const float *w, const float *bias, float *y)
{
    const int64_t fours = pixels / 4 * 4;
#define FOURS(i, width)                                                                                                \
    do {                                                                                                               \
        int64_t j = 0;                                                                                                 \
        for (; j + 8 <= fours; j += 8)                                                                                 \
            DEPTHWISE_TILE(8, 1, j, i, width);                                                                         \
        if (j < fours)                                                                                                 \
            DEPTHWISE_TILE(4, 1, j, i, width);                                                                         \
    } while (0)
    if (fours > 0) {
        FOR_CHANNELS(c, FOURS)
    }
#undef FOURS
    for (int64_t j = fours; j < pixels; j++) {
        int64_t done = 0;
        for (; done + 4 * CNN_VL <= c; done += 4 * CNN_VL)
            DEPTHWISE_TILE(1, 4, j, done, CNN_VL);
#define REST(i, width) DEPTHWISE_TILE(1, 1, j, i, width)
        FOR_CHANNELS_FROM(done, c, REST)
#undef REST
    }
}
#undef DEPTHWISE_TILE

CNN_INLINE void depthwise_weights_vector(int64_t pixels, int64_t x_step, int64_t c, int64_t width, const float *x,
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
K(depthwise2d_weights)(int64_t pixels, int64_t x_step, int64_t c, const float *x, const float *dy, float *dw)
{
#define BODY(i, width) depthwise_weights_vector(pixels, x_step, c, width, x + (i), dy + (i), dw + (i))
    FOR_CHANNELS(c, BODY)
#undef BODY
}
