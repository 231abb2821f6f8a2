/* Softmax and its kin over few classes. A tile of CNN_VL rows is transposed, so that a row is a lane, and maxima and sums
 * run over vectors from the first column to the last. A row's bits depend on nothing beside it: the last tiles are
 * computed in buffers by the same machine code. Every tile is read before it is written: y may be x. */
#include "cnn/softmax.h"
#include "simd/transpose.h"

enum { FEW_COLS = 64, TILE_FLOATS = FEW_COLS * CNN_VL };

/* What an operation reads and writes, from some row on: x and t (or dy) and y have a row for each, the others an
 * element. What an operation has no use for is NULL. */
typedef struct {
    const float *x, *t, *dloss;
    const int32_t *label;
    float *loss, *y;
} few_t;

/* Where the vectors of a row begin: the last overlaps the one before. */
#define FOR_VECTORS(cols, first)                                                                                       \
    for (int64_t next = 0, first = 0; next < cols; next += CNN_VL, first = next + CNN_VL <= cols ? next : cols - CNN_VL)

/* A row shorter than a vector is read a vector long. */
CNN_INLINE void columns_in(int64_t cols, const float *x, vf *column)
{
    FOR_VECTORS(cols, first)
    {
        vf v[CNN_VL];
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            v[r] = v_load(x + r * cols + first);
        v_transpose(v);
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            column[first + r] = v[r];
    }
}

/* What a short row writes too far, the next rows write again; nothing is written behind the tile. */
CNN_INLINE void columns_out(int64_t cols, const vf *column, float *y)
{
    FOR_VECTORS(cols, first)
    {
        vf v[CNN_VL];
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            v[r] = column[first + r];
        v_transpose(v);
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++) {
            int64_t i = r * cols + first;
            channels_out(y + i, v[r], i + CNN_VL <= CNN_VL * cols ? CNN_VL : cols);
        }
    }
}
#undef FOR_VECTORS

/* The largest element that is a number; in two halves, which do not wait for each other. */
CNN_INLINE vf columns_max(int64_t cols, const vf *x)
{
    vf most = v_splat(-INFINITY), other = most;
    for (int64_t i = 0; i < cols / 2; i++) {
        most = v_max(x[i], most);
        other = v_max(x[cols - 1 - i], other);
    }
    if (cols % 2)
        most = v_max(x[cols / 2], most);
    return v_max(other, most);
}

CNN_INLINE vf columns_sum(int64_t cols, const vf *x)
{
    vf sum = {0};
    for (int64_t i = 0; i < cols; i++)
        sum += x[i];
    return sum;
}

CNN_INLINE vf columns_dot(int64_t cols, const vf *x, const vf *y)
{
    vf sum = {0};
    for (int64_t i = 0; i < cols; i++)
        sum += x[i] * y[i];
    return sum;
}

/* The loop is vectorised as a whole; unrolled before that, it would not be. */
#define LANEWISE(name, function)                                                                                       \
    CNN_INLINE vf name(vf x)                                                                                           \
    {                                                                                                                  \
        float lane[CNN_VL];                                                                                            \
        v_store(lane, x);                                                                                              \
        CNN_UNROLL(1)                                                                                                  \
        CNN_IVDEP                                                                                                      \
        for (int l = 0; l < CNN_VL; l++)                                                                               \
            lane[l] = function(lane[l]);                                                                               \
        return v_load(lane);                                                                                           \
    }
LANEWISE(v_exp_nonpositive, m_exp_nonpositive)
LANEWISE(v_log, m_log)
#undef LANEWISE

/* Sum of exp(x - max); the exponentials go to y if it is given. */
CNN_INLINE vf columns_exp(int64_t cols, vf max, const vf *x, vf *y)
{
    vf sum = {0};
    for (int64_t i = 0; i < cols; i++) {
        vf power = v_exp_nonpositive(x[i] - max);
        if (y)
            y[i] = power;
        sum += power;
    }
    return sum;
}

/* x becomes softmax(x); returns the sum of exp(x - max). */
CNN_INLINE vf columns_softmax(int64_t cols, vf max, vf *x)
{
    vf sum = columns_exp(cols, max, x, x), share = 1.0f / sum;
    for (int64_t i = 0; i < cols; i++)
        x[i] *= share;
    return sum;
}

/* The operations on one tile. Not inlined, so that they exist once. */
#define FEW(name) static __attribute__((noinline)) void few_##name(int64_t cols, const few_t *at)

