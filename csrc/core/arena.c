#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "core/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, WORTH_HUGE = 4 << 20 };

void *cnn_arena_alloc(size_t bytes)
{
    void *memory = NULL;
    if (bytes > SIZE_MAX - HUGE_PAGE)
        return NULL;
    const size_t alignment = bytes >= WORTH_HUGE ? HUGE_PAGE : 64;
    const size_t size = (bytes + alignment - 1) / alignment * alignment;
    if (posix_memalign(&memory, alignment, size ? size : alignment) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= WORTH_HUGE)
        madvise(memory, size, MADV_HUGEPAGE); /* advice only: without it all works, a little slower */
#endif
    return memory;
}

void cnn_arena_free(void *memory)
{
    free(memory);
}
