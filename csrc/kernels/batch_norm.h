/* Batch normalisation over the rows of a matrix, columns side by side in vectors. */
#include "cnn/batch_norm.h"

/* Of a block of rows that fits the cache: a mean rounded to float, what it lacks, and the sum of squares about it.
 * Two passes, so the variance is right also where the mean is far larger than the deviations. */
K(batch_norm_stats)
(int64_t rows, int64_t cols, const float *restrict x, float *restrict mean, float *restrict rest, float *restrict m2)
{
    float share = 1.0f / (float)rows;
    cnn_k_reduce_rows(CNN_SUM, rows, cols, x, cols, mean);
    for (int64_t i = 0; i < cols; i++) {
        mean[i] *= share;
        rest[i] = m2[i] = 0.0f;
    }
    int64_t j = 0;
    for (; j + 4 <= rows; j += 4) {
        const float *r0 = x + j * cols, *r1 = r0 + cols, *r2 = r1 + cols, *r3 = r2 + cols;
        for (int64_t i = 0; i < cols; i++) {
            float d0 = r0[i] - mean[i], d1 = r1[i] - mean[i], d2 = r2[i] - mean[i], d3 = r3[i] - mean[i];
            rest[i] += (d0 + d1) + (d2 + d3);
            m2[i] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; j < rows; j++)
        for (int64_t i = 0; i < cols; i++) {
            float d = x[j * cols + i] - mean[i];
            rest[i] += d;
            m2[i] += d * d;
        }
}

CNN_INLINE vf normalized(vf x, vf mean, vf scale, vf shift)
{
    return (x - mean) * scale + shift;
}

/* Fewer columns than a vector has lanes. */
static void batch_norm_narrow(int64_t rows, int64_t cols, const float *x, const float *mean, const float *scale,
                              const float *shift, const float *addend, float *y)
{
    vf m = v_load_part(mean, cols), a = v_load_part(scale, cols), b = v_load_part(shift, cols);
    for (int64_t j = 0; j < rows; j++) {
        vf v = normalized(v_load_part(x + j * cols, cols), m, a, b);
        v_store_part(y + j * cols, addend ? v + v_load_part(addend + j * cols, cols) : v, cols);
    }
}

/* The last vector of a row overlaps the one before; it is loaded first, since y may be x. */
CNN_INLINE void batch_norm_row(int64_t cols, const float *x, const float *mean, const float *scale, const float *shift,
                               const float *addend, float *y)
{
    int64_t i = 0, last = cols - CNN_VL;
    vf x_last = v_load(x + last), addend_last = addend ? v_load(addend + last) : x_last;
    for (; i <= last; i += CNN_VL) {
        vf v = normalized(v_load(x + i), v_load(mean + i), v_load(scale + i), v_load(shift + i));
        v_store(y + i, addend ? v + v_load(addend + i) : v);
    }
    if (i < cols) {
        vf v = normalized(x_last, v_load(mean + last), v_load(scale + last), v_load(shift + last));
        v_store(y + last, addend ? v + addend_last : v);
    }
}

K(batch_norm_fwd)
(int64_t rows, int64_t cols, const float *x, const float *mean, const float *scale, const float *shift,
 const float *addend, float *y)
{
    if (cols < CNN_VL)
        batch_norm_narrow(rows, cols, x, mean, scale, shift, addend, y);
    else if (addend)
        for (int64_t j = 0; j < rows; j++)
            batch_norm_row(cols, x + j * cols, mean, scale, shift, addend + j * cols, y + j * cols);
    else
        for (int64_t j = 0; j < rows; j++)
            batch_norm_row(cols, x + j * cols, mean, scale, shift, NULL, y + j * cols);
}

/* Sums of dy and of dy (x - mean). */
K(batch_norm_bwd_sums)
(int64_t rows, int64_t cols, const float *restrict x, const float *restrict dy, const float *restrict mean,
 float *restrict sum_dy, float *restrict sum_dy_x)
{
    memset(sum_dy, 0, (size_t)cols * sizeof(float));
    memset(sum_dy_x, 0, (size_t)cols * sizeof(float));
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols)
        for (int64_t i = 0; i < cols; i++) {
            sum_dy[i] += dy[i];
            sum_dy_x[i] += dy[i] * (x[i] - mean[i]);
        }
}

/* dx = a dy + b (x - mean) + e; dx may be dy. */
K(batch_norm_bwd_dx)
(int64_t rows, int64_t cols, const float *x, const float *dy, const float *mean, const float *a, const float *b,
 const float *e, float *dx)
{
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols, dx += cols) {
        CNN_IVDEP
        for (int64_t i = 0; i < cols; i++)
            dx[i] = a[i] * dy[i] + (b[i] * (x[i] - mean[i]) + e[i]);
    }
}
