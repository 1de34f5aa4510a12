#include "quant/saturation.h"
#include "base/scalar.h"
#include "quant/affine.h"

/* The two largest of w's positive values (sign 1), or of its negative ones' sizes (sign -1); 0 where there are none. */
static void largest_two(const float *w, int count, float sign, float two[2])
{
    two[0] = two[1] = 0;
    for (int i = 0; i < count; i++) {
        float v = sign * w[i];
        if (v > two[0]) {
            two[1] = two[0];
            two[0] = v;
        } else if (v > two[1]) {
            two[1] = v;
        }
    }
}

/* The least scale from `scale` on by which the codes of these two sum to at most limit. */
static float spare_scale(const float two[2], int qmax, int limit, float scale)
{
    if (weight_code(two[0], scale, qmax) + weight_code(two[1], scale, qmax) <= limit)
        return scale;
    float least = (two[0] + two[1]) / (float)limit;
    scale = scale > least ? scale : least;
    while (weight_code(two[0], scale, qmax) + weight_code(two[1], scale, qmax) > limit)
        scale += scale * 0x1p-10f;
    return scale;
}

static void requantize(const float *w, float bias, int per_output, int qmax, float scale_x, float scale, int8_t *q,
                       int32_t *bias_q)
{
    for (int i = 0; i < per_output; i++)
        q[i] = (int8_t)weight_code(w[i], scale, qmax);
    *bias_q = (int32_t)bias_code_value(bias, scale_x, scale);
}

/* By which no two codes of these weights saturate. */
static float channel_scale(const float *w, int count, int qmax, int limit, float scale)
{
    float positive[2], negative[2];
    largest_two(w, count, 1, positive);
    largest_two(w, count, -1, negative);
    return spare_scale(negative, qmax, limit, spare_scale(positive, qmax, limit, scale));
}

int saturation_spare(const float *w, const float *bias, int outputs, int per_output, int bits, int per_tensor,
                     float scale_x, int qmax_x, int8_t *q, float *scale, int32_t *bias_q)
{
    int qmax = (1 << (bits - 1)) - 1, limit = INT16_MAX / qmax_x, changed = 0;
    size_t each = (size_t)per_output;
    float shared = 0; /* a larger scale makes no code larger: what the worst channel needs serves all */
    for (int c = 0; c < outputs && per_tensor; c++) {
        float own = channel_scale(w + (size_t)c * each, per_output, qmax, limit, scale[c]);
        shared = own > shared ? own : shared;
    }
    for (int c = 0; c < outputs; c++) {
        const float *own = w + (size_t)c * each;
        float now = per_tensor ? shared : channel_scale(own, per_output, qmax, limit, scale[c]);
        if (now == scale[c])
            continue;
        changed++;
        scale[c] = now;
        requantize(own, bias ? bias[c] : 0, per_output, qmax, scale_x, now, q + (size_t)c * each, &bias_q[c]);
    }
    return changed;
}
