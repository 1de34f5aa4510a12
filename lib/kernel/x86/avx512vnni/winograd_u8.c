#include "kernel/x86/avx512/winograd_u8.inc"

const struct conv_u8_kernel conv_u8_winograd_avx512vnni_winograd = {.out_grain = GRAIN,
                                                                    .supports = supports,
                                                                    .packed_bytes = packed_bytes,
                                                                    .pack = pack,
                                                                    .scratch_bytes = scratch_bytes,
                                                                    .run = run};
