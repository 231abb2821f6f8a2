/* Backward pass of the convolution for the weights, a matrix product over pixels:
 *
 *     dw[row][k] = sum over pixels of (the pixel's window)[row] dy[pixel][k]
 *
 * with a row for each tap and channel. Strips of pixels are summed one after the other. Of a strip the team packs dy, and
 * each thread gathers what the rows of its results read, a block of rows at a time, [pixel][row]: both then lie as the
 * tile reads them. Where they are, they have the pitch of a pixel, in most networks a multiple of 1 KB, which maps them
 * to a few sets of the cache. Of the first layer, a few channels under many taps, a copy of the strip with its padding
 * serves all rows instead; and dy is read as it lies for few rows.
 *
 * Of a small dw, chunks of strips have a sum of their own: a thread takes its chunks as if it were alone. They are cut by
 * the shape. */
#include "drivers/conv2d.h"
#include "drivers/join.h"
#include "drivers/narrow.h"

enum {
    LANES = 16,      /* rows of a block at most: a cache line of each pixel */
    FEW = 8,         /* channels of which a strip is copied */
    TOGETHER = 4,    /* blocks that are gathered at a time */
    BAND_COLS = 512, /* columns for which a block is gathered once */
    PIXELS = 512,    /* of a strip: fewer, and loading and storing tiles of dw shows */
    FEW_BLOCKS = 8,  /* of rows that do not repay packing dy ... */
    PITCH = 512,     /* ... if a pixel of it has no more filters: with more its cells share few sets of the cache */
    CHUNKS_MIN = 16, /* as many as threads can share, and ... */
    CHUNKS_MAX = 64,
    CHUNK_FLOATS = 1 << 19, /* ... as have so many floats together */
};

typedef struct {
    cnn_window win;
    int64_t groups, kg, k; /* groups, filters of a group and of all */
    int64_t runs, kc;      /* values of a window that lie together in x: those of a row of taps, or of one tap */
    int64_t blocks;        /* of a group */
    cnn_panels panels;     /* of a group's filters */
    int64_t band, bands;   /* panels of a band, and bands */
    int64_t tiles;         /* of a block in a panel */
    int64_t in_place;      /* panels of each group that are read from dy as it lies */
    int by_panels;         /* threads share the panels, and pack their own, instead of rows and pixels */
    int64_t lines, strips; /* output rows of a strip, and strips */
    int64_t size, chunks;  /* floats of dw; chunks of strips with a sum of their own, or 1 */
    int copied;            /* whether rows are read from a copy of the strip, cut so: */
    cnn_window_strip cut;
} weights_t;

/* Bytes of a strip's packed dy. */
static size_t packed_bytes(const weights_t *g)
{
    if (g->in_place == g->panels.count)
        return 0;
    return (size_t)(g->groups * g->lines * g->win.q * cnn_packed_cols(g->kg)) * sizeof(float);
}

/* Panels that their columns fill, and whose rows may be apart: all but the last, or that too. */
static int64_t panels_in_place(const weights_t *g)
{
    const cnn_panel last = cnn_panel_at(&g->panels, g->panels.count - 1);
    const int may_be = g->blocks <= FEW_BLOCKS && g->k <= PITCH && (last.nv > 1 || g->k == cnn_k->vl);
    return may_be ? g->panels.count - (last.cols < last.nv * cnn_k->vl) : 0;
}

