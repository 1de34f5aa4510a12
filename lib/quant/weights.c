#include "quant/weights.h"
#include <math.h>
#include <string.h>

int weight_observer_find(const char *name)
{
    return strcmp(name, "max") == 0 ? WEIGHT_MAX : strcmp(name, "mse") == 0 ? WEIGHT_MSE : -1;
}

const char *weight_observer_name(enum weight_observer o)
{
    return o == WEIGHT_MAX ? "max" : "mse";
}

static float largest(const float *w, size_t count)
{
    float value = 0;
    for (size_t i = 0; i < count; i++)
        value = fabsf(w[i]) > value ? fabsf(w[i]) : value;
    return value;
}

/* ---- the scale of least squared error ---- */

/* Between the ends adding and taking away 1.5 * 2^23 rounds as rint does, and takes no call. */
static float code_nearest(float v, float qmax)
{
    v = v < qmax ? v : qmax;
    v = v > -qmax ? v : -qmax;
    return (v + 12582912.0f) - 12582912.0f;
}

static double squared_error(const float *w, size_t count, int qmax, float scale)
{
    enum { PIECE = 512 };
    double sum = 0;
    float error[PIECE];
    for (size_t at = 0; at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        for (size_t i = 0; i < n; i++)
            error[i] = w[at + i] - scale * code_nearest(w[at + i] / scale, (float)qmax);
        for (size_t i = 0; i < n; i++)
            sum += (double)error[i] * (double)error[i];
    }
    return sum;
}

/* What was tried, and the best of it. */
struct search {
    const float *w;
    size_t count;
    int qmax;
    float most; /* the scale of factor 1 */
    float scale;
    double factor, error;
};

static void search_try(struct search *s, double factor)
{
    float scale = (float)(factor * (double)s->most);
    if (factor > 1 || factor <= 0 || scale < SMALLEST_NORMAL)
        return;
    double error = squared_error(s->w, s->count, s->qmax, scale);
    if (error < s->error || (error == s->error && scale > s->scale)) {
        s->error = error;
        s->factor = factor;
        s->scale = scale;
    }
}

float weight_scale_search(const float *w, size_t count, int qmax)
{
    float magnitude = largest(w, count);
    struct search s = {.w = w, .count = count, .qmax = qmax, .most = weight_scale(magnitude, qmax)};
    s.scale = s.most;
    s.factor = 1;
    s.error = squared_error(w, count, qmax, s.most);
    if (magnitude == 0 || s.error == 0)
        return s.most;
    for (int percent = 99; percent >= 20; percent--)
        search_try(&s, percent / 100.0);
    double step = 0.01;
    for (int i = 0; i < 8; i++) {
        double middle = s.factor;
        step /= 2;
        search_try(&s, middle + step);
        search_try(&s, middle - step);
    }
    return s.scale;
}

/* ---- codes ---- */

static float observed_scale(const float *w, size_t count, const struct weight_codes *how)
{
    int qmax = weight_qmax(how->bits);
    return how->observer == WEIGHT_MSE ? weight_scale_search(w, count, qmax)
                                       : weight_scale(largest(w, count), qmax);
}

static void channel_quantize(const float *w, int count, int qmax, float scale, int8_t *q)
{
    for (int i = 0; i < count; i++)
        q[i] = (int8_t)weight_code(w[i], scale, qmax);
}

void weights_quantize(const float *w, int outputs, int per_output, const struct weight_codes *how, int8_t *q,
                      float *scale)
{
    size_t row = (size_t)per_output;
    float all = how->per_tensor && !how->scale ? observed_scale(w, (size_t)outputs * row, how) : 0;
    for (int c = 0; c < outputs; c++) {
        const float *own = w + (size_t)c * row;
        scale[c] = how->scale ? how->scale[c] : how->per_tensor ? all : observed_scale(own, row, how);
        channel_quantize(own, per_output, weight_qmax(how->bits), scale[c], q + (size_t)c * row);
    }
}

int bias_quantize(const float *w, const float *bias, int outputs, int per_output, int bits, float scale_x,
                  int8_t *q, float *scale, int32_t *bias_q)
{
    int raised = 0, qmax = weight_qmax(bits);
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
    int qmax = weight_qmax(bits);
    float shared = largest(scale, (size_t)outputs);
    for (int c = 0; c < outputs; c++) {
        size_t at = (size_t)c * (size_t)per_output;
        scale[c] = shared;
        channel_quantize(w + at, per_output, qmax, shared, q + at);
        bias_q[c] = bias ? (int32_t)bias_code_value(bias[c], scale_x, shared) : 0;
    }
    return outputs;
}

int layer_quantize(const float *w, const float *bias, int outputs, int per_output, const struct weight_codes *how,
                   float scale_x, int8_t *q, float *scale, int32_t *bias_q)
{
    weights_quantize(w, outputs, per_output, how, q, scale);
    int raised = bias_quantize(w, bias, outputs, per_output, how->bits, scale_x, q, scale, bias_q);
    if (raised > 0 && how->per_tensor)
        return share_scale(w, bias, outputs, per_output, how->bits, scale_x, q, scale, bias_q);
    return raised;
}

/* In pieces whose length compilers know, so that they use vectors. */
void weights_signed_sums(const int8_t *w, int count, int64_t *positive, int64_t *negative)
{
    enum { PIECE = 256 };
    int64_t all = 0, magnitudes = 0;
    int at = 0;
    for (; count - at >= PIECE; at += PIECE) {
        int32_t sum = 0, magnitude = 0;
        for (int i = 0; i < PIECE; i++) {
            sum += w[at + i];
            magnitude += w[at + i] < 0 ? -w[at + i] : w[at + i];
        }
        all += sum;
        magnitudes += magnitude;
    }
    for (; at < count; at++) {
        all += w[at];
        magnitudes += w[at] < 0 ? -w[at] : w[at];
    }
    *positive = (magnitudes + all) / 2;
    *negative = (magnitudes - all) / 2;
}

int64_t accumulator_bound(const int8_t *q, const int32_t *bias, int outputs, int per_output, uint8_t zero_point,
                          uint8_t qmin, uint8_t qmax)
{
    int64_t bound = 0, up = qmax - zero_point, down = zero_point - qmin;
    for (int c = 0; c < outputs; c++) {
        int64_t positive, negative;
        weights_signed_sums(q + (size_t)c * (size_t)per_output, per_output, &positive, &negative);
        int64_t high = positive * up + negative * down, low = positive * down + negative * up;
        int64_t offset = bias ? (bias[c] < 0 ? -(int64_t)bias[c] : bias[c]) : 0;
        int64_t here = (high > low ? high : low) + offset;
        bound = here > bound ? here : bound;
    }
    return bound;
}
