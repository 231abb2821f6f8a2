/* Convolution in two or three dimensions; in two there is one frame: f, t, o, stride_f, dilation_f are 1, pad_f is 0.
 *
 * conv2d_fwd            x w bias? addend? -> y     y = act(x * w + bias + addend)
 * conv2d_into           x w bias? base? -> y      y = base, but for k of its channels from y_at on act(x * w + bias)
 * conv2d_bwd_data       dy w bias? addend? -> dx   dx = act(the gradient of x * w by x + bias + addend)
 * conv2d_bwd_weights    x dy -> dw
 * conv2d_pack           w -> packed                weights as panels; then conv2d_fwd with packed = 1
 *                                                  (or CNN_IN_BANDS, then in both)
 * conv2d_bwd_data_pack  w -> packed                the same for conv2d_bwd_data, packed = 1
 *
 * x (n, f, h, w, c), w (t, r, s, c/groups, k), y (n, o, p, q, k); bias and addend as the result has its channels and
 * shape. Zero padding of pad_f frames in front, pad_t rows above and pad_l columns left; behind, below and right as o, p
 * and q ask for. The transposed convolution is conv2d_bwd_data, from o x p x q to f x h x w.
 *
 * algorithm: how to compute. Winograd's is for kernels of 3 x 3, or t x 3 x 3, of stride, dilation and groups 1 with channels and filters
 * that are multiples of 16; weights packed for one algorithm fit no other. bwd_weights has F(3, 4) for both of
 * Winograd's.
 *
 * conv2d_into: a pixel of base and y has y_c channels. Where base is y nothing of it is copied; without a base the other
 * channels are left as they are.
 *
 * packed: 0 (the weights as they are), 1, or for conv2d_fwd and conv2d_pack by Winograd's algorithm CNN_IN_BANDS:
 * filters are packed in bands but not transformed, which each run does for itself. */
#ifndef CNN_CONV2D_H
#define CNN_CONV2D_H

#include "cnn/op.h"

enum { CNN_DIRECT, CNN_WINOGRAD_4, CNN_WINOGRAD_2 };
enum { CNN_IN_BANDS = 2 };

/* clang-format off */
#define CNN_CONV2D_FIELDS(I, F, A) \
    I(n) I(f) I(h) I(w) I(c) I(k) I(t) I(r) I(s) I(o) I(p) I(q) I(stride_f) I(stride_h) I(stride_w) \
    I(dilation_f) I(dilation_h) I(dilation_w) I(pad_f) I(pad_t) I(pad_l) I(groups) I(algorithm) I(packed) I(act) F(alpha) F(beta)
/* clang-format on */
CNN_DESCRIPTOR(cnn_conv2d, CNN_CONV2D_FIELDS);

typedef struct cnn_conv2d_into {
    cnn_conv2d conv;
    int64_t y_c, y_at;
} cnn_conv2d_into;

#define CNN_CONV2D_INTO_NAMES CNN_FIELD_NAMES(CNN_CONV2D_FIELDS) "y_c:i y_at:i "

#endif
