/* 3 x 3 convolution of stride 1 with fewer multiplications (Winograd 1980; Lavin & Gray 2016).
 *
 * Tiles of 4 x 4 (or 2 x 2) outputs are computed from 6 x 6 (4 x 4) transformed inputs: at each of the 36 (16)
 * positions of the transformed tile one matrix product over channels. A block of tiles is transformed into local
 * scratch, multiplied with one panel of filters after the other and transformed back while all of it lies in L2 (after
 * Jia et al. 2019, L3 Fusion).
 *
 * Of several frames, the channels of all frames that a window covers are those of one product.
 *
 * Channels and filters must be multiples of 16. */
#ifndef CNN_WINOGRAD_H
#define CNN_WINOGRAD_H

#include "drivers/panel.h"

typedef struct cnn_winograd {
    int size; /* outputs of a tile along an axis: 4 or 2 */
    int64_t n, f, h, w, c, k, t, o, p, q, pad_f, pad_t, pad_l;
    int64_t depth;        /* t * c */
    int64_t y_c;          /* floats from a pixel of y to the next; for cnn_winograd_run alone */
    int in_bands;         /* filters are to be transformed in the run, band by band */
    const float *filters; /* packed: [panel][position][depth][columns], or [band][t][tap][c][columns] */
    const float *bias, *addend;
    int64_t act;
    double alpha, beta;
} cnn_winograd;

/* Floats of the packed filters, and bytes of local scratch. */
int64_t cnn_winograd_filter_size(int size, int64_t depth, int64_t k);
size_t cnn_winograd_local_bytes(const cnn_winograd *g);

/* The thread's share of packing w (t, 3, 3, c, k): as it is, or, for the backward pass for the data, turned end to end
 * and with channels and filters exchanged (then the result takes k channels and makes c). */
void cnn_winograd_pack(int size, int64_t t, int64_t c, int64_t k, const float *w, int turned, float *packed,
                       const cnn_team *team);

/* Columns of a band, the last of which may have fewer; the thread's share of cutting w into bands, 9 * t * c * k floats in
 * all; one band's filters, transformed, as [depth][cols] for each position, `step` floats apart; and where the `part`-th
 * of `parts` equal pieces of a band's taps begins. */
int64_t cnn_winograd_band_cols(void);
void cnn_winograd_pack_bands(int64_t t, int64_t c, int64_t k, const float *w, float *bands, const cnn_team *team);
void cnn_winograd_transform_band(const cnn_winograd *g, int64_t first, int64_t cols, float *filters, int64_t step);
const float *cnn_winograd_band_part(const cnn_winograd *g, int64_t first, int64_t part, int64_t parts);

/* The gradient of the filters by F(3 x 3, 4 x 4): dw (t, 3, 3, c, k) from x and dy, which has the pitch of y. Uses size 4
 * whatever g->size says; shared holds sums and transformed tiles. All threads of the team call it. */
size_t cnn_winograd_weights_shared_bytes(const cnn_winograd *g);
size_t cnn_winograd_weights_local_bytes(const cnn_winograd *g);
void cnn_winograd_weights(const cnn_winograd *g, const float *x, const float *dy, float *dw, cnn_team *team);

/* Pointers to the cells (y0 + i, x0 + j), i and j below `side`, of an image of x (n, h, w, c); `outside` for those not
 * in it. */
void cnn_winograd_cells(const float *x, int64_t image, int64_t h, int64_t w, int64_t c, int64_t y0, int64_t x0,
                        int side, const float *outside, const float **cells);

/* The same of x for tap `tap` of a window in an output frame, counted over all images. */
void cnn_winograd_input_cells(const cnn_winograd *g, const float *x, int64_t frame, int64_t tap, int64_t y0, int64_t x0,
                              int side, const float *outside, const float **cells);

/* The thread's share of y = act(x * w + bias + addend). */
void cnn_winograd_run(const cnn_winograd *g, const float *x, float *y, const cnn_team *team);

#endif
