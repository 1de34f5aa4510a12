#include "kernel/x86/amx/packed_u8.h"
#include <immintrin.h>
#include <string.h>

/* One output's weights into its group, whose tiles are [16 rows of 4 inputs][16 outputs][4]. */
static void pack_output(const struct conv_shape *s, const int8_t *weight, int8_t *group, int32_t *sums)
{
    int taps = (int)taps_of(s), all = 0;
    for (int tap = 0; tap < taps; tap++) {
        int r = tap / s->kernel, t = tap % s->kernel, sum = 0;
        for (int c = 0; c < s->c; c++) {
            int8_t w = weight[c * taps + tap];
            size_t at = reduced_at(s, c, r, t);
            group[at / 4 * STEP_BYTES + at % 4] = w;
            sum += w;
        }
        sums[tap * OUTPUTS] = sum;
        all += sum;
    }
    sums[taps * OUTPUTS] = all;
}

/* 16 outputs of whole steps, line by line: the same tap of four channels of all. */
static void pack_group(const struct conv_shape *s, const int8_t *weight, int8_t *group, int32_t *sums)
{
    int taps = (int)taps_of(s);
    __m512i all = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
    memset(sums, 0, (size_t)taps * OUTPUTS * sizeof *sums);
    for (int c = 0; c < s->c; c += 4)
        for (int tap = 0; tap < taps; tap++) {
            int8_t line[STEP_BYTES] __attribute__((aligned(64)));
            for (int k = 0; k < OUTPUTS; k++) {
                const int8_t *w = weight + (size_t)k * shape_reduced(s) + c * taps + tap;
                for (int i = 0; i < 4; i++)
                    line[4 * k + i] = w[i * taps];
            }
            __m512i v = _mm512_load_si512(line), *sum = (__m512i *)(void *)(sums + tap * OUTPUTS);
            _mm512_store_si512(group + reduced_at(s, c, tap / s->kernel, tap % s->kernel) * OUTPUTS, v);
            _mm512_store_si512(sum, _mm512_dpbusd_epi32(_mm512_load_si512(sum), ones, v));
        }
    for (int tap = 0; tap < taps; tap++)
        all = _mm512_add_epi32(all, _mm512_load_si512(sums + tap * OUTPUTS));
    _mm512_store_si512(sums + taps * OUTPUTS, all);
}

void packed_u8_pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                    void *packed)
{
    (void)zero_point_x, (void)high_x;
    if (s->out % OUTPUTS || !whole_steps(s)) /* else every byte is written */
        memset(packed, 0, packed_bytes(s));
    for (int k = 0, count; k < s->out; k += count) {
        int8_t *group = (int8_t *)packed + (size_t)(k / OUTPUTS) * group_bytes(s);
        int32_t *sums = (int32_t *)(void *)(group + steps_of(s) * WEIGHT_TILE) + k % OUTPUTS;
        const int8_t *from = weight + (size_t)k * shape_reduced(s);
        count = whole_steps(s) && s->out - k >= OUTPUTS ? OUTPUTS : 1;
        if (count == OUTPUTS)
            pack_group(s, from, group, sums);
        else
            pack_output(s, from, group + k % OUTPUTS * 4, sums);
    }
}
