/* Convolution with groups so narrow that several of them, or one, fill a vector. Lane l of the result is the sum over
 * taps and j of lane j of l's group in the input's cell, times a weight: for each j, a vector in which each group's
 * lane j is repeated is multiplied as in a depthwise convolution. No lane is multiplied for nothing. */
#include "simd/transpose.h"

#define PICK_2(l, j) ((l) / 2 * 2 + (j))
#define PICK_4(l, j) ((l) / 4 * 4 + (j))
#define PICK_8(l, j) ((l) / 8 * 8 + (j))
#define PICK_2_0(l) PICK_2(l, 0)
#define PICK_2_1(l) PICK_2(l, 1)
#define PICK_4_0(l) PICK_4(l, 0)
#define PICK_4_1(l) PICK_4(l, 1)
#define PICK_4_2(l) PICK_4(l, 2)
#define PICK_4_3(l) PICK_4(l, 3)
#define PICK_8_0(l) PICK_8(l, 0)
#define PICK_8_1(l) PICK_8(l, 1)
#define PICK_8_2(l) PICK_8(l, 2)
#define PICK_8_3(l) PICK_8(l, 3)
#define PICK_8_4(l) PICK_8(l, 4)
#define PICK_8_5(l) PICK_8(l, 5)
#define PICK_8_6(l) PICK_8(l, 6)
#define PICK_8_7(l) PICK_8(l, 7)
#define PICK_CASE(width, j)                                                                                            \
    case width * 16 + j:                                                                                               \
        return SHUFFLE(v, v, PICK_##width##_##j);

/* The vector at p with lane j of each group of `width` lanes (both constants) in all lanes of the group. */
CNN_INLINE vf narrow_pick(const float *p, int width, int j)
{
    if (width == CNN_VL)
        return v_splat(p[j]);
    const vf v = v_load(p);
    switch (width * 16 + j) {
        PICK_CASE(2, 0)
        PICK_CASE(2, 1)
#if CNN_VL > 4
        PICK_CASE(4, 0)
        PICK_CASE(4, 1)
        PICK_CASE(4, 2)
        PICK_CASE(4, 3)
#endif
#if CNN_VL > 8
        PICK_CASE(8, 0)
        PICK_CASE(8, 1)
        PICK_CASE(8, 2)
        PICK_CASE(8, 3)
        PICK_CASE(8, 4)
        PICK_CASE(8, 5)
        PICK_CASE(8, 6)
        PICK_CASE(8, 7)
#endif
    }
    return v;
}

/* The products of lanes j of the groups for one run of taps. A cell is picked from once for all pixels that read it. */
CNN_INLINE void narrow_step(int pixels, int taps, int64_t step, int width, int j, const float *x, const float *w,
                            vf *sum)
{
    vf k[3];
    CNN_UNROLL(3)
    for (int t = 0; t < taps; t++)
        k[t] = v_load(w + t * CNN_VL);
    if (taps == 1) {
        CNN_UNROLL(12)
        for (int b = 0; b < pixels; b++)
            sum[b] += narrow_pick(x + b * step * CNN_VL, width, j) * k[0];
        return;
    }
    CNN_UNROLL(32)
    for (int cell = 0; cell < (pixels - 1) * step + taps; cell++) {
        const vf v = narrow_pick(x + cell * CNN_VL, width, j);
        CNN_UNROLL(12)
        for (int b = 0; b < pixels; b++)
            if (cell >= b * step && cell < b * step + taps)
                v_fma(&sum[b], v, k[cell - b * step]);
    }
}

/* `count` of `pixels` neighbours (a constant, at most 12) of a row; the cells of all are there. The pointer to the cells
 * moves by nothing from one j to the next, which the compiler does not know: it would load the cells once for all j and
 * spill them, where picking from memory is one instruction. */
CNN_INLINE void narrow_tile(int pixels, int taps, int64_t step, int width, int64_t count, const cnn_narrow *d,
                            const float *x, const float *w, float *const *y, const float *const *addend,
                            const cnn_epilogue *e)
{
    vf sum[12];
    CNN_UNROLL(12)
    for (int b = 0; b < pixels; b++)
        sum[b] = e->bias ? v_load(e->bias + e->first) : (vf){0};
    CNN_UNROLL(1)
    for (int64_t r = 0; r < d->runs; r++) {
        const float *p = x + d->run[r];
        CNN_UNROLL(1)
        for (int j = 0; j < width && width == CNN_VL; j++, w += taps * CNN_VL)
            narrow_step(pixels, taps, step, width, j, p, w, sum);
        CNN_UNROLL(8)
        for (int j = 0; j < width && width < CNN_VL; j++, w += taps * CNN_VL, p += d->nothing)
            narrow_step(pixels, taps, step, width, j, p, w, sum);
    }
    CNN_UNROLL(12)
    for (int b = 0; b < pixels; b++) {
        if (b >= count)
            break;
        if (addend)
            sum[b] += v_load(addend[b] + e->first);
        v_store(y[b] + e->first, bounded(sum[b], &e->bounds));
    }
    if (e->act)
        apply_act((int)count, y, e);
}

/* Rows in tiles of nearly equal length, at most `most` (a constant, 8 or 12: more sums hide the latency of the
 * additions better); where they are shorter than 7, the rest is computed for nothing. */
CNN_INLINE void narrow_rows(int most, int taps, int64_t step, int width, const cnn_narrow *d, int64_t rows,
                            const float *const *x, const float *w, float *const *y, const cnn_epilogue *e)
{
#define NARROW_TILE(pixels)                                                                                            \
    case pixels:                                                                                                       \
        narrow_tile(pixels, taps, step, width, count, d, from, w, y + at, addend, e);                                  \
        break;
    const int64_t tiles = (d->pixels + most - 1) / most;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t t = 0, at = i * d->pixels, count; t < tiles; t++, at += count) {
            count = d->pixels / tiles + (t < d->pixels % tiles);
            const float *from = x[at] + d->first;
            const float *const *addend = e->addend ? e->addend + at : NULL;
            const int64_t pixels = count < 7 ? 7 : count;
            if (pixels <= 8)
                switch (pixels) {
                    NARROW_TILE(7)
                    NARROW_TILE(8)
                }
            else if (most > 8)
                switch (pixels) {
                    NARROW_TILE(9)
                    NARROW_TILE(10)
                    NARROW_TILE(11)
                    NARROW_TILE(12)
                }
        }
#undef NARROW_TILE
}

