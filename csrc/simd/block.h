/* Loops over arrays in blocks of constant length.
 *
 * The last, shorter block is computed in a padded buffer by the same machine code. So an element's bits do not depend on
 * where in the array it stands: no second copy of the loop may round differently. Long blocks are a little faster (by
 * 10 to 40 % in L1), short ones waste less at the ends of rows. */
#ifndef CNN_BLOCK_H
#define CNN_BLOCK_H

#include <stdint.h>
#include <string.h>

enum { CNN_BLOCK = 64, CNN_SHORT_BLOCK = 16 };

/* CNN_IVDEP: the iterations of the next loop are independent although its arrays may be one and the same (in-place
 * operations). CNN_UNROLL: the next loop is unrolled n times before anything else is done to it; 1: it stays
 * a loop. */
#define CNN_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define CNN_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#define CNN_UNROLL(n) CNN_PRAGMA(unroll n)
#else
#define CNN_IVDEP _Pragma("GCC ivdep")
#define CNN_UNROLL(n) CNN_PRAGMA(GCC unroll n)
#endif

/* Where to read the `left` elements at p as a whole block of `size`. */
static inline __attribute__((always_inline)) const float *block_in(int size, const float *p, int64_t left,
                                                                   float *buffer)
{
    if (left >= size)
        return p;
    memset(buffer, 0, (size_t)size * sizeof(float));
    memcpy(buffer, p, (size_t)left * sizeof(float));
    return buffer;
}

/* Where to write a block of which `left` elements go to p; block_done takes them there. */
static inline __attribute__((always_inline)) float *block_out(int size, float *p, int64_t left, float *buffer)
{
    return left >= size ? p : buffer;
}

static inline __attribute__((always_inline)) void block_done(int size, float *p, int64_t left, const float *buffer)
{
    if (left < size)
        memcpy(p, buffer, (size_t)left * sizeof(float));
}

/* Run `expression` for each element: [l] is its place in the blocks. `open` sets pointers up for the block at i with
 * `left` elements to go, `close` ends it. A short loop must be kept from unrolling, or gcc makes no vectors of it. */
#define BLOCKS_OF(size, unrolling, n, open, expression, close)                                                         \
    for (int64_t i = 0, left = (n); left > 0; i += size, left -= size) {                                               \
        open;                                                                                                          \
        unrolling CNN_IVDEP for (int l = 0; l < size; l++)                                                             \
        {                                                                                                              \
            expression;                                                                                                \
        }                                                                                                              \
        close;                                                                                                         \
    }
#define BLOCKS(n, open, expression, close) BLOCKS_OF(CNN_BLOCK, , n, open, expression, close)
#define SHORT_BLOCKS(n, open, expression, close) BLOCKS_OF(CNN_SHORT_BLOCK, CNN_UNROLL(1), n, open, expression, close)

#endif
