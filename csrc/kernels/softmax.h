/* Softmax and its kin along rows. A row goes through in blocks of `width` lanes (16 for short rows, else CNN_BLOCK), so
 * its bits depend on its own length and contents only. Every block is read before it is written: y may be x. */
#include "cnn/softmax.h"
#include "simd/transpose.h"

enum { SOFTMAX_SHORT = 16 };

/* Call the row function with a constant width, so that its loops have a constant length. */
#define SOFTMAX_ROWS(row)                                                                                              \
    if (cols <= SOFTMAX_SHORT)                                                                                         \
        for (int64_t j = 0; j < rows; j++)                                                                             \
            row(SOFTMAX_SHORT, j);                                                                                     \
    else                                                                                                               \
        for (int64_t j = 0; j < rows; j++)                                                                             \
        row(CNN_BLOCK, j)

/* The next `width` of the `left` elements at p, behind the end `fill`. */
CNN_INLINE const float *row_in(int width, const float *p, int64_t left, float fill, float *buffer)
{
    if (left >= width)
        return p;
    CNN_UNROLL(1)
    for (int l = 0; l < width; l++)
        buffer[l] = l < (int)left ? p[l] : fill;
    return buffer;
}

/* Where to write the next `width` elements; row_done takes those of a rest to p. */
CNN_INLINE float *row_out(int width, float *p, int64_t left, float *buffer)
{
    return left >= width ? p : buffer;
}

CNN_INLINE void row_done(int width, float *p, int64_t left, const float *block)
{
    if (left >= width)
        return;
    CNN_UNROLL(1)
    for (int l = 0; l < width; l++)
        if (l < (int)left)
            p[l] = block[l];
}

CNN_INLINE float lanes_sum(int width, float *lane)
{
    for (int half = width / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* The largest element that is a number. */
CNN_INLINE float row_max(int width, int64_t cols, const float *x)
{
    vf most[CNN_BLOCK / CNN_VL];
    float buffer[CNN_BLOCK];
    CNN_UNROLL(16)
    for (int k = 0; k < width / CNN_VL; k++)
        most[k] = v_splat(-INFINITY);
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, -INFINITY, buffer);
        CNN_UNROLL(16)
        for (int k = 0; k < width / CNN_VL; k++)
            most[k] = v_max(v_load(p + k * CNN_VL), most[k]);
    }
    CNN_UNROLL(16)
    for (int k = 1; k < width / CNN_VL; k++)
        most[0] = v_max(most[k], most[0]);
    return v_largest(most[0]);
}

/* Sum of exp(x - max); the exponentials go to y if it is given. Arithmetic takes longest here, so here the row behind is
 * fetched, and where its result goes. */
CNN_INLINE float row_exp(int width, int64_t cols, float max, const float *x, float *y)
{
    float lane[CNN_BLOCK], buffer[CNN_BLOCK], e[CNN_BLOCK];
    for (int l = 0; l < width; l++)
        lane[l] = 0.0f;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, -INFINITY, buffer);
        float *out = y ? row_out(width, y + i, cols - i, e) : e;
        for (int l = 0; l < width; l += LINE) {
            __builtin_prefetch(x + cols + i + l);
            if (y)
                __builtin_prefetch(y + cols + i + l, 1);
        }
        CNN_IVDEP
        for (int l = 0; l < width; l++) {
            float power = m_exp_nonpositive(p[l] - max);
            out[l] = power;
            lane[l] += power;
        }
        if (y)
            row_done(width, y + i, cols - i, e);
    }
    return lanes_sum(width, lane);
}

