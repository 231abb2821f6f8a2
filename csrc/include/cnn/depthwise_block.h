/* depthwise_block_fwd   x expand? expand_bias? w bias? project project_bias? addend? -> y
 *
 * Three convolutions, one after the other: a pointwise one that expands the channels (only if `expands`), a depthwise one,
 * a pointwise one that projects them. Each has its own activation, as in the files beside this one; the addend is the last
 * one's. The pointwise ones are conv2d_fwd with a kernel of 1 x 1, strides of 1, one frame, one group, no padding, and the
 * direct algorithm; the depthwise one is depthwise2d_fwd with m = 1. What one of them makes the next one reads, so their sizes agree.
 *
 * x (n, h, w, c), y (n, p, q, k), the addend like y. */
#ifndef CNN_DEPTHWISE_BLOCK_H
#define CNN_DEPTHWISE_BLOCK_H

#include "cnn/conv2d.h"
#include "cnn/depthwise2d.h"

/* The descriptors of the three, with their fields' names behind the part's name. */
typedef struct cnn_depthwise_block {
    int64_t expands;
    cnn_conv2d expand;
    cnn_depthwise2d depthwise;
    cnn_conv2d project;
} cnn_depthwise_block;

#define CNN_EXPAND_I(name) "expand_" #name ":i "
#define CNN_EXPAND_F(name) "expand_" #name ":f "
#define CNN_DEPTHWISE_I(name) "depthwise_" #name ":i "
#define CNN_DEPTHWISE_F(name) "depthwise_" #name ":f "
#define CNN_PROJECT_I(name) "project_" #name ":i "
#define CNN_PROJECT_F(name) "project_" #name ":f "
#define CNN_DEPTHWISE_BLOCK_NAMES                                                                                      \
    "expands:i " CNN_CONV2D_FIELDS(CNN_EXPAND_I, CNN_EXPAND_F, )                                                       \
        CNN_DEPTHWISE2D_FIELDS(CNN_DEPTHWISE_I, CNN_DEPTHWISE_F, ) CNN_CONV2D_FIELDS(CNN_PROJECT_I, CNN_PROJECT_F, )

#endif
