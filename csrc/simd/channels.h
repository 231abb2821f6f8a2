/* Walking over the channels of a pixel in vectors. */
#ifndef CNN_CHANNELS_H
#define CNN_CHANNELS_H

#include "simd/block.h"
#include "simd/vec.h"

enum { LINE = 16 }; /* floats in a cache line */

/* The load and store of `width` channels, a constant CNN_VL or the number of channels when they are fewer. The loops
 * become masked instructions where the ISA has them, if gcc does not unroll them first. */
CNN_INLINE vf channels_in(const float *p, int64_t width)
{
    float lane[CNN_VL];
    if (width == CNN_VL)
        return v_load(p);
    CNN_UNROLL(1)
    for (int l = 0; l < CNN_VL; l++)
        lane[l] = l < (int)width ? p[l] : 0.0f;
    return v_load(lane);
}

CNN_INLINE void channels_out(float *p, vf v, int64_t width)
{
    float lane[CNN_VL];
    if (width == CNN_VL) {
        v_store(p, v);
        return;
    }
    v_store(lane, v);
    CNN_UNROLL(1)
    for (int l = 0; l < CNN_VL; l++)
        if (l < (int)width)
            p[l] = lane[l];
}

/* Call body(first, width) for vectors that cover the channels [from, c). The last vector overlaps the one before, so
 * the body must give the same result twice. */
#define FOR_CHANNELS_FROM(from, c, body)                                                                               \
    if ((c) < CNN_VL) {                                                                                                \
        body(0, (c));                                                                                                  \
    } else {                                                                                                           \
        for (int64_t next = (from); next < (c); next += CNN_VL) {                                                      \
            int64_t first = next + CNN_VL <= (c) ? next : (c)-CNN_VL;                                                  \
            body(first, CNN_VL);                                                                                       \
        }                                                                                                              \
    }
#define FOR_CHANNELS(c, body) FOR_CHANNELS_FROM(0, c, body)

#endif
