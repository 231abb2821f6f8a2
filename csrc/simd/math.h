/* Elementary functions as branch-free scalar code that the compiler vectorises.
 *
 * Own functions, not libm's, because results must not depend on the C library, and because a call cannot be vectorised.
 * Argument reduction is that of Cody & Waite (1980) and Muller, Elementary Functions (2016); the polynomials were
 * fitted by the Remez exchange algorithm to the relative error of the result. Errors against exact values, in units in
 * the last place of the result: power 0.5, exp, log 1, expm1, log1p, tanh, sin, cos 1.6, sigmoid, softplus, erf 2.2. */
#ifndef CNN_MATH_H
#define CNN_MATH_H

#include <math.h> /* INFINITY, NAN */
#include <stdint.h>
#include <string.h>

#include "simd/vec.h"

CNN_INLINE float m_from_bits(int32_t i)
{
    float f;
    memcpy(&f, &i, sizeof f);
    return f;
}

CNN_INLINE int32_t m_bits(float f)
{
    int32_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}

CNN_INLINE double m_double_from_bits(int64_t i)
{
    double f;
    memcpy(&f, &i, sizeof f);
    return f;
}

CNN_INLINE int64_t m_double_bits(double f)
{
    int64_t i;
    memcpy(&i, &f, sizeof i);
    return i;
}

CNN_INLINE float m_abs(float x)
{
    return m_from_bits(m_bits(x) & 0x7fffffff);
}

/* |magnitude| with the sign of `sign`; `magnitude` is not negative. */
CNN_INLINE float m_sign_of(float magnitude, float sign)
{
    return m_from_bits(m_bits(magnitude) | (m_bits(sign) & INT32_MIN));
}

CNN_INLINE float m_sqrt(float x)
{
    return __builtin_sqrtf(x);
}

/* NaN stays NaN. */
CNN_INLINE float m_clamp(float x, float lo, float hi)
{
    return lo > x ? lo : hi < x ? hi : x;
}

/* To the nearest integer, ties to even: adding 2^23 leaves no bits for a fraction. -0 stays -0. */
CNN_INLINE float m_round(float x)
{
    float r = m_sign_of((m_abs(x) + 8388608.0f) - 8388608.0f, x);
    return m_abs(x) < 8388608.0f ? r : x;
}

CNN_INLINE float m_floor(float x)
{
    float r = m_round(x);
    return r > x ? r - 1.0f : r;
}

/* 2^n, -126 <= n <= 127. */
CNN_INLINE float m_pow2(int32_t n)
{
    return m_from_bits((int32_t)((uint32_t)(n + 127) << 23));
}

/* expm1(r) and n with exp(x) = 2^n exp(r), |r| <= log(2)/2. n is read from the low bits of x/log(2) + 1.5 * 2^23. */
CNN_INLINE float m_exp_reduced(float x, int32_t *n)
{
    const float shift = 12582912.0f;
    float t = x * 1.44269504f + shift;
    float k = t - shift;
    float r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
    *n = m_bits(t) - m_bits(shift);
    float p = 1.39416184e-3f + r * 1.98461436e-4f;
    p = 8.33339151e-3f + r * p;
    p = 4.16663475e-2f + r * p;
    p = 0.166666657f + r * p;
    p = 0.5f + r * p;
    return r + r * r * p;
}

/* The power of two is applied in two halves, so that results that overflow or are denormal come out right. */
CNN_INLINE float m_exp(float x)
{
    int32_t n;
    float p = 1.0f + m_exp_reduced(m_clamp(x, -104.0f, 89.0f), &n);
    return p * m_pow2(n >> 1) * m_pow2(n - (n >> 1));
}

/* exp for -87 <= x <= 88. */
CNN_INLINE float m_exp_normal(float x)
{
    int32_t n;
    float p = 1.0f + m_exp_reduced(x, &n);
    return p * m_pow2(n);
}

/* 2^n (q + 1) - 1 as 2 (s q + (s - 1/2)), s = 2^(n-1). */
CNN_INLINE float m_expm1(float x)
{
    int32_t n;
    float q = m_exp_reduced(m_clamp(x, -30.0f, 89.0f), &n);
    float s = m_pow2(n - 1);
    float y = 2.0f * (q * s + (s - 0.5f));
    return m_abs(x) < 1e-8f ? x : y;
}

