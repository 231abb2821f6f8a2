/* random_uniform  state -> y      y[i] = low + (high - low) * u_i, u_i in [0, 1) with 24 bits
 * dropout         x state -> y    y[i] = u_i >= rate ? x[i] * scale : 0
 * random_next     -> state        moves the stream on: the 64-bit counter state[2..3] += 1 (in place)
 *
 * state: int32[4] = seed low, seed high, counter low, counter high. u_i is word i % 4 of Philox4x32-7 (Salmon et al.
 * 2011) with key (seed low, seed high) and block counter (i / 4 low, i / 4 high, counter low, counter high), its top 24
 * bits: a pure function of state and i, so it does not depend on threads and can be made again in the backward pass. */
#ifndef CNN_RANDOM_H
#define CNN_RANDOM_H

#include "cnn/op.h"

#define CNN_RANDOM_FIELDS(I, F, A) I(count) F(low) F(high)
CNN_DESCRIPTOR(cnn_random, CNN_RANDOM_FIELDS);

#define CNN_DROPOUT_FIELDS(I, F, A) I(count) F(rate) F(scale)
CNN_DESCRIPTOR(cnn_dropout, CNN_DROPOUT_FIELDS);

#endif
