/* Elementary functions as branch-free scalar code that the compiler vectorises.
 *
 * Own functions, not libm's, because results must not depend on the C library, and because a call cannot be vectorised.
 * Argument reduction is that of Cody & Waite (1980) and Muller, Elementary Functions (2016); the polynomials are
 * minimax fits to the relative error of the result. Errors against exact values, in units in the last place of the
 * result and where multiply-adds are fused: power 0.5, log 1, exp 1.1, tanh 1.4, expm1, log1p, sin, cos 1.6, softplus,
 * erf 1.9, sigmoid, silu 2.4, mish 4.3. Denormal arguments and results count as 0, and silu and mish of arguments below
 * -87, where the factor of x is denormal.
 *
 * They are as fast as memory where they take about 25 instructions a vector, so none is spent without need: ranges are
 * limited after the fact, or by integers, since of nested float comparisons with constants gcc makes branches and then
 * computes the constant ends twice. */
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

/* The same from 0 on, in a form of which gcc makes a minimum instead of branches. */
CNN_INLINE float m_clamp_from_0(float x, float hi)
{
    float y = m_from_bits(m_bits(x) & -!(x < 0.0f));
    return hi < y ? hi : y;
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

/* |x| no larger than `limit`, with the sign of x; NaN becomes the limit. One integer minimum: of a float comparison with
 * constants gcc makes branches first and computes their ends twice. */
CNN_INLINE float m_limit(float x, float limit)
{
    int32_t magnitude = m_bits(x) & INT32_MAX, most = m_bits(limit);
    return m_sign_of(m_from_bits(magnitude < most ? magnitude : most), x);
}

/* y where the mask has all bits, +0 where it has none. */
CNN_INLINE float m_keep(int32_t mask, float y)
{
    return m_from_bits(m_bits(y) & mask);
}

/* 2^n y by the exponent's bits; y, and the result, in the range of normal numbers. */
CNN_INLINE float m_scaled(float y, int32_t n)
{
    return m_from_bits((int32_t)((uint32_t)m_bits(y) + ((uint32_t)n << 23)));
}

enum { LOG2_STEPS = 0x4b400000 }; /* the bits of 1.5 * 2^23 */

/* exp(r) - 1 for |r| <= log(2)/2. */
CNN_INLINE float m_expm1_near(float r)
{
    float p = 8.36640596e-3f + r * 1.3940658e-3f;
    p = 4.16664034e-2f + r * p;
    p = 0.16666545f + r * p;
    p = 0.5f + r * p;
    return r + r * r * p;
}

/* expm1(r) and n with exp(x) = 2^n exp(r), |r| <= log(2)/2. n is read from the low bits of x/log(2) + 1.5 * 2^23. */
CNN_INLINE float m_exp_reduced(float x, int32_t *n)
{
    const float shift = m_from_bits(LOG2_STEPS);
    float t = x * 1.44269504f + shift;
    float k = t - shift;
    *n = m_bits(t) - LOG2_STEPS;
    return m_expm1_near((x - k * 0.693359375f) - k * -2.12194440e-4f);
}

/* Scaling by bits runs over into infinity and denormals just as multiplying would, so only what lies beyond is
 * replaced: nothing is clamped before. A result below 2^-126 is 0. */
CNN_INLINE float m_exp(float x)
{
    int32_t n;
    float p = 1.0f + m_exp_reduced(x, &n);
    float y = m_keep(-!(x < -87.3365479f), m_scaled(p, n));
    return x <= 88.7228394f ? y : x * INFINITY; /* infinity and NaN */
}

/* exp for x <= 0 or NaN. */
CNN_INLINE float m_exp_nonpositive(float x)
{
    int32_t n;
    float p = 1.0f + m_exp_reduced(x, &n);
    return m_keep(-!(x < -87.3365479f), p * m_scaled(1.0f, n)); /* a product, so that NaN stays NaN */
}

/* 2^n (q + 1) - 1 as 2 (s q + (s - 1/2)), s = 2^(n-1). */
CNN_INLINE float m_expm1(float x)
{
    int32_t n;
    float q = m_exp_reduced(x, &n);
    float s = m_scaled(0.5f, n);
    float y = 2.0f * (q * s + (s - 0.5f));
    y = m_abs(x) < 1e-8f ? x : y;
    y = x < -30.0f ? -1.0f : y;
    return x <= 88.7228394f ? y : x * INFINITY;
}

/* The exponent e of x = 2^e m, sqrt(1/2) <= m < sqrt(2), as bits of a float: e << 23. */
CNN_INLINE int32_t m_exponent_bits(float x)
{
    return (int32_t)((uint32_t)m_bits(x) - 0x3f3504f3u) & (int32_t)0xff800000;
}

/* log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2). */
CNN_INLINE float m_log1p_near(float f)
{
    float p = 0.129014179f + f * -0.0760925934f;
    p = -0.13246344f + f * p;
    p = 0.141822726f + f * p;
    p = -0.16608718f + f * p;
    p = 0.200019613f + f * p;
    p = -0.250016004f + f * p;
    p = 0.333333254f + f * p;
    p = -0.499999881f + f * p;
    return f + f * f * p;
}

CNN_INLINE float m_log(float x)
{
    int32_t e = m_exponent_bits(x);
    float y = m_log1p_near(m_from_bits(m_bits(x) - e) - 1.0f) + (float)(e >> 23) * 0.693147182f;
    y = x > 0.0f ? y : x == 0.0f ? -INFINITY : NAN;
    return x < INFINITY ? y : x; /* infinity and NaN */
}

/* 1 + x = 2^e (1 + f), where f = 2^-e x + (2^-e - 1) has none of the rounding of 1 + x. 2^-e is made 2^24 times as
 * large, to be a normal number for all e. */
CNN_INLINE float m_log1p(float x)
{
    float u = 1.0f + x;
    int32_t e = m_exponent_bits(u);
    float down = m_from_bits(m_bits(0x1p24f) - e);
    float f = x * 0x1p-24f * down + (down * 0x1p-24f - 1.0f);
    float y = m_log1p_near(f) + (float)(e >> 23) * 0.693147182f;
    y = u > 0.0f ? y : u == 0.0f ? -INFINITY : NAN;
    y = m_abs(x) < 1e-8f ? x : y;
    return x < INFINITY ? y : x;
}

/* Odd polynomial near 0, 1 - 2 / (exp(2|x|) + 1) elsewhere, where exp is reduced by log(2)/2 at a time. NaN is near. */
CNN_INLINE float m_tanh(float x)
{
    const float shift = m_from_bits(LOG2_STEPS);
    float z = x * x;
    float p = 2.06317231e-2f + z * -5.69734583e-3f;
    p = -5.37372679e-2f + z * p;
    p = 0.133314103f + z * p;
    p = -0.333332807f + z * p;
    float near = x + x * (z * p);
    float a = m_limit(m_abs(x), 10.0f);
    float t = a * 2.88539008f + shift;
    float e = 1.0f + m_expm1_near(2.0f * (a - (t - shift) * 0.34657359f));
    float far = 1.0f - 2.0f / (m_scaled(e, m_bits(t) - LOG2_STEPS) + 1.0f);
    return m_abs(x) >= 0.625f ? m_sign_of(far, x) : near;
}

CNN_INLINE float m_sigmoid(float x)
{
    float z = m_exp_nonpositive(-m_abs(x));
    return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}

/* 1 + exp(-x), infinite for x < -87.7: half of 2^(n+1) exp(r) runs over where n is 127. Of NaN it is a number; what it
 * divides is x. */
CNN_INLINE float m_silu_divisor(float x)
{
    int32_t n;
    float p = 1.0f + m_exp_reduced(-m_limit(x, 88.3f), &n);
    return 1.0f + 0.5f * (p * m_scaled(2.0f, n));
}

/* max(x, 0) + log(1 + exp(-|x|)), the logarithm by a polynomial on [0, 1]. */
CNN_INLINE float m_softplus(float x)
{
    float z = m_exp_nonpositive(-m_abs(x));
    float p = 0.0201503336f + z * -0.0033065395f;
    p = -0.0575615279f + z * p;
    p = 0.10670013f + z * p;
    p = -0.153490975f + z * p;
    p = 0.196931928f + z * p;
    p = -0.24958156f + z * p;
    p = 0.333304703f + z * p;
    p = -0.499999315f + z * p;
    return m_keep(-(x > 0.0f), x) + (z + z * z * p);
}

/* Odd polynomial near 0, 1 - h(|x|)^8 elsewhere: the eighth root of erfc is as good as a polynomial, so that no
 * exponential is needed, and eight times its rounding is small beside 1. NaN is near. */
CNN_INLINE float m_erf(float x)
{
    float z = x * x;
    float p = -8.01019429e-4f + z * 7.85386583e-5f;
    p = 5.18832775e-3f + z * p;
    p = -2.6853811e-2f + z * p;
    p = 0.112835854f + z * p;
    p = -0.37612626f + z * p;
    p = 0.128379112f + z * p;
    float near = x + x * p;
    float a = m_limit(m_abs(x), 4.0f);
    float h = 9.88214015e-05f + a * -5.69294707e-06f;
    h = -5.59472712e-04f + a * h;
    h = 3.06780537e-04f + a * h;
    h = 6.40225178e-03f + a * h;
    h = -1.90955889e-03f + a * h;
    h = -6.97338209e-02f + a * h;
    h = -0.141015008f + a * h;
    h = 0.999995887f + a * h;
    h *= h;
    h *= h;
    float far = 1.0f - h * h;
    return m_abs(x) >= 1.0f ? m_sign_of(far, x) : near;
}

/* (1 + erf(x / sqrt(2))) / 2: h(|x|)^8 on the left, one minus that on the right. Beyond -5.6 it is 0. Within 2.6e-7 of
 * the value at most, and of |x| times less where x is large: on the left 1 + erf(x) would have nothing left. */
CNN_INLINE float m_normal_cdf(float x)
{
    float a = m_abs(x);
    float h = 7.54929124e-06f + a * -3.02651671e-07f;
    h = -6.04506713e-05f + a * h;
    h = 3.40883671e-05f + a * h;
    h = 1.5062429e-03f + a * h;
    h = -6.75274932e-04f + a * h;
    h = -3.19256857e-02f + a * h;
    h = -9.14580747e-02f + a * h;
    h = 0.917004049f + a * h;
    h *= h;
    h *= h;
    float left = m_keep(-!(a >= 5.6f), h * h);
    return x > 0.0f ? 1.0f - left : left;
}

/* (1 + tanh(c (x + 0.044715 x^3))) / 2, as a sigmoid. */
CNN_INLINE float m_gelu_gate(float x)
{
    return m_sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
}

/* d/dx of x times that. It is 0 or 1 to the last bit long before x = +-20. */
CNN_INLINE float m_gelu_tanh_derivative(float x)
{
    float v = m_limit(x, 20.0f), s = m_gelu_gate(x);
    return s + v * s * (1.0f - s) * 1.59576912f * (1.0f + 0.134145f * (v * v));
}

/* tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = exp(x); 1 to the last bit long before x = 20. */
CNN_INLINE float m_mish_gate(float x)
{
    float e = m_exp(20.0f < x ? 20.0f : x), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

CNN_INLINE float m_mish_derivative(float x)
{
    float v = 20.0f < x ? 20.0f : x, e = m_exp(v), n = e * (e + 2.0f), r = 1.0f / (n + 2.0f);
    return n * r + v * (4.0f * e * (e + 1.0f) * r) * r;
}

CNN_INLINE float m_hard_silu_derivative(float x)
{
    return m_abs(x) >= 3.0f ? (x > 0.0f ? 1.0f : 0.0f) : x * (1.0f / 3.0f) + 0.5f;
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
