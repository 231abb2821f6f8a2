/* Layer normalisation, row by row; a row is in the cache from the first look to the last. */
#include "cnn/layer_norm.h"
#include "simd/row.h"

/* The sum of (x - centre), or of its square, in four vectors so that no addition waits for the one before. */
CNN_INLINE float row_moment(int squared, int64_t cols, const float *x, float centre)
{
    vf sum[4] = {{0}, {0}, {0}, {0}}, d;
    int64_t i = 0;
    for (; i + 4 * CNN_VL <= cols; i += 4 * CNN_VL) {
        CNN_UNROLL(4)
        for (int k = 0; k < 4; k++) {
            d = v_load(x + i + k * CNN_VL) - centre;
            sum[k] += squared ? d * d : d;
        }
    }
    for (; i < cols; i += CNN_VL) {
        d = next_in(x + i, cols - i, v_splat(centre)) - centre;
        sum[0] += squared ? d * d : d;
    }
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

K(layer_norm_fwd)
(int64_t rows, int64_t cols, float epsilon, const float *x, const float *gamma, const float *beta, float *y,
 float *mean, float *var)
{
    const float share = 1.0f / (float)cols;
    const vf none = {0};
    for (int64_t j = 0; j < rows; j++, x += cols, y += cols) {
        const float m = mean[j] = row_moment(0, cols, x, 0.0f) * share;
        var[j] = row_moment(1, cols, x, m) * share;
        const float scale = 1.0f / m_sqrt(var[j] + epsilon);
        for (int64_t i = 0, left = cols; left > 0; i += CNN_VL, left -= CNN_VL) {
            __builtin_prefetch(x + cols + i); /* the next row: its first two looks go by fast */
            vf z = (next_in(x + i, left, none) - m) * scale;
            next_out(y + i, left, z * next_in(gamma + i, left, none) + next_in(beta + i, left, none));
        }
    }
}

/* A row's part of dgamma and dbeta. Returns the sum of gamma dy, and in *sum_x that of gamma dy (x - mean). */
CNN_INLINE float layer_norm_sums(int64_t cols, float mean, float scale, const float *x, const float *dy,
                                 const float *gamma, float *dgamma, float *dbeta, float *sum_x)
{
    const vf none = {0};
    vf first = none, second = none;
    for (int64_t i = 0, left = cols; left > 0; i += CNN_VL, left -= CNN_VL) {
        vf d = next_in(x + i, left, v_splat(mean)) - mean, slope = next_in(dy + i, left, none);
        next_out(dgamma + i, left, next_in(dgamma + i, left, none) + slope * (d * scale));
        next_out(dbeta + i, left, next_in(dbeta + i, left, none) + slope);
        slope *= next_in(gamma + i, left, none);
        first += slope;
        second += slope * d;
    }
    *sum_x = v_sum(second);
    return v_sum(first);
}

/* dx = (gamma dy - (sum + z sum_z) / c) / sqrt(var + epsilon), z the normalised row and sum_z that of gamma dy z.
 * dgamma and dbeta are those of these rows alone. */
K(layer_norm_bwd)
(int64_t rows, int64_t cols, float epsilon, const float *x, const float *dy, const float *mean, const float *var,
 const float *gamma, float *dx, float *dgamma, float *dbeta)
{
    const float share = 1.0f / (float)cols;
    const vf none = {0};
    memset(dgamma, 0, (size_t)cols * sizeof(float));
    memset(dbeta, 0, (size_t)cols * sizeof(float));
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols, dx += cols) {
        const float m = mean[j], scale = 1.0f / m_sqrt(var[j] + epsilon);
        float sum_x, sum = layer_norm_sums(cols, m, scale, x, dy, gamma, dgamma, dbeta, &sum_x);
        const float b = -scale * scale * scale * sum_x * share, e = -scale * sum * share;
        for (int64_t i = 0, left = cols; left > 0; i += CNN_VL, left -= CNN_VL) {
            __builtin_prefetch(x + cols + i); /* the next row, as above */
            __builtin_prefetch(dy + cols + i);
            vf slope = next_in(dy + i, left, none) * next_in(gamma + i, left, none);
            next_out(dx + i, left, scale * slope + (b * (next_in(x + i, left, none) - m) + e));
        }
    }
}
