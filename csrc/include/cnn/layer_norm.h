/* layer_norm_fwd  x gamma? beta? -> y mean var             y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and
 *                                                          biased variance of each row
 * layer_norm_bwd  x dy mean var gamma? -> dx dgamma dbeta  through the statistics; mean and var as fwd gave them
 *
 * x, y, dx, dy (rows, c); mean, var (rows); gamma, beta, dgamma, dbeta (c). */
#ifndef CNN_LAYER_NORM_H
#define CNN_LAYER_NORM_H

#include "cnn/op.h"

#define CNN_LAYER_NORM_FIELDS(I, F, A) I(rows) I(c) F(epsilon)
CNN_DESCRIPTOR(cnn_layer_norm, CNN_LAYER_NORM_FIELDS);

#endif
