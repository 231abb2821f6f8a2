/* One vector type for every ISA, on GCC/Clang vector extensions. CNN_VL, the number of floats in a
 * vector, is set by the file in isa/ that includes this. Everything here is static inline: no copy built
 * for a newer CPU can be linked into code for an older one. */
#ifndef CNN_VEC_H
#define CNN_VEC_H

#include <stdint.h>
#include <string.h>

#define CNN_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * CNN_VL)));
typedef int32_t vi __attribute__((vector_size(4 * CNN_VL)));
typedef float vf_unaligned __attribute__((vector_size(4 * CNN_VL), aligned(4), may_alias));

CNN_INLINE vf v_load(const float *p)
{
    return *(const vf_unaligned *)p;
}

CNN_INLINE void v_store(float *p, vf v)
{
    *(vf_unaligned *)p = v;
}

CNN_INLINE vf v_splat(float x)
{
    return x - (vf){0}; /* x - 0 is x, also for -0 and NaN; compiles to one broadcast */
}

CNN_INLINE vf v_float(vi x)
{
    return __builtin_convertvector(x, vf);
}

CNN_INLINE vf v_select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

#include "simd/minmax.h"

/* The first n floats at p, zeros behind them; n < CNN_VL. Reads nothing past p + n. */
CNN_INLINE vf v_load_part(const float *p, int64_t n)
{
    float t[CNN_VL] = {0};
    memcpy(t, p, (size_t)n * sizeof(float));
    return v_load(t);
}

CNN_INLINE void v_store_part(float *p, vf v, int64_t n)
{
    float t[CNN_VL];
    v_store(t, v);
    memcpy(p, t, (size_t)n * sizeof(float));
}

#endif
