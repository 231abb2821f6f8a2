#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "team.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

/* A barrier by generations. Threads spin for a while (steps are short), then sleep: on a machine with fewer free cores
 * than threads a spinning one would keep the others from their turn. */
typedef struct {
    _Alignas(64) atomic_int waiting;
    _Alignas(64) atomic_int generation;
    atomic_int sleepers;
    int number; /* of the region, counted by hold_back */
} barrier_t;

enum { SPINS = 2000 };

/* For tests: in each region one thread, another one each time, comes late out of every barrier. Where one is missing, the
 * others then compute with what is not there yet, or write what it still reads: always, and not once in a thousand runs. */
#ifdef CNN_HOLD_BACK
static int next_number(void)
{
    static atomic_int regions;
    return atomic_fetch_add(&regions, 1);
}

static void hold_back(const cnn_team *team)
{
    const struct timespec late = {.tv_nsec = 1000 * 1000};
    if (team->size > 1 && team->id == ((barrier_t *)team->barrier)->number % team->size)
        nanosleep(&late, NULL);
}
#else
static int next_number(void)
{
    return 0;
}

static void hold_back(const cnn_team *team)
{
    (void)team;
}
#endif

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#ifdef __linux__
static void sleep_while(atomic_int *word, int value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(atomic_int *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
#else
static void sleep_while(atomic_int *word, int value)
{
    (void)word, (void)value;
    sched_yield();
}

static void wake_all(atomic_int *word)
{
    (void)word;
}
#endif

/* The last to arrive counts the sleepers after it has changed the generation, a sleeper looks at the generation after
 * it has counted itself: one of them sees the other. */
static void wait_for_next(barrier_t *b, int generation)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&b->generation, memory_order_acquire) != generation)
            return;
        pause_cpu();
    }
    atomic_fetch_add(&b->sleepers, 1);
    while (atomic_load(&b->generation) == generation)
        sleep_while(&b->generation, generation);
    atomic_fetch_sub(&b->sleepers, 1);
}

void cnn_team_barrier(cnn_team *team)
{
    barrier_t *b = team->barrier;
    if (team->size == 1)
        return;
    const int generation = atomic_load_explicit(&b->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&b->waiting, 1, memory_order_acq_rel) < team->size - 1) {
        wait_for_next(b, generation);
    } else {
        atomic_store_explicit(&b->waiting, 0, memory_order_relaxed);
        atomic_store(&b->generation, generation + 1);
        if (atomic_load(&b->sleepers) > 0)
            wake_all(&b->generation);
    }
    hold_back(team);
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
    barrier_t barrier = {.number = next_number()};
#pragma omp parallel num_threads(region->threads)
    {
        /* The runtime may grant fewer threads than asked for; bits do not depend on how many. */
        cnn_team team = {.id = omp_get_thread_num(), .size = omp_get_num_threads(), .barrier = &barrier};
        hold_back(&team);
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
