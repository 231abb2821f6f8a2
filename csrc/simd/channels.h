/* Walking over the channels of a pixel in vectors. */
#ifndef CNN_CHANNELS_H
#define CNN_CHANNELS_H

#include "simd/vec.h"

/* The load and store of `width` channels, a constant CNN_VL or the number of channels when they are fewer. */
CNN_INLINE vf channels_in(const float *p, int64_t width)
{
    return width == CNN_VL ? v_load(p) : v_load_part(p, width);
}

CNN_INLINE void channels_out(float *p, vf v, int64_t width)
{
    if (width == CNN_VL)
        v_store(p, v);
    else
        v_store_part(p, v, width);
}

/* Call body(first, width) for vectors that cover channels 0 <= i < c. The last vector overlaps the one before, so the
 * body must give the same result twice. */
#define FOR_CHANNELS(c, body)                                                                                          \
    if ((c) < CNN_VL) {                                                                                                \
        body(0, (c));                                                                                                  \
    } else {                                                                                                           \
        int64_t first = 0;                                                                                             \
        for (; first < (c); first += CNN_VL) {                                                                         \
            first = first + CNN_VL <= (c) ? first : (c)-CNN_VL;                                                        \
            body(first, CNN_VL);                                                                                       \
        }                                                                                                              \
    }

#ifdef __clang__
#define CNN_UNROLL(n) _Pragma("unroll")
#else
#define CNN_PRAGMA(text) _Pragma(#text)
#define CNN_UNROLL(n) CNN_PRAGMA(GCC unroll n)
#endif

#endif
