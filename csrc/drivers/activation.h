/* Activations that only limit the result are done in registers, where the result is made; longer functions are applied
 * to what was just stored, still in L1. */
#ifndef CNN_ACTIVATION_H
#define CNN_ACTIVATION_H

#include "core/kernels.h"

enum { ACT_NONE, ACT_RELU, ACT_RELU6 }; /* the first lines of unary.def */

static inline cnn_bounds cnn_bounds_of(int64_t act)
{
    return (cnn_bounds){act == ACT_RELU || act == ACT_RELU6, 0.0f, act == ACT_RELU6 ? 6.0f : __builtin_inff()};
}

/* What is left of an activation once the bounds are taken care of. */
static inline int64_t cnn_act_after_bounds(int64_t act)
{
    return cnn_bounds_of(act).given ? ACT_NONE : act;
}

#endif
