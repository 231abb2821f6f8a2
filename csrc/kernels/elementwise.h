/* Loops over the lines of unary.def and binary.def, one loop a line. */
#include "cnn/elementwise.h"
#include "simd/block.h"

/* The lines' numbers. */
enum {
#define UNARY(name, needs, forward, derivative) UNARY_##name,
#include "cnn/unary.def"
#undef UNARY
};
enum {
#define BINARY(name, forward) BINARY_##name,
#include "cnn/binary.def"
#undef BINARY
};

/* The operand's block at i, its elements `step` apart. A scalar (step 0) stays in the buffer it was spread in before.
 */
CNN_INLINE const float *operand_in(const float *p, int64_t step, int64_t i, int64_t left, float *buffer)
{
    if (step == 1)
        return block_in(CNN_BLOCK, p + i, left, buffer);
    if (step != 0)
        for (int64_t l = 0; l < CNN_BLOCK && l < left; l++)
            buffer[l] = p[(i + l) * step];
    return buffer;
}

K(binary)(int64_t func, int64_t n, int64_t step_a, int64_t step_b, const float *u0, const float *v0, float *y)
{
    float u_buffer[CNN_BLOCK], v_buffer[CNN_BLOCK], buffer[CNN_BLOCK];
    if (n <= 0)
        return;
    for (int l = 0; l < CNN_BLOCK; l++) {
        u_buffer[l] = u0[0];
        v_buffer[l] = v0[0];
    }
    switch (func) {
#define BINARY(name, forward)                                                                                          \
    case BINARY_##name:                                                                                                \
        BLOCKS(n, const float *pu = operand_in(u0, step_a, i, left, u_buffer);                                         \
               const float *pv = operand_in(v0, step_b, i, left, v_buffer);                                            \
               float *py = block_out(CNN_BLOCK, y + i, left, buffer), float u = pu[l]; float v = pv[l];                \
               py[l] = (forward), block_done(CNN_BLOCK, y + i, left, buffer))                                          \
        break;
#include "cnn/binary.def"
#undef BINARY
    }
}

/* gcc 12 does not vectorise m_pow with the same exponent for all elements; it does with an array of exponents. */
static void power_fwd(int64_t n, float exponent, const float *x, float *y)
{
    cnn_k_binary(BINARY_power, n, 1, 0, x, &exponent, y);
}

static void power_bwd(int64_t n, float exponent, const float *x, const float *dy, float *dx)
{
    enum { TILE = 256 };
    float power[TILE];
    for (int64_t i = 0; i < n; i += TILE) {
        int64_t width = n - i < TILE ? n - i : TILE;
        power_fwd(width, exponent - 1.0f, x + i, power);
        CNN_IVDEP
        for (int64_t l = 0; l < width; l++)
            dx[i + l] = dy[i + l] * (exponent * power[l]);
    }
}

/* Rows of y from column `first` on, which may be those of x; NULL is no row. The only loops of these functions: an array
 * is one row. */
K(unary_rows)
(int64_t func, int64_t rows, int64_t cols, float a, float b, const float *const *x0, float *const *y0, int64_t first)
{
    float buffer[CNN_SHORT_BLOCK];
    if (func == UNARY_power) {
        for (int64_t r = 0; r < rows; r++)
            if (y0[r])
                power_fwd(cols, a, x0[r] + first, y0[r] + first);
        return;
    }
    switch (func) {
#define UNARY(name, needs, forward, derivative)                                                                        \
    case UNARY_##name:                                                                                                 \
        for (int64_t r = 0; r < rows; r++) {                                                                           \
            if (!y0[r])                                                                                                \
                continue;                                                                                              \
            const float *const xr = x0[r] + first;                                                                     \
            float *const yr = y0[r] + first;                                                                           \
            SHORT_BLOCKS(cols, const float *px = block_in(CNN_SHORT_BLOCK, xr + i, left, buffer);                      \
                         float *py = block_out(CNN_SHORT_BLOCK, yr + i, left, buffer), float x = px[l];                \
                         py[l] = (forward), block_done(CNN_SHORT_BLOCK, yr + i, left, buffer))                         \
        }                                                                                                              \
        break;
#include "cnn/unary.def"
#undef UNARY
    }
}

