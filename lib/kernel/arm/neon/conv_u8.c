/* Integer convolution, direct: bytes less 128 by bytes, two products in 16 bits (2 * 128 * 127 < 2^15), which sadalp
 * adds in pairs to 32: 4 inputs of 4 outputs in three instructions. */
#include "kernel/arm/neon/bytes_s8.h"

enum { GROUP = 4, VECTORS = 4, TILE_PIXELS = 4 };
/* [LANES][2] for the first two inputs, then for the others */
#define GROUP_AT(output, input) \
    ((output) / LANES * LANES * GROUP + (input) / 2 * LANES * 2 + (output) % LANES * 2 + (input) % 2)

/* Both pairs of a group, each in all lanes. */
#define TILE_GROUP
typedef struct {
    int8x16_t first, second;
} tile_group;

static inline tile_group load_group(const input *x)
{
    int16x4_t pairs = vreinterpret_s16_s32(vector_load_first(x));
    __asm__("" : "+w"(pairs)); /* else gcc loads it a second time, into a register of another kind */
    return (tile_group){vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 0)),
                        vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 1))};
}

static inline vector tile_multiply_add(vector sum, tile_group x, vector w)
{
    int8x16_t bytes = vreinterpretq_s8_s32(w);
    int16x8_t products = vmull_s8(vget_low_s8(x.first), vget_low_s8(bytes));
    return vpadalq_s16(sum, vmlal_high_s8(products, x.second, bytes));
}

#include "kernel/template/tile_u8.inc"

TILES_4(1)
TILES_4(2)
TILES_4(3)
TILES_4(4)

static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED_4(1), TILES_LISTED_4(2), TILES_LISTED_4(3), TILES_LISTED_4(4)};

static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    (void)tiles;
    return tile_functions[vectors][pixels];
}

#include "kernel/template/direct_u8.inc"

const struct conv_u8_kernel conv_u8_neon_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
