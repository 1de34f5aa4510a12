#include "quant/affine.h"
#include <math.h>

int affine_from_range(double low, double high, int bits, struct affine *out, struct message *m)
{
    if (bits < 2 || bits > 8)
        return message_set(m, STATUS_RANGE, "%d activation bits, want 2..8", bits);
    if (!isfinite(low) || !isfinite(high) || low > high)
        return message_set(m, STATUS_RANGE, "range %g..%g is not a range", low, high);
    if (!affine_from_range_value(low, high, bits, out))
        return message_set(m, STATUS_RANGE, "range %g..%g is too wide: scale is not finite", low, high);
    return 0;
}

int affine_symmetric(double low, double high, struct affine *out, struct message *m)
{
    enum { MIDDLE = 128 };
    double most = -low > high ? -low : high;
    TRY(affine_from_range(low, high, 8, out, m)); /* for its refusals */
    *out = (struct affine){weight_scale((float)most, MIDDLE - 1), MIDDLE, 0, UINT8_MAX};
    return 0;
}
