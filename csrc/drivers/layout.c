/* Moving elements: no arithmetic but the sums of scatter_add. */
#include "cnn/layout.h"

#include <string.h>

#include "core/kernels.h"
#include "core/team.h"
#include "drivers/integers.h"
#include "drivers/walk.h"

enum { GRAIN = 1024, SIDE = 256, LANES = 16, FETCH = 1024, AHEAD = 4 };

static int64_t product(const int64_t *dims, int64_t n)
{
    int64_t total = 1;
    for (int64_t i = 0; i < n; i++)
        total *= dims[i];
    return total;
}

static void copy(float *y, const float *x, int64_t n)
{
    memcpy(y, x, (size_t)n * sizeof(float));
}

/* The axis of y that is contiguous in x, if it is not the last. */
static int64_t crossing_axis(const cnn_walk *w)
{
    for (int64_t axis = 0; axis < w->ndim - 1; axis++)
        if (w->stride[0][axis] == 1)
            return axis;
    return -1;
}

/* Planes of y's last axis and `axis`, one for each index of the other axes, cut into pieces that fit the cache: SIDE
 * rows of x and as many columns, or more of one where there are fewer of the other. */
static void transpose_planes(const cnn_walk *w, int64_t axis, const float *x, float *y, cnn_team *team)
{
    int64_t pitch = product(w->dims + axis + 1, w->ndim - axis - 1), height = cnn_walk_inner(w), width = w->dims[axis];
    int64_t wide = width < SIDE ? width : SIDE, tall = cnn_limited(height, 1, SIDE * SIDE / wide / LANES * LANES);
    wide = cnn_limited(SIDE * SIDE / tall / LANES * LANES, 1, width);
    int64_t down = (height + tall - 1) / tall, across = (width + wide - 1) / wide, middle = pitch / height, lo, hi;
    int64_t step = w->stride[0][w->ndim - 1];
    cnn_team_range(team, w->count / width / height * across * down, &lo, &hi);
    for (int64_t item = lo; item < hi; item++) {
        int64_t plane = item / (across * down), i = item % down * tall, j = item / down % across * wide;
        int64_t first = plane / middle * width * pitch + plane % middle * height;
        const float *from = x + cnn_walk_offset(w, 0, first);
        cnn_k->transpose(cnn_limited(height - i, 0, tall), cnn_limited(width - j, 0, wide), from + i * step + j, step,
                         y + first + j * pitch + i, pitch);
    }
}

static void transpose(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_transpose *d = desc;
    cnn_walk w;
    int64_t lo, hi;
    cnn_walk_start(&w);
    for (int64_t axis = 0; axis < d->ndim; axis++)
        cnn_walk_axis(&w, d->dims[axis], d->stride[axis], d->stride[axis]);
    cnn_walk_end(&w);
    int64_t axis = crossing_axis(&w);
    if (w.count == 0)
        return;
    if (axis >= 0) {
        transpose_planes(&w, axis, buf[0], buf[1], team);
        return;
    }
    cnn_team_range_grain(team, w.count, GRAIN, &lo, &hi);
    cnn_walk_gather(&w, 0, lo, hi - lo, buf[0], (int32_t *)buf[1] + lo);
}

/* Index `i` of an array (dims) taken apart, the last axis left out of i. */
static void row_index(int64_t i, const int64_t *dims, int64_t ndim, int64_t *index)
{
    for (int64_t axis = ndim - 2; axis >= 0; axis--) {
        index[axis] = i % dims[axis];
        i /= dims[axis];
    }
}

/* A row of y is `value`, or a row of x with `value` at both ends. */
static void pad_row(const cnn_pad *d, int64_t row, const float *x, float *y)
{
    int64_t out[CNN_MAX_DIMS], index[CNN_MAX_DIMS], last = d->ndim - 1, from = 0;
    for (int64_t axis = 0; axis < d->ndim; axis++)
        out[axis] = d->before[axis] + d->dims[axis] + d->after[axis];
    row_index(row, out, d->ndim, index);
    for (int64_t axis = 0; axis < last; axis++) {
        int64_t at = index[axis] - d->before[axis];
        if (at < 0 || at >= d->dims[axis]) {
            cnn_k->fill(out[last], (float)d->value, y);
            return;
        }
        from = from * d->dims[axis] + at;
    }
    cnn_k->fill(d->before[last], (float)d->value, y);
    copy(y + d->before[last], x + from * d->dims[last], d->dims[last]);
    cnn_k->fill(d->after[last], (float)d->value, y + d->before[last] + d->dims[last]);
}

