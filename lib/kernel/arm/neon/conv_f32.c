/* Convolution, forward, direct. */
#include "kernel/template/conv_f32.inc"

const struct conv_f32_kernel conv_f32_neon_direct = {.out_grain = TILE_OUTPUTS,
                                                     .packed_bytes = packed_bytes,
                                                     .pack = pack,
                                                     .scratch_bytes = scratch_bytes,
                                                     .run = run};
