/* Reductions over rows of a matrix, and of contiguous runs. The order of the additions is fixed by the shape. */
#include "cnn/reduce.h"
#include "simd/transpose.h"

/* What x goes in as, and what joins two terms; `func` is a constant. NaN wins a maximum or minimum. */
CNN_INLINE vf reduce_term(int64_t func, vf x)
{
    return func == CNN_SUM_SQUARES ? x * x : x;
}

CNN_INLINE vf reduce_fold(int64_t func, vf a, vf b)
{
    switch (func) {
    case CNN_MAX:
        return v_select((b > a) | (b != b), b, a);
    case CNN_MIN:
        return v_select((b < a) | (b != b), b, a);
    case CNN_PROD:
        return a * b;
    default:
        return a + b;
    }
}

CNN_INLINE float reduce_neutral(int64_t func)
{
    return func == CNN_MAX ? -INFINITY : func == CNN_MIN ? INFINITY : func == CNN_PROD ? 1.0f : 0.0f;
}

/* Fold a vector of a row into y. Of a vector that overlaps the one before, the first `skip` lanes have it already. */
CNN_INLINE void reduce_rows_vector(int64_t func, int64_t skip, int64_t width, const float *x, float *y)
{
    vf old = channels_in(y, width), sum = reduce_fold(func, old, reduce_term(func, channels_in(x, width)));
    channels_out(y, skip > 0 ? v_select(v_lane() >= (int32_t)skip, sum, old) : sum, width);
}

/* y[i] = f over j of x[j * row_step + i]. Row after row: of several at a time the pieces are too short for the hardware
 * to fetch ahead, and out of cache the sum runs at a third of the speed (measured). */
CNN_INLINE void reduce_rows_of(int64_t func, int64_t rows, int64_t cols, const float *x, int64_t row_step, float *y)
{
    const int64_t last = cols - CNN_VL;
    for (int64_t i = 0; i < cols; i++)
        y[i] = func == CNN_SUM_SQUARES ? x[i] * x[i] : x[i];
    for (int64_t j = 1; j < rows; j++) {
        const float *row = x + j * row_step;
        int64_t i = 0;
        if (last < 0) {
            reduce_rows_vector(func, 0, cols, row, y);
            continue;
        }
        for (; i <= last; i += CNN_VL)
            reduce_rows_vector(func, 0, CNN_VL, row + i, y + i);
        if (i < cols)
            reduce_rows_vector(func, i - last, CNN_VL, row + last, y + last);
    }
}

/* Call function(func, ...) with func as a constant. */
#define REDUCE_FUNC(function, ...)                                                                                     \
    switch (func) {                                                                                                    \
    case CNN_SUM:                                                                                                      \
        function(CNN_SUM, __VA_ARGS__);                                                                                \
        break;                                                                                                         \
    case CNN_MAX:                                                                                                      \
        function(CNN_MAX, __VA_ARGS__);                                                                                \
        break;                                                                                                         \
    case CNN_MIN:                                                                                                      \
        function(CNN_MIN, __VA_ARGS__);                                                                                \
        break;                                                                                                         \
    case CNN_PROD:                                                                                                     \
        function(CNN_PROD, __VA_ARGS__);                                                                               \
        break;                                                                                                         \
    case CNN_SUM_SQUARES:                                                                                              \
        function(CNN_SUM_SQUARES, __VA_ARGS__);                                                                        \
        break;                                                                                                         \
    }

K(reduce_rows)
(int64_t func, int64_t rows, int64_t cols, const float *x, int64_t row_step,
 float *y){REDUCE_FUNC(reduce_rows_of, rows, cols, x, row_step, y)}

/* Lane l of v[j] = element j of row l, for at most a vector of elements, `width`, and `count` rows, of which the last
 * stands for those missing. */
CNN_INLINE void load_transposed(int64_t count, int64_t width, const float *x, int64_t row_step, vf *v)
{
    CNN_UNROLL(16)
    for (int l = 0; l < CNN_VL; l++)
        v[l] = channels_in(x + (l < (int)count ? l : count - 1) * row_step, width);
    v_transpose(v);
}

/* Short runs, a vector of them side by side; each is folded from first to last. */
CNN_INLINE void reduce_short(int64_t func, int64_t n, int64_t red, const float *x, float *y)
{
    for (int64_t o = 0; o < n; o += CNN_VL) {
        int64_t count = n - o < CNN_VL ? n - o : CNN_VL, j = 0;
        vf total = v_splat(reduce_neutral(func)), v[CNN_VL];
        for (; j + CNN_VL <= red; j += CNN_VL) {
            load_transposed(count, CNN_VL, x + o * red + j, red, v);
            CNN_UNROLL(16)
            for (int l = 0; l < CNN_VL; l++)
                total = reduce_fold(func, total, reduce_term(func, v[l]));
        }
        if (j < red) {
            load_transposed(count, red - j, x + o * red + j, red, v);
            CNN_UNROLL(16)
            for (int l = 0; l < CNN_VL; l++)
                if (l < red - j)
                    total = reduce_fold(func, total, reduce_term(func, v[l]));
        }
        if (count == CNN_VL)
            v_store(y + o, total);
        else
            v_store_part(y + o, total, count);
    }
}

