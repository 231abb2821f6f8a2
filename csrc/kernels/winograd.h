/* Transforms of Winograd convolution F(4x4, 3x3) and F(2x2, 3x3) (Lavin & Gray 2016), vectorised over channels.
 *
 * F(4,3) uses the points 0, +-1/sqrt2, +-sqrt2 and infinity: the transforms then amplify rounding errors about half as
 * much as with 0, +-1, +-2 (Barabasz et al. 2020, on the choice of points). With a = 1/sqrt2, b = sqrt2 (a b = 1):
 *
 *   B^T rows: x0 - 5/2 x2 + x4;  (x4 - 2 x2) +- (a x3 - b x1);  (x4 - x2 / 2) +- (b x3 - a x1);  x1 - 5/2 x3 + x5
 *   G rows:   1, 0, 0;  -(2/3)(1, +-a, a^2);  (1/6)(1, +-b, b^2);  0, 0, 1
 *   A^T rows: the points' powers 0 to 3, infinity only in the last
 *
 * F(2,3) uses 0, +-1 and infinity. */

#define SQRT_HALF 0.70710678118654752f
#define SQRT_TWO 1.41421356237309505f

/* One-dimensional transforms. */
CNN_INLINE void input_4(const vf x[6], vf y[6])
{
    const vf even_a = x[4] - 2.0f * x[2], odd_a = SQRT_HALF * x[3] - SQRT_TWO * x[1];
    const vf even_b = x[4] - 0.5f * x[2], odd_b = SQRT_TWO * x[3] - SQRT_HALF * x[1];
    y[0] = x[0] + x[4] - 2.5f * x[2];
    y[1] = even_a + odd_a;
    y[2] = even_a - odd_a;
    y[3] = even_b + odd_b;
    y[4] = even_b - odd_b;
    y[5] = x[1] + x[5] - 2.5f * x[3];
}

CNN_INLINE void output_4(const vf m[6], vf y[4])
{
    const vf sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const vf sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = SQRT_HALF * difference_a + SQRT_TWO * difference_b;
    y[2] = 0.5f * sum_a + 2.0f * sum_b;
    y[3] = 0.5f * SQRT_HALF * difference_a + 2.0f * SQRT_TWO * difference_b + m[5];
}

