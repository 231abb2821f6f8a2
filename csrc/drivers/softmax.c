/* Softmax and its kin: rows cut into shares. */
#include "cnn/softmax.h"

#include "core/kernels.h"
#include "core/team.h"

#define SHARE                                                                                                          \
    const cnn_softmax *d = desc;                                                                                       \
    int64_t lo, hi;                                                                                                    \
    cnn_team_range(team, d->rows, &lo, &hi);                                                                           \
    int64_t rows = hi - lo, cols = d->cols, at = lo * cols

/* Buffer i as floats, from this thread's first row on. */
#define ROWS_OF(i) ((float *)buf[i] + at)

static void softmax_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->softmax_fwd(rows, cols, ROWS_OF(0), ROWS_OF(1));
}

static void softmax_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->softmax_bwd(rows, cols, ROWS_OF(0), ROWS_OF(1), ROWS_OF(2));
}

static void log_softmax_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->log_softmax_fwd(rows, cols, ROWS_OF(0), ROWS_OF(1));
}

static void log_softmax_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    cnn_k->log_softmax_bwd(rows, cols, ROWS_OF(0), ROWS_OF(1), ROWS_OF(2));
}

static void softmax_xent_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    const float *t = d->sparse ? NULL : ROWS_OF(1);
    const int32_t *label = d->sparse ? (const int32_t *)buf[1] + lo : NULL;
    cnn_k->softmax_xent_fwd(rows, cols, ROWS_OF(0), t, label, (float *)buf[2] + lo, ROWS_OF(3));
}

static void softmax_xent_bwd(const void *desc, void *const *buf, cnn_team *team)
{
    SHARE;
    const float *t = d->sparse ? NULL : ROWS_OF(1);
    const int32_t *label = d->sparse ? (const int32_t *)buf[1] + lo : NULL;
    cnn_k->softmax_xent_bwd(rows, cols, ROWS_OF(0), t, label, (const float *)buf[2] + lo, ROWS_OF(3));
}

const cnn_op cnn_ops_softmax[] = {
    {"softmax_fwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "x -> y", softmax_fwd, NULL},
    {"softmax_bwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "y dy -> dx", softmax_bwd, NULL},
    {"log_softmax_fwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "x -> y", log_softmax_fwd, NULL},
    {"log_softmax_bwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "y dy -> dx", log_softmax_bwd, NULL},
    {"softmax_xent_fwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "x t -> loss prob", softmax_xent_fwd, NULL},
    {"softmax_xent_bwd", CNN_FIELD_NAMES(CNN_SOFTMAX_FIELDS), "prob t dloss -> dx", softmax_xent_bwd, NULL},
    {0},
};
