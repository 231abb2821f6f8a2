#define CNN_ISA avx512
#define CNN_VL 16
#include "kernels/all.h"
