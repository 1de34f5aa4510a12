#include "kernel/amx/packed_u8.h"
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

void packed_u8_pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, void *packed)
{
    (void)zero_point_x;
    if (s->out % OUTPUTS || !whole_steps(s)) /* else every byte is written */
        memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        int8_t *group = (int8_t *)packed + (size_t)(k / OUTPUTS) * group_bytes(s);
        int32_t *sums = (int32_t *)(void *)(group + steps_of(s) * WEIGHT_TILE) + k % OUTPUTS;
        pack_output(s, weight + (size_t)k * shape_reduced(s), group + k % OUTPUTS * 4, sums);
    }
}
