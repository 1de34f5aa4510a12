/* Integer convolution, direct, by sdot: bytes less 128 by bytes, four products in every lane. */
#include "kernel/arm/neon/bytes_s8.h"

enum { GROUP = 4, VECTORS = 4, TILE_PIXELS = 6 };
#define GROUP_AT(output, input) ((output)*GROUP + (input))

#define TILE_GROUP
typedef int8x8_t tile_group;

static inline tile_group load_group(const input *x)
{
    return vreinterpret_s8_s32(vector_load_first(x));
}

static inline vector tile_multiply_add(vector sum, tile_group x, vector w)
{
    return vdotq_lane_s32(sum, vreinterpretq_s8_s32(w), x, 0);
}

#include "kernel/template/tile_u8.inc"

TILES_6(1)
TILES_6(2)
TILES_6(3)
TILES_6(4)

static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED_6(1), TILES_LISTED_6(2), TILES_LISTED_6(3), TILES_LISTED_6(4)};

static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    (void)tiles;
    return tile_functions[vectors][pixels];
}

#include "kernel/template/direct_u8.inc"

const struct conv_u8_kernel conv_u8_neondot_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
