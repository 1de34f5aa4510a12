/* block_winograd.h: Winograd F(4x4,3x3) over blocks in 16-bit products: what its parts share.
 *
 * For one place of a tile the 32 images of a block are 32 tiles, and each of the 36 points is a product of cells as
 * any other: V [32 images][32 channels] by U [channels][outputs], in 16-bit integers, summed exactly in 32 bits
 * over EXACT_CELLS cells, and in float32 over more. Transforms run in float32. Points 0, +-A, +-B and infinity;
 * B^T's rows are divided by their sums of absolute coefficients (ROW), so that |V| <= max |x| holds at every point,
 * G's by about their length (LENGTH); A^T's columns take both back (FACTOR).
 *
 * Scales. An image's tile is scaled by what its 6x6 pixels hold at most, over all channels: |V| <= CONV_MOST. An
 * output's weights are scaled so that at each point CONV_MOST * sum |U| < 2^31 over what is summed exactly: no sum
 * can wrap, whatever the input, and there is nothing to fall back from. Both belong to a row and a column of the
 * product, so that one multiplication takes them back. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_WINOGRAD_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_WINOGRAD_H

#include "kernel/x86/avx512bf16/block_shape.h"
#include "kernel/x86/avx512bf16/block_vectors.h"

enum { SIDE = 6, TILE = 4, POINTS = SIDE * SIDE, CLASSES = 3 /* of points: 0 and infinity, A, B */ };
enum { CONV_MOST = 1 << 14, WEIGHT_MOST = 1 << 13 /* |V|; by weights */, EXACT_CELLS = 4 };

#define A1 0.65f
#define A2 (A1 * A1)
#define A3 (A1 * A1 * A1)
#define B1 1.5f
#define B2 (B1 * B1)
#define B3 (B1 * B1 * B1)
#define SUM2 (A2 + B2)
#define PRODUCT2 (A2 * B2)
#define ROW_0 (PRODUCT2 + SUM2 + 1.0f)
#define ROW_A ((A1 + 1.0f) * (B2 + 1.0f))
#define ROW_B ((B1 + 1.0f) * (A2 + 1.0f))
#define LENGTH_A 1.25f
#define LENGTH_B 2.875f
#define FACTOR_0 (ROW_0 / PRODUCT2)
#define FACTOR_A (ROW_A * LENGTH_A / (2.0f * A2 * (A2 - B2)))
#define FACTOR_B (ROW_B * LENGTH_B / (2.0f * B2 * (B2 - A2)))
#define FACTOR_5 ROW_0

/* Adding it leaves the nearest integer, ties to even, in the low bits. */
#define MAGIC 12582912.0f /* 1.5 * 2^23 */

/* The integers of two floats v * scale, as the low and high halves of double words. */
ALWAYS_INLINE __m512i pack_rounded(__m512 low, __m512 high, __m512 low_scale, __m512 high_scale)
{
    const __m512 magic = _mm512_set1_ps(MAGIC);
    __m512i a = _mm512_castps_si512(_mm512_fmadd_ps(low, low_scale, magic));
    __m512i b = _mm512_castps_si512(_mm512_fmadd_ps(high, high_scale, magic));
    return _mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16));
}

/* Channels 0, 2, ... and 1, 3, ... of 32. */
ALWAYS_INLINE __m512 even_of(__m512i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

ALWAYS_INLINE __m512 odd_of(__m512i v)
{
    return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000)));
}

