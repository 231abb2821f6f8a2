/* Lanes of vectors rearranged: the transpose of a square of CNN_VL x CNN_VL elements, the largest lane. */
#ifndef CNN_TRANSPOSE_H
#define CNN_TRANSPOSE_H

#include "simd/block.h"
#include "simd/channels.h"

#define LANES_4(X, l) X((l)), X((l) + 1), X((l) + 2), X((l) + 3)
#define LANES_8(X, l) LANES_4(X, l), LANES_4(X, (l) + 4)
#define LANES_16(X, l) LANES_8(X, l), LANES_8(X, (l) + 8)
#define LANES_OF(n, X) LANES_##n(X, 0)
#define LANES(n, X) LANES_OF(n, X)

#ifdef __clang__
#define SHUFFLE(a, b, X) __builtin_shufflevector(a, b, LANES(CNN_VL, X))
#else
#define SHUFFLE(a, b, X) __builtin_shuffle(a, b, (vi){LANES(CNN_VL, X)})
#endif

/* Squares of 4 x 4 are transposed in two steps, each one instruction a vector on x86, where lanes of 128 bits are the
 * cheap ones: lanes of two rows in turn, then pairs of these. */
#define IN_TURN(l, from) (((l) & ~3) + (from) + ((l)&2) / 2 + ((l)&1) * CNN_VL)
#define IN_PAIRS(l, from) (((l) & ~3) + (from) + ((l)&1) + ((l)&2) / 2 * CNN_VL)
#define TURN_LOW(l) IN_TURN(l, 0)
#define TURN_HIGH(l) IN_TURN(l, 2)
#define PAIRS_LOW(l) IN_PAIRS(l, 0)
#define PAIRS_HIGH(l) IN_PAIRS(l, 2)

CNN_INLINE void transpose_squares_of_4(vf *v)
{
    CNN_UNROLL(4)
    for (int r = 0; r < CNN_VL; r += 4) {
        vf a = SHUFFLE(v[r], v[r + 1], TURN_LOW), b = SHUFFLE(v[r + 2], v[r + 3], TURN_LOW);
        vf c = SHUFFLE(v[r], v[r + 1], TURN_HIGH), d = SHUFFLE(v[r + 2], v[r + 3], TURN_HIGH);
        v[r] = SHUFFLE(a, b, PAIRS_LOW);
        v[r + 1] = SHUFFLE(a, b, PAIRS_HIGH);
        v[r + 2] = SHUFFLE(c, d, PAIRS_LOW);
        v[r + 3] = SHUFFLE(c, d, PAIRS_HIGH);
    }
}

/* Of two rows `half` apart: the lanes whose bit `half` is 0 of both, and those whose bit is 1. */
#define LOW_LANE(l, half) (((l) & (half)) ? CNN_VL + (l) - (half) : (l))
#define HIGH_LANE(l, half) (((l) & (half)) ? CNN_VL + (l) : (l) + (half))
#define LOW_2(l) LOW_LANE(l, 2)
#define LOW_4(l) LOW_LANE(l, 4)
#define LOW_8(l) LOW_LANE(l, 8)
#define HIGH_2(l) HIGH_LANE(l, 2)
#define HIGH_4(l) HIGH_LANE(l, 4)
#define HIGH_8(l) HIGH_LANE(l, 8)

/* Swap the squares of `half` x `half` off the diagonal of each square of twice that size. */
#define TRANSPOSE_STAGE(v, half)                                                                                       \
    CNN_UNROLL(16)                                                                                                     \
    for (int r = 0; r < CNN_VL; r++)                                                                                   \
        if (!(r & half)) {                                                                                             \
            vf a = v[r], b = v[r + half];                                                                              \
            v[r] = SHUFFLE(a, b, LOW_##half);                                                                          \
            v[r + half] = SHUFFLE(a, b, HIGH_##half);                                                                  \
        }

CNN_INLINE vi v_lane(void)
{
#define LANE(l) (l)
    return (vi){LANES(CNN_VL, LANE)};
#undef LANE
}

#define OTHER_1(l) ((l) ^ 1)
#define OTHER_2(l) ((l) ^ 2)
#define OTHER_4(l) ((l) ^ 4)
#define OTHER_8(l) ((l) ^ 8)

/* The largest lane that is a number, if there is one. */
CNN_INLINE float v_largest(vf v)
{
#if CNN_VL >= 16
    v = v_max(SHUFFLE(v, v, OTHER_8), v);
#endif
#if CNN_VL >= 8
    v = v_max(SHUFFLE(v, v, OTHER_4), v);
#endif
    v = v_max(SHUFFLE(v, v, OTHER_2), v);
    v = v_max(SHUFFLE(v, v, OTHER_1), v);
    return v[0];
}

CNN_INLINE void v_transpose(vf *v)
{
    transpose_squares_of_4(v);
#if CNN_VL >= 8
    TRANSPOSE_STAGE(v, 4)
#endif
#if CNN_VL >= 16
    TRANSPOSE_STAGE(v, 8)
#endif
}

#endif