static weights_t weights_problem(const cnn_conv2d *d, int threads)
{
    const cnn_conv_problem p = cnn_conv_groups(d);
    weights_t g = {.win = p.win, .groups = d->groups, .kg = p.out_cols, .k = d->k};
    const int joined = g.win.gap_w == 1 && g.win.depth == g.win.c;
    g.runs = d->t * d->r * (joined ? 1 : d->s);
    g.kc = g.win.depth * (joined ? d->s : 1);
    g.blocks = cnn_ceil_div(g.runs * g.kc, LANES);
    g.panels = cnn_panels_of(g.kg);
    const int64_t panels = g.panels.count, lines = g.win.n * g.win.o * g.win.p;
    g.lines = cnn_equal_part(lines, PIXELS / cnn_max(g.win.q, 1));
    g.strips = cnn_ceil_div(lines, g.lines);
    g.size = g.runs * g.kc * g.k;
    g.chunks = cnn_min(cnn_min(g.strips, CHUNKS_MAX), CHUNK_FLOATS / g.size);
    g.chunks = g.chunks < CHUNKS_MIN ? 1 : g.chunks;
    threads = g.chunks > 1 ? 1 : threads;
    g.by_panels = d->groups == 1 && g.kg >= 2 * g.runs * g.kc && panels % threads == 0;
    g.band = cnn_equal_part(g.by_panels ? panels / threads : panels, BAND_COLS / cnn_panel_cols());
    g.bands = cnn_ceil_div(panels, g.band);
    g.tiles = cnn_tile_count(LANES, g.panels.nv);
    g.tiles = cnn_max(g.tiles, cnn_tile_count(LANES, cnn_panel_at(&g.panels, panels - 1).nv)); /* one cut for all */
    g.in_place = panels_in_place(&g);
    g.copied = d->groups == 1 && d->c <= FEW && d->t * d->r * d->s > 1;
    if (g.copied)
        g.cut = cnn_window_rows(&g.win, g.lines, 1);
    return g;
}

/* A thread's scratch for a copied strip: the copy, the base of each pixel, offsets of the strip's lines and of runs. */
typedef struct {
    float *copy;
    const float **bases;
    int64_t *line, *run;
    size_t bytes;
} copy_t;

static copy_t copy_of(const weights_t *g, char *local)
{
    const size_t bases = cnn_align64((size_t)(g->lines * g->win.q) * sizeof(void *)), at = g->cut.copy_bytes + bases;
    const size_t lines = cnn_align64((size_t)g->lines * sizeof(int64_t));
    return (copy_t){.copy = (float *)local,
                    .bases = (const float **)(local + g->cut.copy_bytes),
                    .line = (int64_t *)(local + at),
                    .run = (int64_t *)(local + at + lines),
                    .bytes = at + lines + cnn_align64((size_t)g->runs * sizeof(int64_t))};
}

/* A thread's scratch for what the rows of a strip read. */
static size_t rows_bytes(const weights_t *g)
{
    return g->copied ? copy_of(g, NULL).bytes : (size_t)(g->lines * g->win.q * TOGETHER * LANES) * sizeof(float);
}

cnn_workspace cnn_conv2d_bwd_weights_workspace(const void *desc)
{
    const cnn_conv2d *d = desc;
    if (d->algorithm != CNN_DIRECT) {
        const cnn_winograd w = cnn_conv_winograd(d, 0);
        return (cnn_workspace){cnn_winograd_weights_shared_bytes(&w), cnn_winograd_weights_local_bytes(&w)};
    }
    if (cnn_narrow_applies_to_weights(d))
        return (cnn_workspace){0, cnn_narrow_weights_bytes(d)};
    const weights_t g = weights_problem(d, 1);
    if (g.chunks > 1)
        return (cnn_workspace){(size_t)(g.chunks * g.size) * sizeof(float), rows_bytes(&g) + packed_bytes(&g)};
    return (cnn_workspace){packed_bytes(&g), rows_bytes(&g)};
}

/* Memory that is fetched beside the tiles of a strip. */
typedef struct {
    const char *from;
    int64_t bytes;
} ahead_t;

/* The strip at hand: its output rows, counted over all images, its pixels, what was gathered and packed of it, and about
 * what the thread will gather and pack of the next one. */
typedef struct {
    int64_t line, lines, m;
    float *x, *dy;
    ahead_t ahead[2];
} strip_t;

/* Part i of `parts`, or nothing after the last. */
static ahead_t part_of(const float *a, int64_t size, int64_t i, int64_t parts)
{
    const int64_t bytes = i < parts ? size * (int64_t)sizeof(float) / parts : 0;
    return (ahead_t){(const char *)a + i * bytes, bytes};
}

static strip_t strip_at(const weights_t *g, const float *x, const float *dy, int64_t i, const cnn_team *team)
{
    const cnn_window *win = &g->win;
    const int64_t lines = win->n * win->o * win->p, part = (i + 1) * team->size + team->id;
    strip_t s = {.line = i * g->lines, .x = (float *)team->local, .dy = (float *)team->shared};
    s.lines = cnn_min(g->lines, lines - s.line);
    s.m = s.lines * win->q;
    s.ahead[0] = part_of(x, win->n * win->f * win->h * win->w * win->c, part, g->strips * team->size);
    s.ahead[1] = part_of(dy, lines * win->q * g->k, part, g->strips * team->size);
    return s;
}

