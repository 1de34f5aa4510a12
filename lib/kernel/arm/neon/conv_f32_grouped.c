/* Depthwise convolution of floats, forward. */
#include "kernel/arm/neon/vector_f32_128.h"
#include "kernel/list.h"
#include "kernel/template/conv_f32_grouped.inc"

const struct conv_f32_kernel conv_f32_grouped_neon_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = taps_bytes, .run = run};