/* B^T without the divisors of its rows. */
ALWAYS_INLINE void input_transform(const __m512 d[SIDE], __m512 o[SIDE])
{
    const __m512 a1 = _mm512_set1_ps(A1), a2 = _mm512_set1_ps(A2), b1 = _mm512_set1_ps(B1), b2 = _mm512_set1_ps(B2);
    const __m512 sum = _mm512_set1_ps(SUM2), product = _mm512_set1_ps(PRODUCT2);
    __m512 even_a = _mm512_fnmadd_ps(b2, d[2], d[4]), odd_a = _mm512_fnmadd_ps(b2, d[1], d[3]);
    __m512 even_b = _mm512_fnmadd_ps(a2, d[2], d[4]), odd_b = _mm512_fnmadd_ps(a2, d[1], d[3]);
    o[0] = _mm512_fmadd_ps(product, d[0], _mm512_fnmadd_ps(sum, d[2], d[4]));
    o[1] = _mm512_fmadd_ps(a1, odd_a, even_a);
    o[2] = _mm512_fnmadd_ps(a1, odd_a, even_a);
    o[3] = _mm512_fmadd_ps(b1, odd_b, even_b);
    o[4] = _mm512_fnmadd_ps(b1, odd_b, even_b);
    o[5] = _mm512_fmadd_ps(product, d[1], _mm512_fnmadd_ps(sum, d[3], d[5]));
}

/* What both directions need: a map of `in` cells a pixel to a map of `out` cells. */
struct winograd_way {
    const struct block_conv *s;
    int source_h, source_w, in, h, w, out, pad;
    size_t
        v_plane; /* values from a point to the next: not a power of two, which would share one set of the cache */
};

static inline struct winograd_way winograd_way_of(const struct block_conv *s, enum block_direction d)
{
    struct winograd_way y = {.s = s};
    int forward = d == BLOCK_FORWARD;
    y.source_h = forward ? s->h : s->out_h;
    y.source_w = forward ? s->w : s->out_w;
    y.h = forward ? s->out_h : s->h;
    y.w = forward ? s->out_w : s->w;
    y.in = cells_of(forward ? s->c : s->k);
    y.out = cells_of(forward ? s->k : s->c);
    y.pad = forward ? s->pad : 2 - s->pad;
    y.v_plane = (size_t)y.in * CELL + BLOCK_CHANNELS;
    return y;
}

/* Whether a shape is computed so, in all three passes. */
static inline int winograd_suits(const struct block_conv *s)
{
    return s->planes == 1 && !s->window && s->kernel == 3 && s->stride == 1 && s->pad <= 2 &&
           s->out_h * s->out_w >= TILE * TILE;
}

/* block_winograd_input.c */
/* The largest magnitudes of each image's channels, as bits of bfloat16, of rows [begin, end) of a map of `cells`
 * cells a pixel: largest [rows][w][32]. */
void winograd_maxima(const bf16 *x, int cells, int w, int begin, int end, uint16_t *largest);
/* The largest of `rows` x `columns` pixels from (row, col) on, those inside the map: 32 magnitudes; and whether an
 * image holds what is not finite, or beyond 2^120. */
uint32_t winograd_largest(const uint16_t *largest, int h, int w, int row, int col, int side,
                          float most[BLOCK_IMAGES]);
/* A tile's first pixel in the source, and its scales. */
struct winograd_place {
    int row, col;
    float scale[CLASSES][CLASSES][BLOCK_IMAGES]; /* of a point's classes */
    float descale[BLOCK_IMAGES];                 /* NaN where the tile holds what is not finite, or beyond 2^120 */
};
void winograd_place_scale(struct winograd_place *t, const uint16_t *largest, int h, int w, int most);
/* V of one tile: planes [36] of [cells][32 images][32 channels]. */
void winograd_input(const struct winograd_place *t, const bf16 *x, int h, int w, int cells, int16_t *v,
                    size_t plane);

/* block_winograd_pack.c. Packed: U [outputs/32][36][cells of inputs][2][16 input pairs][16 outputs][2], then a
 * float an output: its descale. */
size_t winograd_packed_bytes(const struct block_conv *s, enum block_direction d);
int winograd_pack_items(const struct block_conv *s);
void winograd_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward);

/* block_winograd.c */
size_t winograd_conv_scratch(const struct block_conv *s);
void winograd_conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                   void *scratch);

/* block_winograd_weight.c: block.h's gradient by the weights. */
size_t winograd_weight_scratch(const struct block_conv *s);
size_t winograd_weight_shared_bytes(const struct block_conv *s, int blocks);
int winograd_weight_items(const struct block_conv *s, int blocks, int round);
void winograd_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round, int item,
                              void *shared, void *scratch);

#endif
