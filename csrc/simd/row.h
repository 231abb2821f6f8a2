/* Walking along a row in vectors, the last of which may be shorter. */
#ifndef CNN_ROW_H
#define CNN_ROW_H

#include "simd/channels.h"
#include "simd/transpose.h"

/* The next vector of a row that has `left` elements to go; `fill` behind the end. */
CNN_INLINE vf next_in(const float *p, int64_t left, vf fill)
{
    return left >= CNN_VL ? v_load(p) : v_select(v_lane() < (int32_t)left, channels_in(p, left), fill);
}

CNN_INLINE void next_out(float *p, int64_t left, vf v)
{
    channels_out(p, v, left < CNN_VL ? left : CNN_VL);
}

CNN_INLINE float v_sum(vf v)
{
    float lane[CNN_VL];
    v_store(lane, v);
    for (int half = CNN_VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* Call body(i, left, k) along a row for the vector at i with `left` elements to go. Vectors go by in fours, of which
 * this is the k-th, so that sums in four vectors need not wait for each other; the last ones have k = 0. */
#define FOR_ROW(cols, body)                                                                                            \
    {                                                                                                                  \
        int64_t next = 0;                                                                                              \
        for (; next + 4 * CNN_VL <= (cols); next += 4 * CNN_VL) {                                                      \
            CNN_UNROLL(4)                                                                                              \
            for (int k = 0; k < 4; k++) {                                                                              \
                body(next + k * CNN_VL, CNN_VL, k);                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        for (; next < (cols); next += CNN_VL) {                                                                        \
            body(next, (cols)-next, 0);                                                                                \
        }                                                                                                              \
    }

#endif
