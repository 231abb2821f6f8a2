/* depthwise2d_fwd          x w bias? -> y   y = act(x * w + bias), each channel with its own m kernels
 * depthwise2d_bwd_data     dy w -> dx
 * depthwise2d_bwd_weights  x dy -> dw
 *
 * x (n, h, w, c), w (r, s, c, m), y (n, p, q, c*m) with channel c*m + j from kernel j, bias (c*m). */
#ifndef CNN_DEPTHWISE2D_H
#define CNN_DEPTHWISE2D_H

#include "cnn/op.h"

/* clang-format off */
#define CNN_DEPTHWISE2D_FIELDS(I, F, A) \
    I(n) I(h) I(w) I(c) I(m) I(r) I(s) I(p) I(q) I(stride_h) I(stride_w) I(dilation_h) I(dilation_w) \
    I(pad_t) I(pad_l) I(act) F(alpha) F(beta)
/* clang-format on */
CNN_DESCRIPTOR(cnn_depthwise2d, CNN_DEPTHWISE2D_FIELDS);

#endif
