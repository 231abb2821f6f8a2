/* Softmax and its kin over few classes. A tile of rows is transposed, so that a row is a lane, and maxima and sums run
 * over vectors from the first column to the last. A tile is two vectors of rows, which do not wait for each other. A
 * row's bits depend on nothing beside it: the last tiles are computed in buffers by the same machine code. Every tile is
 * read before it is written: y may be x. */
#include "cnn/softmax.h"
#include "simd/transpose.h"

enum { FEW_COLS = 64, FEW_ROWS = 2 * CNN_VL, TILE_FLOATS = FEW_COLS * FEW_ROWS };

/* One column of a tile. */
typedef struct {
    vf v[2];
} column_t;

#define BOTH(s)                                                                                                        \
    CNN_UNROLL(2)                                                                                                      \
    for (int s = 0; s < 2; s++)

/* For each column i of the tile, both vectors s. */
#define COLUMNS(cols, i, s)                                                                                            \
    for (int64_t i = 0; i < (cols); i++)                                                                               \
    BOTH(s)

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
CNN_INLINE void columns_in(int64_t cols, const float *x, column_t *column)
{
    BOTH(s)
    FOR_VECTORS(cols, first)
    {
        vf v[CNN_VL];
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            v[r] = v_load(x + (s * CNN_VL + r) * cols + first);
        v_transpose(v);
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            column[first + r].v[s] = v[r];
    }
}

/* What a short row writes too far, the next rows write again; nothing is written behind the tile. */
CNN_INLINE void columns_out(int64_t cols, const column_t *column, float *y)
{
    BOTH(s)
    FOR_VECTORS(cols, first)
    {
        vf v[CNN_VL];
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++)
            v[r] = column[first + r].v[s];
        v_transpose(v);
        CNN_UNROLL(16)
        for (int r = 0; r < CNN_VL; r++) {
            int64_t i = (s * CNN_VL + r) * cols + first;
            channels_out(y + i, v[r], i + CNN_VL <= FEW_ROWS * cols ? CNN_VL : cols);
        }
    }
}
#undef FOR_VECTORS

CNN_INLINE column_t column_splat(float x)
{
    return (column_t){{v_splat(x), v_splat(x)}};
}

/* The largest element that is a number. */
CNN_INLINE column_t columns_max(int64_t cols, const column_t *x)
{
    column_t most = column_splat(-INFINITY);
    COLUMNS(cols, i, s) most.v[s] = v_max(x[i].v[s], most.v[s]);
    return most;
}

CNN_INLINE column_t columns_sum(int64_t cols, const column_t *x)
{
    column_t sum = column_splat(0.0f);
    COLUMNS(cols, i, s) sum.v[s] += x[i].v[s];
    return sum;
}

