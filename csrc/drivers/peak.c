#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "drivers/peak.h"

#include "core/kernels.h"
#include "core/team.h"

#include <time.h>

enum { ROUND = 14 * 16 << 18 }; /* multiply-adds of a thread in a round: about a millisecond */

typedef struct {
    double seconds, best;
    volatile int done; /* written by the first thread between two barriers */
} peak_t;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Rounds start and end together, and the best one counts: other processes disturbed the rest. */
static void rounds(cnn_team *team, void *arg)
{
    peak_t *peak = arg;
    volatile float sink;
    float sum;
    for (double first = now(), start, end; !peak->done;) {
        start = now(); /* before the barrier: no thread has begun yet */
        cnn_team_barrier(team);
        cnn_k->fma_chain(ROUND, 0.5f, 0.5f, &sum);
        sink = sum;
        cnn_team_barrier(team);
        end = now();
        if (team->id == 0) {
            const double rate = 2.0 * ROUND * team->size / (end - start);
            peak->best = rate > peak->best ? rate : peak->best;
            peak->done = end - first >= peak->seconds;
        }
        cnn_team_barrier(team);
    }
    (void)sink;
}

double cnn_fma_peak(int threads, double seconds)
{
    peak_t peak = {seconds, 0.0, 0};
    cnn_team_run(threads, rounds, &peak);
    return peak.best;
}