/* y[o] = f over j of x[o * red + j] in four vectors, which are then joined, and their lanes from first to last. */
CNN_INLINE void reduce_long(int64_t func, int64_t n, int64_t red, const float *x, float *y)
{
    for (int64_t o = 0; o < n; o++, x += red) {
        vf a = v_splat(reduce_neutral(func)), b = a, c = a, d = a;
        int64_t j = 0;
        for (; j + 4 * CNN_VL <= red; j += 4 * CNN_VL) {
            a = reduce_fold(func, a, reduce_term(func, v_load(x + j)));
            b = reduce_fold(func, b, reduce_term(func, v_load(x + j + CNN_VL)));
            c = reduce_fold(func, c, reduce_term(func, v_load(x + j + 2 * CNN_VL)));
            d = reduce_fold(func, d, reduce_term(func, v_load(x + j + 3 * CNN_VL)));
        }
        for (; j + CNN_VL <= red; j += CNN_VL)
            a = reduce_fold(func, a, reduce_term(func, v_load(x + j)));
        if (j < red) { /* the last vector, without what it has in common with the one before */
            vf last = reduce_term(func, v_load(x + red - CNN_VL));
            b = reduce_fold(func, b,
                            v_select(v_lane() >= (int32_t)(j - (red - CNN_VL)), last, v_splat(reduce_neutral(func))));
        }
        float lane[CNN_VL];
        v_store(lane, reduce_fold(func, reduce_fold(func, a, b), reduce_fold(func, c, d)));
        reduce_short(func == CNN_SUM_SQUARES ? CNN_SUM : func, 1, CNN_VL, lane, y + o);
    }
}

enum { REDUCE_SHORT = 256 };

K(reduce_contiguous)(int64_t func, int64_t n, int64_t red, const float *x, float *y)
{
    if (red < REDUCE_SHORT) {
        REDUCE_FUNC(reduce_short, n, red, x, y)
    } else {
        REDUCE_FUNC(reduce_long, n, red, x, y)
    }
}

typedef struct {
    vf best;
    vi at;
} argmax_t;

/* The first largest; once a NaN leads nothing replaces it. */
CNN_INLINE void argmax_step(argmax_t *a, vf x, int64_t j)
{
    vi wins = ~(x <= a->best) & (a->best == a->best);
    a->best = v_select(wins, x, a->best);
    a->at = (wins & ((int32_t)j - (vi){0})) | (~wins & a->at);
}

CNN_INLINE void argmax_out(vi at, int64_t n, int32_t *y)
{
    memcpy(y, &at, (size_t)(n < CNN_VL ? n : CNN_VL) * sizeof(int32_t));
}

/* Runs of contiguous elements, a vector of runs side by side. */
static void argmax_contiguous(int64_t n, int64_t red, const float *x, int32_t *y)
{
    for (int64_t o = 0; o < n; o += CNN_VL) {
        int64_t count = n - o < CNN_VL ? n - o : CNN_VL, j = 0;
        argmax_t a = {{0}, {0}};
        vf v[CNN_VL];
        for (int l = 0; l < CNN_VL; l++)
            a.best[l] = x[(o + (l < count ? l : count - 1)) * red];
        for (; j + CNN_VL <= red; j += CNN_VL) {
            load_transposed(count, CNN_VL, x + o * red + j, red, v);
            CNN_UNROLL(16)
            for (int l = 0; l < CNN_VL; l++)
                argmax_step(&a, v[l], j + l);
        }
        if (j < red) {
            load_transposed(count, red - j, x + o * red + j, red, v);
            CNN_UNROLL(16)
            for (int l = 0; l < CNN_VL; l++)
                if (l < red - j)
                    argmax_step(&a, v[l], j + l);
        }
        argmax_out(a.at, count, y + o);
    }
}

/* `vectors` vectors of columns, a constant up to 4, so that one comparison need not wait for the other. */
CNN_INLINE void argmax_columns(int vectors, int64_t red, int64_t inner, int64_t width, const float *x, int32_t *y)
{
    argmax_t a[4];
    CNN_UNROLL(4)
    for (int i = 0; i < vectors; i++)
        a[i] = (argmax_t){channels_in(x + i * CNN_VL, width), {0}};
    for (int64_t j = 1; j < red; j++) {
        CNN_UNROLL(4)
        for (int i = 0; i < vectors; i++)
            argmax_step(&a[i], channels_in(x + j * inner + i * CNN_VL, width), j);
    }
    CNN_UNROLL(4)
    for (int i = 0; i < vectors; i++)
        argmax_out(a[i].at, width, y + i * CNN_VL);
}

K(argmax)(int64_t outer, int64_t red, int64_t inner, const float *x, int32_t *y)
{
    if (inner == 1) {
        argmax_contiguous(outer, red, x, y);
        return;
    }
    for (int64_t o = 0; o < outer; o++, x += red * inner, y += inner) {
        int64_t done = 0;
        for (; done + 4 * CNN_VL <= inner; done += 4 * CNN_VL)
            argmax_columns(4, red, inner, CNN_VL, x + done, y + done);
#define BODY(i, width) argmax_columns(1, red, inner, width, x + (i), y + (i))
        FOR_CHANNELS_FROM(done, inner, BODY)
#undef BODY
    }
}
