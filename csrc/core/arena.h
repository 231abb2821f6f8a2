/* Memory of programs: 64-byte aligned, and on huge pages where it is large enough to gain from them. */
#ifndef CNN_ARENA_H
#define CNN_ARENA_H

#include <stddef.h>

void *cnn_arena_alloc(size_t bytes);             /* NULL when there is none */
void cnn_arena_free(void *memory, size_t bytes); /* as many as were asked for */

#endif
