#include "drivers/narrow.h"
#include "drivers/activation.h"

enum {
    CHANNELS = 64, /* that are copied of a cell together: some cache lines, or no prefetcher follows */
    PIXELS = 512,  /* of a strip for the gradient of the weights */
};

int cnn_narrow_applies(int64_t groups, int64_t depth, int64_t cols)
{
    const int64_t vl = cnn_k->vl;
    return groups > 1 && depth == cols && cols > 1 && vl % cols == 0 && groups * cols % vl == 0;
}

int64_t cnn_narrow_beside(int64_t taps_w, int64_t gap_w, int64_t step_w)
{
    return gap_w == 1 && ((taps_w == 3 && step_w <= 2) || (taps_w == 2 && step_w == 1)) ? taps_w : 1;
}

void cnn_narrow_pack(const float *w, int64_t width, int64_t group_step, int64_t in_step, int64_t out_step, int64_t tap,
                     int64_t beside, float *packed)
{
    const int64_t vl = cnn_k->vl, step = beside * vl; /* from one channel of the input to the next */
    float *out = packed + (tap / beside * width * beside + tap % beside) * vl;
    if (width == vl && in_step == 1) {
        cnn_k->transpose(width, width, w, out_step, out, step);
        return;
    }
    for (int64_t j = 0; j < width; j++)
        for (int64_t group = 0; group < vl / width; group++)
            for (int64_t i = 0; i < width; i++)
                out[j * step + group * width + i] = w[group * group_step + j * in_step + i * out_step];
}

void cnn_narrow_open(cnn_conv_problem *p)
{
    const int64_t vl = cnn_k->vl, taps = p->win.taps_f * p->win.taps_h * p->win.taps_w;
    const int64_t vectors = p->groups * p->out_cols / vl;
    int64_t block = cnn_min(vectors, CHANNELS / vl);
    while (vectors % block != 0)
        block--;
    p->width = p->out_cols;
    p->groups = vectors / block;
    p->out_cols = p->win.depth = block * vl;
    p->win.block = vl;
    p->cut = cnn_window_cut(&p->win);
    p->cut = cnn_window_rows(&p->win, p->cut.rows, taps > 0);
    p->cut.copy_bytes += cnn_align64((size_t)(CNN_NARROW_PIXELS * p->win.step_w * vl) * sizeof(float));
    p->cut.runs = taps / cnn_narrow_beside(p->win.taps_w, p->win.gap_w, p->win.step_w);
}

void cnn_narrow_sweep(const cnn_conv_problem *p, const cnn_strip *strip, int64_t lo, int64_t hi)
{
    cnn_narrow d = {.width = p->width,
                    .runs = strip->runs,
                    .run = strip->run,
                    .taps = cnn_narrow_beside(p->win.taps_w, p->win.gap_w, p->win.step_w),
                    .step = p->win.step_w,
                    .pixels = p->win.q};
    cnn_epilogue e = {.cols = cnn_k->vl,
                      .bias = strip->bias,
                      .addend = strip->addend,
                      .bounds = cnn_bounds_of(strip->act),
                      .act = cnn_act_after_bounds(strip->act),
                      .alpha = (float)strip->alpha,
                      .beta = (float)strip->beta};
    for (int64_t v = lo; v < hi; v++) {
        d.first = (v - lo) * p->cut.plane;
        e.first = v * e.cols;
        cnn_k->narrow(&d, strip->m / p->win.q, strip->rows,
                      strip->b + v * p->win.taps_f * p->win.taps_h * p->win.taps_w * p->width * e.cols, strip->c, &e);
    }
}

/* The gradient of the weights. x and dy of a strip and a block of vectors are copied; a vector takes them from L1. Here
 * groups of several vectors do as well: a vector of dy takes the group's vectors of x one after the other. */
int cnn_narrow_applies_to_weights(const cnn_conv2d *d)
{
    const int64_t depth = d->c / d->groups, cols = d->k / d->groups;
    return cnn_narrow_applies(d->groups, depth, cols) ||
           (d->groups > 1 && depth == cols && cols % cnn_k->vl == 0 && cols <= CHANNELS);
}

typedef struct {
    cnn_window x, dy;
    cnn_window_strip x_cut, dy_cut;
    int64_t depth, parts;                  /* channels and vectors of a group; of narrow ones, one vector */
    int64_t vectors, block, chunks, chunk; /* vectors in all and in a block; pieces of their taps, in taps */
    size_t table, bytes;
} narrow_t;

