#define CNN_ISA avx2
#define CNN_VL 8
#include "kernels/all.h"
