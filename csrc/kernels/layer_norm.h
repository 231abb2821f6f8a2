/* Layer normalisation: rows by themselves, in blocks of lanes as those of softmax are. A row is in the cache from the
 * first look to the last. */
#include "cnn/layer_norm.h"

/* The mean of a row, and the variance about it, from which what the rounding of the mean adds is taken off again. */
CNN_INLINE float row_mean(int width, int64_t cols, const float *x, float *var)
{
    float lane[CNN_BLOCK], square[CNN_BLOCK], buffer[CNN_BLOCK];
    const float share = 1.0f / (float)cols, mean = row_dot(width, cols, x, NULL) * share;
    for (int l = 0; l < width; l++)
        lane[l] = square[l] = 0.0f;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, mean, buffer);
        for (int l = 0; l < width; l++) {
            float d = p[l] - mean;
            lane[l] += d;
            square[l] += d * d;
        }
    }
    const float rest = lanes_sum(width, lane) * share;
    *var = lanes_sum(width, square) * share - rest * rest;
    return mean;
}

CNN_INLINE void layer_norm_row(int width, int64_t cols, float epsilon, const float *x, const float *gamma,
                               const float *beta, float *y, float *mean, float *var)
{
    float x_buffer[CNN_BLOCK], gamma_buffer[CNN_BLOCK], beta_buffer[CNN_BLOCK], block[CNN_BLOCK];
    const float m = *mean = row_mean(width, cols, x, var), scale = 1.0f / m_sqrt(*var + epsilon);
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, 0.0f, x_buffer);
        const float *g = row_in(width, gamma + i, cols - i, 0.0f, gamma_buffer);
        const float *b = row_in(width, beta + i, cols - i, 0.0f, beta_buffer);
        float *out = row_out(width, y + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = (p[l] - m) * scale * g[l] + b[l];
        row_done(width, y + i, cols - i, block);
    }
}

K(layer_norm_fwd)
(int64_t rows, int64_t cols, float epsilon, const float *x, const float *gamma, const float *beta, float *y,
 float *mean, float *var)
{
#define ROW(width, j)                                                                                                  \
    layer_norm_row(width, cols, epsilon, x + (j)*cols, gamma, beta, y + (j)*cols, mean + (j), var + (j))
    SOFTMAX_ROWS(ROW);
#undef ROW
}

/* The row's part of dgamma and dbeta. Returns the sum of gamma dy, and in *sum_x that of gamma dy (x - mean). */
CNN_INLINE float layer_norm_sums(int width, int64_t cols, float mean, float scale, const float *x, const float *dy,
                                 const float *gamma, float *dgamma, float *dbeta, float *sum_x)
{
    float x_buffer[CNN_BLOCK], dy_buffer[CNN_BLOCK], gamma_buffer[CNN_BLOCK], first[CNN_BLOCK], second[CNN_BLOCK];
    float dgamma_buffer[CNN_BLOCK], dbeta_buffer[CNN_BLOCK];
    for (int l = 0; l < width; l++)
        first[l] = second[l] = 0.0f;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, mean, x_buffer);
        const float *q = row_in(width, dy + i, cols - i, 0.0f, dy_buffer);
        const float *g = row_in(width, gamma + i, cols - i, 0.0f, gamma_buffer);
        float *dg = (float *)row_in(width, dgamma + i, cols - i, 0.0f, dgamma_buffer);
        float *db = (float *)row_in(width, dbeta + i, cols - i, 0.0f, dbeta_buffer);
        CNN_IVDEP
        for (int l = 0; l < width; l++) {
            float d = p[l] - mean, slope = q[l] * g[l];
            first[l] += slope;
            second[l] += slope * d;
            dg[l] += q[l] * (d * scale);
            db[l] += q[l];
        }
        row_done(width, dgamma + i, cols - i, dgamma_buffer);
        row_done(width, dbeta + i, cols - i, dbeta_buffer);
    }
    *sum_x = lanes_sum(width, second);
    return lanes_sum(width, first);
}

/* dx = (gamma dy - (sum + z sum_z) / c) / sqrt(var + epsilon), z the normalised row and sum_z that of gamma dy z. */
CNN_INLINE void layer_norm_bwd_row(int width, int64_t cols, float epsilon, const float *x, const float *dy, float mean,
                                   float var, const float *gamma, float *dx, float *dgamma, float *dbeta)
{
    float x_buffer[CNN_BLOCK], dy_buffer[CNN_BLOCK], gamma_buffer[CNN_BLOCK], block[CNN_BLOCK], sum_x;
    const float scale = 1.0f / m_sqrt(var + epsilon), share = 1.0f / (float)cols;
    const float sum = layer_norm_sums(width, cols, mean, scale, x, dy, gamma, dgamma, dbeta, &sum_x);
    const float b = -scale * scale * scale * sum_x * share, e = -scale * sum * share;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, 0.0f, x_buffer);
        const float *q = row_in(width, dy + i, cols - i, 0.0f, dy_buffer);
        const float *g = row_in(width, gamma + i, cols - i, 0.0f, gamma_buffer);
        float *out = row_out(width, dx + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = scale * (q[l] * g[l]) + (b * (p[l] - mean) + e);
        row_done(width, dx + i, cols - i, block);
    }
}

/* dgamma and dbeta: of these rows alone. */
K(layer_norm_bwd)
(int64_t rows, int64_t cols, float epsilon, const float *x, const float *dy, const float *mean, const float *var,
 const float *gamma, float *dx, float *dgamma, float *dbeta)
{
    memset(dgamma, 0, (size_t)cols * sizeof(float));
    memset(dbeta, 0, (size_t)cols * sizeof(float));
#define ROW(width, j)                                                                                                  \
    layer_norm_bwd_row(width, cols, epsilon, x + (j)*cols, dy + (j)*cols, mean[j], var[j], gamma, dx + (j)*cols,       \
                       dgamma, dbeta)
    SOFTMAX_ROWS(ROW);
#undef ROW
}