static void pad(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_pad *d = desc;
    int64_t last = d->ndim - 1, rows = 1, lo, hi;
    float *y = buf[1];
    for (int64_t axis = 0; axis < last; axis++)
        rows *= d->before[axis] + d->dims[axis] + d->after[axis];
    int64_t cols = d->before[last] + d->dims[last] + d->after[last];
    cnn_team_range(team, rows, &lo, &hi);
    for (int64_t row = lo; row < hi; row++)
        pad_row(d, row, buf[0], y + row * cols);
}

static void slice(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_slice *d = desc;
    const float *x = buf[0];
    float *y = buf[1];
    int64_t index[CNN_MAX_DIMS], last = d->ndim - 1, cols = d->out[last], lo, hi;
    cnn_team_range(team, product(d->out, last), &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        int64_t from = 0;
        row_index(row, d->out, d->ndim, index);
        for (int64_t axis = 0; axis < last; axis++)
            from = from * d->dims[axis] + d->start[axis] + index[axis] * d->step[axis];
        const float *p = x + from * d->dims[last] + d->start[last];
        if (d->step[last] == 1)
            copy(y + row * cols, p, cols);
        else
            for (int64_t i = 0; i < cols; i++)
                y[row * cols + i] = p[i * d->step[last]];
    }
}

/* Is cell `at` of an axis one that the slice takes, and which? -1: it is not. */
static int64_t taken(const cnn_slice *d, int64_t axis, int64_t at)
{
    int64_t off = at - d->start[axis], i = off / d->step[axis];
    return off % d->step[axis] == 0 && i >= 0 && i < d->out[axis] ? i : -1;
}

/* A row of dx: zero, but where the slice takes it `dy`, unless that is NULL. */
static void unslice_row(const cnn_slice *d, float *dx, const float *dy)
{
    const int64_t last = d->ndim - 1, cols = d->dims[last], start = d->start[last], count = d->out[last];
    if (dy == NULL || d->step[last] != 1) {
        cnn_k->fill(cols, 0.0f, dx);
        for (int64_t i = 0; dy != NULL && i < count; i++)
            dx[start + i * d->step[last]] = dy[i];
        return;
    }
    cnn_k->fill(start, 0.0f, dx);
    copy(dx + start, dy, count);
    cnn_k->fill(cols - start - count, 0.0f, dx + start + count);
}

/* Row by row of dx, so that each is written once. */
static void unslice(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_slice *d = desc;
    const float *dy = buf[0];
    int64_t index[CNN_MAX_DIMS], last = d->ndim - 1, lo, hi;
    cnn_team_range(team, product(d->dims, last), &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        float *dx = (float *)buf[1] + row * d->dims[last];
        int64_t from = 0, inside = 1;
        row_index(row, d->dims, d->ndim, index);
        for (int64_t axis = 0; axis < last; axis++) {
            int64_t i = taken(d, axis, index[axis]);
            inside &= i >= 0;
            from = from * d->out[axis] + i;
        }
        unslice_row(d, dx, inside ? dy + from * d->out[last] : NULL);
    }
}

static void concat(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_concat *d = desc;
    float *y = buf[d->count];
    int64_t total = 0, lo, hi;
    for (int64_t i = 0; i < d->count; i++)
        total += d->sizes[i];
    cnn_team_range(team, d->outer, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        float *out = y + row * total;
        for (int64_t i = 0; i < d->count; out += d->sizes[i], i++)
            copy(out, (const float *)buf[i] + row * d->sizes[i], d->sizes[i]);
    }
}

/* Fetch a row of x: rows in no order are nothing the hardware sees coming. */
static void fetch(const float *x, const cnn_gather *d, int64_t row)
{
    for (int64_t j = 0; j < d->cols && j < FETCH; j += LANES)
        __builtin_prefetch(x + row * d->cols + j);
}

static int is_row(const cnn_gather *d, int64_t index)
{
    return index >= 0 && index < d->rows;
}

