/* Random numbers as a function of the stream's state and the element's number, so any share can be made alone. */
#include "cnn/random.h"

#include "core/kernels.h"
#include "core/team.h"

enum { GRAIN = 1024 };

static void random_uniform(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_random *d = desc;
    float *y = buf[1];
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    cnn_k->random_uniform(lo, hi - lo, buf[0], (float)d->low, (float)(d->high - d->low), y + lo);
}

/* u = k / 2^24 >= rate exactly when the integer k is at least rate * 2^24 rounded up. */
static uint32_t threshold_of(double rate)
{
    double t = rate * 16777216.0;
    if (!(t > 0))
        return 0;
    return t > 16777216.0 ? 16777216 : (uint32_t)__builtin_ceil(t);
}

static void dropout(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_dropout *d = desc;
    const float *x = buf[0];
    float *y = buf[2];
    int64_t lo, hi;
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);
    cnn_k->dropout(lo, hi - lo, buf[1], threshold_of(d->rate), (float)d->scale, x + lo, y + lo);
}

static void random_next(const void *desc, void *const *buf, cnn_team *team)
{
    uint64_t counter;
    (void)desc;
    if (team->id != 0)
        return;
    uint32_t *state = buf[0];
    counter = ((uint64_t)state[3] << 32 | state[2]) + 1;
    state[2] = (uint32_t)counter;
    state[3] = (uint32_t)(counter >> 32);
}

const cnn_op cnn_ops_random[] = {
    {"random_uniform", CNN_FIELD_NAMES(CNN_RANDOM_FIELDS), "state -> y", random_uniform, NULL},
    {"dropout", CNN_FIELD_NAMES(CNN_DROPOUT_FIELDS), "x state -> y", dropout, NULL},
    {"random_next", CNN_FIELD_NAMES(CNN_RANDOM_FIELDS), "-> state", random_next, NULL},
    {0},
};
