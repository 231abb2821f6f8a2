/* A depthwise block by strips of rows. The expanded map is several times as large as what goes in and what comes out: a
 * thread makes a few rows of it, which stay in its L2 until they are read, a few rows later. Rows that the next strip
 * reads too are kept; at the border between two threads each makes them for itself. (The order of work is that of
 * Sandler et al. 2018, MobileNetV2, section 5.1, with rows in place of channels.)
 *
 * Every result is computed as by the three operations one by one, to the bit. */
#include "cnn/depthwise_block.h"

#include <string.h>

#include "drivers/conv2d.h"
#include "drivers/depthwise2d.h"

enum { STRIP_FLOATS = 72 * 1024 }; /* of both maps in between: most of an L2 of 512 KB, beside the weights */

typedef struct {
    int64_t reach;           /* rows that a window spans */
    int64_t wide_row, row;   /* floats of a row of the expanded map, of the depthwise convolution's result */
    int64_t rows, wide_rows; /* of a strip: rows of the result, and of the expanded map that they read */
    int64_t pixels;          /* that are multiplied together at most */
} cut_t;

/* Scratch of a thread: rows of the two maps, and pointers for the products. */
typedef struct {
    float *wide, *middle;
    const float **in, **addend;
    float **out;
    char *depthwise;
    size_t bytes;
} scratch_t;

typedef struct {
    const float *expand, *project; /* packed */
    const float *expand_bias, *depthwise, *bias, *project_bias;
} weights_t;

static cut_t cut_of(const cnn_depthwise_block *b)
{
    const cnn_depthwise2d *d = &b->depthwise;
    cut_t t = {.reach = (d->r - 1) * d->dilation_h + 1, .row = d->q * d->c};
    t.wide_row = b->expands ? d->w * d->c : 0;
    const int64_t each = d->stride_h * t.wide_row + t.row, once = (t.reach - d->stride_h) * t.wide_row;
    const int64_t fit = (STRIP_FLOATS - once) / cnn_max(each, 1),
                  pairs = (fit + 1) / 2; /* as lines are convolved: one line more than fits, at most */
    t.rows = cnn_limited(2 * pairs, 1, cnn_max(d->p, 1));
    t.wide_rows = cnn_limited((t.rows - 1) * d->stride_h + t.reach, 0, d->h);
    t.pixels = cnn_max(t.rows * d->q, b->expands ? t.wide_rows * d->w : 0);
    return t;
}

static scratch_t scratch_of(const cnn_depthwise_block *b, const cut_t *t, char *local)
{
    const size_t table = cnn_align64((size_t)t->pixels * sizeof(void *));
    const size_t wide = cnn_align64((size_t)(t->wide_rows * t->wide_row) * sizeof(float));
    const size_t middle = cnn_align64((size_t)(t->rows * t->row) * sizeof(float));
    scratch_t s = {.in = (const float **)local,
                   .out = (float **)(local + table),
                   .addend = (const float **)(local + 2 * table),
                   .wide = (float *)(local + 3 * table)};
    s.middle = (float *)((char *)s.wide + wide);
    s.depthwise = (char *)s.middle + middle;
    s.bytes = 3 * table + wide + middle + cnn_depthwise2d_local_bytes(&b->depthwise);
    return s;
}

/* A pointwise convolution of `pixels` pixels. */
static void pointwise(const cnn_conv2d *d, const scratch_t *s, int64_t pixels, const float *x, const float *packed,
                      const float *bias, const float *addend, float *y)
{
    const int64_t run = 0;
    for (int64_t i = 0; i < pixels; i++) {
        s->in[i] = x + i * d->c;
        s->out[i] = y + i * d->k;
        if (addend)
            s->addend[i] = addend + i * d->k;
    }
    const cnn_strip strip = {.m = pixels,
                             .rows = s->in,
                             .c = s->out,
                             .addend = addend ? s->addend : NULL,
                             .runs = 1,
                             .kc = d->c,
                             .a_step = 1,
                             .run = &run,
                             .b = packed,
                             .panels = cnn_panels_of(d->k),
                             .bias = bias,
                             .act = d->act,
                             .alpha = d->alpha,
                             .beta = d->beta};
    cnn_strip_sweep(&strip, 0, strip.panels.count);
}

