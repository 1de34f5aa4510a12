/* Integer convolution, direct, by usmmla: 8 inputs of two pixels, from where they lie, by 8 weights of two outputs. A
 * register of sums is [2 pixels][2 outputs]. */
#include "kernel/arm/neon/vector_u8_128.h"

enum { GROUP = 8, VECTORS = 4, TILE_PIXELS = 6, WEIGHTS_EXPANDED = 0, INPUT_IN_PLACE = 1 };
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

#define tile_multiply_add(sum, x, w) vusmmlaq_s32(sum, x, w)
#define TILE_GROUP
typedef uint8x16_t tile_group;

static inline tile_group load_groups(const input *x, const input *y)
{
    return vcombine_u8(vld1_u8(x), vld1_u8(y));
}

#include "kernel/template/tile_u8.inc"

/* Two outputs of four, for either pixel. */
static inline vector sums_open(vector start, int half)
{
    return half ? vcombine_s32(vget_high_s32(start), vget_high_s32(start))
                : vcombine_s32(vget_low_s32(start), vget_low_s32(start));
}

/* h: halves of the vectors of outputs; q: pairs of pixels, the last of which may be one pixel twice */
#define HALVES_1(f, q) f(q, 0) f(q, 1)
#define HALVES_2(f, q) HALVES_1(f, q) f(q, 2) f(q, 3)
#define HALVES_3(f, q) HALVES_2(f, q) f(q, 4) f(q, 5)
#define HALVES_4(f, q) HALVES_3(f, q) f(q, 6) f(q, 7)
#define PAIRS_1(f, a) f(0, a)
#define PAIRS_2(f, a) PAIRS_1(f, a) f(1, a)
#define PAIRS_3(f, a) PAIRS_2(f, a) f(2, a)

#define PAIR_SUM_OPEN(q, h) vector a##q##h = sums_open(t->start[h / 2], h % 2);
#define PAIR_OPEN(q, vectors)                                                               \
    const input *x##q = t->x[2 * q], *y##q = t->x[2 * q + 1 < pixels_ ? 2 * q + 1 : 2 * q]; \
    HALVES_##vectors(PAIR_SUM_OPEN, q)
#define PAIR_LOAD(q, vectors) tile_group x_##q = load_groups(x##q + j, y##q + j);
#define PAIR_SUM_STEP(q, h) a##q##h = tile_multiply_add(a##q##h, x_##q, w_);
#define HALF_STEP(pairs, h)                    \
    {                                          \
        int8x16_t w_ = vld1q_s8(w + 16 * (h)); \
        PAIRS_##pairs(PAIR_SUM_STEP, h)        \
    }
#define PAIR_SUM_CLOSE(q, h)                                                   \
    vst1_s32(acc + 2 * q * vectors_ * LANES + 2 * (h), vget_low_s32(a##q##h)); \
    if (2 * q + 1 < pixels_)                                                   \
        vst1_s32(acc + (2 * q + 1) * vectors_ * LANES + 2 * (h), vget_high_s32(a##q##h));
#define PAIR_CLOSE(q, vectors) HALVES_##vectors(PAIR_SUM_CLOSE, q)

#define PAIR_TILE(vectors, pixels, pairs)                                                 \
    static void tile_##vectors##_##pixels(const struct tile *t, int32_t *acc)             \
    {                                                                                     \
        enum { vectors_ = vectors, pixels_ = pixels };                                    \
        const weight_value *w = t->w;                                                     \
        PAIRS_##pairs(PAIR_OPEN, vectors) size_t begin = 0;                               \
        for (int run = 0; run < t->runs; run++, begin += t->stride)                       \
            for (size_t j = begin; j < begin + GROUP * t->groups; j += GROUP) {           \
                PAIRS_##pairs(PAIR_LOAD, vectors) HALVES_##vectors(HALF_STEP, pairs) w += \
                    vectors_ * LANES * GROUP;                                             \
            }                                                                             \
        PAIRS_##pairs(PAIR_CLOSE, vectors)                                                \
    }
/* clang-format off */
#define PAIR_TILES(v) \
    PAIR_TILE(v, 1, 1) PAIR_TILE(v, 2, 1) PAIR_TILE(v, 3, 2) PAIR_TILE(v, 4, 2) PAIR_TILE(v, 5, 3) PAIR_TILE(v, 6, 3)
/* clang-format on */

PAIR_TILES(1)
PAIR_TILES(2)
PAIR_TILES(3)
PAIR_TILES(4)

static tile_function *const tile_functions[VECTORS + 1][TILE_PIXELS + 1] = {
    {NULL}, TILES_LISTED_6(1), TILES_LISTED_6(2), TILES_LISTED_6(3), TILES_LISTED_6(4)};

static tile_function *tile_function_for(int vectors, size_t pixels, size_t tiles)
{
    (void)tiles;
    return tile_functions[vectors][pixels];
}

#include "kernel/template/direct_u8.inc"

const struct conv_u8_kernel conv_u8_neoni8mm_direct = {
    .out_grain = GRAIN, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
