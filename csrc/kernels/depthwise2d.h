/* Depthwise convolution with one kernel a channel, channels in vectors. Taps as offsets, see drivers/depthwise2d.c. */
#include "simd/channels.h"

/* `count` (a constant) pixels of one vector of channels: the weights of a tap are loaded once for all of them. */
CNN_INLINE void depthwise_pixels(int count, int64_t taps, const int64_t *x_offset, const int64_t *w_offset,
                                 int64_t x_step, int64_t y_step, int64_t width, const float *x, const float *w,
                                 const float *bias, float *y)
{
    vf sum[8], start = bias ? channels_in(bias, width) : (vf){0};
    CNN_UNROLL(8)
    for (int j = 0; j < count; j++)
        sum[j] = start;
    for (int64_t t = 0; t < taps; t++) {
        vf weight = channels_in(w + w_offset[t], width);
        const float *p = x + x_offset[t];
        CNN_UNROLL(8)
        for (int j = 0; j < count; j++)
            sum[j] += channels_in(p + j * x_step, width) * weight;
    }
    CNN_UNROLL(8)
    for (int j = 0; j < count; j++)
        channels_out(y + j * y_step, sum[j], width);
}

K(depthwise2d)(int64_t taps, const int64_t *x_offset, const int64_t *w_offset, int64_t pixels, int64_t x_step,
               int64_t y_step, int64_t c, const float *x, const float *w, const float *bias, float *y)
{
#define PIXELS(count, i, width)                                                                                        \
    depthwise_pixels(count, taps, x_offset, w_offset, x_step, y_step, width, x + j * x_step + (i), w + (i),            \
                     bias ? bias + (i) : NULL, y + j * y_step + (i))
#define BODY(i, width)                                                                                                 \
    do {                                                                                                               \
        int64_t j = 0;                                                                                                 \
        for (; j + 8 <= pixels; j += 8)                                                                                \
            PIXELS(8, i, width);                                                                                       \
        for (; j + 2 <= pixels; j += 2)                                                                                \
            PIXELS(2, i, width);                                                                                       \
        if (j < pixels)                                                                                                \
            PIXELS(1, i, width);                                                                                       \
    } while (0)
    FOR_CHANNELS(c, BODY)
#undef BODY
#undef PIXELS
}

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
