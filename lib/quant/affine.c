#include "quant/affine.h"
#include <math.h>

int affine_from_range(double low, double high, int bits, struct affine *out, struct message *m)
{
    if (bits < 2 || bits > 8)
        return message_set(m, STATUS_RANGE, "%d activation bits, want 2..8", bits);
    if (!isfinite(low) || !isfinite(high) || low > high)
        return message_set(m, STATUS_RANGE, "range %g..%g is not a range", low, high);
    struct range_map map;
    int qmax = (1 << bits) - 1;
    if (!range_map_of(low, high, qmax, &map))
        return message_set(m, STATUS_RANGE, "range %g..%g is too wide: scale is not finite", low, high);
    *out = (struct affine){map.scale, (uint8_t)map.zero_point, 0, (uint8_t)qmax};
    return 0;
}

uint8_t affine_quantize(const struct affine *a, float x)
{
    return (uint8_t)code_round(x / a->scale, a->zero_point, a->qmin, a->qmax);
}

float affine_dequantize(const struct affine *a, uint8_t q)
{
    return a->scale * (float)((int)q - (int)a->zero_point);
}
