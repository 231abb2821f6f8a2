#include "drivers/share.h"

cnn_share cnn_share_of(const cnn_team *team, int64_t rows, int64_t grain, int64_t groups, cnn_panels panels,
                       int by_columns)
{
    cnn_share s = {.grain = cnn_max(grain, 1), .groups = groups, .panels = panels, .by_columns = by_columns};
    s.rows = rows / s.grain;
    s.vectors = cnn_panel_vector(&panels, panels.count);
    cnn_team_range(team, by_columns ? s.rows * groups * s.vectors : s.rows, &s.lo, &s.hi);
    return s;
}

/* The row of a panel of nv vectors, the first at place `start`, that is nearest to a place in the sequence. */
static int64_t row_at(const cnn_share *s, int64_t place, int64_t start, int64_t nv)
{
    if (place <= start)
        return 0;
    return place < start + s->rows * nv ? (2 * (place - start) + nv) / (2 * nv) : s->rows;
}

/* The thread's rows of one panel. */
static cnn_range rows_of(const cnn_share *s, int64_t group, int64_t j)
{
    if (!s->by_columns)
        return (cnn_range){s->lo * s->grain, s->hi * s->grain};
    const int64_t first = cnn_panel_vector(&s->panels, j), nv = cnn_panel_vector(&s->panels, j + 1) - first;
    const int64_t start = (group * s->vectors + first) * s->rows;
    return (cnn_range){row_at(s, s->lo, start, nv) * s->grain, row_at(s, s->hi, start, nv) * s->grain};
}

/* From the thread's first to its last row of any panel. */
static cnn_range all_rows(const cnn_share *s)
{
    cnn_range all = {s->rows * s->grain, 0};
    for (int64_t group = 0; group < s->groups; group++)
        for (int64_t j = 0; j < s->panels.count; j++) {
            const cnn_range rows = rows_of(s, group, j);
            if (rows.lo < rows.hi)
                all = (cnn_range){cnn_min(all.lo, rows.lo), cnn_max(all.hi, rows.hi)};
        }
    return all;
}

/* The next piece of a strip; the first one if *piece is {0}. 0 when there is none. */
static int next_piece(const cnn_share *s, cnn_range strip, cnn_piece *piece)
{
    int64_t group = piece->group, j = piece->last;
    for (; group < s->groups; group++, j = 0)
        for (; j < s->panels.count; j++) {
            const cnn_range rows = cnn_overlap(strip, rows_of(s, group, j));
            if (rows.lo >= rows.hi)
                continue;
            *piece = (cnn_piece){group, j, j + 1, rows};
            for (; piece->last < s->panels.count; piece->last++) {
                const cnn_range next = cnn_overlap(strip, rows_of(s, group, piece->last));
                if (next.lo != rows.lo || next.hi != rows.hi)
                    break;
            }
            return 1;
        }
    return 0;
}

cnn_strips cnn_share_strips(const cnn_share *share, int64_t unit, int64_t most)
{
    const cnn_range rows = all_rows(share);
    cnn_strips s = {.share = share, .unit = unit, .units = {rows.lo / unit, cnn_ceil_div(rows.hi, unit)}};
    s.count = rows.lo < rows.hi ? cnn_ceil_div(s.units.hi - s.units.lo, most) : 0;
    return s;
}

int cnn_strips_next(cnn_strips *s)
{
    for (; s->next < s->count; s->next++, s->piece = (cnn_piece){0}) {
        cnn_range part;
        cnn_part_at(s->next, s->count, s->units.hi - s->units.lo, &part.lo, &part.hi);
        const cnn_range strip = {(s->units.lo + part.lo) * s->unit, (s->units.lo + part.hi) * s->unit};
        if (next_piece(s->share, strip, &s->piece))
            return 1;
    }
    return 0;
}