static void gather(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_gather *d = desc;
    const float *x = buf[0];
    const int32_t *index = buf[1];
    float *y = buf[2];
    int64_t lo, hi;
    cnn_team_range(team, d->count, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        if (i + AHEAD < hi && is_row(d, index[i + AHEAD]))
            fetch(x, d, index[i + AHEAD]);
        if (is_row(d, index[i]))
            copy(y + i * d->cols, x + index[i] * d->cols, d->cols);
        else
            cnn_k->fill(d->cols, __builtin_nanf(""), y + i * d->cols);
    }
}

/* The numbers of the indices that name rows [lo, hi), row by row and each row's in order: `order` from *begin on, and
 * end[row] is where those of a row end. (Counting sort; every thread counts all indices and writes its own.) */
static void sort_indices(const cnn_gather *d, const int32_t *index, int64_t lo, int64_t hi, int64_t *begin,
                         int64_t *end, int64_t *order)
{
    int64_t start = 0;
    memset(end + lo, 0, (size_t)(hi - lo) * sizeof *end);
    for (int64_t i = 0; i < d->count; i++) {
        start += index[i] >= 0 && index[i] < lo;
        if (index[i] >= lo && index[i] < hi)
            end[index[i]]++;
    }
    *begin = start;
    for (int64_t row = lo; row < hi; row++) {
        int64_t number = end[row];
        end[row] = start;
        start += number;
    }
    for (int64_t i = 0; i < d->count; i++)
        if (index[i] >= lo && index[i] < hi)
            order[end[index[i]]++] = i;
}

/* Each thread owns rows of dx and finishes one after the other, so that none is fetched from memory and written back
 * once for each index that names it. */
static void scatter_add(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_gather *d = desc;
    const float *dy = buf[0];
    float *dx = buf[2];
    int64_t *end = (int64_t *)team->shared, *order = end + d->rows, lo, hi, at;
    cnn_team_range(team, d->rows, &lo, &hi);
    if (lo == hi)
        return;
    sort_indices(d, buf[1], lo, hi, &at, end, order);
    for (int64_t row = lo; row < hi; row++) {
        cnn_k->fill(d->cols, 0.0f, dx + row * d->cols);
        for (; at < end[row]; at++) {
            if (at + AHEAD < end[hi - 1])
                fetch(dy, d, order[at + AHEAD]);
            cnn_k->accumulate(d->cols, dy + order[at] * d->cols, dx + row * d->cols);
        }
    }
}

static cnn_workspace scatter_workspace(const void *desc)
{
    const cnn_gather *d = desc;
    return (cnn_workspace){.shared = (size_t)(d->rows + d->count) * sizeof(int64_t)};
}

static void one_hot(const void *desc, void *const *buf, cnn_team *team)
{
    const cnn_gather *d = desc;
    const int32_t *index = buf[0];
    float *y = buf[1];
    int64_t lo, hi;
    cnn_team_range(team, d->count, &lo, &hi);
    cnn_k->fill((hi - lo) * d->cols, 0.0f, y + lo * d->cols);
    for (int64_t i = lo; i < hi; i++)
        if (index[i] >= 0 && index[i] < d->cols)
            y[i * d->cols + index[i]] = 1.0f;
}

const cnn_op cnn_ops_layout[] = {
    {"transpose", CNN_FIELD_NAMES(CNN_TRANSPOSE_FIELDS), "x -> y", transpose, NULL},
    {"pad", CNN_FIELD_NAMES(CNN_PAD_FIELDS), "x -> y", pad, NULL},
    {"slice", CNN_FIELD_NAMES(CNN_SLICE_FIELDS), "x -> y", slice, NULL},
    {"unslice", CNN_FIELD_NAMES(CNN_SLICE_FIELDS), "dy -> dx", unslice, NULL},
    {"concat", CNN_FIELD_NAMES(CNN_CONCAT_FIELDS), "*xs -> y", concat, NULL},
    {"gather", CNN_FIELD_NAMES(CNN_GATHER_FIELDS), "x index -> y", gather, NULL},
    {"scatter_add", CNN_FIELD_NAMES(CNN_GATHER_FIELDS), "dy index -> dx", scatter_add, scatter_workspace},
    {"one_hot", CNN_FIELD_NAMES(CNN_GATHER_FIELDS), "index -> y", one_hot, NULL},
    {0},
};
