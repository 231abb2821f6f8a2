/* Moving elements. */
#include "simd/far.h"
#include "simd/transpose.h"

/* y = x, past the caches, but for what does not fill an aligned vector. */
K(store_far)(int64_t n, const float *x, float *y)
{
    const int64_t unaligned = (int64_t)(-((uintptr_t)y / sizeof(float)) % CNN_VL);
    const int64_t before = unaligned < n ? unaligned : n;
    memcpy(y, x, (size_t)before * sizeof(float));
    for (n -= before, x += before, y += before; n >= CNN_VL; n -= CNN_VL, x += CNN_VL, y += CNN_VL)
        v_store_far(y, v_load(x));
    memcpy(y, x, (size_t)n * sizeof(float));
}

/* y[j * y_step + i] = x[i * x_step + j] for a matrix of `rows` x `cols`, in squares; what is left over one by one. */
K(transpose)(int64_t rows, int64_t cols, const float *x, int64_t x_step, float *y, int64_t y_step)
{
    const int64_t whole_rows = rows / CNN_VL * CNN_VL, whole_cols = cols / CNN_VL * CNN_VL;
    float touched = 0.0f;
    for (int64_t i = 0; i < whole_rows;
         i++) /* in the order of addresses: this the hardware fetches ahead, squares not */
        for (int64_t j = 0; j < whole_cols; j += LINE)
            touched = *(const volatile float *)(x + i * x_step + j);
    (void)touched;
    for (int64_t j = 0; j < whole_cols; j += CNN_VL)
        for (int64_t i = 0; i < whole_rows; i += CNN_VL) {
            vf v[CNN_VL];
            CNN_UNROLL(16)
            for (int r = 0; r < CNN_VL; r++)
                v[r] = v_load(x + (i + r) * x_step + j);
            v_transpose(v);
            CNN_UNROLL(16)
            for (int r = 0; r < CNN_VL; r++)
                v_store(y + (j + r) * y_step + i, v[r]);
        }
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = j < whole_cols ? whole_rows : 0; i < rows; i++)
            y[j * y_step + i] = x[i * x_step + j];
}
