#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* A sense-reversing barrier. Threads spin for a while (steps are short), then yield: on a machine with
 * fewer free cores than threads the others must get their turn. */
typedef struct {
    _Alignas(64) atomic_int waiting;
    _Alignas(64) atomic_int generation;
    int size;
} barrier_t;

enum { SPINS = 4000 };

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

void cnn_team_barrier(cnn_team *team)
{
    barrier_t *b = team->barrier;
    if (team->size == 1)
        return;
    int generation = atomic_load_explicit(&b->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&b->waiting, 1, memory_order_acq_rel) == b->size - 1) {
        atomic_store_explicit(&b->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&b->generation, generation + 1, memory_order_release);
        return;
    }
    for (int spin = 0; atomic_load_explicit(&b->generation, memory_order_acquire) == generation; spin++) {
        if (spin < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
}

typedef struct {
    int threads;
    void (*body)(cnn_team *, void *);
    void *arg;
} region_t;

static void run_alone(const region_t *region)
{
    cnn_team team = {.id = 0, .size = 1};
    region->body(&team, region->arg);
}

#ifdef _OPENMP

static void run_region(const region_t *region)
{
    barrier_t barrier = {.size = 0};
#pragma omp parallel num_threads(region->threads)
    {
        /* The runtime may grant fewer threads than asked for; bits do not depend on how many. */
#pragma omp single
        barrier.size = omp_get_num_threads();
        cnn_team team = {.id = omp_get_thread_num(), .size = barrier.size, .barrier = &barrier};
        region->body(&team, region->arg);
    }
}

static void *lead(void *region)
{
    run_region(region);
    return NULL;
}

/* libgomp's threads do not survive fork(), and a region opened by the child's first thread waits for them
 * for ever (GCC PR 60035). A region opened from a fresh thread of the child gets a fresh pool. */
static int run_from_fresh_thread(region_t *region)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, lead, region) != 0)
        return -1;
    pthread_join(thread, NULL);
    return 0;
}

void cnn_team_run(int threads, void (*body)(cnn_team *, void *), void *arg)
{
    static _Atomic pid_t owner; /* the process whose threads libgomp has */
    region_t region = {threads, body, arg};
    if (threads <= 1) {
        run_alone(&region);
        return;
    }
    pid_t none = 0, self = getpid();
    if (atomic_compare_exchange_strong(&owner, &none, self) || none == self)
        run_region(&region);
    else if (run_from_fresh_thread(&region) != 0)
        run_alone(&region);
}

int cnn_team_openmp(void)
{
    return 1;
}

#else

void cnn_team_run(int threads, void (*body)(cnn_team *, void *), void *arg)
{
    (void)threads;
    run_alone(&(region_t){1, body, arg});
}

int cnn_team_openmp(void)
{
    return 0;
}

#endif