#define NARROW(width)                                                                                                  \
    static void narrow_##width(const cnn_narrow *d, int64_t rows, const float *const *x, const float *w,               \
                               float *const *y, const cnn_epilogue *e)                                                 \
    {                                                                                                                  \
        const cnn_narrow copy = *d; /* of which the compiler knows that no store changes it */                         \
        if (d->taps == 3 && d->step == 1)                                                                              \
            narrow_rows(12, 3, 1, width, &copy, rows, x, w, y, e);                                                     \
        else if (d->taps == 3)                                                                                         \
            narrow_rows(12, 3, 2, width, &copy, rows, x, w, y, e);                                                     \
        else if (d->taps == 2)                                                                                         \
            narrow_rows(12, 2, 1, width, &copy, rows, x, w, y, e);                                                     \
        else                                                                                                           \
            narrow_rows(8, 1, d->step, width, &copy, rows, x, w, y, e);                                                \
    }
NARROW(2)
NARROW(4)
#if CNN_VL > 4
NARROW(8)
#endif
#if CNN_VL > 8
NARROW(16)
#endif

K(narrow)
(const cnn_narrow *d, int64_t rows, const float *const *x, const float *w, float *const *y, const cnn_epilogue *e)
{
    switch (d->width) {
    case 2:
        narrow_2(d, rows, x, w, y, e);
        break;
    case 4:
        narrow_4(d, rows, x, w, y, e);
        break;
#if CNN_VL > 4
    case 8:
        narrow_8(d, rows, x, w, y, e);
        break;
#endif
#if CNN_VL > 8
    case 16:
        narrow_16(d, rows, x, w, y, e);
        break;
#endif
    }
}

