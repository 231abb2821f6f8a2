/* transpose    x -> y          y (dims) read from x at `stride` (in elements), any permutation; 4-byte elements
 * pad          x -> y          x (dims) into the middle of y, `before` and `after` cells of `value` per axis
 * slice        x -> y          y (out) = x (dims)[start : : step]
 * unslice      dy -> dx        dx (dims) zero but dx[start : : step] = dy (out); the gradient of slice
 * concat       *xs -> y        `count` inputs, input i (outer, sizes[i]), side by side in y (outer, sum of sizes)
 * gather       x index -> y    y[i] = x[index[i]], x (rows, cols), index int32 (count); out of range -> NaN row
 * scatter_add  dy index -> dx  dx (rows, cols) zero, then dx[index[i]] += dy[i] in order of i; out of range is skipped
 * one_hot      index -> y      y (count, cols), int32 index; out of range -> a row of zeros */
#ifndef CNN_LAYOUT_H
#define CNN_LAYOUT_H

#include "cnn/op.h"

#define CNN_TRANSPOSE_FIELDS(I, F, A) I(ndim) A(dims) A(stride)
CNN_DESCRIPTOR(cnn_transpose, CNN_TRANSPOSE_FIELDS);

#define CNN_PAD_FIELDS(I, F, A) I(ndim) A(dims) A(before) A(after) F(value)
CNN_DESCRIPTOR(cnn_pad, CNN_PAD_FIELDS);

#define CNN_SLICE_FIELDS(I, F, A) I(ndim) A(dims) A(start) A(step) A(out)
CNN_DESCRIPTOR(cnn_slice, CNN_SLICE_FIELDS);

#define CNN_CONCAT_FIELDS(I, F, A) I(count) I(outer) A(sizes)
CNN_DESCRIPTOR(cnn_concat, CNN_CONCAT_FIELDS); /* at most CNN_MAX_DIMS inputs; ops nest for more */

#define CNN_GATHER_FIELDS(I, F, A) I(rows) I(cols) I(count)
CNN_DESCRIPTOR(cnn_gather, CNN_GATHER_FIELDS);

#endif