/* y = exp(x - max) / sum of these, with one division for the row. Returns the sum. A short row stays in registers from the first look to the last. */
CNN_INLINE float row_softmax(int width, int64_t cols, float max, const float *x, float *y)
{
    float buffer[CNN_BLOCK], block[CNN_BLOCK], lane[CNN_BLOCK];
    if (width == SOFTMAX_SHORT) {
        const float *p = row_in(width, x, cols, -INFINITY, buffer);
        for (int l = 0; l < width; l++)
            lane[l] = block[l] = m_exp_nonpositive(p[l] - max);
        float sum = lanes_sum(width, lane), share = 1.0f / sum;
        float *out = row_out(width, y, cols, buffer);
        for (int l = 0; l < width; l++)
            out[l] = block[l] * share;
        row_done(width, y, cols, buffer);
        return sum;
    }
    float sum = row_exp(width, cols, max, x, y), share = 1.0f / sum;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, y + i, cols - i, 0.0f, buffer);
        float *out = row_out(width, y + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = p[l] * share;
        row_done(width, y + i, cols - i, block);
    }
    return sum;
}

K(softmax_fwd)(int64_t rows, int64_t cols, const float *x, float *y)
{
#define ROW(width, j) row_softmax(width, cols, row_max(width, cols, x + (j)*cols), x + (j)*cols, y + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}

CNN_INLINE void log_softmax_row(int width, int64_t cols, const float *x, float *y)
{
    float buffer[CNN_BLOCK], block[CNN_BLOCK];
    float max = row_max(width, cols, x);
    float log_sum = m_log(row_exp(width, cols, max, x, NULL));
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, 0.0f, buffer);
        float *out = row_out(width, y + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = (p[l] - max) - log_sum;
        row_done(width, y + i, cols - i, block);
    }
}

K(log_softmax_fwd)(int64_t rows, int64_t cols, const float *x, float *y)
{
#define ROW(width, j) log_softmax_row(width, cols, x + (j)*cols, y + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}

/* Sum of u, or of u v if v is given. */
CNN_INLINE float row_dot(int width, int64_t cols, const float *u, const float *v)
{
    vf sum[CNN_BLOCK / CNN_VL];
    float lane[CNN_BLOCK], u_buffer[CNN_BLOCK], v_buffer[CNN_BLOCK];
    CNN_UNROLL(16)
    for (int k = 0; k < width / CNN_VL; k++)
        sum[k] = (vf){0};
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, u + i, cols - i, 0.0f, u_buffer);
        const float *q = v ? row_in(width, v + i, cols - i, 0.0f, v_buffer) : NULL;
        CNN_UNROLL(16)
        for (int k = 0; k < width / CNN_VL; k++)
            sum[k] += q ? v_load(p + k * CNN_VL) * v_load(q + k * CNN_VL) : v_load(p + k * CNN_VL);
    }
    CNN_UNROLL(16)
    for (int k = 0; k < width / CNN_VL; k++)
        v_store(lane + k * CNN_VL, sum[k]);
    return lanes_sum(width, lane);
}

CNN_INLINE void softmax_bwd_row(int width, int64_t cols, const float *y, const float *dy, float *dx)
{
    float y_buffer[CNN_BLOCK], dy_buffer[CNN_BLOCK], block[CNN_BLOCK];
    float sum = row_dot(width, cols, y, dy);
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, y + i, cols - i, 0.0f, y_buffer);
        const float *q = row_in(width, dy + i, cols - i, 0.0f, dy_buffer);
        float *out = row_out(width, dx + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = p[l] * (q[l] - sum);
        row_done(width, dx + i, cols - i, block);
    }
}

K(softmax_bwd)(int64_t rows, int64_t cols, const float *y, const float *dy, float *dx)
{
#define ROW(width, j) softmax_bwd_row(width, cols, y + (j)*cols, dy + (j)*cols, dx + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}

CNN_INLINE void log_softmax_bwd_row(int width, int64_t cols, const float *y, const float *dy, float *dx)
{
    float y_buffer[CNN_BLOCK], dy_buffer[CNN_BLOCK], block[CNN_BLOCK];
    float sum = row_dot(width, cols, dy, NULL);
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, y + i, cols - i, 0.0f, y_buffer);
        const float *q = row_in(width, dy + i, cols - i, 0.0f, dy_buffer);
        float *out = row_out(width, dx + i, cols - i, block);
        CNN_IVDEP
        for (int l = 0; l < width; l++)
            out[l] = q[l] - m_exp_nonpositive(p[l]) * sum;
        row_done(width, dx + i, cols - i, block);
    }
}

