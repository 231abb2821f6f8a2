/* softmax_fwd       x -> y             y = exp(x - max) / sum, along each row
 * softmax_bwd       y dy -> dx         dx = y (dy - sum(y dy))
 * log_softmax_fwd   x -> y             y = x - max - log(sum(exp(x - max)))
 * log_softmax_bwd   y dy -> dx         dx = dy - exp(y) sum(dy)
 * softmax_xent_fwd  x t -> loss prob   loss = -sum_j t_j log_softmax(x)_j, prob = softmax(x)
 * softmax_xent_bwd  prob t dloss -> dx dx = (prob * sum(t) - t) * dloss
 *
 * x, y (rows, cols), loss (rows). t: float (rows, cols) when sparse = 0, int32 (rows) class numbers when sparse = 1; a
 * class number out of range gives a NaN loss and NaN gradient for that row and touches no memory outside. */
#ifndef CNN_SOFTMAX_H
#define CNN_SOFTMAX_H

#include "cnn/op.h"

#define CNN_SOFTMAX_FIELDS(I, F, A) I(rows) I(cols) I(sparse)
CNN_DESCRIPTOR(cnn_softmax, CNN_SOFTMAX_FIELDS);

#endif
