/* Integer convolution, direct, by vpdpbusd, which does not saturate in between. */
#include "kernel/x86/avx512/vector_u8_512.h"

#include "kernel/x86/template/bytes_u8.inc"

enum { VECTORS = 4, TILE_PIXELS = 6 };
#define tile_multiply_add(sum, x, w) _mm512_dpbusd_epi32(sum, x, w)
#include "kernel/template/tile_u8.inc"

TILES_6(1)
TILES_6(2)
TILES_6(3)
TILES_6(4)
TILE_AHEAD(4, 4)
TILE_AHEAD(4, 5)
TILE_AHEAD(4, 6)

static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED_6(1), TILES_LISTED_6(2), TILES_LISTED_6(3), TILES_LISTED_6(4)};
static tile_function *const tile_functions_ahead[TILE_PIXELS + 1] = {
    NULL, NULL, NULL, NULL, tile_4_4_ahead, tile_4_5_ahead, tile_4_6_ahead};

/* Where a grain's weights serve few tiles, the time to fetch the next ones' is long: they are fetched meanwhile. */
static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    tile_function *ahead = vectors == VECTORS && tiles <= 6 ? tile_functions_ahead[pixels] : NULL;
    return ahead ? ahead : tile_functions[vectors][pixels];
}

#include "kernel/template/direct_u8.inc"

const struct conv_u8_kernel conv_u8_avx512vnni_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
