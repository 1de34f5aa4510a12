/* Depthwise convolution of floats, backward. */
#include "kernel/x86/avx2/vector_f32_256.h"
#include "kernel/list.h"
#include "kernel/template/conv_f32_backward_grouped.inc"

const struct conv_f32_backward_data_kernel conv_f32_backward_data_grouped_avx2_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = taps_bytes, .run = run_data};

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_grouped_avx2_depthwise = {
    .supports = supports, .items = items, .scratch_bytes = sums_bytes, .run = run_weight};
