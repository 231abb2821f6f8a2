/* Few rows of A times a plain B, which is read once and from memory: a few of its rows at a time go by in the order in
 * which they lie there, while the sums wait in L1 or L2. The sums are those of a tile, to the bit. */

enum { STREAM_LINE = 16, STREAM_WAY = 1024 }; /* floats of a cache line, and of a way of L1 */

/* What is fetched beside a block: as many rows of the block after it. */
typedef struct {
    const float *at;
    int64_t step;
} stream_next;

/* V vectors of R rows of sums, over `depth` rows of b. A single line of each row is not worth fetching ahead. */
CNN_INLINE void stream_block(const int R, const int V, int64_t depth, const float *const *a, int64_t first,
                             int64_t a_step, const float *b, int64_t b_step, stream_next next, float *sum,
                             int64_t sum_step)
{
    const int ahead = V * CNN_VL > STREAM_LINE ? V * CNN_VL : 0;
    vf c[12];
    CNN_UNROLL(12)
    for (int i = 0; i < R * V; i++)
        c[i] = v_load(sum + i / V * sum_step + i % V * CNN_VL);
    for (int64_t k = 0; k < depth; k++, first += a_step, b += b_step, next.at += next.step) {
        CNN_UNROLL(12)
        for (int i = 0; i < ahead; i += STREAM_LINE)
            __builtin_prefetch(next.at + i);
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
                            int64_t a_step, const float *b, int64_t b_step, stream_next next, float *sum,
                            int64_t sum_step)
{
    const int64_t wide = V * CNN_VL;
    int64_t j = 0;
    for (; j + wide <= cols; j += wide) {
        const int more = next.step && j + 2 * wide <= cols;
        stream_block(R, V, depth, a, first, a_step, b + j, b_step, more ? (stream_next){b + j + wide, b_step} : next,
                     sum + j, sum_step);
    }
    const stream_next none = {sum, 0};
    for (; j + CNN_VL <= cols; j += CNN_VL)
        stream_block(R, 1, depth, a, first, a_step, b + j, b_step, none, sum + j, sum_step);
    if (j < cols)
        stream_block(R, 1, depth, a, first, a_step, b + cols - CNN_VL, b_step, none, sum + j, sum_step);
}

#define STREAM(R, V)                                                                                                   \
    case R:                                                                                                            \
        stream_rows(R, V, depth, width, a + r, first, a_step, b + j, b_step, next, sum + r * sum_step + j, sum_step);  \
        break;

/* Of columns that do not fill their vectors the last vector is one of b that ends with them, so it begins with columns of
 * the one before it, or with columns before b, which must be there. Its sums have a place of their own behind the others;
 * the first of them are nobody's. Rows of b that fall into one set of L1 each are not fetched ahead, for they would not
 * stay; the fetches then go to the sums. */
K(stream)
(int64_t rows, int64_t depth, int64_t cols, const float *const *a, int64_t first, int64_t a_step, const float *b,
 int64_t b_step, float *sum, int64_t sum_step)
{
    enum { CHUNK = 512, MOST = 6 }; /* columns whose part of b stays in L1 while all rows of A use it; rows together */
    const int64_t groups = (rows + MOST - 1) / MOST;
    const int aliased = b_step % STREAM_WAY == 0;
    for (int64_t j = 0; j < cols; j += CHUNK) {
        const int64_t width = cols - j < CHUNK ? cols - j : CHUNK;
        const stream_next next = aliased            ? (stream_next){sum, 0}
                                 : j + CHUNK < cols ? (stream_next){b + j + CHUNK, b_step}
                                                    : (stream_next){b + depth * b_step, b_step};
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
    const int64_t rest = e->cols % CNN_VL, whole = e->cols - rest;
    for (int64_t r = 0; r < rows; r++, sum += sum_step) {
        const float *const addend = e->addend ? e->addend[r] : 0;
        for (int64_t j = 0; j < whole; j += CNN_VL)
            finish_vector(v_load(sum + j), c[r], addend, e->first + j, e);
        if (rest)
            finish_part(v_load_part(sum + whole + CNN_VL - rest, rest), rest, c[r], addend, e->first + whole, e);
    }
    if (e->act)
        cnn_k_unary_rows(e->act, rows, e->cols, e->alpha, e->beta, (const float *const *)c, c, e->first);
}
