/* reduce  x -> y    y[o][i] = scale * f over j of x[o][j][i]
 * argmax  x -> y    y[o][i] = int32 index j of the largest x[o][j][i] (the first one; NaN is largest)
 *
 * x (outer, red, inner), y (outer, inner). func: CNN_SUM, CNN_MAX, CNN_MIN, CNN_PROD, CNN_SUM_SQUARES. The order of a
 * sum is fixed by the shape: blocks of rows, then the blocks' partial sums from first to last. NaN wins a maximum or
 * minimum. */
#ifndef CNN_REDUCE_H
#define CNN_REDUCE_H

#include "cnn/op.h"

enum { CNN_SUM, CNN_MAX, CNN_MIN, CNN_PROD, CNN_SUM_SQUARES };

#define CNN_REDUCE_FIELDS(I, F, A) I(outer) I(red) I(inner) I(func) F(scale)
CNN_DESCRIPTOR(cnn_reduce, CNN_REDUCE_FIELDS);

#endif