K(unary_fwd)(int64_t func, int64_t n, float a, float b, const float *x, float *y)
{
    cnn_k_unary_rows(func, 1, n, a, b, &x, &y, 0);
}

#define READ_NONE(i)
#define READ_X(i)                                                                                                      \
    float x_buffer[CNN_BLOCK];                                                                                         \
    const float *px = block_in(CNN_BLOCK, x0 + i, left, x_buffer)
#define READ_Y(i)                                                                                                      \
    float y_buffer[CNN_BLOCK];                                                                                         \
    const float *py = block_in(CNN_BLOCK, y0 + i, left, y_buffer)
#define USE_NONE
#define USE_X float x = px[l]
#define USE_Y float y = py[l]

K(unary_bwd)(int64_t func, int64_t n, float a, float b, const float *x0, const float *y0, const float *dy, float *dx)
{
    float buffer[CNN_BLOCK];
    if (func == UNARY_power) {
        power_bwd(n, a, x0, dy, dx);
        return;
    }
    switch (func) {
#define UNARY(name, needs, forward, derivative)                                                                        \
    case UNARY_##name:                                                                                                 \
        BLOCKS(n, READ_##needs(i); const float *pdy = block_in(CNN_BLOCK, dy + i, left, buffer);                       \
               float *pdx = block_out(CNN_BLOCK, dx + i, left, buffer), USE_##needs;                                   \
               pdx[l] = pdy[l] * (derivative), block_done(CNN_BLOCK, dx + i, left, buffer))                            \
        break;
#include "cnn/unary.def"
#undef UNARY
    }
}

K(accumulate)(int64_t n, const float *restrict x, float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

K(select)(int64_t n, const float *condition, const float *a, const float *b, float *y)
{
    CNN_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = condition[i] != 0.0f ? a[i] : b[i];
}

K(fill)(int64_t n, float value, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

/* Truncation towards zero that saturates at lo and hi; NaN becomes 0. `hi` is the largest float below the limit. */
CNN_INLINE int32_t float_to_int(float x, float lo, float hi)
{
    return (int32_t)(x == x ? m_clamp(x, lo, hi) : 0.0f);
}

CNN_INLINE int32_t saturated_i32(float x)
{
    return x >= 2147483648.0f ? INT32_MAX : float_to_int(x, -2147483648.0f, 2147483520.0f);
}

CNN_INLINE uint8_t saturated_u8(int32_t i)
{
    return (uint8_t)(i < 0 ? 0 : i > 255 ? 255 : i);
}

#define CAST(type_x, type_y, convert)                                                                                  \
    do {                                                                                                               \
        const type_x *restrict x = x0;                                                                                 \
        type_y *restrict y = y0;                                                                                       \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = convert(x[i]);                                                                                      \
    } while (0)
#define FLOAT_TO_U8(x) (uint8_t) float_to_int(x, 0.0f, 255.0f)

K(cast)(int64_t from, int64_t to, int64_t n, const void *x0, void *y0)
{
    switch (from * 3 + to) {
    case CNN_F32 * 3 + CNN_I32:
        CAST(float, int32_t, saturated_i32);
        break;
    case CNN_F32 * 3 + CNN_U8:
        CAST(float, uint8_t, FLOAT_TO_U8);
        break;
    case CNN_I32 * 3 + CNN_F32:
        CAST(int32_t, float, (float));
        break;
    case CNN_I32 * 3 + CNN_U8:
        CAST(int32_t, uint8_t, saturated_u8);
        break;
    case CNN_U8 * 3 + CNN_F32:
        CAST(uint8_t, float, (float));
        break;
    case CNN_U8 * 3 + CNN_I32:
        CAST(uint8_t, int32_t, (int32_t));
        break;
    default:
        memcpy(y0, x0, (size_t)n * (from == CNN_U8 ? 1 : 4));
    }
}