FEW(softmax_fwd)
{
    vf c[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_softmax(cols, columns_max(cols, c), c);
    columns_out(cols, c, at->y);
}

FEW(log_softmax_fwd)
{
    vf c[FEW_COLS];
    columns_in(cols, at->x, c);
    vf max = columns_max(cols, c), log_sum = v_log(columns_exp(cols, max, c, NULL));
    for (int64_t i = 0; i < cols; i++)
        c[i] = (c[i] - max) - log_sum;
    columns_out(cols, c, at->y);
}

FEW(softmax_bwd)
{
    vf c[FEW_COLS], slope[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_in(cols, at->t, slope);
    vf sum = columns_dot(cols, c, slope);
    for (int64_t i = 0; i < cols; i++)
        c[i] *= slope[i] - sum;
    columns_out(cols, c, at->y);
}

FEW(log_softmax_bwd)
{
    vf c[FEW_COLS], slope[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_in(cols, at->t, slope);
    vf sum = columns_sum(cols, slope);
    for (int64_t i = 0; i < cols; i++)
        c[i] = slope[i] - v_exp_nonpositive(c[i]) * sum;
    columns_out(cols, c, at->y);
}

CNN_INLINE vi labels_in(const int32_t *label)
{
    vi v;
    memcpy(&v, label, sizeof v);
    return v;
}

/* x - max at the label; NaN where that is not a class. */
CNN_INLINE vf columns_at(int64_t cols, vf max, const vf *x, vi label)
{
    vf found = v_splat(NAN);
    for (int64_t i = 0; i < cols; i++)
        found = v_select(label == (int32_t)i, x[i] - max, found);
    return found;
}

/* Sum of t (x - max) over the classes with t != 0: there a logit of -infinity does not matter. */
CNN_INLINE vf columns_cross(int64_t cols, vf max, const vf *x, const vf *t)
{
    vf sum = {0};
    for (int64_t i = 0; i < cols; i++)
        sum += (vf)((t[i] != 0.0f) & (vi)(t[i] * (x[i] - max)));
    return sum;
}

FEW(xent_fwd)
{
    vf c[FEW_COLS], target[FEW_COLS], total = v_splat(1.0f), cross;
    columns_in(cols, at->x, c);
    vf max = columns_max(cols, c);
    if (at->t) {
        columns_in(cols, at->t, target);
        total = columns_sum(cols, target);
        cross = columns_cross(cols, max, c, target);
    } else {
        cross = columns_at(cols, max, c, labels_in(at->label));
    }
    v_store(at->loss, v_log(columns_softmax(cols, max, c)) * total - cross);
    columns_out(cols, c, at->y);
}

FEW(xent_bwd)
{
    vf c[FEW_COLS], target[FEW_COLS], slope = v_load(at->dloss);
    columns_in(cols, at->x, c);
    if (at->t) {
        columns_in(cols, at->t, target);
        vf total = columns_sum(cols, target);
        for (int64_t i = 0; i < cols; i++)
            c[i] = (c[i] * total - target[i]) * slope;
    } else {
        vi label = labels_in(at->label), is_class = (label >= 0) & (label < (int32_t)cols);
        vf total = v_select(is_class, v_splat(1.0f), v_splat(NAN));
        for (int64_t i = 0; i < cols; i++)
            c[i] = (c[i] * total - (vf)((label == (int32_t)i) & (vi)v_splat(1.0f))) * slope;
    }
    columns_out(cols, c, at->y);
}
#undef FEW

/* `p` from element i on, if it is given. */
#define FROM(p, i) ((p) ? (p) + (i) : NULL)

/* `count` elements copied into a buffer. */
CNN_INLINE void *buffered(void *buffer, const void *p, int64_t count)
{
    return p ? memcpy(buffer, p, (size_t)count * 4) : NULL;
}

/* A tile of which only `n` rows are there, or behind which a vector too long would be read. */
static void few_rest(void (*tile)(int64_t cols, const few_t *at), int64_t n, int64_t cols, const few_t *at)
{
    float x[TILE_FLOATS] = {0}, t[TILE_FLOATS] = {0}, y[TILE_FLOATS], dloss[CNN_VL] = {0}, loss[CNN_VL];
    int32_t label[CNN_VL] = {0};
    tile(cols, &(few_t){buffered(x, at->x, n * cols), buffered(t, at->t, n * cols), buffered(dloss, at->dloss, n),
                        buffered(label, at->label, n), loss, y});
    memcpy(at->y, y, (size_t)(n * cols) * sizeof(float));
    if (at->loss)
        memcpy(at->loss, loss, (size_t)n * sizeof(float));
}

static void few_rows(void (*tile)(int64_t cols, const few_t *at), int64_t rows, int64_t cols, few_t all)
{
    for (int64_t j = 0, left = rows; left > 0; j += CNN_VL, left -= CNN_VL) {
        few_t at = {all.x + j * cols,   FROM(all.t, j * cols), FROM(all.dloss, j),
                    FROM(all.label, j), FROM(all.loss, j),     all.y + j * cols};
        if (left >= CNN_VL && (left - CNN_VL + 1) * cols >= CNN_VL)
            tile(cols, &at);
        else
            few_rest(tile, left < CNN_VL ? left : CNN_VL, cols, &at);
    }
}
#undef FROM
