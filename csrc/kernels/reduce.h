/* Reductions over rows of a matrix, and of contiguous runs. The order of the additions is fixed by the shape. */
#include "cnn/reduce.h"

/* NaN wins. */
CNN_INLINE float reduce_max(float a, float b)
{
    return ((b > a) | (b != b)) ? b : a;
}

CNN_INLINE float reduce_min(float a, float b)
{
    return ((b < a) | (b != b)) ? b : a;
}

/* y[i] = f over j of x[j * row_step + i], four rows at a time: one read and write of y for four rows of x.
 * `term` is what x goes in as, FOLD what joins two terms. */
#define REDUCE_ROWS(term, FOLD)                                                                                        \
    for (int64_t i = 0; i < cols; i++)                                                                                 \
        y[i] = term(x[i]);                                                                                             \
    for (j = 1; j + 4 <= rows; j += 4) {                                                                               \
        const float *r0 = x + j * row_step, *r1 = r0 + row_step, *r2 = r1 + row_step, *r3 = r2 + row_step;             \
        for (int64_t i = 0; i < cols; i++)                                                                             \
            y[i] = FOLD(y[i], FOLD(FOLD(term(r0[i]), term(r1[i])), FOLD(term(r2[i]), term(r3[i]))));                   \
    }                                                                                                                  \
    for (; j < rows; j++) {                                                                                            \
        const float *r0 = x + j * row_step;                                                                            \
        for (int64_t i = 0; i < cols; i++)                                                                             \
            y[i] = FOLD(y[i], term(r0[i]));                                                                            \
    }

#define REDUCE_SELF(a) (a)
#define REDUCE_SQUARE(a) ((a) * (a))
#define REDUCE_ADD(a, b) ((a) + (b))
#define REDUCE_MULTIPLY(a, b) ((a) * (b))

K(reduce_rows)(int64_t func, int64_t rows, int64_t cols, const float *restrict x, int64_t row_step, float *restrict y)
{
    int64_t j;
    switch (func) {
    case CNN_SUM:
        REDUCE_ROWS(REDUCE_SELF, REDUCE_ADD)
        break;
    case CNN_MAX:
        REDUCE_ROWS(REDUCE_SELF, reduce_max)
        break;
    case CNN_MIN:
        REDUCE_ROWS(REDUCE_SELF, reduce_min)
        break;
    case CNN_PROD:
        REDUCE_ROWS(REDUCE_SELF, REDUCE_MULTIPLY)
        break;
    case CNN_SUM_SQUARES:
        REDUCE_ROWS(REDUCE_SQUARE, REDUCE_ADD)
        break;
    }
}

/* y[o] = f over j of x[o * red + j] in CNN_BLOCK lanes, then the lanes by halves. */
#define REDUCE_CONTIGUOUS(neutral, term, FOLD)                                                                         \
    for (int64_t o = 0; o < n; o++, x += red) {                                                                        \
        for (int l = 0; l < CNN_BLOCK; l++)                                                                            \
            lane[l] = neutral;                                                                                         \
        int64_t j = 0;                                                                                                 \
        for (; j + CNN_BLOCK <= red; j += CNN_BLOCK)                                                                   \
            for (int l = 0; l < CNN_BLOCK; l++)                                                                        \
                lane[l] = FOLD(lane[l], term(x[j + l]));                                                               \
        for (int64_t l = 0; l < red - j; l++)                                                                          \
            lane[l] = FOLD(lane[l], term(x[j + l]));                                                                   \
        for (int width = CNN_BLOCK / 2; width > 0; width /= 2)                                                         \
            for (int l = 0; l < width; l++)                                                                            \
                lane[l] = FOLD(lane[l], lane[l + width]);                                                              \
        y[o] = lane[0];                                                                                                \
    }

K(reduce_contiguous)(int64_t func, int64_t n, int64_t red, const float *restrict x, float *restrict y)
{
    float lane[CNN_BLOCK];
    switch (func) {
    case CNN_SUM:
        REDUCE_CONTIGUOUS(0.0f, REDUCE_SELF, REDUCE_ADD)
        break;
    case CNN_MAX:
        REDUCE_CONTIGUOUS(-INFINITY, REDUCE_SELF, reduce_max)
        break;
    case CNN_MIN:
        REDUCE_CONTIGUOUS(INFINITY, REDUCE_SELF, reduce_min)
        break;
    case CNN_PROD:
        REDUCE_CONTIGUOUS(1.0f, REDUCE_SELF, REDUCE_MULTIPLY)
        break;
    case CNN_SUM_SQUARES:
        REDUCE_CONTIGUOUS(0.0f, REDUCE_SQUARE, REDUCE_ADD)
        break;
    }
}

/* The first largest of each; once a NaN leads nothing replaces it. Columns in blocks of lanes. */
K(argmax)(int64_t outer, int64_t red, int64_t inner, const float *restrict x, int32_t *restrict y)
{
    for (int64_t o = 0; o < outer; o++, x += red * inner, y += inner)
        for (int64_t i0 = 0; i0 < inner; i0 += CNN_BLOCK) {
            int64_t width = inner - i0 < CNN_BLOCK ? inner - i0 : CNN_BLOCK;
            float best[CNN_BLOCK];
            memcpy(best, x + i0, (size_t)width * sizeof(float));
            memset(y + i0, 0, (size_t)width * sizeof(int32_t));
            for (int64_t j = 1; j < red; j++) {
                const float *row = x + j * inner + i0;
                for (int64_t l = 0; l < width; l++) {
                    int wins = (row[l] > best[l]) | ((row[l] != row[l]) & (best[l] == best[l]));
                    best[l] = wins ? row[l] : best[l];
                    y[i0 + l] = wins ? (int32_t)j : y[i0 + l];
                }
            }
        }
}
