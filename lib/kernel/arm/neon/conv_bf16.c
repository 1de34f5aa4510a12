/* Convolution in bfloat16, forward, by this set's f32 kernel. */
#define F32 conv_f32_neon_direct
#include "kernel/template/tiles_f32.h"
#include "kernel/ref/widened_bf16.inc"

const struct conv_bf16_kernel conv_bf16_neon_widened = {.out_grain = TILE_OUTPUTS,
                                                        .packed_bytes = packed_bytes,
                                                        .pack = pack,
                                                        .scratch_bytes = scratch_bytes,
                                                        .run = run};