/* Pack the thread's share of a strip: of its panels, or of its pixels. */
static void pack_strip(const weights_t *g, const strip_t *s, const float *dy, const cnn_team *team)
{
    int64_t lo = 0, hi = s->m, first = 0, last = g->panels.count;
    if (g->by_panels)
        cnn_team_range(team, g->panels.count, &first, &last);
    else
        cnn_team_range(team, s->m, &lo, &hi);
    first = cnn_max(first, g->in_place);
    if (first >= last)
        return;
    dy += (s->line * g->win.q + lo) * g->k;
    for (int64_t group = 0; group < g->groups; group++)
        cnn_pack(dy + group * g->kg, hi - lo, g->kg, g->k, 1, s->dy + group * s->m * cnn_packed_cols(g->kg), lo, s->m,
                 first, last);
}

/* The row of the input in which the windows of output row `line` have a run. */
typedef struct {
    int inside;
    int64_t row; /* counted over all images */
    int64_t at;  /* where the first pixel's run begins in it */
} source_t;

static source_t source_of(const cnn_window *win, int64_t line, int64_t run, int64_t runs)
{
    const int64_t beside = runs / (win->taps_f * win->taps_h), taps = run / beside; /* runs in a row of taps */
    const int64_t frame = line / win->p,
                  y = line % win->p * win->step_h + win->first_h + taps % win->taps_h * win->gap_h;
    const int64_t z = frame % win->o * win->step_f + win->first_f + taps / win->taps_h * win->gap_f;
    return (source_t){.inside = y >= 0 && y < win->h && z >= 0 && z < win->f,
                      .row = (frame / win->o * win->f + z) * win->h + y,
                      .at = (win->first_w + run % beside * win->gap_w) * win->c};
}

/* `rows` values of a pixel to the rows from `row` on of its blocks. */
static inline void put_values(const float *x, int64_t row, int64_t rows, int64_t block_size, float *out)
{
    for (int64_t lanes; rows > 0; row += lanes, x += lanes, rows -= lanes) {
        lanes = cnn_min(rows, LANES - row % LANES);
        cnn_copy(out + row / LANES * block_size + row % LANES, x, lanes);
    }
}

/* The same of whole blocks, which is most of it. */
static inline void put_blocks(const float *x, int64_t rows, int64_t block_size, float *out)
{
    for (int64_t i = 0; i < rows; i += LANES, out += block_size)
        cnn_copy(out, x + i, LANES);
}

/* The same of values that reach past one of the ends of their row x, and are zeros there. */
static void put_border(const float *x, int64_t at, int64_t end, int64_t row, int64_t rows, int64_t block_size,
                       float *out)
{
    for (int64_t i = 0; i < rows; i++, row++, at++)
        out[row / LANES * block_size + row % LANES] = at >= 0 && at < end ? x[at] : 0.0f;
}

/* `rows` values of a run, from its value `first` on, for each pixel of the strip: rows from `row` on of the blocks. */
static void gather_run(const weights_t *g, const strip_t *s, const float *x, int64_t run, int64_t first, int64_t row,
                       int64_t rows)
{
    const cnn_window *win = &g->win;
    const int64_t block_size = s->m * LANES;
    const int whole = row % LANES == 0 && rows % LANES == 0;
    float *out = s->x;
    for (int64_t line = s->line; line < s->line + s->lines; line++) {
        const source_t from = source_of(win, line, run, g->runs);
        const float *in = from.inside ? x + from.row * win->w * win->c : x;
        const int64_t end = from.inside ? win->w * win->c : 0;
        int64_t at = from.at + first;
        for (int64_t q = 0; q < win->q; q++, at += win->step_w * win->c, out += LANES) {
            if (at >= 0 && at + rows <= end && whole)
                put_blocks(in + at, rows, block_size, out + row * s->m);
            else if (at >= 0 && at + rows <= end)
                put_values(in + at, row, rows, block_size, out);
            else
                put_border(in, at, end, row, rows, block_size, out);
        }
    }
}

