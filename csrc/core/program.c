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
    /* The step after which all threads leave: set by the first one before that step's barrier. A thread that is late to
     * look after an earlier barrier may see it already, so a mere flag would make it leave one step before the others. */
    volatile int64_t last;
} context_t;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_step(const context_t *c, const cnn_step *step, cnn_team *team)
{
    void *buffers[CNN_MAX_BUFFERS];
    for (int64_t i = 0; i < step->count; i++) {
        const cnn_ref ref = c->program->refs[step->first + i];
        buffers[i] = ref.base < 0 ? NULL : (char *)c->run->bases[ref.base] + ref.offset;
    }
    step->op->run(step->desc, buffers, team);
}

static void walk(cnn_team *team, void *arg)
{
    enum { ASK_EVERY_NS = 20000000 };
    context_t *c = arg;
    team->shared = c->run->shared;
    team->local = c->run->local + (size_t)team->id * c->run->local_bytes;
    const unsigned mode = enter_float_mode();
    const int asks = team->id == 0 && c->run->interrupted != NULL;
    int64_t asked = asks ? now_ns() : 0;
    int64_t *const step_ns = team->id == 0 ? c->run->step_ns : NULL;
    int64_t began = step_ns ? now_ns() : 0;
    for (int64_t i = 0; i < c->program->count; i++) {
        run_step(c, &c->program->steps[i], team);
        if (asks && i + 1 < c->program->commit && now_ns() - asked >= ASK_EVERY_NS) {
            if (c->run->interrupted())
                c->last = i;
            asked = now_ns();
        }
        cnn_team_barrier(team);
        if (step_ns) {
            const int64_t ended = now_ns();
            step_ns[i] = ended - began;
            began = ended;
        }
        if (i == c->last)
            break;
    }
    leave_float_mode(mode);
}

int cnn_program_run(const cnn_program *program, const cnn_run *run)
{
    context_t context = {program, run, program->count};
    cnn_team_run(run->threads, walk, &context);
    return context.last < program->count;
}
