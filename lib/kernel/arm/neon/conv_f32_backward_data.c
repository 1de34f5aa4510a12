/* Gradient of a convolution by its input, direct. */
#include "kernel/template/conv_f32_backward_data.inc"

const struct conv_f32_backward_data_kernel conv_f32_backward_data_neon_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
