/* Integer convolution, direct, by vpdpbusd: u8 inputs from where they lie, s8 weights, four products in every lane.
 * It does not saturate in between. The sum of the weights times the zero point is subtracted where sums start. */
#include "kernel/x86/avx512/vector_u8_512.h"

enum { GROUP = 4, VECTORS = 4, TILE_PIXELS = 6, WEIGHTS_EXPANDED = 0, INPUT_IN_PLACE = 1 };
typedef uint8_t input;
typedef int8_t weight_value;
#define INPUT_ZERO(zero_point) (zero_point)
#define GROUP_AT(output, input) ((output)*GROUP + (input))

static void input_copy(const uint8_t *x, size_t count, uint8_t zero_point, input *to)
{
    (void)zero_point;
    memcpy(to, x, count);
}

static void input_fill(input *to, size_t count, uint8_t zero_point)
{
    memset(to, zero_point, count);
}

static const weight_value *weights_for(const int8_t *packed, size_t count, weight_value *to)
{
    (void)count, (void)to;
    return packed;
}

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