/* log(x), x finite and positive: x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2). */
CNN_INLINE float m_log_positive(float x)
{
    const int32_t root_half = 0x3f3504f3;
    int32_t tiny = x < 1.17549435e-38f;
    int32_t i = (int32_t)((uint32_t)m_bits(tiny ? x * 8388608.0f : x) - (uint32_t)root_half); /* -0 wraps */
    float e = (float)((i >> 23) - (tiny ? 23 : 0));
    float f = m_from_bits((i & 0x7fffff) + root_half) - 1.0f;
    float p = -0.116707489f + f * 6.75327331e-2f;
    p = 0.118820913f + f * p;
    p = -0.12406043f + f * p;
    p = 0.142205358f + f * p;
    p = -0.166680038f + f * p;
    p = 0.200020626f + f * p;
    p = -0.250000089f + f * p;
    p = 0.333333135f + f * p;
    float tail = f * f * f * p + e * -2.12194440e-4f - 0.5f * f * f;
    return (f + tail) + e * 0.693359375f;
}

CNN_INLINE float m_log(float x)
{
    float y = m_log_positive(x);
    y = x > 0.0f ? y : x == 0.0f ? -INFINITY : NAN;
    return x < INFINITY ? y : x; /* infinity and NaN */
}

/* log(u), u = fl(1 + x), and the first-order correction for the rounding of u. */
CNN_INLINE float m_log1p(float x)
{
    float u = 1.0f + x;
    float lost = x - (u - 1.0f);
    float y = m_log_positive(u) + lost / u;
    y = u > 0.0f ? y : u == 0.0f ? -INFINITY : NAN;
    y = m_abs(x) < 1e-8f ? x : y;
    return x < INFINITY ? y : x;
}

/* Odd polynomial near 0, 1 - 2 / (exp(2|x|) + 1) elsewhere. */
CNN_INLINE float m_tanh(float x)
{
    float a = m_abs(x), z = x * x;
    float p = 2.06067059e-2f + z * -5.66533068e-3f;
    p = -5.37309423e-2f + z * p;
    p = 0.133313537f + z * p;
    p = -0.333332807f + z * p;
    float near = x + x * (z * p);
    float far = 1.0f - 2.0f / (m_exp_normal(2.0f * (a > 10.0f ? 10.0f : a)) + 1.0f);
    return a < 0.625f ? near : m_sign_of(far, x);
}

CNN_INLINE float m_sigmoid(float x)
{
    float z = m_exp(-m_abs(x));
    return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}

CNN_INLINE float m_softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + m_log1p(m_exp(-m_abs(x)));
}

/* Odd polynomial near 0, 1 - exp(p(|x|)) elsewhere, p a fit of log(erfc). */
CNN_INLINE float m_erf(float x)
{
    float a = m_abs(x), z = x * x;
    float p = -8.01019429e-4f + z * 7.85386583e-5f;
    p = 5.18832775e-3f + z * p;
    p = -2.6853811e-2f + z * p;
    p = 0.112835854f + z * p;
    p = -0.37612626f + z * p;
    p = 0.128379112f + z * p;
    float near = x + x * p;
    float b = a > 4.0f ? 4.0f : a;
    float l = -4.39107331e-4f + b * 2.14962001e-5f;
    l = 4.19361563e-3f + b * l;
    l = -2.51789782e-2f + b * l;
    l = 0.108372495f + b * l;
    l = 0.633262575f + b * l;
    l = 1.12955689f + b * l;
    l = -1.83445489e-4f + b * l;
    float far = 1.0f - m_exp_normal(-l);
    return a < 1.0f ? near : m_sign_of(far, x);
}

/* d/dx of 0.5 x (1 + tanh(c (x + 0.044715 x^3))). It is 0 or 1 to the last bit long before x = +-20. */
CNN_INLINE float m_gelu_tanh_derivative(float x)
{
    float v = m_clamp(x, -20.0f, 20.0f), z = v * v;
    float t = m_tanh(0.79788456f * (v + 0.044715f * v * z));
    return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * z);
}

/* r = x - k pi/2, |r| <= pi/4, in double: pi/2 in three parts, of which k times the first two is exact.
 * Beyond 2^28, where neighbouring floats are several periods apart, the angle is taken as 0. Infinity gives NaN. */