K(log_softmax_bwd)(int64_t rows, int64_t cols, const float *y, const float *dy, float *dx)
{
#define ROW(width, j) log_softmax_bwd_row(width, cols, y + (j)*cols, dy + (j)*cols, dx + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}

/* Sum of t (x - max) over the classes with t != 0: there a logit of -infinity does not matter. */
CNN_INLINE float row_cross(int width, int64_t cols, float max, const float *x, const float *t)
{
    float lane[CNN_BLOCK], x_buffer[CNN_BLOCK], t_buffer[CNN_BLOCK];
    for (int l = 0; l < width; l++)
        lane[l] = 0.0f;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, x + i, cols - i, 0.0f, x_buffer);
        const float *q = row_in(width, t + i, cols - i, 0.0f, t_buffer);
        for (int l = 0; l < width; l++)
            lane[l] += q[l] != 0.0f ? q[l] * (p[l] - max) : 0.0f;
    }
    return lanes_sum(width, lane);
}

/* `t`: the target distribution, or NULL and `label` is the class. */
CNN_INLINE float xent_row(int width, int64_t cols, const float *x, const float *t, int32_t label, float *prob)
{
    float max = row_max(width, cols, x), total = 1.0f, cross = NAN;
    if (t) {
        total = row_dot(width, cols, t, NULL);
        cross = row_cross(width, cols, max, x, t);
    } else if (label >= 0 && label < cols) {
        cross = x[label] - max;
    }
    return m_log(row_softmax(width, cols, max, x, prob)) * total - cross;
}

K(softmax_xent_fwd)
(int64_t rows, int64_t cols, const float *x, const float *t, const int32_t *label, float *loss, float *prob)
{
#define ROW(width, j)                                                                                                  \
    loss[j] = xent_row(width, cols, x + (j)*cols, t ? t + (j)*cols : NULL, t ? 0 : label[j], prob + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}

CNN_INLINE void xent_bwd_row(int width, int64_t cols, const float *prob, const float *t, int32_t label, float dloss,
                             float *dx)
{
    float p_buffer[CNN_BLOCK], t_buffer[CNN_BLOCK], block[CNN_BLOCK];
    float total = t ? row_dot(width, cols, t, NULL) : label >= 0 && label < cols ? 1.0f : NAN;
    for (int64_t i = 0; i < cols; i += width) {
        const float *p = row_in(width, prob + i, cols - i, 0.0f, p_buffer);
        float *out = row_out(width, dx + i, cols - i, block);
        if (t) {
            const float *q = row_in(width, t + i, cols - i, 0.0f, t_buffer);
            CNN_IVDEP
            for (int l = 0; l < width; l++)
                out[l] = (p[l] * total - q[l]) * dloss;
        } else {
            const int hit = label - i >= 0 && label - i < width ? (int)(label - i) : -1;
            CNN_IVDEP
            for (int l = 0; l < width; l++)
                out[l] = (p[l] * total - (hit == l ? 1.0f : 0.0f)) * dloss;
        }
        row_done(width, dx + i, cols - i, block);
    }
}

K(softmax_xent_bwd)
(int64_t rows, int64_t cols, const float *prob, const float *t, const int32_t *label, const float *dloss, float *dx)
{
#define ROW(width, j)                                                                                                  \
    xent_bwd_row(width, cols, prob + (j)*cols, t ? t + (j)*cols : NULL, t ? 0 : label[j], dloss[j], dx + (j)*cols)
    SOFTMAX_ROWS(ROW);
#undef ROW
}
