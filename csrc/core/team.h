/* The threads that run a program together. The only file with OpenMP is team.c. */
#ifndef CNN_TEAM_H
#define CNN_TEAM_H

#include "cnn/op.h"

struct cnn_team {
    int id, size; /* this thread, and how many there are */
    char *shared; /* workspace of the whole team, 64-byte aligned */
    char *local;  /* workspace of this thread, 64-byte aligned */
    void *barrier;
};

/* Run `body(team, arg)` on `threads` threads and return when all have finished. */
void cnn_team_run(int threads, void (*body)(cnn_team *team, void *arg), void *arg);

/* Wait until every thread of the team has arrived. */
void cnn_team_barrier(cnn_team *team);

/* This thread's share [*lo, *hi) of n equal pieces of work. */
static inline void cnn_team_range(const cnn_team *team, int64_t n, int64_t *lo, int64_t *hi)
{
    *lo = n * team->id / team->size;
    *hi = n * (team->id + 1) / team->size;
}

/* The same in multiples of `grain`, so that neighbours do not share cache lines. */
static inline void cnn_team_range_grain(const cnn_team *team, int64_t n, int64_t grain, int64_t *lo, int64_t *hi)
{
    cnn_team_range(team, (n + grain - 1) / grain, lo, hi);
    *lo *= grain;
    *hi = *hi * grain < n ? *hi * grain : n;
}

int cnn_team_openmp(void); /* 1 if the library was built with OpenMP */

#endif
