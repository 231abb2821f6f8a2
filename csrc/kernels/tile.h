/* The register tile of every matrix product: mr rows of A, read by scalar broadcast, times nv vectors of B.
 *
 * The accumulators are named local variables, made by the macros below, because gcc 12 does not keep an array of
 * vectors in registers (measured: 37 % of the FMA peak against 97-100 %). Goto & van de Geijn 2008 explain the tile,
 * Dukhan 2019 (The Indirect Convolution Algorithm) the row pointers. */

#include "simd/far.h"

#define ROWS_1(X) X(0)
#define ROWS_2(X) ROWS_1(X) X(1)
#define ROWS_3(X) ROWS_2(X) X(2)
#define ROWS_4(X) ROWS_3(X) X(3)
#define ROWS_5(X) ROWS_4(X) X(4)
#define ROWS_6(X) ROWS_5(X) X(5)
#define ROWS_7(X) ROWS_6(X) X(6)
#define ROWS_8(X) ROWS_7(X) X(7)
#define ROWS_9(X) ROWS_8(X) X(8)
#define ROWS_10(X) ROWS_9(X) X(9)
#define ROWS_11(X) ROWS_10(X) X(10)
#define ROWS_12(X) ROWS_11(X) X(11)
#define ROWS_13(X) ROWS_12(X) X(12)
#define COLS_1(X, r) X(r, 0)
#define COLS_2(X, r) COLS_1(X, r) X(r, 1)
#define COLS_3(X, r) COLS_2(X, r) X(r, 2)
#define COLS_4(X, r) COLS_3(X, r) X(r, 3)
#define B_1(X) X(0)
#define B_2(X) B_1(X) X(1)
#define B_3(X) B_2(X) X(2)
#define B_4(X) B_3(X) X(3)

#define ZERO(r, j) vf c##r##_##j = {0};
#define LOAD_B(j) vf b##j = v_load(b + j * CNN_VL);
#define FMA(r, j) v_fma(&c##r##_##j, a, b##j);
#define OUT(r) float *const out##r = c[r] + first;
#define ADD_C(r, j) c##r##_##j += channels_in(out##r + j * CNN_VL, WIDTH(j));
#define LOAD_BIAS(j) vf bias##j = v_load(bias + j * CNN_VL);
#define SET_BIAS(r, j) c##r##_##j = bias##j;
#define ADD_ADDEND(r, j) c##r##_##j += channels_in(addend[r] + first + j * CNN_VL, WIDTH(j));
#define LOWEST(r, j) c##r##_##j = v_max(low, c##r##_##j);
#define HIGHEST(r, j) c##r##_##j = v_min(high, c##r##_##j);
#define STORE(r, j) channels_out(out##r + j * CNN_VL, c##r##_##j, WIDTH(j));
#define STORE_FAR(r, j) v_store_far(out##r + j * CNN_VL, c##r##_##j);

/* Columns of vector j: of the panel's last vector, only those that there are. */
#define WIDTH(j) (j < LAST ? CNN_VL : last)

#define WANT_C(r, j)                                                                                                   \
    if (j * CNN_VL % 16 == 0)                                                                                          \
        __builtin_prefetch(c[r + below] + first + j * CNN_VL, 1);
#define WANT_ADDEND(r, j)                                                                                              \
    if (j * CNN_VL % 16 == 0)                                                                                          \
        __builtin_prefetch(addend[r + below] + first + j * CNN_VL, 0);
#define POINTER(r) const float *p##r = rows[r];

