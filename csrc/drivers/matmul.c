#include "cnn/matmul.h"
#include "drivers/share.h"

/* Strips of about this many bytes of A stay in L2 while the panels of B go by. */
enum { STRIP_BYTES = 256 * 1024, LANES = 16, WIDE = 1024 };

static int64_t strip_rows(const cnn_matmul *d)
{
    const int64_t depth = d->k < CNN_DEEP ? cnn_max(d->k, 1) : CNN_DEPTH, fit = STRIP_BYTES / (4 * depth);
    return cnn_equal_part(d->m, cnn_max(fit, 4 * cnn_k->mr_max[cnn_k->nv_max]));
}

static int has_few_rows(const cnn_matmul *d)
{
    return d->m <= 4 * cnn_k->mr_max[cnn_k->nv_max];
}

/* Few rows do not repay packing B; it is then read as it lies. */
static int reads_plain(const cnn_matmul *d)
{
    return !d->packed && !d->tb && has_few_rows(d) && d->n >= cnn_k->vl;
}

/* Rows of A whose distance is a multiple of 4 KB fall into one set of L1 each; where the product is wide enough to repay
 * it they are copied to lie a cache line further apart. */
static int rows_alias(const cnn_matmul *d)
{
    return !d->ta && d->k > 0 && d->k % 1024 == 0 && d->n >= WIDE && !has_few_rows(d);
}

static int64_t row_pitch(const cnn_matmul *d)
{
    return rows_alias(d) ? d->k + LANES : d->k;
}

static size_t table_bytes(const cnn_matmul *d)
{
    return cnn_align64((size_t)strip_rows(d) * sizeof(void *));
}

/* Of a strip's rows of A, where they are copied. */
static size_t copy_bytes(const cnn_matmul *d)
{
    const int64_t rows = cnn_ceil_div(strip_rows(d), LANES) * LANES;
    return d->ta || rows_alias(d) ? (size_t)(rows * row_pitch(d)) * sizeof(float) : 0;
}

static cnn_workspace matmul_workspace(const void *desc)
{
    const cnn_matmul *d = desc;
    cnn_workspace w = {0, 3 * table_bytes(d) + copy_bytes(d)};
    if (reads_plain(d))
        w.local += CNN_SUMS * sizeof(float);
    else if (!d->packed)
        w.shared = (size_t)(d->k * cnn_packed_cols(d->n)) * sizeof(float);
    return w;
}

static void pack_b(const cnn_matmul *d, const float *b, float *packed, int64_t lo, int64_t hi)
{
    if (d->tb)
        cnn_pack(b, d->k, d->n, 1, d->k, packed, 0, d->k, lo, hi);
    else
        cnn_pack(b, d->k, d->n, d->n, 1, packed, 0, d->k, lo, hi);
}

/* Make the b of one product ready for the sweep: packed by the team, or read where it lies. */
static void prepare_b(const cnn_matmul *d, const float *b, cnn_strip *strip, cnn_team *team)
{
    strip->b = b;
    if (d->packed)
        return;
    if (reads_plain(d)) {
        strip->b_step = d->n;
        strip->sums = (float *)(team->local + 3 * table_bytes(d) + copy_bytes(d));
        return;
    }
    int64_t lo, hi;
    cnn_team_range(team, cnn_panel_count(d->n), &lo, &hi);
    pack_b(d, b, (float *)team->shared, lo, hi);
    cnn_team_barrier(team);
    strip->b = (float *)team->shared;
}

/* Rows m0, m0 + 1, ... of a stored transposed, as blocks [k][LANES]: at the pitch of a they would share few cache sets. */
static void copy_lanes(const cnn_matmul *d, const float *a, int64_t m0, int64_t m, float *out)
{
    for (int64_t first = 0; first < m; first += LANES, out += LANES * d->k)
        for (int64_t i = 0; i < d->k; i++)
            cnn_copy(out + i * LANES, a + i * d->m + m0 + first, cnn_min(LANES, m - first));
}

