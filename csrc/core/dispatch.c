#include "core/kernels.h"

#include <stddef.h>

const cnn_kernels *cnn_k = &cnn_kernels_generic;

int cnn_stores_far = 0;

static const cnn_kernels *const levels[] = {
    &cnn_kernels_generic,
#ifdef CNN_X86
    &cnn_kernels_avx2,
    &cnn_kernels_avx512,
#endif
};

int cnn_isa_count(void)
{
    return (int)(sizeof levels / sizeof levels[0]);
}

const char *cnn_isa_name(int level)
{
    return levels[level]->isa;
}

int cnn_isa_available(int level)
{
#ifdef CNN_EMULATE /* compiled without the instructions: see CONTRIBUTING.md */
    return level < cnn_isa_count();
#endif
    switch (level) {
    case 0:
        return 1;
#ifdef CNN_X86
    case 1:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case 2:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    default:
        return 0;
    }
}

int cnn_isa_use(int level)
{
    if (level < 0 || level >= cnn_isa_count() || !cnn_isa_available(level))
        return -1;
    cnn_k = levels[level];
#ifdef CNN_X86
    cnn_stores_far = __builtin_cpu_is("amd"); /* where it was measured */
#endif
    return 0;
}