/* Bring the rows of the expanded map that output rows [lo, hi) read to where they are `held`. */
static void expand_rows(const cnn_depthwise_block *b, const cut_t *t, const scratch_t *s, const weights_t *w,
                        int64_t lo, int64_t hi, const float *x, cnn_range *held)
{
    const cnn_depthwise2d *d = &b->depthwise;
    const int64_t first = cnn_limited(lo * d->stride_h - d->pad_t, 0, d->h);
    const int64_t last = cnn_limited((hi - 1) * d->stride_h - d->pad_t + t->reach, first, d->h);
    const int64_t kept = cnn_max(0, held->hi - first);
    if (kept > 0)
        memmove(s->wide, s->wide + (first - held->lo) * t->wide_row, (size_t)(kept * t->wide_row) * sizeof(float));
    const int64_t made = first + kept;
    if (made < last)
        pointwise(&b->expand, s, (last - made) * d->w, x + made * d->w * b->expand.c, w->expand, w->expand_bias, NULL,
                  s->wide + kept * t->wide_row);
    *held = (cnn_range){first, last};
}

/* Rows [lo, hi) of one image; `addend` or NULL and y from its first row on. */
static void run_rows(const cnn_depthwise_block *b, const cut_t *t, const scratch_t *s, const weights_t *w, int64_t lo,
                     int64_t hi, const float *x, const float *addend, float *y)
{
    const cnn_depthwise2d *d = &b->depthwise;
    const int64_t out_row = d->q * b->project.k;
    cnn_range held = {0, 0};
    for (int64_t end; lo < hi; lo = end) {
        end = cnn_min(hi, lo + t->rows);
        if (b->expands)
            expand_rows(b, t, s, w, lo, end, x, &held);
        cnn_depthwise2d_rows(d, lo, end, b->expands ? s->wide - held.lo * t->wide_row : x, w->depthwise, w->bias,
                             s->middle - lo * t->row, s->depthwise);
        pointwise(&b->project, s, (end - lo) * d->q, s->middle, w->project, w->project_bias,
                  addend ? addend + lo * out_row : NULL, y + lo * out_row);
    }
}

static size_t own_packed_bytes(const cnn_conv2d *d)
{
    return d->packed ? 0 : cnn_align64(cnn_conv2d_packed_bytes(d));
}

/* The weights as they were given, packed into shared memory first where they are not yet. */
static weights_t open_weights(const cnn_depthwise_block *b, void *const *buf, cnn_team *team)
{
    weights_t w = {buf[1], buf[5], buf[2], buf[3], buf[4], buf[6]};
    char *shared = team->shared;
    if (b->expands && !b->expand.packed) {
        cnn_conv2d_pack_direct(&b->expand, buf[1], (float *)shared, team);
        w.expand = (const float *)shared;
        shared += own_packed_bytes(&b->expand);
    }
    if (!b->project.packed) {
        cnn_conv2d_pack_direct(&b->project, buf[5], (float *)shared, team);
        w.project = (const float *)shared;
    }
    if (!b->project.packed || (b->expands && !b->expand.packed))
        cnn_team_barrier(team);
    return w;
}

static void depthwise_block_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_depthwise_block *b = desc;
    const cnn_depthwise2d *d = &b->depthwise;
    const cut_t cut = cut_of(b);
    const scratch_t s = scratch_of(b, &cut, team->local);
    const weights_t w = open_weights(b, buf, team);
    const int64_t in = d->h * d->w * (b->expands ? b->expand.c : d->c), out = d->p * d->q * b->project.k;
    int64_t lo, hi;
    cnn_team_range(team, d->n * d->p, &lo, &hi);
    for (int64_t end; lo < hi; lo = end) { /* of one image */
        const int64_t image = lo / d->p;
        const float *addend = buf[7];
        end = cnn_min(hi, (image + 1) * d->p);
        run_rows(b, &cut, &s, &w, lo - image * d->p, end - image * d->p, (const float *)buf[0] + image * in,
                 addend ? addend + image * out : NULL, (float *)buf[8] + image * out);
    }
}

static cnn_workspace workspace(const void *desc)
{
    const cnn_depthwise_block *b = desc;
    const cut_t cut = cut_of(b);
    return (cnn_workspace){(b->expands ? own_packed_bytes(&b->expand) : 0) + own_packed_bytes(&b->project),
                           scratch_of(b, &cut, NULL).bytes};
}

const cnn_op cnn_ops_depthwise_block[] = {
    {"depthwise_block_fwd", CNN_DEPTHWISE_BLOCK_NAMES,
     "x expand? expand_bias? w bias? project project_bias? addend? -> y", depthwise_block_fwd, workspace},
    {0},
};
