/* batch_norm_stats  x -> mean var                            per channel, biased variance
 * batch_norm_fwd    x mean var gamma? beta? addend? -> y     y = act(z * gamma + beta + addend),
 *                                                            z = (x - mean) / sqrt(var + epsilon)
 * batch_norm_bwd    x dy mean var gamma? beta? -> dx dgamma dbeta
 *                                                            through the batch's own statistics when training = 1, with
 *                                                            constant statistics when training = 0; act: none, or one
 *                                                            with bounds (ReLU, ReLU6), whose gradient is taken first
 *
 * x, y, dx, dy, addend (rows, c); the others (c). The bwd knows no addend, and reads beta for the act alone. */
#ifndef CNN_BATCH_NORM_H
#define CNN_BATCH_NORM_H

#include "cnn/op.h"

#define CNN_BATCH_NORM_FIELDS(I, F, A) I(rows) I(c) I(training) F(epsilon) I(act) F(alpha) F(beta)
CNN_DESCRIPTOR(cnn_batch_norm, CNN_BATCH_NORM_FIELDS);

#endif
