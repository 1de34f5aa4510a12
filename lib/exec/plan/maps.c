#include "exec/plan/maps.h"
#include <math.h>

int node_affine(const struct model *model, int node, struct affine *a, struct message *m)
{
    const struct tensor *scale = model_tensor(model, node, "scale");
    const struct tensor *zero = model_tensor(model, node, "zero_point");
    const struct tensor *range = model_tensor(model, node, "range");
    const char *name = model->graph.nodes[node].name;
    if (!scale || !zero || !range)
        return message_set(m, STATUS_MISMATCH, "%s: scale, zero_point or range is missing", name);
    const uint8_t *codes = range->data;
    *a = (struct affine){*(const float *)scale->data, *(const uint8_t *)zero->data, codes[0], codes[1]};
    return 0;
}

void norm_constants(int channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                    double eps, float *scale, float *shift)
{
    for (int c = 0; c < channels; c++) {
        double factor = (double)gamma[c] / sqrt((double)variance[c] + eps);
        scale[c] = (float)factor;
        shift[c] = (float)((double)beta[c] - (double)mean[c] * factor);
    }
}

static uint8_t code_between(uint8_t q, uint8_t low, uint8_t high)
{
    return q < low ? low : q > high ? high : q;
}

void codes_clip(const struct affine *y, int relu, const struct clip *clip, uint8_t *low, uint8_t *high)
{
    *low = (uint8_t)low_code_value(y, relu);
    *high = y->qmax;
    if (!clip->on)
        return;
    uint8_t first = affine_quantize(y, clip->low), last = affine_quantize(y, clip->high);
    *low = code_between(*low, first, last);
    *high = code_between(*high, first, last);
}

struct requantize requantize_make(const struct conv_maps *maps, const float *weight_scale, int outputs,
                                  const int32_t *bias, float *multiplier)
{
    const struct device_requantize r = requantize_of(maps->x, maps->y, maps->residual, maps->relu);
    for (int k = 0; k < outputs; k++)
        multiplier[k] = multiplier_value(maps->x->scale, weight_scale[k], maps->y ? maps->y->scale : 0);
    uint8_t low = (uint8_t)r.low, high = (uint8_t)r.high;
    if (maps->y)
        codes_clip(maps->y, maps->relu, &maps->clip, &low, &high);
    return (struct requantize){.multiplier = multiplier,
                               .bias = bias,
                               .residual_multiplier = r.residual_multiplier,
                               .residual_zero_point = (uint8_t)r.residual_zero_point,
                               .zero_point_x = (uint8_t)r.zero_point_x,
                               .zero_point_y = (uint8_t)r.zero_point_y,
                               .low = low,
                               .high = high};
}

void codes_table(const struct affine *x, const struct affine *y, uint8_t table[256])
{
    for (int q = 0; q < 256; q++)
        table[q] = affine_quantize(y, affine_dequantize(x, (uint8_t)q));
}

void input_table(const struct elementwise_kernels *k, const struct node *normalize, const struct affine *a,
                 float *values, uint8_t *table)
{
    uint8_t pixels[4 * 256] = {0};
    int channels = normalize->c;
    for (int p = 0; p < 256; p++)
        for (int c = 0; c < channels; c++)
            pixels[p * channels + c] = (uint8_t)p;
    k->normalize(pixels, 256, channels, normalize->mean, normalize->std, values);
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < 256; p++)
            table[c * 256 + p] = affine_quantize(a, values[p * channels + c]);
}

struct add_u8_call add_call_make(const struct affine *a, const struct affine *b, const struct affine *y)
{
    float share_a = a->scale / y->scale, share_b = b->scale / y->scale;
    float zeros = fmaf(share_a, (float)a->zero_point, share_b * (float)b->zero_point);
    return (struct add_u8_call){.multiplier_a = share_a,
                                .multiplier_b = share_b,
                                .zero_point_a = a->zero_point,
                                .zero_point_b = b->zero_point,
                                .zero_point_y = y->zero_point,
                                .low = y->qmin,
                                .high = y->qmax,
                                .offset = (float)y->zero_point - zeros};
}

void add_call_run(const struct elementwise_kernels *k, int is_separate, const struct add_u8_call *call)
{
    if (is_separate)
        k->add_separate_u8(call);
    else
        k->add_u8(call);
}
