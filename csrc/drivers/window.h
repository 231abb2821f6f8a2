/* A convolution as an indirect matrix product (Dukhan 2019, The Indirect Convolution Algorithm): which input pixel each
 * tap of each output pixel reads. Forward, each parity class of the backward pass for the data, and the backward pass
 * for the weights are all such windows. An image is a sequence of frames; of one in two dimensions.
 *
 * Output rows are taken in strips. Where a window reaches past the input's border, the strip's input rows are first
 * copied into local scratch with their zero padding, so that every tap of every pixel is base + a constant offset. */
#ifndef CNN_WINDOW_H
#define CNN_WINDOW_H

#include "drivers/panel.h"

typedef struct cnn_window {
    int64_t n, f, h, w, c;             /* the input; c is the pitch of a pixel */
    int64_t o, p, q;                   /* output frames, rows and columns that this window makes */
    int64_t step_f, step_h, step_w;    /* input cells per output cell */
    int64_t taps_f, taps_h, taps_w;    /* taps are a grid: along each axis tap i of output cell y reads */
    int64_t first_f, first_h, first_w; /*   input cell y * step + first + i * gap */
    int64_t gap_f, gap_h, gap_w;
    int64_t depth; /* channels that are read of a cell, from channel 0 of the pointer given; less than c in a group */
    int64_t block; /* channels that lie together in a copy, [block][cell][channel of the block]; 0: all */
} cnn_window;

/* The strip of output rows [g0, g1), counted over all frames, as the tile wants it. */
typedef struct cnn_window_strip {
    int64_t rows;      /* output rows in a full strip */
    int64_t count;     /* strips in all */
    int64_t runs, kc;  /* contiguous floats: a row of taps when its cells are neighbours, else one tap */
    int padded;        /* the strip is copied */
    int64_t pitch;     /* floats of a cell of the copy, or of the input */
    int64_t plane;     /* floats of a block of the copy */
    int64_t copy_w;    /* cells in a row of the copy, or of the input */
    int64_t frame;     /* cells from one tap to that of the next frame */
    size_t copy_bytes; /* local scratch for the copy */
} cnn_window_strip;

/* Choose the strips. */
cnn_window_strip cnn_window_cut(const cnn_window *win);

/* Strips of `rows` output rows, copied if `padded`, if a window reaches past the border, or if a group's channels are
 * read only: at the pitch of a whole pixel they would share few sets of the cache. */
cnn_window_strip cnn_window_rows(const cnn_window *win, int64_t rows, int padded);

/* Offset of a tap, counted through, from a pixel's base. */
int64_t cnn_window_tap(const cnn_window *win, const cnn_window_strip *strip, int64_t tap);

/* Offsets of the runs from a pixel's base, strip->runs of them. */
void cnn_window_runs(const cnn_window *win, const cnn_window_strip *strip, int64_t *run);

/* The base of each output pixel of rows [g0, g1): bases[(g - g0) * q + x]. Copies the input first where it must. */
void cnn_window_bases(const cnn_window *win, const cnn_window_strip *strip, const float *x, int64_t g0, int64_t g1,
                      float *copy, const float **bases);

#endif