static narrow_t narrow_problem(const cnn_conv2d *d)
{
    const int64_t vl = cnn_k->vl, taps = d->t * d->r * d->s;
    narrow_t g = {.x = cnn_conv_groups(d).win, .depth = d->k / d->groups, .vectors = d->k / vl, .chunk = 3};
    g.parts = cnn_max(1, g.depth / vl);
    g.block = cnn_min(g.vectors, CHANNELS / vl / g.parts * g.parts);
    g.chunks = cnn_ceil_div(taps, g.chunk);
    g.x.depth = g.block * vl;
    g.x.block = vl;
    g.dy = (cnn_window){.n = d->n,
                        .f = d->o,
                        .h = d->p,
                        .w = d->q,
                        .c = d->k,
                        .o = d->o,
                        .p = d->p,
                        .q = d->q,
                        .step_f = 1,
                        .step_h = 1,
                        .step_w = 1,
                        .taps_f = 1,
                        .taps_h = 1,
                        .taps_w = 1,
                        .gap_f = 1,
                        .gap_h = 1,
                        .gap_w = 1,
                        .depth = g.x.depth,
                        .block = vl};
    const int64_t rows = cnn_min(cnn_window_cut(&g.x).rows, PIXELS / cnn_max(d->q, 1));
    g.x_cut = cnn_window_rows(&g.x, rows, 1);
    g.dy_cut = cnn_window_rows(&g.dy, rows, 1);
    g.x_cut.runs = taps;
    g.table = cnn_align64((size_t)(g.x_cut.rows * d->q) * sizeof(void *));
    g.bytes = g.x_cut.copy_bytes + g.dy_cut.copy_bytes + 2 * g.table + (size_t)taps * sizeof(int64_t);
    return g;
}

/* Vectors [v0, v1) of a strip, of whose pieces the thread has [lo, hi). */
static void narrow_strip(const cnn_conv2d *d, const narrow_t *g, int64_t strip, int64_t v0, int64_t v1, int64_t lo,
                         int64_t hi, char *local, void *const *buf)
{
    const int64_t vl = cnn_k->vl, g0 = strip * g->x_cut.rows;
    const int64_t g1 = cnn_min(g0 + g->x_cut.rows, d->n * d->o * d->p);
    float *x = (float *)local, *dy = (float *)(local + g->x_cut.copy_bytes), *dw = buf[2];
    const float **x_rows = (const float **)((char *)dy + g->dy_cut.copy_bytes);
    const float **dy_rows = (const float **)((char *)x_rows + g->table);
    const int64_t *run = (const int64_t *)((char *)dy_rows + g->table);
    cnn_window x_win = g->x, dy_win = g->dy;
    const int64_t x0 = v0 / g->parts * g->parts, x1 = cnn_ceil_div(v1, g->parts) * g->parts; /* of whole groups */
    x_win.depth = (x1 - x0) * vl;
    dy_win.depth = (v1 - v0) * vl;
    cnn_window_bases(&x_win, &g->x_cut, (const float *)buf[0] + x0 * vl, g0, g1, x, x_rows);
    cnn_window_bases(&dy_win, &g->dy_cut, (const float *)buf[1] + v0 * vl, g0, g1, dy, dy_rows);
    for (int64_t u = lo; u < hi; u++) {
        const int64_t v = u / g->chunks, tap = u % g->chunks * g->chunk;
        cnn_narrow n = {.width = cnn_min(g->depth, vl),
                        .depth = g->depth,
                        .runs = cnn_min(g->chunk, g->x_cut.runs - tap),
                        .run = run + tap,
                        .step = d->stride_w,
                        .pixels = d->q};
        for (int64_t i = 0; i < g->parts; i++) {
            n.first = (v / g->parts * g->parts + i - x0) * g->x_cut.plane;
            cnn_k->narrow_weights(&n, g1 - g0, x_rows, dy + (v - v0) * g->dy_cut.plane, strip > 0,
                                  dw + (tap * g->depth + i * vl) * d->k + v * vl, d->k);
        }
    }
}

size_t cnn_narrow_weights_bytes(const cnn_conv2d *d)
{
    return narrow_problem(d).bytes;
}

void cnn_narrow_weights(const cnn_conv2d *d, void *const *buf, cnn_team *team)
{
    const narrow_t g = narrow_problem(d);
    int64_t lo, hi, until;
    cnn_window_runs(&g.x, &g.x_cut, (int64_t *)(team->local + g.bytes) - g.x_cut.runs);
    cnn_team_range(team, g.vectors * g.chunks, &lo, &hi);
    for (; lo < hi; lo = until) { /* of one block */
        const int64_t v0 = lo / g.chunks, end = v0 / g.parts * g.parts + g.block;
        const int64_t v1 = cnn_min(end, cnn_ceil_div(hi, g.chunks));
        until = cnn_min(hi, v1 * g.chunks);
        for (int64_t strip = 0; strip < g.x_cut.count; strip++)
            narrow_strip(d, &g, strip, v0, v1, lo, until, team->local, buf);
    }
}
