#define CNN_ISA generic
#define CNN_VL 4
#include "kernels/all.h"
