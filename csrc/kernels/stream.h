/* Few rows of A times a plain B, which is read once and from memory: a few of its rows at a time go by in the order in
 * which they lie there, while the sums wait in L1 or L2. The sums are those of a tile, to the bit. */

/* V vectors of R rows of sums, over `depth` rows of b. */
CNN_INLINE void stream_block(const int R, const int V, int64_t depth, const float *const *a, int64_t first,
                             int64_t a_step, const float *b, int64_t b_step, float *sum, int64_t sum_step)
{
    vf c[12];
    CNN_UNROLL(12)
    for (int i = 0; i < R * V; i++)
        c[i] = v_load(sum + i / V * sum_step + i % V * CNN_VL);
    for (int64_t k = 0; k < depth; k++, first += a_step, b += b_step) {
        CNN_UNROLL(12)
        for (int i = 0; i < R * V; i++)
            c[i] += v_splat(a[i / V][first]) * v_load(b + i % V * CNN_VL);
    }
    CNN_UNROLL(12)
    for (int i = 0; i < R * V; i++)
        v_store(sum + i / V * sum_step + i % V * CNN_VL, c[i]);
}

/* R rows, `cols` columns. */
CNN_INLINE void stream_rows(const int R, const int V, int64_t depth, int64_t cols, const float *const *a, int64_t first,
                            int64_t a_step, const float *b, int64_t b_step, float *sum, int64_t sum_step)
{
    int64_t j = 0;
    for (; j + V * CNN_VL <= cols; j += V * CNN_VL)
        stream_block(R, V, depth, a, first, a_step, b + j, b_step, sum + j, sum_step);
    for (; j < cols; j += CNN_VL)
        stream_block(R, 1, depth, a, first, a_step, b + j, b_step, sum + j, sum_step);
}

#define STREAM(R, V)                                                                                                   \
    case R:                                                                                                            \
        stream_rows(R, V, depth, width, a + r, first, a_step, b + j, b_step, sum + r * sum_step + j, sum_step);        \
        break;

/* cols: a multiple of the vector. */
K(stream)
(int64_t rows, int64_t depth, int64_t cols, const float *const *a, int64_t first, int64_t a_step, const float *b,
 int64_t b_step, float *sum, int64_t sum_step)
{
    enum { CHUNK = 512, MOST = 6 }; /* columns whose part of b stays in L1 while all rows of A use it; rows together */
    const int64_t groups = (rows + MOST - 1) / MOST;
    for (int64_t j = 0; j < cols; j += CHUNK) {
        const int64_t width = cols - j < CHUNK ? cols - j : CHUNK;
        for (int64_t g = 0, r = 0, end; g < groups; g++, r = end) {
            end = r + (rows - r) / (groups - g);
            switch (end - r) {
                STREAM(1, 8) STREAM(2, 4) STREAM(3, 2) STREAM(4, 2) STREAM(5, 2) STREAM(6, 2)
            }
        }
    }
}

/* What follows the sums: the epilogue of a tile, for rows of e->cols columns. */
K(stream_out)(int64_t rows, const float *sum, int64_t sum_step, float *const *c, const cnn_epilogue *e)
{
    for (int64_t r = 0; r < rows; r++, sum += sum_step) {
        for (int64_t j = 0; j < e->cols; j += CNN_VL)
            finish_vector(v_load(sum + j), c[r], e->addend ? e->addend[r] : 0, e->first + j, e);
        if (e->act)
            cnn_k_unary_fwd(e->act, e->cols, e->alpha, e->beta, c[r] + e->first, c[r] + e->first);
    }
}
