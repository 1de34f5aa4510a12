/* Winograd's weights: transformed, scaled and rounded, 32 outputs an item. Lanes are outputs, so that the sums that
 * bound a scale run down the lanes, and two reduced channels side by side are one double word of the packed cell.
 */
#include "kernel/x86/avx512bf16/block_winograd.h"
#include <math.h>

enum { TAPS = 9, VECTORS = 2 /* of outputs */ };

/* How the weights are seen from 16 outputs: where lanes lie, and what is summed over. */
struct view {
    const float *weight; /* of the first output, first reduced channel */
    __m512i lanes;       /* floats to each output */
    __mmask16 real;
    size_t step; /* floats from a reduced channel to the next */
    int reduced, flip;
};

static struct view view_of(const struct block_conv *s, const float *weight, enum block_direction d, int first)
{
    int forward = d == BLOCK_FORWARD, out = forward ? s->k : s->c, left = out - first;
    size_t by_k = (size_t)s->c * TAPS, by_c = TAPS;
    size_t lane = forward ? by_k : by_c;
    struct view v = {.weight = weight + (left > 0 ? (size_t)first * lane : 0),
                     .real = left >= 16 ? 0xffff
                             : left > 0 ? (__mmask16)((1 << left) - 1)
                                        : 0,
                     .step = forward ? by_c : by_k,
                     .reduced = forward ? s->c : s->k,
                     .flip = !forward};
    v.lanes = _mm512_mullo_epi32(_mm512_set1_epi32((int)lane),
                                 _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    return v;
}

/* G, each row divided by its LENGTH. */
ALWAYS_INLINE void weight_transform(const __m512 g[3], __m512 o[SIDE])
{
    __m512 even_a = _mm512_fmadd_ps(_mm512_set1_ps(A2), g[2], g[0]),
           odd_a = _mm512_mul_ps(_mm512_set1_ps(A1), g[1]);
    __m512 even_b = _mm512_fmadd_ps(_mm512_set1_ps(B2), g[2], g[0]),
           odd_b = _mm512_mul_ps(_mm512_set1_ps(B1), g[1]);
    const __m512 by_a = _mm512_set1_ps(1 / LENGTH_A), by_b = _mm512_set1_ps(1 / LENGTH_B);
    o[0] = g[0];
    o[1] = _mm512_mul_ps(_mm512_add_ps(even_a, odd_a), by_a);
    o[2] = _mm512_mul_ps(_mm512_sub_ps(even_a, odd_a), by_a);
    o[3] = _mm512_mul_ps(_mm512_add_ps(even_b, odd_b), by_b);
    o[4] = _mm512_mul_ps(_mm512_sub_ps(even_b, odd_b), by_b);
    o[5] = g[2];
}

/* U of one reduced channel at all points. */
static void transform(const struct view *v, int reduced, __m512 u[POINTS])
{
    __m512 t[3][SIDE];
    for (int j = 0; j < 3; j++) {
        __m512 g[3];
        for (int i = 0; i < 3; i++) {
            int tap = v->flip ? TAPS - 1 - (i * 3 + j) : i * 3 + j;
            g[i] = reduced < v->reduced ? _mm512_mask_i32gather_ps(_mm512_setzero_ps(), v->real, v->lanes,
                                                                   v->weight + (size_t)reduced * v->step + tap, 4)
                                        : _mm512_setzero_ps();
        }
        weight_transform(g, t[j]);
    }
    for (int i = 0; i < SIDE; i++) {
        const __m512 g[3] = {t[0][i], t[1][i], t[2][i]};
        weight_transform(g, u + i * SIDE);
    }
}

/* The scale of 16 outputs: integers of at most 32767, whose sum of magnitudes over what is summed exactly, at any
 * point, rounding included, is below 2^31 / CONV_MOST. What is not finite makes the descale NaN. */
static __m512 scale_of(const struct view *v, float *descale)
{
    enum { EXACT = EXACT_CELLS * BLOCK_CHANNELS };
    __m512 sum[POINTS], most = _mm512_setzero_ps(), bound = _mm512_setzero_ps();
    __mmask16 bad = 0;
    for (int c = 0; c < v->reduced; c++) {
        __m512 u[POINTS];
        transform(v, c, u);
        for (int p = 0; p < POINTS; p++) {
            u[p] = _mm512_abs_ps(u[p]);
            sum[p] = c % EXACT == 0 ? u[p] : _mm512_add_ps(sum[p], u[p]);
            most = _mm512_max_ps(most, u[p]);
        }
        for (int p = 0; p < POINTS && (c % EXACT == EXACT - 1 || c == v->reduced - 1); p++) {
            bad |= _mm512_cmp_ps_mask(sum[p], _mm512_set1_ps(0x1p120f), _CMP_NLT_UQ);
            bound = _mm512_max_ps(bound, sum[p]);
        }
    }
    const __m512 least = _mm512_set1_ps(0x1p-100f);
    const float room = 0.999f * (0x1p31f / CONV_MOST - EXACT);
    __m512 by_sum = _mm512_div_ps(_mm512_set1_ps(room), _mm512_max_ps(bound, least));
    __m512 by_most = _mm512_div_ps(_mm512_set1_ps(32766), _mm512_max_ps(most, least));
    __m512 scale = _mm512_maskz_min_ps((__mmask16)~bad, by_sum, by_most);
    __m512 back = _mm512_div_ps(_mm512_set1_ps(1), scale);
    _mm512_storeu_ps(descale, _mm512_mask_mov_ps(back, bad, _mm512_set1_ps(NAN)));
    return scale;
}

/* One direction's 32 outputs from `first` on. */
static void pack_outputs(const struct block_conv *s, const float *weight, enum block_direction d, int first,
                         void *packed)
{
    struct winograd_way way = winograd_way_of(s, d);
    int16_t *u = (int16_t *)packed + (size_t)(first / BLOCK_CHANNELS) * POINTS * (size_t)way.in * CELL;
    float *descale = (float *)((int16_t *)packed + (size_t)way.out * POINTS * (size_t)way.in * CELL) + first;
    for (int half = 0; half < VECTORS; half++) {
        struct view v = view_of(s, weight, d, first + 16 * half);
        __m512 scale = scale_of(&v, descale + 16 * half);
        for (int c = 0; c < way.in * BLOCK_CHANNELS; c += 2) {
            __m512 even[POINTS], odd[POINTS];
            transform(&v, c, even);
            transform(&v, c + 1, odd);
            int16_t *to = u + (size_t)(c / BLOCK_CHANNELS) * CELL + half * (CELL / 2) + c % BLOCK_CHANNELS * 16;
            for (int p = 0; p < POINTS; p++)
                _mm512_store_si512(to + (size_t)p * (size_t)way.in * CELL,
                                   pack_rounded(even[p], odd[p], scale, scale));
        }
    }
}

size_t winograd_packed_bytes(const struct block_conv *s, enum block_direction d)
{
    struct winograd_way way = winograd_way_of(s, d);
    return (size_t)way.out * (POINTS * (size_t)way.in * CELL * sizeof(int16_t) + BLOCK_CHANNELS * sizeof(float));
}

int winograd_pack_items(const struct block_conv *s)
{
    return cells_of(s->k) + cells_of(s->c);
}

void winograd_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward)
{
    int outputs = cells_of(s->k);
    if (item >= outputs && backward)
        pack_outputs(s, weight, BLOCK_BACKWARD, (item - outputs) * BLOCK_CHANNELS, backward);
    if (item < outputs && forward)
        pack_outputs(s, weight, BLOCK_FORWARD, item * BLOCK_CHANNELS, forward);
}
