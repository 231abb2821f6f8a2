/* unary_fwd  x -> y             y = f(x), f = line `func` of unary.def
 * unary_bwd  x? y? dy -> dx     dx = dy * f'(x, y); x or y is NULL when the line does not need it
 * binary     a b -> y           y = f(a, b), f = line `func` of binary.def; a and b may be broadcast
 * select     cond a b -> y      y = cond != 0 ? a : b, all (count)
 * fill       -> y               y = value
 * broadcast  x -> y             y of `dims`, read from x at `stride_a` (0 on repeated axes)
 * cast       x -> y             between CNN_F32, CNN_I32 and CNN_U8; float to int truncates towards zero and
 *                               saturates, NaN -> 0
 *
 * alpha, beta: parameters of f. `dims` has ndim entries from the outermost; strides are in elements of the operand. */
#ifndef CNN_ELEMENTWISE_H
#define CNN_ELEMENTWISE_H

#include "cnn/op.h"

enum { CNN_F32, CNN_I32, CNN_U8 };

#define CNN_UNARY_FIELDS(I, F, A) I(count) I(func) F(alpha) F(beta)
CNN_DESCRIPTOR(cnn_unary, CNN_UNARY_FIELDS);

#define CNN_BINARY_FIELDS(I, F, A) I(func) I(ndim) A(dims) A(stride_a) A(stride_b)
CNN_DESCRIPTOR(cnn_binary, CNN_BINARY_FIELDS);

#define CNN_SELECT_FIELDS(I, F, A) I(count)
CNN_DESCRIPTOR(cnn_select, CNN_SELECT_FIELDS);

#define CNN_FILL_FIELDS(I, F, A) I(count) F(value)
CNN_DESCRIPTOR(cnn_fill, CNN_FILL_FIELDS);

#define CNN_BROADCAST_FIELDS(I, F, A) I(ndim) A(dims) A(stride_a)
CNN_DESCRIPTOR(cnn_broadcast, CNN_BROADCAST_FIELDS);

#define CNN_CAST_FIELDS(I, F, A) I(count) I(from) I(to)
CNN_DESCRIPTOR(cnn_cast, CNN_CAST_FIELDS);

#endif
