/* Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), counters side by side in vectors.
 */
#include "cnn/random.h"

enum { PHILOX_COUNTERS = CNN_BLOCK / 4 };

CNN_INLINE uint32_t high_product(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}

/* The words 4 * counter ... of the stream, CNN_BLOCK of them. The loop over counters is outside, the rounds unrolled in
 * it, so that it becomes one loop over vectors. */
CNN_INLINE void philox(int64_t counter, const int32_t *state, uint32_t *word)
{
    const uint32_t state0 = (uint32_t)state[0], state1 = (uint32_t)state[1];
    const uint32_t state2 = (uint32_t)state[2], state3 = (uint32_t)state[3];
    const uint32_t low = (uint32_t)counter, high = (uint32_t)((uint64_t)counter >> 32);
    for (uint32_t l = 0; l < PHILOX_COUNTERS; l++) {
        uint32_t c0 = low + l, c1 = high, c2 = state2, c3 = state3;
        CNN_UNROLL(10)
        for (uint32_t round = 0; round < 10; round++) {
            uint32_t high0 = high_product(c0, 0xD2511F53u), low0 = c0 * 0xD2511F53u;
            uint32_t high1 = high_product(c2, 0xCD9E8D57u), low1 = c2 * 0xCD9E8D57u;
            c0 = high1 ^ c1 ^ (state0 + round * 0x9E3779B9u);
            c2 = high0 ^ c3 ^ (state1 + round * 0xBB67AE85u);
            c1 = low1;
            c3 = low0;
        }
        word[4 * l] = c0;
        word[4 * l + 1] = c1;
        word[4 * l + 2] = c2;
        word[4 * l + 3] = c3;
    }
}

/* Elements first <= i < first + n; `first` is a multiple of CNN_BLOCK. */
K(random_uniform)(int64_t first, int64_t n, const int32_t *state, float low, float range, float *y)
{
    uint32_t word[CNN_BLOCK];
    float buffer[CNN_BLOCK];
    BLOCKS(n, philox((first + i) / 4, state, word); float *py = block_out(y + i, left, buffer),
                                                    py[l] = low + range * ((float)(int32_t)(word[l] >> 8) * 0x1p-24f),
                                                    block_done(y + i, left, buffer))
}

/* Kept where the top 24 bits reach the threshold. */
K(dropout)(int64_t first, int64_t n, const int32_t *state, uint32_t threshold, float scale, const float *x, float *y)
{
    uint32_t word[CNN_BLOCK];
    float buffer[CNN_BLOCK];
    BLOCKS(n, philox((first + i) / 4, state, word); const float *px = block_in(x + i, left, buffer);
           float *py = block_out(y + i, left, buffer), py[l] = (word[l] >> 8) >= threshold ? px[l] * scale : 0.0f,
           block_done(y + i, left, buffer))
}
