/* Softmax and its kin, row by row; few classes are done otherwise (softmax_few.h). A row's bits depend on its own length
 * and contents only. Every vector is read before it is written: y may be x. */
#include "cnn/softmax.h"
#include "simd/row.h"

/* The sum of four vectors' lanes. */
CNN_INLINE float row_sum(const vf *sum)
{
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* The largest element that is a number. */
CNN_INLINE float row_max(int64_t cols, const float *x)
{
    const vf least = v_splat(-INFINITY);
    vf most[4] = {least, least, least, least};
#define BODY(i, left, k) most[k] = v_max(next_in(x + (i), left, least), most[k])
    FOR_ROW(cols, BODY)
#undef BODY
    return v_largest(v_max(v_max(most[0], most[1]), v_max(most[2], most[3])));
}

/* Sum of exp(x - max); the exponentials go to y if it is given. Arithmetic takes longest here, so here the row behind is
 * fetched, and where its result goes. */
CNN_INLINE float row_exp(int64_t cols, float max, const float *x, float *y)
{
    const vf least = v_splat(-INFINITY);
    vf sum[4] = {{0}, {0}, {0}, {0}};
#define BODY(i, left, k)                                                                                               \
    vf power = v_exp_nonpositive(next_in(x + (i), left, least) - max);                                                 \
    sum[k] += power;                                                                                                   \
    if ((k) % (LINE / CNN_VL) == 0)                                                                                    \
        __builtin_prefetch(x + cols + (i));                                                                            \
    if (y) {                                                                                                           \
        next_out(y + (i), left, power);                                                                                \
        if ((k) % (LINE / CNN_VL) == 0)                                                                                \
            __builtin_prefetch(y + cols + (i), 1);                                                                     \
    }
    FOR_ROW(cols, BODY)
#undef BODY
    return row_sum(sum);
}

/* y = exp(x - max) / sum of these, with one division for the row. Returns the sum. */
CNN_INLINE float row_softmax(int64_t cols, float max, const float *x, float *y)
{
    const vf none = {0};
    float sum = row_exp(cols, max, x, y), share = 1.0f / sum;
#define BODY(i, left, k) next_out(y + (i), left, next_in(y + (i), left, none) * share)
    FOR_ROW(cols, BODY)
#undef BODY
    return sum;
}

CNN_INLINE void softmax_row(int64_t cols, const float *x, float *y)
{
    row_softmax(cols, row_max(cols, x), x, y);
}

CNN_INLINE void log_softmax_row(int64_t cols, const float *x, float *y)
{
    const vf none = {0};
    float max = row_max(cols, x), log_sum = m_log(row_exp(cols, max, x, NULL));
#define BODY(i, left, k)                                                                                               \
    __builtin_prefetch(y + cols + (i), 1);                                                                             \
    next_out(y + (i), left, (next_in(x + (i), left, none) - max) - log_sum)
    FOR_ROW(cols, BODY)
#undef BODY
}

/* Sum of u, or of u v if v is given. */
CNN_INLINE float row_dot(int64_t cols, const float *u, const float *v)
{
    const vf none = {0};
    vf sum[4] = {none, none, none, none};
#define BODY(i, left, k)                                                                                               \
    vf term = next_in(u + (i), left, none);                                                                            \
    sum[k] += v ? term * next_in(v + (i), left, none) : term
    FOR_ROW(cols, BODY)
#undef BODY
    return row_sum(sum);
}

CNN_INLINE void softmax_bwd_row(int64_t cols, const float *y, const float *dy, float *dx)
{
    const vf none = {0};
    float sum = row_dot(cols, y, dy);
#define BODY(i, left, k) next_out(dx + (i), left, next_in(y + (i), left, none) * (next_in(dy + (i), left, none) - sum))
    FOR_ROW(cols, BODY)
#undef BODY
}

CNN_INLINE void log_softmax_bwd_row(int64_t cols, const float *y, const float *dy, float *dx)
{
    const vf none = {0};
    float sum = row_dot(cols, dy, NULL);
#define BODY(i, left, k)                                                                                               \
    vf power = v_exp_nonpositive(next_in(y + (i), left, none));                                                        \
    next_out(dx + (i), left, next_in(dy + (i), left, none) - power * sum)
    FOR_ROW(cols, BODY)
#undef BODY
}

/* Sum of t (x - max) over the classes with t != 0: there a logit of -infinity does not matter. */
CNN_INLINE float row_cross(int64_t cols, float max, const float *x, const float *t)
{
    const vf none = {0};
    vf sum[4] = {none, none, none, none};
#define BODY(i, left, k)                                                                                               \
    vf target = next_in(t + (i), left, none), term = target * (next_in(x + (i), left, none) - max);                    \
    sum[k] += (vf)((target != 0.0f) & (vi)term)
    FOR_ROW(cols, BODY)
#undef BODY
    return row_sum(sum);
}

/* `t`: the target distribution, or NULL and `label` is the class. */
CNN_INLINE float xent_row(int64_t cols, const float *x, const float *t, int32_t label, float *prob)
{
    float max = row_max(cols, x), total = 1.0f, cross = NAN;
    if (t) {
        total = row_dot(cols, t, NULL);
        cross = row_cross(cols, max, x, t);
    } else if (label >= 0 && label < cols) {
        cross = x[label] - max;
    }
    return m_log(row_softmax(cols, max, x, prob)) * total - cross;
}

/* 1 in lane `at`, if there is one, and 0 in the others. */
CNN_INLINE vf v_one_at(int64_t at)
{
    return (vf)((v_lane() == (at >= 0 && at < CNN_VL ? (int32_t)at : -1)) & (vi)v_splat(1.0f));
}

CNN_INLINE void xent_bwd_row(int64_t cols, const float *prob, const float *t, int32_t label, float dloss, float *dx)
{
    const vf none = {0};
    float total = t ? row_dot(cols, t, NULL) : label >= 0 && label < cols ? 1.0f : NAN;
#define BODY(i, left, k)                                                                                               \
    vf target = t ? next_in(t + (i), left, none) : v_one_at(label - (i));                                              \
    next_out(dx + (i), left, (next_in(prob + (i), left, none) * total - target) * dloss)
    FOR_ROW(cols, BODY)
#undef BODY
}

K(softmax_fwd)(int64_t rows, int64_t cols, const float *x, float *y)
{
    if (cols <= FEW_COLS)
        few_rows(few_softmax_fwd, rows, cols, (few_t){.x = x, .y = y});
    else
        for (int64_t j = 0; j < rows; j++)
            softmax_row(cols, x + j * cols, y + j * cols);
}

K(log_softmax_fwd)(int64_t rows, int64_t cols, const float *x, float *y)
{
    if (cols <= FEW_COLS)
        few_rows(few_log_softmax_fwd, rows, cols, (few_t){.x = x, .y = y});
    else
        for (int64_t j = 0; j < rows; j++)
            log_softmax_row(cols, x + j * cols, y + j * cols);
}

K(softmax_bwd)(int64_t rows, int64_t cols, const float *y, const float *dy, float *dx)
{
    if (cols <= FEW_COLS)
        few_rows(few_softmax_bwd, rows, cols, (few_t){.x = y, .t = dy, .y = dx});
    else
        for (int64_t j = 0; j < rows; j++)
            softmax_bwd_row(cols, y + j * cols, dy + j * cols, dx + j * cols);
}

K(log_softmax_bwd)(int64_t rows, int64_t cols, const float *y, const float *dy, float *dx)
{
    if (cols <= FEW_COLS)
        few_rows(few_log_softmax_bwd, rows, cols, (few_t){.x = y, .t = dy, .y = dx});
    else
        for (int64_t j = 0; j < rows; j++)
            log_softmax_bwd_row(cols, y + j * cols, dy + j * cols, dx + j * cols);
}

K(softmax_xent_fwd)
(int64_t rows, int64_t cols, const float *x, const float *t, const int32_t *label, float *loss, float *prob)
{
    if (cols <= FEW_COLS)
        few_rows(few_xent_fwd, rows, cols, (few_t){.x = x, .t = t, .label = label, .loss = loss, .y = prob});
    else
        for (int64_t j = 0; j < rows; j++)
            loss[j] = xent_row(cols, x + j * cols, t ? t + j * cols : NULL, t ? 0 : label[j], prob + j * cols);
}

K(softmax_xent_bwd)
(int64_t rows, int64_t cols, const float *prob, const float *t, const int32_t *label, const float *dloss, float *dx)
{
    if (cols <= FEW_COLS)
        few_rows(few_xent_bwd, rows, cols, (few_t){.x = prob, .t = t, .label = label, .dloss = dloss, .y = dx});
    else
        for (int64_t j = 0; j < rows; j++)
            xent_bwd_row(cols, prob + j * cols, t ? t + j * cols : NULL, t ? 0 : label[j], dloss[j], dx + j * cols);
}
