/* Convolution in bfloat16, forward, by this set's f32 kernel. */
#define F32 conv_f32_blas_im2col
#include "kernel/ref/widened_bf16.inc"

/* No cut by outputs, as for f32. */
const struct conv_bf16_kernel conv_bf16_blas_widened = {
    .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
