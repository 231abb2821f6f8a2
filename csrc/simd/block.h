/* Loops over arrays in blocks of constant length.
 *
 * A block is CNN_BLOCK elements; the last, shorter one is computed in a padded buffer by the same machine code. So an
 * element's bits do not depend on where in the array it stands: no second copy of the loop may round differently. */
#ifndef CNN_BLOCK_H
#define CNN_BLOCK_H

#include <stdint.h>
#include <string.h>

enum { CNN_BLOCK = 64 };

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

/* Where to read the `left` elements at p as a whole block. */
static inline __attribute__((always_inline)) const float *block_in(const float *p, int64_t left, float *buffer)
{
    if (left >= CNN_BLOCK)
        return p;
    memset(buffer, 0, CNN_BLOCK * sizeof(float));
    memcpy(buffer, p, (size_t)left * sizeof(float));
    return buffer;
}

/* Where to write a block of which `left` elements go to p; block_done takes them there. */
static inline __attribute__((always_inline)) float *block_out(float *p, int64_t left, float *buffer)
{
    return left >= CNN_BLOCK ? p : buffer;
}

static inline __attribute__((always_inline)) void block_done(float *p, int64_t left, const float *buffer)
{
    if (left < CNN_BLOCK)
        memcpy(p, buffer, (size_t)left * sizeof(float));
}

/* Run `expression` for each element: [l] is its place in the blocks. `open` sets pointers up for the block at i with
 * `left` elements to go, `close` ends it. */
#define BLOCKS(n, open, expression, close)                                                                             \
    for (int64_t i = 0, left = (n); left > 0; i += CNN_BLOCK, left -= CNN_BLOCK) {                                     \
        open;                                                                                                          \
        CNN_IVDEP for (int l = 0; l < CNN_BLOCK; l++)                                                                  \
        {                                                                                                              \
            expression;                                                                                                \
        }                                                                                                              \
        close;                                                                                                         \
    }

#endif