CNN_INLINE void filter_4(const vf g[3], vf u[6])
{
    const vf even_a = (-2.0f / 3.0f) * (g[0] + 0.5f * g[2]), odd_a = (-2.0f / 3.0f * SQRT_HALF) * g[1];
    const vf even_b = (1.0f / 6.0f) * (g[0] + 2.0f * g[2]), odd_b = (1.0f / 6.0f * SQRT_TWO) * g[1];
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

CNN_INLINE void input_2(const vf x[4], vf y[4])
{
    y[0] = x[0] - x[2];
    y[1] = x[1] + x[2];
    y[2] = x[2] - x[1];
    y[3] = x[3] - x[1];
}

CNN_INLINE void output_2(const vf m[4], vf y[2])
{
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
}

CNN_INLINE void filter_2(const vf g[3], vf u[4])
{
    const vf even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
}

/* Transformed channels go to blocks of `block` of them, block_step apart. */
#define NEXT_IN_BLOCK                                                                                                  \
    v += CNN_VL;                                                                                                       \
    in += CNN_VL;                                                                                                      \
    if (in == block) {                                                                                                 \
        v += block_step - block;                                                                                       \
        in = 0;                                                                                                        \
    }

/* The same for both tile sizes. SIZE outputs and SIZE + 2 inputs along each axis. */
#define WINOGRAD(SIZE, IN)                                                                                             \
    K(winograd_input_##SIZE)                                                                                           \
    (int64_t c, int64_t block, int64_t block_step, const float *const *cells, float *v, int64_t v_step)                \
    {                                                                                                                  \
        for (int64_t at = 0, in = 0; at < c; at += CNN_VL) {                                                           \
            vf t[IN][IN], x[IN], y[IN];                                                                                \
            for (int j = 0; j < IN; j++) {                                                                             \
                for (int i = 0; i < IN; i++)                                                                           \
                    x[i] = v_load(cells[i * IN + j] + at);                                                             \
                input_##SIZE(x, y);                                                                                    \
                for (int i = 0; i < IN; i++)                                                                           \
                    t[i][j] = y[i];                                                                                    \
            }                                                                                                          \
            for (int i = 0; i < IN; i++) {                                                                             \
                input_##SIZE(t[i], y);                                                                                 \
                for (int j = 0; j < IN; j++)                                                                           \
                    v_store(v + (i * IN + j) * v_step, y[j]);                                                          \
            }                                                                                                          \
            NEXT_IN_BLOCK                                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    K(winograd_output_##SIZE)                                                                                          \
    (int64_t cols, const float *m, int64_t m_step, float *const *cells, const float *const *addend, const float *bias, \
     const cnn_bounds *bounds)                                                                                         \
    {                                                                                                                  \
        for (int64_t at = 0; at < cols; at += CNN_VL) {                                                                \
            const vf b = bias ? v_load(bias + at) : (vf){0};                                                           \
            vf t[SIZE][IN], x[IN], y[SIZE];                                                                            \
            for (int j = 0; j < IN; j++) {                                                                             \
                for (int i = 0; i < IN; i++)                                                                           \
                    x[i] = v_load(m + (i * IN + j) * m_step + at);                                                     \
                output_##SIZE(x, y);                                                                                   \
                for (int i = 0; i < SIZE; i++)                                                                         \
                    t[i][j] = y[i];                                                                                    \
            }                                                                                                          \
            for (int i = 0; i < SIZE; i++) {                                                                           \
                output_##SIZE(t[i], y);                                                                                \
                for (int j = 0; j < SIZE; j++) {                                                                       \
                    float *out = cells[i * SIZE + j];                                                                  \
                    if (!out)                                                                                          \
                        continue;                                                                                      \
                    vf r = y[j] + b;                                                                                   \
                    if (addend)                                                                                        \
                        r += v_load(addend[i * SIZE + j] + at);                                                        \
                    v_store(out + at, bounded(r, bounds));                                                             \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    /* taps: 9 rows of CNN_VL floats or more; the results of tap position p go to u + p * u_step */                    \
    K(winograd_filter_##SIZE)(int64_t cols, const float *taps, int64_t tap_step, float *u, int64_t u_step)             \
    {                                                                                                                  \
        for (int64_t at = 0; at < cols; at += CNN_VL) {                                                                \
            vf t[IN][3], g[3], y[IN];                                                                                  \
            for (int j = 0; j < 3; j++) {                                                                              \
                for (int i = 0; i < 3; i++)                                                                            \
                    g[i] = v_load(taps + (i * 3 + j) * tap_step + at);                                                 \
                filter_##SIZE(g, y);                                                                                   \
                for (int i = 0; i < IN; i++)                                                                           \
                    t[i][j] = y[i];                                                                                    \
            }                                                                                                          \
            for (int i = 0; i < IN; i++) {                                                                             \
                filter_##SIZE(t[i], y);                                                                                \
                for (int j = 0; j < IN; j++)                                                                           \
                    v_store(u + (i * IN + j) * u_step + at, y[j]);                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

WINOGRAD(4, 6)
WINOGRAD(2, 4)

/* --- F(3x3, 4x4): the gradient of the filters ------------------------------------------------------------------- */

/* The gradient of the forward pass y = A^T [(G w G^T) . (B^T x B)] A is dw = G^T [(B^T x B) . (A dy A^T)] G, the
 * product summed over all tiles. */
CNN_INLINE void gradient_4(const vf g[4], vf z[6])
{
    const vf even_a = g[0] + 0.5f * g[2], odd_a = SQRT_HALF * g[1] + (0.5f * SQRT_HALF) * g[3];
    const vf even_b = g[0] + 2.0f * g[2], odd_b = SQRT_TWO * g[1] + (2.0f * SQRT_TWO) * g[3];
    z[0] = g[0];
    z[1] = even_a + odd_a;
    z[2] = even_a - odd_a;
    z[3] = even_b + odd_b;
    z[4] = even_b - odd_b;
    z[5] = g[3];
}

CNN_INLINE void filter_gradient_4(const vf u[6], vf g[3])
{
    const vf sum_a = u[1] + u[2], difference_a = u[1] - u[2], sum_b = u[3] + u[4], difference_b = u[3] - u[4];
    g[0] = u[0] + (-2.0f / 3.0f) * sum_a + (1.0f / 6.0f) * sum_b;
    g[1] = (-2.0f / 3.0f * SQRT_HALF) * difference_a + (1.0f / 6.0f * SQRT_TWO) * difference_b;
    g[2] = (-1.0f / 3.0f) * sum_a + (1.0f / 3.0f) * sum_b + u[5];
}

/* A dy A^T of a tile of 4 x 4 cells. */
K(winograd_gradient_4)
(int64_t k, int64_t block, int64_t block_step, const float *const *cells, float *v, int64_t v_step)
{
    for (int64_t at = 0, in = 0; at < k; at += CNN_VL) {
        vf t[6][4], g[4], z[6];
        for (int j = 0; j < 4; j++) {
            for (int i = 0; i < 4; i++)
                g[i] = v_load(cells[i * 4 + j] + at);
            gradient_4(g, z);
            for (int i = 0; i < 6; i++)
                t[i][j] = z[i];
        }
        for (int i = 0; i < 6; i++) {
            gradient_4(t[i], z);
            for (int j = 0; j < 6; j++)
                v_store(v + (i * 6 + j) * v_step, z[j]);
        }
        NEXT_IN_BLOCK
    }
}

/* The nine taps of `cols` filters from the 36 summed products at u, u + u_step, ... */
K(winograd_filter_gradient_4)(int64_t cols, const float *u, int64_t u_step, float *taps, int64_t tap_step)
{
    for (int64_t at = 0; at < cols; at += CNN_VL) {
        vf t[3][6], x[6], y[3];
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                x[i] = v_load(u + (i * 6 + j) * u_step + at);
            filter_gradient_4(x, y);
            for (int i = 0; i < 3; i++)
                t[i][j] = y[i];
        }
        for (int i = 0; i < 3; i++) {
            filter_gradient_4(t[i], y);
            for (int j = 0; j < 3; j++)
                v_store(taps + (i * 3 + j) * tap_step + at, y[j]);
        }
    }
}
