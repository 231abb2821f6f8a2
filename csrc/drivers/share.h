/* What each thread of a team computes of a product (or of `groups` products side by side): as many rows of all columns
 * as the others or, `by_columns`, as many columns of all rows. There a border between two threads lies within a panel,
 * which is the one's in its first rows and the other's in the rest: each end is right to half a row of a panel. */
#ifndef CNN_SHARE_H
#define CNN_SHARE_H

#include "drivers/panel.h"

typedef struct cnn_share {
    int64_t rows, grain;     /* rows, in units of `grain` */
    int64_t groups, vectors; /* vectors of columns of each */
    cnn_panels panels;       /* of each */
    int by_columns;
    int64_t lo, hi; /* rows; by columns, places in the sequence of all vectors, `rows` of each */
} cnn_share;

/* Neighbouring panels of a group of which the thread has the same rows. */
typedef struct cnn_piece {
    int64_t group, first, last; /* panels [first, last) */
    cnn_range rows;
} cnn_piece;

/* A panel's rows are shared in multiples of `grain`, of which `rows` is one. */
cnn_share cnn_share_of(const cnn_team *team, int64_t rows, int64_t grain, int64_t groups, cnn_panels panels,
                       int by_columns);

/* The thread's share by strips of rows, which are equal parts of all from its first to its last row of any panel: at most
 * `most` units of `unit` rows each. */
typedef struct cnn_strips {
    const cnn_share *share;
    int64_t unit, count, next; /* strips in all, and the one that the next piece is looked for in */
    cnn_range units;
    cnn_piece piece;
} cnn_strips;

cnn_strips cnn_share_strips(const cnn_share *share, int64_t unit, int64_t most);

/* Go on to the next piece, the first one after cnn_share_strips. 0 when there is none. */
int cnn_strips_next(cnn_strips *strips);

#endif
