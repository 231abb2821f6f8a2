/* Integer arithmetic of sizes and indices. */
#ifndef CNN_INTEGERS_H
#define CNN_INTEGERS_H

#include <stdint.h>

/* A half-open range. */
typedef struct {
    int64_t lo, hi;
} cnn_range;

static inline int64_t cnn_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t cnn_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t cnn_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The size of as few and as equal parts of `total` as have at most `most` each, at least 1: unequal parts would leave a
 * thread without work. */
static inline int64_t cnn_equal_part(int64_t total, int64_t most)
{
    const int64_t parts = cnn_ceil_div(total, cnn_max(most, 1));
    return cnn_max(1, cnn_ceil_div(total, cnn_max(parts, 1)));
}

/* Part i of `total` cut into `parts` nearly equal ones, the larger first: [*lo, *hi). */
static inline void cnn_part_at(int64_t i, int64_t parts, int64_t total, int64_t *lo, int64_t *hi)
{
    *lo = i * (total / parts) + cnn_min(i, total % parts);
    *hi = *lo + total / parts + (i < total % parts);
}

static inline int64_t cnn_limited(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static inline cnn_range cnn_overlap(cnn_range a, cnn_range b)
{
    return (cnn_range){cnn_max(a.lo, b.lo), cnn_min(a.hi, b.hi)};
}

/* x / y rounded down, for y > 0. */
static inline int64_t cnn_floor_div(int64_t x, int64_t y)
{
    return x / y - (x % y < 0);
}

#endif
