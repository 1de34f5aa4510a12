/* Integer convolution, direct: 12 pixels x 32 outputs in registers. */
#include "kernel/x86/avx512/vector_u8.h"

enum { TILE_PIXELS = 12 };
#define TILES TILES_12
#define TILES_LISTED TILES_LISTED_12
#include "kernel/x86/template/conv_u8.inc"

const struct conv_u8_kernel conv_u8_avx512_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
