#include "quant/affine.h"
#include <math.h>
#include <string.h>

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

static float largest(const float *w, size_t count)
{
    float value = 0;
    for (size_t i = 0; i < count; i++)
        value = fabsf(w[i]) > value ? fabsf(w[i]) : value;
    return value;
}

static void channel_quantize(const float *w, int count, int qmax, float scale, int8_t *q)
{
    for (int i = 0; i < count; i++)
        q[i] = (int8_t)weight_code(w[i], scale, qmax);
}

void weights_quantize(const float *w, int outputs, int per_output, int bits, int per_tensor, int8_t *q,
                      float *scale)
{
    int qmax = (1 << (bits - 1)) - 1;
    size_t row = (size_t)per_output;
    float all = per_tensor ? largest(w, (size_t)outputs * row) : 0;
    for (int c = 0; c < outputs; c++) {
        scale[c] = weight_scale(per_tensor ? all : largest(w + (size_t)c * row, row), qmax);
        channel_quantize(w + (size_t)c * row, per_output, qmax, scale[c], q + (size_t)c * row);
    }
}

int bias_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, float scale_x,
                  int8_t *q, float *scale, int32_t *bias_q)
{
    int raised = 0, qmax = (1 << (bits - 1)) - 1;
    for (int c = 0; c < outputs; c++) {
        float before = scale[c], own = bias ? bias[c] : 0;
        scale[c] = weight_scale_for_bias(own, scale_x, before);
        if (scale[c] != before) {
            size_t at = (size_t)c * (size_t)per_output;
            channel_quantize(w + at, per_output, qmax, scale[c], q + at);
            raised++;
        }
        bias_q[c] = (int32_t)bias_code_value(own, scale_x, scale[c]);
    }
    return raised;
}

/* One raised channel raises all: the largest scale serves every one (doubling keeps them powers of two apart). */
static int share_scale(const float *w, const float *bias, int outputs, int per_output, int bits, float scale_x,
                       int8_t *q, float *scale, int32_t *bias_q)
{
    int qmax = (1 << (bits - 1)) - 1;
    float shared = largest(scale, (size_t)outputs);
    for (int c = 0; c < outputs; c++) {
        size_t at = (size_t)c * (size_t)per_output;
        scale[c] = shared;
        channel_quantize(w + at, per_output, qmax, shared, q + at);
        bias_q[c] = bias ? (int32_t)bias_code_value(bias[c], scale_x, shared) : 0;
    }
    return outputs;
}

int layer_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, int per_tensor,
                   float scale_x, int8_t *q, float *scale, int32_t *bias_q)
{
    weights_quantize(w, outputs, per_output, bits, per_tensor, q, scale);
    int raised = bias_quantize(w, bias, outputs, per_output, bits, scale_x, q, scale, bias_q);
    if (raised > 0 && per_tensor)
        return share_scale(w, bias, outputs, per_output, bits, scale_x, q, scale, bias_q);
    return raised;
}

/* The sums of the positive and of the negated negative weights, in 32 bits a while so that compilers use vectors.
 */
static void signed_sums(const int8_t *w, int count, int64_t *positive, int64_t *negative)
{
    enum { PIECE = 1 << 20 };
    *positive = *negative = 0;
    for (int at = 0; at < count; at += PIECE) {
        int end = count - at < PIECE ? count : at + PIECE, above = 0, all = 0;
        for (int i = at; i < end; i++) {
            above += w[i] > 0 ? w[i] : 0;
            all += w[i];
        }
        *positive += above;
        *negative += above - all;
    }
}

int64_t accumulator_bound(const int8_t *q, const int32_t *bias, int outputs, int per_output, uint8_t zero_point,
                          uint8_t qmin, uint8_t qmax)
{
    int64_t bound = 0, up = qmax - zero_point, down = zero_point - qmin;
    for (int c = 0; c < outputs; c++) {
        int64_t positive, negative;
        signed_sums(q + (size_t)c * (size_t)per_output, per_output, &positive, &negative);
        int64_t high = positive * up + negative * down, low = positive * down + negative * up;
        int64_t offset = bias ? (bias[c] < 0 ? -(int64_t)bias[c] : bias[c]) : 0;
        int64_t here = (high > low ? high : low) + offset;
        bound = here > bound ? here : bound;
    }
    return bound;
}