/* An operation on all columns of row r, as a macro of the row alone, which is what ROWS_* takes. */
#define ZERO_1(r) COLS_1(ZERO, r)
#define ZERO_2(r) COLS_2(ZERO, r)
#define ZERO_3(r) COLS_3(ZERO, r)
#define ZERO_4(r) COLS_4(ZERO, r)
#define SET_BIAS_1(r) COLS_1(SET_BIAS, r)
#define SET_BIAS_2(r) COLS_2(SET_BIAS, r)
#define SET_BIAS_3(r) COLS_3(SET_BIAS, r)
#define SET_BIAS_4(r) COLS_4(SET_BIAS, r)
#define ADD_C_1(r) COLS_1(ADD_C, r)
#define ADD_C_2(r) COLS_2(ADD_C, r)
#define ADD_C_3(r) COLS_3(ADD_C, r)
#define ADD_C_4(r) COLS_4(ADD_C, r)
/* One broadcast and its multiply-adds, row by row: one register of A is live at a time. */
#define STEP_1(r)                                                                                                      \
    {                                                                                                                  \
        const vf a = v_splat(p##r[at]);                                                                                \
        COLS_1(FMA, r)                                                                                                 \
    }
#define STEP_2(r)                                                                                                      \
    {                                                                                                                  \
        const vf a = v_splat(p##r[at]);                                                                                \
        COLS_2(FMA, r)                                                                                                 \
    }
#define STEP_3(r)                                                                                                      \
    {                                                                                                                  \
        const vf a = v_splat(p##r[at]);                                                                                \
        COLS_3(FMA, r)                                                                                                 \
    }
#define STEP_4(r)                                                                                                      \
    {                                                                                                                  \
        const vf a = v_splat(p##r[at]);                                                                                \
        COLS_4(FMA, r)                                                                                                 \
    }

/* What is wanted next, a part of it in each step: two lines with AVX-512, as a product of few rows takes in more than one
 * (the last layers of ResNet-50, whose weights come from memory: 10 % less time on Zen 5, half a per cent of the network).
 * Tiles of one vector want it all before their first step: in their loop it would take the place of loads and registers
 * that limit them (32 -> 16 channels: 66 % of the peak became 75). */
#if CNN_VL == 16
#define FETCH(next) __builtin_prefetch(next, 0, 2), __builtin_prefetch((next) + 64, 0, 2)
#else
#define FETCH(next) __builtin_prefetch(next, 0, 2)
#endif

/* One step of the sum. Rows of B follow each other where they are one vector: the tall tiles of those have no register
 * left for a distance (with AVX2 88 % of the peak became 74). Where it goes on is hidden from gcc: it would advance the
 * pointers to all rows instead of one number, and load the vectors of a later step too early for the registers. */
#define ONE_STEP(MR, NV)                                                                                               \
    {                                                                                                                  \
        if (NV > 1)                                                                                                    \
            FETCH(next);                                                                                               \
        B_##NV(LOAD_B) ROWS_##MR(STEP_##NV)                                                                            \
    }                                                                                                                  \
    at += a_step;                                                                                                      \
    b += NV == 1 ? CNN_VL : b_step;                                                                                    \
    if (NV > 1)                                                                                                        \
        next += next_step;                                                                                             \
    __asm__("" : "+r"(b), "+r"(at));

/* Steps in one round of the loop: with AVX-512 what counts them costs 5 % of a round of one. */
#if CNN_VL == 16
enum { CNN_STEPS = 2 };
#define STEPS(MR, NV) ONE_STEP(MR, NV) ONE_STEP(MR, NV)
#else
enum { CNN_STEPS = 1 };
#define STEPS(MR, NV) ONE_STEP(MR, NV)
#endif

#define ADD_ADDEND_1(r) COLS_1(ADD_ADDEND, r)
#define ADD_ADDEND_2(r) COLS_2(ADD_ADDEND, r)
#define ADD_ADDEND_3(r) COLS_3(ADD_ADDEND, r)
#define ADD_ADDEND_4(r) COLS_4(ADD_ADDEND, r)
#define LOWEST_1(r) COLS_1(LOWEST, r)
#define HIGHEST_1(r) COLS_1(HIGHEST, r)
#define LOWEST_2(r) COLS_2(LOWEST, r)
#define HIGHEST_2(r) COLS_2(HIGHEST, r)
#define LOWEST_3(r) COLS_3(LOWEST, r)
#define HIGHEST_3(r) COLS_3(HIGHEST, r)
#define LOWEST_4(r) COLS_4(LOWEST, r)
#define HIGHEST_4(r) COLS_4(HIGHEST, r)
#define STORE_1(r) COLS_1(STORE, r)
#define STORE_FAR_1(r) COLS_1(STORE_FAR, r)
#define WANT_C_1(r) COLS_1(WANT_C, r)
#define WANT_ADDEND_1(r) COLS_1(WANT_ADDEND, r)
#define STORE_2(r) COLS_2(STORE, r)
#define STORE_FAR_2(r) COLS_2(STORE_FAR, r)
#define WANT_C_2(r) COLS_2(WANT_C, r)
#define WANT_ADDEND_2(r) COLS_2(WANT_ADDEND, r)
#define STORE_3(r) COLS_3(STORE, r)
#define STORE_FAR_3(r) COLS_3(STORE_FAR, r)
#define WANT_C_3(r) COLS_3(WANT_C, r)
#define WANT_ADDEND_3(r) COLS_3(WANT_ADDEND, r)
#define STORE_4(r) COLS_4(STORE, r)
#define STORE_FAR_4(r) COLS_4(STORE_FAR, r)
#define WANT_C_4(r) COLS_4(WANT_C, r)
#define WANT_ADDEND_4(r) COLS_4(WANT_ADDEND, r)

/* Functions too long for registers: a second look at the rows just stored, still in L1. */
static __attribute__((noinline)) void apply_act(int mr, float *const *c, const cnn_epilogue *e)
{
    cnn_k_unary_rows(e->act, mr, e->cols, e->alpha, e->beta, (const float *const *)c, c, e->first);
}

/* What a tile does after the sum, of which the last vector has so many columns. */
#define FINISH_LAST(MR, NV, COLS)                                                                                      \
    {                                                                                                                  \
        const int64_t last = COLS;                                                                                     \
        if (accumulate) {                                                                                              \
            ROWS_##MR(ADD_C_##NV)                                                                                      \
        }                                                                                                              \
        if (addend) {                                                                                                  \
            ROWS_##MR(ADD_ADDEND_##NV)                                                                                 \
        }                                                                                                              \
        if (bounds.given && bounds.high < INFINITY) {                                                                  \
            const vf high = v_splat(bounds.high);                                                                      \
            ROWS_##MR(HIGHEST_##NV)                                                                                    \
        }                                                                                                              \
        if (bounds.given) {                                                                                            \
            const vf low = v_splat(bounds.low);                                                                        \
            ROWS_##MR(LOWEST_##NV)                                                                                     \
        }                                                                                                              \
        if (far) {                                                                                                     \
            ROWS_##MR(STORE_FAR_##NV)                                                                                  \
        } else {                                                                                                       \
            ROWS_##MR(STORE_##NV)                                                                                      \
        }                                                                                                              \
    }

/* Written out for whole vectors, of which no row then asks how many columns it has. */
#define FINISH(MR, NV)                                                                                                 \
    ROWS_##MR(OUT) if (rest < CNN_VL) FINISH_LAST(MR, NV, rest) else FINISH_LAST(MR, NV, CNN_VL) if (act)              \
        apply_act(MR, c, e);

/* The bias of a tile of `width` columns, whole vectors of it in `padded` where the row ends before them; NULL: none. */
static __attribute__((noinline)) const float *bias_of(const cnn_epilogue *e, int64_t width, float *padded)
{
    if (!e->bias || e->cols >= width)
        return e->bias ? e->bias + e->first : NULL;
    memset(padded, 0, (size_t)width * sizeof(float));
    memcpy(padded, e->bias + e->first, (size_t)e->cols * sizeof(float));
    return padded;
}

/* Fetch so many bytes, and return where they end. */
static inline const char *fetch_all(const char *next, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(next + at, 0, 2);
    return next + bytes;
}

/* A sum begins with the bias, which saves adding it. What c holds is added last: it comes from far away, and a sum that
 * began with it would wait for it. */
#define START(MR, NV)                                                                                                  \
    const int below = tiles > 1 ? MR : 0;                                                                              \
    if (accumulate) {                                                                                                  \
        ROWS_##MR(WANT_C_##NV)                                                                                         \
    }                                                                                                                  \
    if (addend) {                                                                                                      \
        ROWS_##MR(WANT_ADDEND_##NV)                                                                                    \
    }                                                                                                                  \
    ROWS_##MR(ZERO_##NV) if (bias)                                                                                     \
    {                                                                                                                  \
        B_##NV(LOAD_BIAS) ROWS_##MR(SET_BIAS_##NV)                                                                     \
    }

/* `tiles` tiles one below the other. What they share is read once, as stores might change it for all the compiler
 * knows: a loop around the call took twice as long beside its sums (70 cycles a tile against 35, measured on Zen 3). */
#define TILE(MR, NV)                                                                                                   \
    static void tile_##MR##_##NV(int64_t tiles, int64_t runs, const int64_t *run, int64_t kc,                          \
                                 const float *const *rows, int64_t a_step, const float *panel, float *const *c,        \
                                 const cnn_epilogue *e)                                                                \
    {                                                                                                                  \
        const int64_t first = e->first, next_step = e->next_step, act = e->act, b_step = e->b_step;                    \
        enum { LAST = NV - 1 };                                                                                        \
        const int64_t rest = e->cols - LAST * CNN_VL;                                                                  \
        const int accumulate = e->accumulate, far = e->far;                                                            \
        float padded[NV * CNN_VL];                                                                                     \
        const float *const bias = bias_of(e, NV * CNN_VL, padded), *const *addend = e->addend;                         \
        const cnn_bounds bounds = e->bounds;                                                                           \
        const char *next = e->next;                                                                                    \
        for (; tiles > 0; tiles--, rows += MR, c += MR, addend += addend ? MR : 0) {                                   \
            const float *b = panel;                                                                                    \
            START(MR, NV)                                                                                              \
            if (NV == 1)                                                                                               \
                next = fetch_all(next, runs * kc * next_step);                                                         \
            ROWS_##MR(POINTER) for (int64_t t = 0; t < runs; t++)                                                      \
            {                                                                                                          \
                int64_t i = kc, at = run[t];                                                                           \
                for (; i >= CNN_STEPS; i -= CNN_STEPS) {                                                               \
                    STEPS(MR, NV)                                                                                      \
                }                                                                                                      \
                for (; i > 0; i--) {                                                                                   \
                    ONE_STEP(MR, NV)                                                                                   \
                }                                                                                                      \
            }                                                                                                          \
            FINISH(MR, NV)                                                                                             \
        }                                                                                                              \
    }

#define TILES_TO_5(NV) TILE(1, NV) TILE(2, NV) TILE(3, NV) TILE(4, NV) TILE(5, NV)
#define TILES_TO_6(NV) TILES_TO_5(NV) TILE(6, NV)
#define TILES_TO_8(NV) TILES_TO_6(NV) TILE(7, NV) TILE(8, NV)
#define TILES_TO_10(NV) TILES_TO_8(NV) TILE(9, NV) TILE(10, NV)
#define TILES_TO_13(NV) TILES_TO_10(NV) TILE(11, NV) TILE(12, NV) TILE(13, NV)

#define NAMES_5(NV) 0, tile_1_##NV, tile_2_##NV, tile_3_##NV, tile_4_##NV, tile_5_##NV
#define NAMES_6(NV) NAMES_5(NV), tile_6_##NV
#define NAMES_8(NV) NAMES_6(NV), tile_7_##NV, tile_8_##NV
#define NAMES_10(NV) NAMES_8(NV), tile_9_##NV, tile_10_##NV
#define NAMES_13(NV) NAMES_10(NV), tile_11_##NV, tile_12_##NV, tile_13_##NV

/* The epilogue of one vector of a row, at column `at`, without bias and activation. */
CNN_INLINE void finish_vector(vf y, float *c, const float *addend, int64_t at, const cnn_epilogue *e)
{
    if (e->accumulate)
        y += v_load(c + at);
    if (addend)
        y += v_load(addend + at);
    v_store(c + at, bounded(y, &e->bounds));
}

/* The same of its first n columns. */
CNN_INLINE void finish_part(vf y, int64_t n, float *c, const float *addend, int64_t at, const cnn_epilogue *e)
{
    if (e->accumulate)
        y += v_load_part(c + at, n);
    if (addend)
        y += v_load_part(addend + at, n);
    v_store_part(c + at, bounded(y, &e->bounds), n);
}

/* One row times CNN_ROW_PANELS panels side by side, nv_max vectors each. Of one row B is read once, from memory: several
 * streams of it come faster than one (measured on Zen 3: 23 GB/s against 13). The same sums as a tile of one row. */
static void tile_row(int64_t runs, const int64_t *run, int64_t kc, const float *row, int64_t a_step, const float *b,
                     int64_t panel_step, float *c, const cnn_epilogue *e)
{
    enum { PER_PANEL = CNN_VL == 16 ? 4 : 2, VECTORS = CNN_ROW_PANELS * PER_PANEL };
    vf sum[VECTORS];
    CNN_UNROLL(16)
    for (int j = 0; j < VECTORS; j++)
        sum[j] = e->bias ? v_load(e->bias + e->first + j * CNN_VL) : (vf){0};
    for (int64_t t = 0; t < runs; t++) {
        const float *p = row + run[t];
        for (int64_t i = 0; i < kc; i++, p += a_step, b += PER_PANEL * CNN_VL) {
            const vf a = v_splat(*p);
            CNN_UNROLL(16)
            for (int j = 0; j < VECTORS; j++)
                sum[j] += a * v_load(b + j / PER_PANEL * panel_step + j % PER_PANEL * CNN_VL);
        }
    }
    CNN_UNROLL(16)
    for (int j = 0; j < VECTORS; j++)
        finish_vector(sum[j], c, e->addend ? e->addend[0] : 0, e->first + j * CNN_VL, e);
    if (e->act)
        cnn_k_unary_fwd(e->act, VECTORS * CNN_VL, e->alpha, e->beta, c + e->first, c + e->first);
}

/* Tiles that fit the registers: 32 of AVX-512, 16 of the others; mr * nv accumulators, nv of B, at least one of A. Of
 * narrow ones the pointers to the rows set the limit, which are reloaded when there are too many: with AVX2 and one
 * vector 12 rows reload four; with AVX-512 and one vector 10 rows reach 84 % of the peak and 9 rows 81, with two 13 rows
 * spend 28 cycles beside a sum and 14 rows 47 (Zen 5). */
#if CNN_VL == 16
TILES_TO_10(1) TILES_TO_13(2) TILES_TO_8(3) TILES_TO_6(4)
#define CNN_TILE_TABLES                                                                                                \
    .tile_row = tile_row, .nv_max = 4, .mr_max = {0, 10, 13, 8, 6},                                                    \
    .tile = {{0}, {NAMES_10(1)}, {NAMES_13(2)}, {NAMES_8(3)}, {NAMES_6(4)}}
#else
#if CNN_VL == 8
TILES_TO_8(1) TILES_TO_6(2)
#define CNN_TILE_TABLES                                                                                                \
    .tile_row = tile_row, .nv_max = 2, .mr_max = {0, 8, 6}, .tile = {{0}, {NAMES_8(1)}, {NAMES_6(2)}}
#else
TILES_TO_8(1) TILES_TO_5(2)
#define CNN_TILE_TABLES                                                                                                \
    .tile_row = tile_row, .nv_max = 2, .mr_max = {0, 8, 5}, .tile = {{0}, {NAMES_8(1)}, {NAMES_5(2)}}
#endif
#endif
