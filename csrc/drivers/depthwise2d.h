/* Depthwise convolution of a few rows, for drivers that go on with them at once. */
#ifndef CNN_DRIVERS_DEPTHWISE2D_H
#define CNN_DRIVERS_DEPTHWISE2D_H

#include "cnn/depthwise2d.h"

size_t cnn_depthwise2d_local_bytes(const cnn_depthwise2d *d);

/* Rows [lo, hi) of the result for one image, by one thread. x and y point to where row 0 would be: only the rows that
 * are read and written need be there. */
void cnn_depthwise2d_rows(const cnn_depthwise2d *d, int64_t lo, int64_t hi, const float *x, const float *w,
                          const float *bias, float *y, char *local);

#endif
