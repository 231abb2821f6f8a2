/* matmul_fwd   a b bias? addend? -> y    y = act(op(a) op(b) + bias + addend)
 * matmul_pack  b -> packed               op(b) as panels for the tile; then matmul_fwd with packed = 1
 *
 * op(a) is (m, k), op(b) is (k, n), y and addend are (m, n), bias is (n). `batch` independent products:
 * a and y have a leading batch axis, b too when b_batched. ta, tb: the stored array is the transpose. */
#ifndef CNN_MATMUL_H
#define CNN_MATMUL_H

#include "cnn/op.h"

#define CNN_MATMUL_FIELDS(I, F, A) I(batch) I(m) I(n) I(k) I(ta) I(tb) I(b_batched) I(packed) I(act) F(alpha) F(beta)
CNN_DESCRIPTOR(cnn_matmul, CNN_MATMUL_FIELDS);

#endif