/* The gradient of the weights from lanes [first, first + lanes) of the groups at `taps` taps (constants, at most 12 in
 * all) to a vector of results. */
CNN_INLINE void narrow_weights_tile(int taps, int lanes, int width, int first, const cnn_narrow *d, const int64_t *run,
                                    int64_t rows, const float *const *x, const float *dy, int64_t add, float *dw,
                                    int64_t dw_step)
{
    vf sum[12];
    CNN_UNROLL(12)
    for (int i = 0; i < taps * lanes; i++)
        sum[i] = (vf){0};
    for (int64_t r = 0; r < rows; r++) {
        const float *p[3]; /* one a tap: of sums of offsets the compiler would keep each, in memory */
        for (int t = 0; t < taps; t++)
            p[t] = x[r * d->pixels] + d->first + run[t];
        CNN_UNROLL(1)
        for (int64_t q = 0; q < d->pixels; q++, dy += CNN_VL) {
            const vf g = v_load(dy);
            CNN_UNROLL(3)
            for (int t = 0; t < taps; t++) {
                CNN_UNROLL(4)
                for (int j = 0; j < lanes; j++)
                    sum[t * lanes + j] += narrow_pick(p[t], width, first + j) * g;
                p[t] += d->step * CNN_VL;
            }
        }
    }
    CNN_UNROLL(12)
    for (int i = 0; i < taps * lanes; i++) {
        float *to = dw + (i / lanes * d->depth + i % lanes + first) * dw_step;
        v_store(to, add ? v_load(to) + sum[i] : sum[i]);
    }
}

/* The products of one cell with the dy of the pixels it is a tap of: tap t of pixel q is cell q * step + t, so that is
 * dy[(cell - t) / step] where it divides. `cell` and `step` as constants modulo each other, [lo, hi) the taps there are. */
CNN_INLINE void narrow_weights_cell(int phase, int step, int lo, int hi, int lanes, int width, int first,
                                    const float *x, const float *dy, vf *sum)
{
    vf v[4];
    CNN_UNROLL(4)
    for (int j = 0; j < lanes; j++)
        v[j] = narrow_pick(x, width, first + j);
    CNN_UNROLL(3)
    for (int t = lo; t < hi; t++) {
        if ((phase - t) % step != 0)
            continue;
        const vf g = v_load(dy + (phase - t) / step * CNN_VL);
        CNN_UNROLL(4)
        for (int j = 0; j < lanes; j++)
            v_fma(&sum[t * lanes + j], v[j], g);
    }
}

/* The same as narrow_weights_tile for three taps side by side, `step` (a constant, 1 or 2) cells from pixel to pixel:
 * from each cell is picked once for all taps. At least 2 pixels. */