static void copy_rows(const cnn_matmul *d, const float *a, int64_t m0, int64_t m, float *out)
{
    for (int64_t i = 0; i < m; i++)
        cnn_copy(out + i * row_pitch(d), a + (m0 + i) * d->k, d->k);
}

/* Where row i of the strip from row m0 on begins. */
static const float *row_of(const cnn_matmul *d, const float *a, const float *copy, int64_t m0, int64_t i)
{
    if (d->ta)
        return copy + i / LANES * LANES * d->k + i % LANES;
    return rows_alias(d) ? copy + i * row_pitch(d) : a + (m0 + i) * d->k;
}

static void fill_rows(const cnn_matmul *d, cnn_strip *strip, const float *a, const float *addend, float *y, int64_t m0,
                      float *copy)
{
    if (d->ta)
        copy_lanes(d, a, m0, strip->m, copy);
    else if (rows_alias(d))
        copy_rows(d, a, m0, strip->m, copy);
    for (int64_t i = 0; i < strip->m; i++) {
        strip->rows[i] = row_of(d, a, copy, m0, i);
        strip->c[i] = y + (m0 + i) * d->n;
        if (strip->addend)
            strip->addend[i] = addend + (m0 + i) * d->n;
    }
}

/* The thread's share of one product. */
static void multiply(const cnn_matmul *d, const cnn_strip *tables, const float *a, const float *addend, float *y,
                     const cnn_team *team)
{
    const cnn_share share = cnn_share_of(team, d->m, 1, 1, tables->panels, d->n > d->m);
    cnn_strips strips = cnn_share_strips(&share, 1, strip_rows(d));
    float *copy = (float *)(team->local + 3 * table_bytes(d));
    while (cnn_strips_next(&strips)) {
        const cnn_piece *piece = &strips.piece;
        cnn_strip strip = *tables;
        strip.m = piece->rows.hi - piece->rows.lo;
        fill_rows(d, &strip, a, addend, y, piece->rows.lo, copy);
        cnn_strip_sweep(&strip, piece->first, piece->last);
    }
}

static void matmul_fwd(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_matmul *d = desc;
    const float *a = buf[0], *b = buf[1], *bias = buf[2], *addend = buf[3];
    float *y = buf[4];
    static const int64_t no_offset[1] = {0};
    const size_t table = table_bytes(d);
    cnn_strip strip = {.rows = (void *)team->local,
                       .c = (void *)(team->local + table),
                       .addend = addend ? (void *)(team->local + 2 * table) : NULL,
                       .runs = 1,
                       .run = no_offset,
                       .kc = d->k,
                       .a_step = d->ta ? LANES : 1,
                       .panels = cnn_panels_of(d->n),
                       .bias = bias,
                       .act = d->act,
                       .alpha = d->alpha,
                       .beta = d->beta};
    const int64_t b_size = d->packed ? d->k * cnn_packed_cols(d->n) : d->k * d->n;
    for (int64_t i = 0; i < d->batch; i++) {
        if (i == 0 || d->b_batched) {
            if (i > 0)
                cnn_team_barrier(team); /* the last product still reads the packed b */
            prepare_b(d, b + (d->b_batched ? i * b_size : 0), &strip, team);
        }
        multiply(d, &strip, a + i * d->m * d->k, addend ? addend + i * d->m * d->n : NULL, y + i * d->m * d->n, team);
    }
}

static void matmul_pack(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_matmul *d = desc;
    int64_t lo, hi;
    cnn_team_range(team, cnn_panel_count(d->n), &lo, &hi);
    for (int64_t i = 0; i < (d->b_batched ? d->batch : 1); i++)
        pack_b(d, (const float *)buf[0] + i * d->k * d->n, (float *)buf[1] + i * d->k * cnn_packed_cols(d->n), lo, hi);
}

const cnn_op cnn_ops_matmul[] = {
    {"matmul_fwd", CNN_FIELD_NAMES(CNN_MATMUL_FIELDS), "a b bias? addend? -> y", matmul_fwd, matmul_workspace},
    {"matmul_pack", CNN_FIELD_NAMES(CNN_MATMUL_FIELDS), "b -> packed", matmul_pack, NULL},
    {0},
};