CNN_INLINE float m_quadrant(float x, int32_t *quadrant)
{
    const double shift = 6755399441055744.0; /* 1.5 * 2^52 */
    double v = m_abs(x) < 268435456.0f ? x : x - x;
    double k = (v * 0.63661977236758134308 + shift) - shift;
    double r = ((v - k * 1.5707963109016418) - k * 1.5893254712295857e-08) - k * 6.123233995736766e-17;
    *quadrant = (int32_t)(k == k ? k : 0.0);
    return (float)r;
}

CNN_INLINE float m_sin_quadrant(float r, int32_t quadrant)
{
    float z = r * r;
    float s = -1.98393318e-4f + z * 2.71827571e-6f;
    s = 8.33332911e-3f + z * s;
    s = -0.166666672f + z * s;
    s = r + r * (z * s);
    float c = 2.4799534e-5f + z * -2.72111379e-7f;
    c = -1.38888834e-3f + z * c;
    c = 4.16666679e-2f + z * c;
    c = 1.0f - 0.5f * z + z * z * c;
    float y = quadrant & 1 ? c : s;
    return quadrant & 2 ? -y : y;
}

CNN_INLINE float m_sin(float x)
{
    int32_t quadrant;
    float r = m_quadrant(x, &quadrant);
    return m_sin_quadrant(r, quadrant);
}

CNN_INLINE float m_cos(float x)
{
    int32_t quadrant;
    float r = m_quadrant(x, &quadrant);
    return m_sin_quadrant(r, quadrant + 1);
}

/* log(x) in double, x >= 0: log(1 + f) = 2 artanh(s), s = f / (2 + f). */
CNN_INLINE double m_log_double(float x)
{
    const int32_t root_half = 0x3f3504f3;
    int32_t tiny = x < 1.17549435e-38f;
    int32_t i = (int32_t)((uint32_t)m_bits(tiny ? x * 8388608.0f : x) - (uint32_t)root_half); /* -0 wraps */
    double e = (double)((i >> 23) - (tiny ? 23 : 0));
    double f = (double)m_from_bits((i & 0x7fffff) + root_half) - 1.0;
    double s = f / (2.0 + f), z = s * s;
    double p = 1.0 / 11.0 + z * (1.0 / 13.0 + z * (1.0 / 15.0));
    p = 1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * p)));
    double y = 2.0 * (s + s * z * p) + e * 0.69314718055994530942;
    return x > 0.0f ? (x < INFINITY ? y : (double)x) : -(double)INFINITY;
}

/* exp(x) rounded to float; x is clamped to where the result is 0 or infinite. */
CNN_INLINE float m_exp_double(double x)
{
    const double shift = 6755399441055744.0;
    double v = x < -120.0 ? -120.0 : x > 100.0 ? 100.0 : x;
    double t = v * 1.44269504088896340736 + shift;
    double r = v - (t - shift) * 0.69314718055994530942;
    double p = 1.0 / 5040.0 + r * (1.0 / 40320.0 + r * (1.0 / 362880.0 + r * (1.0 / 3628800.0)));
    p = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * p)));
    p = 1.0 + r * (1.0 + r * (0.5 + r * p));
    int64_t n = m_double_bits(t) - m_double_bits(shift);
    return (float)(p * m_double_from_bits((int64_t)((uint64_t)(n + 1023) << 52)));
}

/* mask ? a : b for a mask of all or no bits; stays free of branches where the mask is the same for all elements. */
CNN_INLINE float m_select(int32_t mask, float a, float b)
{
    return m_from_bits((m_bits(a) & mask) | (m_bits(b) & ~mask));
}

/* pow of C11 Annex F: pow(x, 0) = pow(1, y) = 1 even for NaN, negative bases with integer exponents. */
CNN_INLINE float m_pow(float x, float y)
{
    float a = m_abs(x), half = 0.5f * y;
    int32_t integer = -(m_floor(y) == y), odd = integer & -(m_floor(half) != half);
    int32_t finite = -(a < INFINITY) & -(m_abs(y) < INFINITY);
    float power = m_exp_double((double)y * m_log_double(a));
    power = m_select(-(a == 1.0f) & -(y == y), 1.0f, power);
    power = m_from_bits(m_bits(power) | (m_bits(x) & odd & INT32_MIN));
    power = m_select(-(x < 0.0f) & finite & ~integer, NAN, power);
    power = m_select(-(x != x), x, power);
    power = m_select(-(y != y), y, power);
    return m_select(-(y == 0.0f) | -(x == 1.0f), 1.0f, power);
}

#endif
