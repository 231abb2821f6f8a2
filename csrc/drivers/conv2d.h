/* What the passes of the convolution share: a window as an indirect product. */
#ifndef CNN_DRIVERS_CONV2D_H
#define CNN_DRIVERS_CONV2D_H

#include "cnn/conv2d.h"
#include "drivers/window.h"
#include "drivers/winograd.h"

/* One problem: a window over `in`, weights already packed in the order of its taps, and where results go. */
typedef struct {
    cnn_window win;
    cnn_window_strip cut;
    int64_t groups, out_cols;           /* columns of one group's product */
    int64_t width;                      /* of the groups of which a vector is taken for one, or 0 */
    int64_t out_c, out_f, out_h, out_w; /* the output's pitch of a pixel, and its frames, rows and columns */
    int64_t start_f, start_h, start_w;  /* output pixel (z, y, x) lies at (start_f + z * jump_f, ...) */
    int64_t jump_f, jump_h, jump_w;
    const float *packed;
    const float *bias, *addend;
    int64_t act;
    double alpha, beta;
} cnn_conv_problem;

/* The forward pass as a problem, group by group and not yet cut into strips. */
cnn_conv_problem cnn_conv_groups(const cnn_conv2d *d);

/* Take vectors of narrow groups for groups, and cut the problem into strips. */
void cnn_conv_open(cnn_conv_problem *p);

/* Winograd's problem for the forward pass or, `turned`, for the backward pass for the data. */
cnn_winograd cnn_conv_winograd(const cnn_conv2d *d, int turned);

/* Pack weights for the forward pass by the direct algorithm: the thread's share. And how many bytes that takes. */
void cnn_conv2d_pack_direct(const cnn_conv2d *d, const float *w, float *packed, const cnn_team *team);
size_t cnn_conv2d_packed_bytes(const cnn_conv2d *d);

/* What a problem takes: output pixels of a full strip, bytes of a table with a pointer for each, bytes of a thread's
 * scratch, floats of one group's packed weights. */
int64_t cnn_conv_pixels(const cnn_conv_problem *p);
size_t cnn_conv_table_bytes(const cnn_conv_problem *p);
size_t cnn_conv_local_bytes(const cnn_conv_problem *p);
int64_t cnn_conv_group_size(const cnn_conv_problem *p);

/* The thread's share of a problem. */
void cnn_conv_solve(const cnn_conv_problem *p, const float *in, float *out, const cnn_team *team);

/* Where a pass goes: pixels of y are y_c floats apart. The addend is NULL unless that is the number of channels. */
typedef struct {
    float *y;
    int64_t y_c;
    const float *addend;
} cnn_conv_out;

/* Forward or, `turned`, backward for the data by Winograd's algorithm; buf begins with what is read, weights and bias. */
cnn_workspace cnn_conv_winograd_workspace(const cnn_conv2d *d, int turned);
void cnn_conv_winograd_run(const cnn_conv2d *d, int turned, void *const *buf, const cnn_conv_out *out, cnn_team *team);

cnn_workspace cnn_conv2d_bwd_data_workspace(const void *desc);
void cnn_conv2d_bwd_data(const void *desc, void *const *buf, cnn_team *team);
void cnn_conv2d_bwd_data_pack(const void *desc, void *const *buf, cnn_team *team);

cnn_workspace cnn_conv2d_bwd_weights_workspace(const void *desc);
void cnn_conv2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team);

#endif
