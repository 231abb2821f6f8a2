/* The sum of parts that were summed apart. */
#ifndef CNN_JOIN_H
#define CNN_JOIN_H

#include "drivers/integers.h"

/* out[i] for i in [lo, hi) = the sum of partial[p * size + i] over `parts` parts, in double from first to last. */
static inline void cnn_join(int64_t parts, int64_t size, int64_t lo, int64_t hi, const float *partial, float *out)
{
    enum { PIECE = 16 };
    for (int64_t i = lo; i < hi; i += PIECE) {
        double total[PIECE] = {0};
        const int64_t n = cnn_min(hi - i, PIECE);
        for (int64_t p = 0; p < parts; p++)
            for (int64_t l = 0; l < n; l++)
                total[l] += partial[p * size + i + l];
        for (int64_t l = 0; l < n; l++)
            out[i + l] = (float)total[l];
    }
}

#endif