/* Rows [lo, hi) of a group, which may be of several runs. */
static void gather(const weights_t *g, const strip_t *s, const float *x, int64_t lo, int64_t hi)
{
    for (int64_t row = lo, rows; row < hi; row += rows) {
        rows = cnn_min(hi - row, g->kc - row % g->kc);
        gather_run(g, s, x, row / g->kc, row % g->kc, row - lo, rows);
    }
}

/* How the tile reads the pixels of a strip: `runs` times kc of them, `step` floats apart. */
typedef struct {
    int64_t runs, kc, step;
    const int64_t *run;
} pixels_t;

static pixels_t gathered_pixels(const strip_t *s)
{
    static const int64_t no_offset[1] = {0};
    return (pixels_t){1, s->m, LANES, no_offset};
}

/* Copy the strip; each of its lines is a run of pixels. */
static pixels_t copied_pixels(const weights_t *g, const strip_t *s, const float *x, const copy_t *t)
{
    cnn_window_bases(&g->win, &g->cut, x, s->line, s->line + s->lines, t->copy, t->bases);
    cnn_window_runs(&g->win, &g->cut, t->run);
    for (int64_t i = 0; i < s->lines; i++)
        t->line[i] = t->bases[i * g->win.q] - t->bases[0];
    return (pixels_t){s->lines, g->win.q, g->win.step_w * g->win.c, t->line};
}

/* The tile of `height` rows from dw on, and a part of what is ahead. */
static void weights_tile(const weights_t *g, const pixels_t *p, const float *const *rows, int64_t height,
                         cnn_panel panel, const float *dy, int64_t dy_step, int accumulate, ahead_t ahead, float *dw)
{
    const cnn_epilogue e = {.first = panel.first,
                            .cols = panel.cols,
                            .b_step = dy_step,
                            .accumulate = accumulate,
                            .next = ahead.from,
                            .next_step = cnn_ceil_div(ahead.bytes, p->runs * p->kc)};
    float *c[CNN_MAX_MR];
    for (int64_t i = 0; i < height; i++)
        c[i] = dw + i * g->k;
    cnn_k->tile[panel.nv][height](1, p->runs, p->run, p->kc, rows, p->step, dy, c, &e);
}

/* Panel j of a group's dy in the strip, and from row to row of it. */
static const float *panel_of(const weights_t *g, const strip_t *s, const float *dy, int64_t group, int64_t j,
                             int64_t *step)
{
    const cnn_panel panel = cnn_panel_at(&g->panels, j);
    if (j < g->in_place) {
        *step = g->k;
        return dy + s->line * g->win.q * g->k + group * g->kg + panel.first;
    }
    *step = (int64_t)panel.nv * cnn_k->vl;
    return s->dy + (group * cnn_packed_cols(g->kg) + panel.first) * s->m;
}

/* What unit u of [lo, hi), on panel j from `dy` on, fetches. Of a panel that lies in place the first units fetch the next
 * strip's, as many columns each as a tile fetches with a row; the others, and all where dy is packed, take turns with x
 * and dy. */
static ahead_t ahead_of(const weights_t *g, const strip_t *s, int64_t u, int64_t lo, int64_t hi, int64_t j,
                        const float *dy)
{
    const int64_t in_block = g->band * g->tiles, cols = cnn_k->vl == 16 ? 32 : 16;
    const int64_t at = ((u / in_block - lo / in_block) * g->tiles + u % g->tiles) * cols;
    if (j < g->in_place && at < cnn_panel_at(&g->panels, j).cols)
        return (ahead_t){(const char *)(dy + s->m * g->k + at), s->m * g->k * (int64_t)sizeof(float)};
    const ahead_t *all = &s->ahead[j < g->in_place ? 0 : u % 2];
    return (ahead_t){all->from + all->bytes * (u - lo) / (hi - lo), 2 * all->bytes / (hi - lo)};
}

