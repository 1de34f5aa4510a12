/* Integer convolution, direct, by the vpdpbusd of AVX-VNNI, in 256 bits: 6 pixels x 16 outputs in registers. It does
 * not saturate in between. */
#include "kernel/x86/avx2/vector_u8_256.h"
#include "kernel/x86/template/bytes_u8.inc"

enum { VECTORS = 2, TILE_PIXELS = 6 };
#define tile_multiply_add(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#include "kernel/template/tile_u8.inc"

TILES_6(1)
TILES_6(2)

static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED_6(1), TILES_LISTED_6(2)};

static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    (void)tiles;
    return tile_functions[vectors][pixels];
}

#include "kernel/template/direct_u8.inc"

const struct conv_u8_kernel conv_u8_avx2vnni_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
