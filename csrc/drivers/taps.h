/* Windows that reach over the border: which of their taps are inside, and which windows have all of them. */
#ifndef CNN_TAPS_H
#define CNN_TAPS_H

#include "drivers/integers.h"

/* The t of [0, taps) with 0 <= start + t * dilation < size. */
static inline cnn_range cnn_taps_inside(int64_t start, int64_t dilation, int64_t taps, int64_t size)
{
    int64_t lo = cnn_limited(-cnn_floor_div(start, dilation), 0, taps);
    int64_t hi = cnn_limited(cnn_floor_div(size - 1 - start, dilation) + 1, lo, taps);
    return (cnn_range){lo, hi};
}

/* The windows i of [0, count) that lie inside as a whole: all of [0, extent) + i * stride - pad is in [0, size). */
static inline cnn_range cnn_windows_inside(int64_t extent, int64_t stride, int64_t pad, int64_t size, int64_t count)
{
    int64_t lo = cnn_limited(-cnn_floor_div(-pad, stride), 0, count);
    int64_t hi = cnn_limited(cnn_floor_div(size - extent + pad, stride) + 1, lo, count);
    return (cnn_range){lo, hi};
}

/* Windows from i on that have the same taps: those inside as a whole, else one. */
static inline int64_t cnn_windows_alike(cnn_range inside, int64_t i)
{
    return i == inside.lo && inside.hi > inside.lo ? inside.hi - i : 1;
}

#endif
