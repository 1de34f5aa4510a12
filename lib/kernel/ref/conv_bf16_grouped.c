/* Convolution with groups in bfloat16, forward: the definition. */
#define F32 conv_f32_grouped_ref_direct
#include "kernel/ref/widened_bf16.inc"

const struct conv_bf16_kernel conv_bf16_grouped_ref_direct = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
