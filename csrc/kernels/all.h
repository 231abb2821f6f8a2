/* Everything an ISA's file compiles: the bodies of all leaf kernels and their table. */
#include "core/kernels.h"
#include "simd/channels.h"
#include "simd/fma.h"
#include "simd/math.h"
#include "simd/vec.h"

#define CNN_CAT2(a, b) a##b
#define CNN_CAT(a, b) CNN_CAT2(a, b)
#define CNN_STR2(a) #a
#define CNN_STR(a) CNN_STR2(a)
#define K(name) static void cnn_k_##name

/* A result before it is stored; see drivers/activation.h. */
CNN_INLINE vf bounded(vf x, const cnn_bounds *bounds)
{
    return bounds->given ? v_max(v_splat(bounds->low), v_min(v_splat(bounds->high), x)) : x;
}

/* The bodies call each other in this order. */
/* clang-format off */
#include "kernels/elementwise.h"
#include "kernels/tile.h" /* calls unary_fwd */
#include "kernels/stream.h" /* calls finish_vector of tile.h */
#include "kernels/narrow.h" /* calls apply_act of tile.h */
#include "kernels/winograd.h"
#include "kernels/layout.h"
#include "kernels/reduce.h"
#include "kernels/softmax_few.h"
#include "kernels/softmax.h"
#include "kernels/layer_norm.h"
#include "kernels/batch_norm.h"
#include "kernels/pool2d.h"
#include "kernels/depthwise2d.h"
#include "kernels/random.h"
#include "kernels/update.h"
#include "kernels/peak.h" /* uses the lists of rows in tile.h */
/* clang-format on */

const cnn_kernels CNN_CAT(cnn_kernels_, CNN_ISA) = {
    .isa = CNN_STR(CNN_ISA),
    .vl = CNN_VL,
    CNN_TILE_TABLES,
#define KERNEL(name, arguments) .name = cnn_k_##name,
#include "core/kernels.def"
#undef KERNEL
};
