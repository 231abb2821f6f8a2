/* Updates of variables: flat arrays cut into shares. */
#include "cnn/update.h"

#include <string.h>

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/far.h"

enum { GRAIN = 1024 };

#define SHARE                                                                                                          \
    const cnn_update *d = desc;                                                                                        \
    int64_t lo, hi;                                                                                                    \
    cnn_team_range_grain(team, d->count, GRAIN, &lo, &hi);                                                             \
    if (lo >= hi)                                                                                                      \
        return;                                                                                                        \
    int64_t n = hi - lo

/* Buffer i from this thread's first element on. */
#define FROM(i) ((float *)buf[i] + lo)

static float learning_rate(void *const *buf)
{
    return *(const float *)buf[1];
}

static void sgd_update(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->sgd(n, learning_rate(buf), FROM(0), FROM(2));
}

static void momentum_update(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->momentum(n, learning_rate(buf), (float)d->momentum, d->nesterov, FROM(0), FROM(2), FROM(3));
}

/* 1 - beta in double: the rounding of beta to float would be a large part of it. */
static void adam_update(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->adam(n, learning_rate(buf), (float)(1.0 - d->beta1), (float)(1.0 - d->beta2), (float)d->epsilon, FROM(0),
                FROM(2), FROM(3), FROM(4));
}

static void rmsprop_update(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    float *mom = d->momentum > 0 ? FROM(4) : NULL;
    cnn_k->rmsprop(n, learning_rate(buf), (float)d->rho, (float)(1.0 - d->rho), (float)d->epsilon, (float)d->momentum,
                   FROM(0), FROM(2), FROM(3), mom);
}

static void ema_update(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->ema(n, (float)d->momentum, (float)(1.0 - d->momentum), FROM(0), FROM(1));
}

static void assign(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    if (cnn_is_far(d->count))
        cnn_k->store_far(n, FROM(0), FROM(1));
    else
        memmove(FROM(1), FROM(0), (size_t)n * sizeof(float));
}

static void assign_add(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    const float *x = FROM(0);
    float *v = FROM(1);
    for (int64_t i = 0; i < n; i++)
        v[i] += x[i];
}

const cnn_op cnn_ops_update[] = {
    {"sgd_update", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "g hyper -> w", sgd_update, NULL},
    {"momentum_update", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "g hyper -> w v", momentum_update, NULL},
    {"adam_update", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "g hyper -> w m v", adam_update, NULL},
    {"rmsprop_update", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "g hyper -> w v mom", rmsprop_update, NULL},
    {"ema_update", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "x -> v", ema_update, NULL},
    {"assign", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "x -> v", assign, NULL},
    {"assign_add", CNN_FIELD_NAMES(CNN_UPDATE_FIELDS), "x -> v", assign_add, NULL},
    {0},
};
