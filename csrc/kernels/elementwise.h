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
        return block_in(p + i, left, buffer);
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
               float *py = block_out(y + i, left, buffer), float u = pu[l]; float v = pv[l];                           \
               py[l] = (forward), block_done(y + i, left, buffer))                                                     \
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
    float power[CNN_BLOCK];
    for (int64_t i = 0; i < n; i += CNN_BLOCK) {
        int64_t width = n - i < CNN_BLOCK ? n - i : CNN_BLOCK;
        power_fwd(width, exponent - 1.0f, x + i, power);
        CNN_IVDEP
        for (int64_t l = 0; l < width; l++)
            dx[i + l] = dy[i + l] * (exponent * power[l]);
    }
}

K(unary_fwd)(int64_t func, int64_t n, float a, float b, const float *x0, float *y0)
{
    float buffer[CNN_BLOCK];
    if (func == UNARY_power) {
        power_fwd(n, a, x0, y0);
        return;
    }
    switch (func) {
#define UNARY(name, needs, forward, derivative)                                                                        \
    case UNARY_##name:                                                                                                 \
        BLOCKS(n, const float *px = block_in(x0 + i, left, buffer);                                                    \
               float *py = block_out(y0 + i, left, buffer), float x = px[l];                                           \
               py[l] = (forward), block_done(y0 + i, left, buffer))                                                    \
        break;
#include "cnn/unary.def"
#undef UNARY
    }
}

/* Rows of `cols` floats, each at a whole number of vectors of the buffer, go there or come back; NULL is no row. Returns
 * how many floats of the buffer they take. */
CNN_INLINE int64_t move_rows(const int back, int64_t rows, int64_t cols, float *const *y, int64_t first, float *buffer)
{
    const int64_t rest = cols % CNN_VL, whole = cols - rest;
    float *at = buffer;
    for (int64_t r = 0; r < rows; r++) {
        if (!y[r])
            continue;
        float *row = y[r] + first;
        for (int64_t i = 0; i < whole; i += CNN_VL, at += CNN_VL)
            v_store(back ? row + i : at, v_load(back ? at : row + i));
        if (rest && back)
            v_store_part(row + whole, v_load(at), rest);
        else if (rest)
            v_store(at, v_load_part(row + whole, rest));
        at += rest ? CNN_VL : 0;
    }
    return at - buffer;
}

/* The function of `rows` rows in place, from column `first` on; NULL is no row. Short ones go through a buffer together,
 * for each would cost a call, and the rest of a block at its end. */
K(unary_rows)(int64_t func, int64_t rows, int64_t cols, float a, float b, float *const *y, int64_t first)
{
    enum { ROOM = 16 * CNN_BLOCK };
    float buffer[ROOM];
    const int64_t together = ROOM / ((cols + CNN_VL - 1) / CNN_VL * CNN_VL);
    if (together < 4) {
        for (int64_t r = 0; r < rows; r++)
            if (y[r])
                cnn_k_unary_fwd(func, cols, a, b, y[r] + first, y[r] + first);
        return;
    }
    for (int64_t r = 0; r < rows; r += together) {
        const int64_t count = rows - r < together ? rows - r : together;
        int64_t n = move_rows(0, count, cols, y + r, first, buffer);
        for (; n % CNN_BLOCK; n += CNN_VL)
            v_store(buffer + n, (vf){0});
        cnn_k_unary_fwd(func, n, a, b, buffer, buffer);
        move_rows(1, count, cols, y + r, first, buffer);
    }
}

#define READ_NONE(i)
#define READ_X(i)                                                                                                      \
    float x_buffer[CNN_BLOCK];                                                                                         \
    const float *px = block_in(x0 + i, left, x_buffer)
#define READ_Y(i)                                                                                                      \
    float y_buffer[CNN_BLOCK];                                                                                         \
    const float *py = block_in(y0 + i, left, y_buffer)
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
        BLOCKS(n, READ_##needs(i); const float *pdy = block_in(dy + i, left, buffer);                                  \
               float *pdx = block_out(dx + i, left, buffer), USE_##needs;                                              \
               pdx[l] = pdy[l] * (derivative), block_done(dx + i, left, buffer))                                       \
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
