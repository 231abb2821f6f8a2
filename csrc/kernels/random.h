/* Philox4x32-7 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), counters side by side in vectors.
 *
 * A word lies in the low half of a 64-bit lane, and whatever is above it does not matter: so the product reads it, and
 * so it leaves it, and a round is two products, two shifts and four xors with nothing moved across lanes. */
#include "cnn/random.h"
#include "simd/transpose.h"
#include "simd/wide.h"

enum { PHILOX_ROUNDS = 7, PHILOX_NUMBERS = 2 * CNN_VL };

/* The blocks of `counter` and those behind it, CNN_VL / 2 of them: the first half in the even lanes, so that they come
 * out in order. `word` gets their words as two vectors. */
CNN_INLINE void philox(uint64_t counter, const int32_t *state, vu *word)
{
    vw lane = {0};
    CNN_UNROLL(8)
    for (int l = 0; l < CNN_VL / 2; l++)
        lane[l] = (uint64_t)(l % 2 * (CNN_VL / 4) + l / 2);
    vw c0 = w_splat((uint32_t)counter) + lane, c1 = w_splat(counter >> 32);
    vw c2 = w_splat((uint32_t)state[2]), c3 = w_splat((uint32_t)state[3]);
    CNN_UNROLL(7)
    for (uint32_t round = 0; round < PHILOX_ROUNDS; round++) {
        vw left = w_multiply(c0, w_splat(0xD2511F53u)), right = w_multiply(c2, w_splat(0xCD9E8D57u));
        c0 = right >> 32 ^ c1 ^ w_splat((uint32_t)state[0] + round * 0x9E3779B9u);
        c2 = left >> 32 ^ c3 ^ w_splat((uint32_t)state[1] + round * 0xBB67AE85u);
        c1 = right;
        c3 = left;
    }
    vi a = (vi)((c0 & w_splat(UINT32_MAX)) | c1 << 32), b = (vi)((c2 & w_splat(UINT32_MAX)) | c3 << 32);
    word[0] = (vu)SHUFFLE(a, b, LOW_2);
    word[1] = (vu)SHUFFLE(a, b, HIGH_2);
}

/* Elements first <= i < first + n; `first` is a multiple of CNN_BLOCK. */
K(random_uniform)(int64_t first, int64_t n, const int32_t *state, float low, float range, float *y)
{
    float buffer[CNN_BLOCK];
    for (int64_t i = 0, left = n; left > 0; i += CNN_BLOCK, left -= CNN_BLOCK) {
        float *block = block_out(CNN_BLOCK, y + i, left, buffer);
        for (int64_t j = 0; j < CNN_BLOCK; j += PHILOX_NUMBERS) {
            vu word[2];
            philox((uint64_t)(first + i + j) / 4, state, word);
            for (int k = 0; k < 2; k++)
                v_store(block + j + k * CNN_VL, low + range * (v_float((vi)(word[k] >> 8)) * 0x1p-24f));
        }
        block_done(CNN_BLOCK, y + i, left, buffer);
    }
}

/* Kept where the top 24 bits reach the threshold. */
K(dropout)(int64_t first, int64_t n, const int32_t *state, uint32_t threshold, float scale, const float *x, float *y)
{
    float buffer[CNN_BLOCK];
    for (int64_t i = 0, left = n; left > 0; i += CNN_BLOCK, left -= CNN_BLOCK) {
        const float *from = block_in(CNN_BLOCK, x + i, left, buffer);
        float *to = block_out(CNN_BLOCK, y + i, left, buffer);
        for (int64_t j = 0; j < CNN_BLOCK; j += PHILOX_NUMBERS) {
            vu word[2];
            philox((uint64_t)(first + i + j) / 4, state, word);
            for (int k = 0; k < 2; k++) {
                vi kept = (vi)(word[k] >> 8) >= (int32_t)threshold;
                v_store(to + j + k * CNN_VL, (vf)(kept & (vi)(v_load(from + j + k * CNN_VL) * scale)));
            }
        }
        block_done(CNN_BLOCK, y + i, left, buffer);
    }
}
