/* What the passes of the depthwise convolution share, and a few rows of it for drivers that go on with them at once. */
#ifndef CNN_DRIVERS_DEPTHWISE2D_H
#define CNN_DRIVERS_DEPTHWISE2D_H

#include "cnn/depthwise2d.h"
#include "drivers/taps.h"

/* To share out channels: fewer rows and more channels for each thread. */
enum { CNN_DEPTHWISE_CHANNELS = 64 };

/* One axis of the correlation: tap t of output u reads cell u * step + first + t * gap with weight w_first + t *
 * w_step, and goes to place y_first + u * y_step. */
typedef struct {
    int64_t outputs, taps, cells, step, first, gap, w_first, w_step, y_first, y_step;
} cnn_depthwise_axis;

static inline cnn_depthwise_axis cnn_depthwise_axis_forward(int64_t outputs, int64_t taps, int64_t cells,
                                                            int64_t stride, int64_t dilation, int64_t pad)
{
    return (cnn_depthwise_axis){outputs, taps, cells, stride, -pad, dilation, 0, 1, 0, 1};
}

/* The rows that line u sees, each channel repeated m times, in scratch. */
cnn_range cnn_depthwise2d_spread_rows(const cnn_depthwise_axis *h, int64_t u, int64_t row, int64_t m, const float *x,
                                      float *scratch);

size_t cnn_depthwise2d_local_bytes(const cnn_depthwise2d *d);

/* Rows [lo, hi) of the result for one image, by one thread. x and y point to where row 0 would be: only the rows that
 * are read and written need be there. */
void cnn_depthwise2d_rows(const cnn_depthwise2d *d, int64_t lo, int64_t hi, const float *x, const float *w,
                          const float *bias, float *y, char *local);

cnn_workspace cnn_depthwise2d_bwd_weights_workspace(const void *desc);
void cnn_depthwise2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team);

#endif
