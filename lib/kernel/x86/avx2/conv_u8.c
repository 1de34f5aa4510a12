/* Integer convolution, direct: 6 pixels x 16 outputs in registers. */
#include "kernel/x86/avx2/vector_u8_256.h"

enum { TILE_PIXELS = 6 };
#define TILES TILES_6
#define TILES_LISTED TILES_LISTED_6
#define TILES_WIDENING(v)                                                                                         \
    {                                                                                                             \
        NULL, tile_##v##_1_first, tile_##v##_2_first, tile_##v##_3_first, tile_##v##_4_first, tile_##v##_5_first, \
            tile_##v##_6_first                                                                                    \
    }
#include "kernel/x86/template/conv_u8.inc"

const struct conv_u8_kernel conv_u8_avx2_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
