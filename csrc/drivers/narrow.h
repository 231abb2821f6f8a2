/* Convolutions with groups so narrow that vectors of channels are computed, each of several groups or of one, where the
 * matrix product would fill a part of a vector (kernels/narrow.h). */
#ifndef CNN_NARROW_H
#define CNN_NARROW_H

#include "drivers/conv2d.h"

/* Whether groups of `depth` channels and `cols` filters are such: as many of these as of those, which fill a vector alone
 * or with other groups. A pure function of the shape and the vector, so weights can be packed for it. */
int cnn_narrow_applies(int64_t groups, int64_t depth, int64_t cols);

/* Taps that the kernel takes side by side. */
int64_t cnn_narrow_beside(int64_t taps_w, int64_t gap_w, int64_t step_w);

/* Pack one tap of the vector of groups whose first element is w: element [group][in][out] of groups of `width` channels
 * is w[group * group_step + in * in_step + out * out_step]. */
void cnn_narrow_pack(const float *w, int64_t width, int64_t group_step, int64_t in_step, int64_t out_step, int64_t tap,
                     int64_t beside, float *packed);

/* Take blocks of vectors for the groups of a problem, and cut it into strips. */
void cnn_narrow_open(cnn_conv_problem *p);

/* Vectors [lo, hi) of a block, for a strip; its rows begin at a copy whose first block is vector lo. */
void cnn_narrow_sweep(const cnn_conv_problem *p, const cnn_strip *strip, int64_t lo, int64_t hi);

/* The gradient of the weights: whether groups are computed so, a thread's scratch, and its share. */
int cnn_narrow_applies_to_weights(const cnn_conv2d *d);
size_t cnn_narrow_weights_bytes(const cnn_conv2d *d);
void cnn_narrow_weights(const cnn_conv2d *d, void *const *buf, cnn_team *team);

#endif
