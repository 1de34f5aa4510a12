/* Integer convolution, direct, by vpmaddubsw where it cannot saturate: 6 pixels x 16 outputs in registers. */
#include "kernel/x86/avx2/vector_u8_256.h"
#include "kernel/x86/template/bytes_u8.inc"

enum { VECTORS = 2, TILE_PIXELS = 6 };
#define vector_pairs(x, w) _mm256_maddubs_epi16(x, w)
#define vector_pairs_widen(sums) _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
#include "kernel/x86/template/pairs_u8.inc"

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

const struct conv_u8_kernel conv_u8_pairs_avx2_pairs = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
