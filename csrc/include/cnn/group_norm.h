/* group_norm_fwd  x gamma? beta? -> y mean var             y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and
 *                                                          biased variance of each group of neighbouring channels of an
 *                                                          image, over all its pixels
 * group_norm_bwd  x dy mean var gamma? -> dx dgamma dbeta  through the statistics; mean and var as fwd gave them
 *
 * x, y, dx, dy (n, pixels, c); mean, var (n, groups); gamma, beta, dgamma, dbeta (c). groups divides c. */
#ifndef CNN_GROUP_NORM_H
#define CNN_GROUP_NORM_H

#include "cnn/op.h"

#define CNN_GROUP_NORM_FIELDS(I, F, A) I(n) I(pixels) I(c) I(groups) F(epsilon)
CNN_DESCRIPTOR(cnn_group_norm, CNN_GROUP_NORM_FIELDS);

#endif