CNN_INLINE void narrow_weights_three(int step, int lanes, int width, int first, const cnn_narrow *d, int64_t run,
                                     int64_t rows, const float *const *x, const float *dy, int64_t add, float *dw,
                                     int64_t dw_step)
{
    vf sum[12];
    CNN_UNROLL(12)
    for (int i = 0; i < 3 * lanes; i++)
        sum[i] = (vf){0};
    for (int64_t r = 0; r < rows; r++, dy += d->pixels * CNN_VL) {
        const float *p = x[r * d->pixels] + d->first + run, *g = dy;
        if (step == 1) {
            narrow_weights_cell(0, 1, 0, 1, lanes, width, first, p, g, sum);
            narrow_weights_cell(1, 1, 0, 2, lanes, width, first, p + CNN_VL, g, sum);
            p += 2 * CNN_VL;
            CNN_UNROLL(1)
            for (int64_t q = 2; q < d->pixels; q++, p += CNN_VL, g += CNN_VL)
                narrow_weights_cell(2, 1, 0, 3, lanes, width, first, p, g, sum);
            narrow_weights_cell(2, 1, 1, 3, lanes, width, first, p, g, sum);
            narrow_weights_cell(2, 1, 2, 3, lanes, width, first, p + CNN_VL, g + CNN_VL, sum);
        } else {
            narrow_weights_cell(0, 2, 0, 1, lanes, width, first, p, g, sum);
            narrow_weights_cell(1, 2, 1, 2, lanes, width, first, p + CNN_VL, g, sum);
            p += 2 * CNN_VL;
            CNN_UNROLL(1)
            for (int64_t q = 1; q < d->pixels; q++, p += 2 * CNN_VL, g += CNN_VL) {
                narrow_weights_cell(2, 2, 0, 3, lanes, width, first, p, g, sum);
                narrow_weights_cell(3, 2, 1, 2, lanes, width, first, p + CNN_VL, g, sum);
            }
            narrow_weights_cell(2, 2, 2, 3, lanes, width, first, p, g, sum);
        }
    }
    CNN_UNROLL(12)
    for (int i = 0; i < 3 * lanes; i++) {
        float *to = dw + (i / lanes * d->depth + i % lanes + first) * dw_step;
        v_store(to, add ? v_load(to) + sum[i] : sum[i]);
    }
}

/* Whether taps are three side by side, pixels enough, and registers: it takes 17, and 16 of AVX2 are 80 % slower. */
CNN_INLINE int narrow_three(const cnn_narrow *d, const int64_t *run)
{
    return CNN_VL == 16 && d->step <= 2 && d->pixels >= 2 && run[1] - run[0] == CNN_VL && run[2] - run[1] == CNN_VL;
}

/* All lanes of all taps, as many sums at a time as the registers hold. */
CNN_INLINE void narrow_weights_group(int width, const cnn_narrow *d, int64_t rows, const float *const *x,
                                     const float *dy, int64_t add, float *dw, int64_t dw_step)
{
    const int lanes = width < 4 ? width : 4;
    int64_t t = 0;
    for (; t + 3 <= d->runs; t += 3) {
        CNN_UNROLL(4)
        for (int first = 0; first < width; first += lanes) {
            float *to = dw + t * d->depth * dw_step;
            if (width < CNN_VL && narrow_three(d, d->run + t) && d->step == 1)
                narrow_weights_three(1, lanes, width, first, d, d->run[t], rows, x, dy, add, to, dw_step);
            else if (width < CNN_VL && narrow_three(d, d->run + t))
                narrow_weights_three(2, lanes, width, first, d, d->run[t], rows, x, dy, add, to, dw_step);
            else
                narrow_weights_tile(3, lanes, width, first, d, d->run + t, rows, x, dy, add, to, dw_step);
        }
    }
    for (; t < d->runs; t++) {
        CNN_UNROLL(4)
        for (int first = 0; first < width; first += lanes)
            narrow_weights_tile(1, lanes, width, first, d, d->run + t, rows, x, dy, add, dw + t * d->depth * dw_step,
                                dw_step);
    }
}

K(narrow_weights)
(const cnn_narrow *d, int64_t rows, const float *const *x, const float *dy, int64_t add, float *dw, int64_t dw_step)
{
    const cnn_narrow copy = *d;
    switch (d->width) {
    case 2:
        narrow_weights_group(2, &copy, rows, x, dy, add, dw, dw_step);
        break;
    case 4:
        narrow_weights_group(4, &copy, rows, x, dy, add, dw, dw_step);
        break;
#if CNN_VL > 4
    case 8:
        narrow_weights_group(8, &copy, rows, x, dy, add, dw, dw_step);
        break;
#endif
#if CNN_VL > 8
    case 16:
        narrow_weights_group(16, &copy, rows, x, dy, add, dw, dw_step);
        break;
#endif
    }
}
