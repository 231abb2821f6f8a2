/* Stores past the caches. */
#ifndef CNN_FAR_H
#define CNN_FAR_H

#include "simd/vec.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* *p = v, p aligned to a vector. By the instruction's name: gcc 12 has no other word for it. A line that is stored so is not
 * read from memory first. */
CNN_INLINE void v_store_far(float *p, vf v)
{
#if CNN_VL == 16 && defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)v);
#elif CNN_VL == 8 && defined(__AVX__)
    _mm256_stream_ps(p, (__m256)v);
#elif CNN_VL == 4 && defined(__SSE2__)
    _mm_stream_ps(p, (__m128)v);
#else
    v_store(p, v);
#endif
}

#endif
