#include "core/program.h"

#include "core/team.h"

#include <string.h>
#include <time.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define FAMILIES(F)                                                                                                    \
    F(matmul)                                                                                                          \
    F(conv2d)                                                                                                          \
    F(depthwise2d)                                                                                                     \
    F(depthwise_block)                                                                                                 \
    F(pool2d)                                                                                                          \
    F(batch_norm) F(layer_norm) F(group_norm) F(elementwise) F(reduce) F(softmax) F(layout) F(random) F(update)

#define DECLARE(family) extern const cnn_op cnn_ops_##family[];
FAMILIES(DECLARE)

#define ADDRESS(family) cnn_ops_##family,
static const cnn_op *const families[] = {FAMILIES(ADDRESS)};

const cnn_op *cnn_op_at(int64_t i)
{
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const cnn_op *op = families[f]; op->name; op++)
            if (i-- == 0)
                return op;
    return NULL;
}

const cnn_op *cnn_op_find(const char *name)
{
    const cnn_op *op;
    for (int64_t i = 0; (op = cnn_op_at(i)) != NULL; i++)
        if (strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

/* Denormals to zero and round to nearest while a program runs, whatever the caller's thread is set to: denormals
 * cost tens of cycles each, and bits must not depend on what another library left in the register. */
static unsigned enter_float_mode(void)
{
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8040); /* all exceptions masked, nearest; flush to zero, denormals are zero */
    return before;
#else
    return 0;
#endif
}

static void leave_float_mode(unsigned before)
{
#if defined(__SSE2__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

typedef struct {
    const cnn_program *program;
    const cnn_run *run;
    /* All threads leave after so many steps: set by the first one before the last of them is over. A thread that is late
     * to look after an earlier barrier may see it already, so a mere flag would make it leave one step before the
     * others. */
    volatile int64_t last;
} context_t;

/* How far a thread is, and what only the first one does. */
typedef struct {
    context_t *c;
    cnn_team *team;
    int64_t done, asked, began; /* steps; when it last asked for signals; when the step began that is timed */
    int asks, times;
} walker_t;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_step(const context_t *c, const cnn_step *step, int64_t round, cnn_team *team)
{
    void *buffers[CNN_MAX_BUFFERS];
    for (int64_t i = 0; i < step->count; i++) {
        const cnn_ref ref = c->program->refs[step->first + i];
        buffers[i] = ref.base < 0 ? NULL : (char *)c->run->bases[ref.base] + ref.offset + round * ref.stride;
    }
    step->op->run(step->desc, buffers, team);
}

static void ask(walker_t *w)
{
    enum { ASK_EVERY_NS = 20000000 };
    const int64_t now = now_ns();
    if (now - w->asked < ASK_EVERY_NS)
        return;
    if (w->c->run->interrupted())
        w->c->last = w->done;
    w->asked = now;
}

/* 0 when the run is given up. */
static int walk_step(walker_t *w, int64_t i, int64_t round)
{
    run_step(w->c, &w->c->program->steps[i], round, w->team);
    w->done++;
    if (w->asks && i + 1 < w->c->program->commit)
        ask(w);
    cnn_team_barrier(w->team);
    if (w->times) {
        const int64_t now = now_ns();
        w->c->run->step_ns[i] += now - w->began;
        w->began = now;
    }
    return w->done != w->c->last;
}

static int walk_section(walker_t *w, int64_t first, cnn_section section)
{
    for (int64_t round = 0; round < section.rounds; round++)
        for (int64_t i = first; i < section.end; i++)
            if (!walk_step(w, i, round))
                return 0;
    return 1;
}

static void walk(cnn_team *team, void *arg)
{
    context_t *c = arg;
    const cnn_program *p = c->program;
    team->shared = c->run->shared;
    team->local = c->run->local + (size_t)team->id * c->run->local_bytes;
    walker_t w = {.c = c, .team = team};
    w.asks = team->id == 0 && c->run->interrupted != NULL;
    w.times = team->id == 0 && c->run->step_ns != NULL;
    w.asked = w.began = w.asks || w.times ? now_ns() : 0;
    const unsigned mode = enter_float_mode();
    for (int64_t s = 0, first = 0; s < p->sections && walk_section(&w, first, p->section[s]); s++)
        first = p->section[s].end;
    leave_float_mode(mode);
}

int cnn_program_run(const cnn_program *program, const cnn_run *run)
{
    context_t context = {program, run, 0};
    cnn_team_run(run->threads, walk, &context);
    return context.last != 0;
}
