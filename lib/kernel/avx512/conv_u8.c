/* Integer convolution, direct, in 16-bit products: inputs are copied as x - zero point, so that padding is zero and
 * nothing has to be corrected; vpmaddwd multiplies two neighbouring inputs by two weights and adds them exactly in
 * 32 bits (vpmaddubsw would saturate). Weights stay in 8 bits; those of a grain are widened when its turn comes. */
#include "kernel/avx512/vector_u8.h"

enum { GROUP = 2, VECTORS = 2, TILE_PIXELS = 12, WEIGHTS_EXPANDED = 1, INPUT_IN_PLACE = 0 };
typedef int16_t input;
typedef int16_t weight_value;
#define INPUT_ZERO(zero_point) (0 * (zero_point))

static void input_copy(const uint8_t *x, size_t count, uint8_t zero_point, input *to)
{
    vector zero = _mm512_set1_epi16(zero_point);
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES)
        vector_store(to + i, vector_sub_16(vector_load_u8(x + i), zero));
    for (; i < count; i++)
        to[i] = (input)(x[i] - zero_point);
}

static void input_fill(input *to, size_t count, uint8_t zero_point)
{
    (void)zero_point;
    memset(to, 0, count * sizeof *to);
}

static const weight_value *weights_for(const int8_t *packed, size_t count, weight_value *to)
{
    for (size_t i = 0; i < count; i += 2 * LANES)
        vector_store(to + i, vector_load_s8(packed + i));
    return to;
}

#define tile_multiply_add(sum, x, w) _mm512_add_epi32(sum, _mm512_madd_epi16(x, w))
#include "kernel/avx2/tile_u8.inc"

/* clang-format off */
#define TILES(vectors)                                                   \
    TILE(vectors, 1) TILE(vectors, 2) TILE(vectors, 3) TILE(vectors, 4)  \
    TILE(vectors, 5) TILE(vectors, 6) TILE(vectors, 7) TILE(vectors, 8)  \
    TILE(vectors, 9) TILE(vectors, 10) TILE(vectors, 11) TILE(vectors, 12)
/* clang-format on */

TILES(1)
TILES(2)

#define TILES_LISTED(v)                                                                                         \
    {                                                                                                           \
        NULL, tile_##v##_1, tile_##v##_2, tile_##v##_3, tile_##v##_4, tile_##v##_5, tile_##v##_6, tile_##v##_7, \
            tile_##v##_8, tile_##v##_9, tile_##v##_10, tile_##v##_11, tile_##v##_12                             \
    }
static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED(1), TILES_LISTED(2)};

static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    (void)tiles;
    return tile_functions[vectors][pixels];
}

#include "kernel/avx2/direct_u8.inc"

const struct conv_u8_kernel conv_u8_avx512_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