/* Units [lo, hi) of (group, band, block, panel, tile) for the strip, added to dw or not. */
static void weights_strip(const weights_t *g, const strip_t *s, const float *x, const float *dy, int64_t lo, int64_t hi,
                          int adds, float *dw)
{
    const int64_t in_block = g->band * g->tiles, all = g->runs * g->kc;
    const copy_t copy = copy_of(g, (char *)s->x);
    const pixels_t p = g->copied ? copied_pixels(g, s, x, &copy) : gathered_pixels(s);
    for (int64_t u = lo, from = 0, until = 0; u < hi; u++) { /* blocks [from, until), counted on, are gathered */
        const int64_t at = u / in_block, block = at % g->blocks, band = at / g->blocks, row = block * LANES;
        const int64_t group = band / g->bands, j = band % g->bands * g->band + u / g->tiles % g->band;
        if (j >= g->panels.count)
            continue;
        if (!g->copied && at >= until) {
            from = at;
            until = cnn_min(at + cnn_min(TOGETHER, g->blocks - block), cnn_ceil_div(hi, in_block));
            gather(g, s, x + group * g->win.depth, row, cnn_min(row + (until - from) * LANES, all));
        }
        int64_t first, last;
        cnn_part_at(u % g->tiles, g->tiles, cnn_min(LANES, all - row), &first, &last);
        if (first == last)
            continue;
        const float *rows[LANES];
        for (int64_t i = first; i < last; i++)
            rows[i - first] = g->copied ? copy.bases[0] + copy.run[(row + i) / g->kc] + (row + i) % g->kc
                                        : s->x + (at - from) * s->m * LANES + i;
        int64_t step;
        const float *b = panel_of(g, s, dy, group, j, &step);
        weights_tile(g, &p, rows, last - first, cnn_panel_at(&g->panels, j), b, step, adds,
                     ahead_of(g, s, u, lo, hi, j, b), dw + (row + first) * g->k + group * g->kg);
    }
}

/* The team's sums over strips [first, last). */
static void weights_strips(const weights_t *g, int64_t first, int64_t last, const float *x, const float *dy, float *dw,
                           cnn_team *team)
{
    const int meet = g->in_place < g->panels.count; /* they pack for each other, at the ends of their panels at least */
    int64_t lo, hi;
    cnn_team_range(team, g->groups * g->bands * g->blocks * g->band * g->tiles, &lo, &hi);
    for (int64_t i = first; i < last; i++) {
        const strip_t s = strip_at(g, x, dy, i, team);
        if (i > first && meet)
            cnn_team_barrier(team); /* nobody reads the strip before any more */
        pack_strip(g, &s, dy, team);
        if (meet)
            cnn_team_barrier(team);
        weights_strip(g, &s, x, dy, lo, hi, i > first, dw);
    }
}

/* The thread's share of chunks, each as if it were alone, then of their sum. */
static void weights_chunks(const weights_t *g, const float *x, const float *dy, float *dw, cnn_team *team)
{
    cnn_team alone = {.size = 1, .local = team->local, .shared = team->local + rows_bytes(g)};
    float *partial = (float *)team->shared;
    int64_t lo, hi;
    cnn_team_range(team, g->chunks, &lo, &hi);
    for (int64_t i = lo; i < hi; i++)
        weights_strips(g, g->strips * i / g->chunks, g->strips * (i + 1) / g->chunks, x, dy, partial + i * g->size,
                       &alone);
    cnn_team_barrier(team);
    cnn_team_range_grain(team, g->size, LANES, &lo, &hi);
    cnn_join(g->chunks, g->size, lo, hi, partial, dw);
}

void cnn_conv2d_bwd_weights(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_conv2d *d = desc;
    const float *x = buf[0], *dy = buf[1];
    float *dw = buf[2];
    if (d->algorithm != CNN_DIRECT) {
        const cnn_winograd w = cnn_conv_winograd(d, 0);
        cnn_winograd_weights(&w, x, dy, dw, team);
        return;
    }
    if (d->n * d->o * d->p * d->q == 0) {
        if (team->id == 0)
            memset(dw, 0, (size_t)(d->t * d->r * d->s * (d->c / d->groups) * d->k) * sizeof(float));
        return;
    }
    if (cnn_narrow_applies_to_weights(d)) {
        cnn_narrow_weights(d, buf, team);
        return;
    }
    const weights_t g = weights_problem(d, team->size);
    if (g.chunks > 1)
        weights_chunks(&g, x, dy, dw, team);
    else
        weights_strips(&g, 0, g.strips, x, dy, dw, team);
}
