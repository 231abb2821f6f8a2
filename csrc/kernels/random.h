/* Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), counters side by side in vectors. */
#include "cnn/random.h"

enum { PHILOX_COUNTERS = CNN_BLOCK / 4 };

/* The words 4 * counter ... of the stream, CNN_BLOCK of them. */
CNN_INLINE void philox(int64_t counter, const int32_t *state, uint32_t *word)
{
    uint32_t c0[PHILOX_COUNTERS], c1[PHILOX_COUNTERS], c2[PHILOX_COUNTERS], c3[PHILOX_COUNTERS];
    uint32_t key0 = (uint32_t)state[0], key1 = (uint32_t)state[1];
    for (int l = 0; l < PHILOX_COUNTERS; l++) {
        c0[l] = (uint32_t)(counter + l);
        c1[l] = (uint32_t)((uint64_t)(counter + l) >> 32);
        c2[l] = (uint32_t)state[2];
        c3[l] = (uint32_t)state[3];
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < PHILOX_COUNTERS; l++) {
            uint64_t p0 = (uint64_t)c0[l] * 0xD2511F53u, p1 = (uint64_t)c2[l] * 0xCD9E8D57u;
            c0[l] = (uint32_t)(p1 >> 32) ^ c1[l] ^ key0;
            c2[l] = (uint32_t)(p0 >> 32) ^ c3[l] ^ key1;
            c1[l] = (uint32_t)p1;
            c3[l] = (uint32_t)p0;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int l = 0; l < PHILOX_COUNTERS; l++) {
        word[4 * l] = c0[l];
        word[4 * l + 1] = c1[l];
        word[4 * l + 2] = c2[l];
        word[4 * l + 3] = c3[l];
    }
}

/* Elements first <= i < first + n; `first` is a multiple of CNN_BLOCK. */
K(random_uniform)(int64_t first, int64_t n, const int32_t *state, float low, float range, float *y)
{
    uint32_t word[CNN_BLOCK];
    float buffer[CNN_BLOCK];
    BLOCKS(n, philox((first + i) / 4, state, word); float *py = block_out(y + i, left, buffer),
           py[l] = low + range * ((float)(int32_t)(word[l] >> 8) * 0x1p-24f), block_done(y + i, left, buffer))
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
