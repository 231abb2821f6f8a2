/* max_pool2d_fwd  x -> y index    y = maximum over the window (NaN wins); index: uint8, its tap r*S + s, the first one
 * max_pool2d_bwd  dy index -> dx  gathers: each dx sums the dy of the windows that chose it
 * avg_pool2d_fwd  x -> y          mean over the valid cells of the window
 * avg_pool2d_bwd  dy -> dx
 *
 * x (n, h, w, c), y and index (n, p, q, c); r*s <= 256. Padding cells never win and never count. */
#ifndef CNN_POOL2D_H
#define CNN_POOL2D_H

#include "cnn/op.h"

#define CNN_POOL2D_FIELDS(I, F, A) I(n) I(h) I(w) I(c) I(r) I(s) I(p) I(q) I(stride_h) I(stride_w) I(pad_t) I(pad_l)
CNN_DESCRIPTOR(cnn_pool2d, CNN_POOL2D_FIELDS);

#endif
