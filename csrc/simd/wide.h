/* Vectors of 64-bit words, and the products of their low halves. */
#ifndef CNN_WIDE_H
#define CNN_WIDE_H

#include "simd/vec.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef uint32_t vu __attribute__((vector_size(4 * CNN_VL)));
typedef uint64_t vw __attribute__((vector_size(4 * CNN_VL)));

CNN_INLINE vw w_splat(uint64_t x)
{
    return x - (vw){0};
}

/* The low halves of a and b multiplied. By an instruction's name, because gcc 12 does not see that the upper halves are
 * out of the game and multiplies them as well; a loop over 32-bit words it takes apart with four shuffles a product. */
CNN_INLINE vw w_multiply(vw a, vw b)
{
#if CNN_VL == 16 && defined(__AVX512F__)
    return (vw)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif CNN_VL == 8 && defined(__AVX2__)
    return (vw)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif CNN_VL == 4 && defined(__SSE2__)
    return (vw)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & w_splat(UINT32_MAX)) * (b & w_splat(UINT32_MAX));
#endif
}

#endif