CNN_INLINE column_t columns_dot(int64_t cols, const column_t *x, const column_t *y)
{
    column_t sum = column_splat(0.0f);
    COLUMNS(cols, i, s) sum.v[s] += x[i].v[s] * y[i].v[s];
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
CNN_INLINE column_t columns_exp(int64_t cols, column_t max, const column_t *x, column_t *y)
{
    column_t sum = column_splat(0.0f);
    COLUMNS(cols, i, s)
    {
        vf power = v_exp_nonpositive(x[i].v[s] - max.v[s]);
        if (y)
            y[i].v[s] = power;
        sum.v[s] += power;
    }
    return sum;
}

/* x becomes softmax(x); returns the sum of exp(x - max). */
CNN_INLINE column_t columns_softmax(int64_t cols, column_t max, column_t *x)
{
    column_t sum = columns_exp(cols, max, x, x), share;
    BOTH(s) share.v[s] = 1.0f / sum.v[s];
    COLUMNS(cols, i, s) x[i].v[s] *= share.v[s];
    return sum;
}

/* The operations on one tile. Not inlined, so that they exist once. */
#define FEW(name) static __attribute__((noinline)) void few_##name(int64_t cols, const few_t *at)

FEW(softmax_fwd)
{
    column_t c[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_softmax(cols, columns_max(cols, c), c);
    columns_out(cols, c, at->y);
}

FEW(log_softmax_fwd)
{
    column_t c[FEW_COLS];
    columns_in(cols, at->x, c);
    column_t max = columns_max(cols, c), log_sum = columns_exp(cols, max, c, NULL);
    BOTH(s) log_sum.v[s] = v_log(log_sum.v[s]);
    COLUMNS(cols, i, s) c[i].v[s] = (c[i].v[s] - max.v[s]) - log_sum.v[s];
    columns_out(cols, c, at->y);
}

FEW(softmax_bwd)
{
    column_t c[FEW_COLS], slope[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_in(cols, at->t, slope);
    column_t sum = columns_dot(cols, c, slope);
    COLUMNS(cols, i, s) c[i].v[s] *= slope[i].v[s] - sum.v[s];
    columns_out(cols, c, at->y);
}

FEW(log_softmax_bwd)
{
    column_t c[FEW_COLS], slope[FEW_COLS];
    columns_in(cols, at->x, c);
    columns_in(cols, at->t, slope);
    column_t sum = columns_sum(cols, slope);
    COLUMNS(cols, i, s) c[i].v[s] = slope[i].v[s] - v_exp_nonpositive(c[i].v[s]) * sum.v[s];
    columns_out(cols, c, at->y);
}

CNN_INLINE vi labels_in(const int32_t *label, int s)
{
    vi v;
    memcpy(&v, label + s * CNN_VL, sizeof v);
    return v;
}

/* x - max at the label; NaN where that is not a class. */
CNN_INLINE column_t columns_at(int64_t cols, column_t max, const column_t *x, const int32_t *label)
{
    column_t found = column_splat(NAN);
    COLUMNS(cols, i, s)
    found.v[s] = v_select(labels_in(label, s) == (int32_t)i, x[i].v[s] - max.v[s], found.v[s]);
    return found;
}

/* Sum of t (x - max) over the classes with t != 0: there a logit of -infinity does not matter. */
CNN_INLINE column_t columns_cross(int64_t cols, column_t max, const column_t *x, const column_t *t)
{
    column_t sum = column_splat(0.0f);
    COLUMNS(cols, i, s) sum.v[s] += (vf)((t[i].v[s] != 0.0f) & (vi)(t[i].v[s] * (x[i].v[s] - max.v[s])));
    return sum;
}

FEW(xent_fwd)
{
    column_t c[FEW_COLS], target[FEW_COLS], total = column_splat(1.0f), cross;
    columns_in(cols, at->x, c);
    column_t max = columns_max(cols, c);
    if (at->t) {
        columns_in(cols, at->t, target);
        total = columns_sum(cols, target);
        cross = columns_cross(cols, max, c, target);
    } else {
        cross = columns_at(cols, max, c, at->label);
    }
    column_t sum = columns_softmax(cols, max, c);
    BOTH(s) v_store(at->loss + s * CNN_VL, v_log(sum.v[s]) * total.v[s] - cross.v[s]);
    columns_out(cols, c, at->y);
}

/* t = 1 at the label. The gradient is NaN where that is not a class. */
CNN_INLINE void columns_labelled(int64_t cols, const int32_t *label, column_t *p)
{
    const vf one = v_splat(1.0f);
    COLUMNS(cols, i, s)
    {
        vi at = labels_in(label, s), is_class = (at >= 0) & (at < (int32_t)cols);
        p[i].v[s] = p[i].v[s] * v_select(is_class, one, v_splat(NAN)) - (vf)((at == (int32_t)i) & (vi)one);
    }
}

FEW(xent_bwd)
{
    column_t c[FEW_COLS], target[FEW_COLS];
    columns_in(cols, at->x, c);
    if (at->t) {
        columns_in(cols, at->t, target);
        column_t total = columns_sum(cols, target);
        COLUMNS(cols, i, s) c[i].v[s] = c[i].v[s] * total.v[s] - target[i].v[s];
    } else {
        columns_labelled(cols, at->label, c);
    }
    COLUMNS(cols, i, s) c[i].v[s] *= v_load(at->dloss + s * CNN_VL);
    columns_out(cols, c, at->y);
}
#undef FEW
#undef COLUMNS
#undef BOTH

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
    float x[TILE_FLOATS] = {0}, t[TILE_FLOATS] = {0}, y[TILE_FLOATS], dloss[FEW_ROWS] = {0}, loss[FEW_ROWS];
    int32_t label[FEW_ROWS] = {0};
    tile(cols, &(few_t){buffered(x, at->x, n * cols), buffered(t, at->t, n * cols), buffered(dloss, at->dloss, n),
                        buffered(label, at->label, n), loss, y});
    memcpy(at->y, y, (size_t)(n * cols) * sizeof(float));
    if (at->loss)
        memcpy(at->loss, loss, (size_t)n * sizeof(float));
}

static void few_rows(void (*tile)(int64_t cols, const few_t *at), int64_t rows, int64_t cols, few_t all)
{
    for (int64_t j = 0, left = rows; left > 0; j += FEW_ROWS, left -= FEW_ROWS) {
        few_t at = {all.x + j * cols,   FROM(all.t, j * cols), FROM(all.dloss, j),
                    FROM(all.label, j), FROM(all.loss, j),     all.y + j * cols};
        if (left >= FEW_ROWS && (left - FEW_ROWS + 1) * cols >= CNN_VL)
            tile(cols, &at);
        else
            few_rest(tile, left < FEW_ROWS ? left : FEW_ROWS, cols, &at);
    }
}
#undef FROM
