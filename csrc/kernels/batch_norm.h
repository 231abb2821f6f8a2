/* Batch normalisation over the rows of a matrix, columns side by side in vectors. */
#include "cnn/batch_norm.h"
#include "simd/channels.h"

enum { STATS_HEAD = 8, STATS_AHEAD = 1024 };

CNN_INLINE void stats_vector(int64_t width, const float *x, const float *mean, float *rest, float *m2)
{
    vf d = channels_in(x, width) - channels_in(mean, width);
    channels_out(rest, channels_in(rest, width) + d, width);
    channels_out(m2, channels_in(m2, width) + d * d, width);
}

/* Of a block of rows: in `mean` that of the first eighth, rounded to float; in `rest` and `m2` the sums of all
 * deviations from it and of their squares. The rows are read once, and yet the variance is right where the mean is far
 * larger than the deviations: as an eighth of the values lie about `mean`, the variance about it is at most eight times
 * that about the block's own mean. */
K(batch_norm_stats)
(int64_t rows, int64_t cols, const float *x, float *mean, float *rest, float *m2)
{
    const int64_t head = (rows + STATS_HEAD - 1) / STATS_HEAD, whole = cols / CNN_VL * CNN_VL;
    const float share = 1.0f / (float)head;
    cnn_k_reduce_rows(CNN_SUM, head, cols, x, cols, mean);
    for (int64_t i = 0; i < cols; i++) {
        mean[i] *= share;
        rest[i] = m2[i] = 0.0f;
    }
    /* Row after row, and fetched ahead by hand; of several rows at a time, or left to the hardware, it is slower. */
    for (int64_t j = 0; j < rows; j++, x += cols) {
        for (int64_t i = 0; i < whole; i += CNN_VL) {
            if (i % LINE == 0)
                __builtin_prefetch(x + i + STATS_AHEAD);
            stats_vector(CNN_VL, x + i, mean + i, rest + i, m2 + i);
        }
        if (whole < cols)
            stats_vector(cols - whole, x + whole, mean + whole, rest + whole, m2 + whole);
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

/* What passes of dy at a value of x `off` the mean; multiplied as in unary_bwd, so that the same bits pass. */
#define PASSED(i, off) (dy[i] * passes((off)*scale[i] + shift[i], low, high))

CNN_INLINE float passes(float y, float low, float high)
{
    return y > low && y < high ? 1.0f : 0.0f;
}

CNN_INLINE void sums_of_passed(int64_t rows, int64_t cols, const float *restrict x, const float *restrict dy,
                               const float *restrict mean, const cnn_open *open, float *restrict sum_dy,
                               float *restrict sum_dy_x)
{
    const float *restrict scale = open->scale, *restrict shift = open->shift, low = open->low, high = open->high;
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols)
        for (int64_t i = 0; i < cols; i++) {
            const float off = x[i] - mean[i], passed = PASSED(i, off);
            sum_dy[i] += passed;
            sum_dy_x[i] += passed * off;
        }
}

/* Sums of dy, or what passes of it, and of that times (x - mean). */
K(batch_norm_bwd_sums)
(int64_t rows, int64_t cols, const float *restrict x, const float *restrict dy, const float *restrict mean,
 const cnn_open *open, float *restrict sum_dy, float *restrict sum_dy_x)
{
    memset(sum_dy, 0, (size_t)cols * sizeof(float));
    memset(sum_dy_x, 0, (size_t)cols * sizeof(float));
    if (open) {
        sums_of_passed(rows, cols, x, dy, mean, open, sum_dy, sum_dy_x);
        return;
    }
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols)
        for (int64_t i = 0; i < cols; i++) {
            sum_dy[i] += dy[i];
            sum_dy_x[i] += dy[i] * (x[i] - mean[i]);
        }
}

CNN_INLINE void dx_of_passed(int64_t rows, int64_t cols, const float *x, const float *dy, const float *mean,
                             const cnn_open *open, const float *a, const float *b, const float *e, float *dx)
{
    const float *scale = open->scale, *shift = open->shift, low = open->low, high = open->high;
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols, dx += cols) {
        CNN_IVDEP
        for (int64_t i = 0; i < cols; i++) {
            const float off = x[i] - mean[i];
            dx[i] = a[i] * PASSED(i, off) + (b[i] * off + e[i]);
        }
    }
}

/* dx = a dy + b (x - mean) + e, of what passes of dy; dx may be dy. */
K(batch_norm_bwd_dx)
(int64_t rows, int64_t cols, const float *x, const float *dy, const float *mean, const cnn_open *open, const float *a,
 const float *b, const float *e, float *dx)
{
    if (open) {
        dx_of_passed(rows, cols, x, dy, mean, open, a, b, e, dx);
        return;
    }
    for (int64_t j = 0; j < rows; j++, x += cols, dy += cols, dx += cols) {
        CNN_IVDEP
        for (int64_t i = 0; i < cols; i++)
            dx[i] = a[i] * dy[i] + (b[i] * (x[i] - mean[i]) + e[i]);
    }
}
#undef PASSED
