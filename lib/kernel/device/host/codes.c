/* Codes while they are learned: maps, weights, straight-through. */
#include "kernel/contract/arithmetic.h"
#include "kernel/device/host/values.h"
#include <stdlib.h>

/* ---- maps: p = {sources, maps, report}, i = {count} ---- */

static void run_maps(struct device *d, const struct host_call *c)
{
    const struct device_map_source *sources = c->p[0];
    struct affine *maps = host_written(c->p[1]);
    struct device_report *report = host_written(c->p[2]);
    int count = (int)c->i[0], bad = 0;
    (void)d;
    host_check(sources, (size_t)count * sizeof *sources, "map sources");
    host_check(maps, (size_t)count * sizeof *maps, "maps");
    for (int i = 0; i < count; i++)
        if (!map_from_source(&sources[i], &maps[i]) && !bad)
            bad = i + 1;
    if (report)
        report->bad_map = bad;
}

static int maps(struct device *d, const struct device_map_source *sources, int count, struct affine *to,
                struct device_report *report, struct message *m)
{
    return HOST_QUEUE(d, "maps", run_maps, m, HOST_P(sources, to, report), HOST_I(count));
}

/* ---- weights ---- */

struct layer {
    const float *w, *bias;
    int k, per, qmax;
    float scale_x;
    float *scale;
};

static float largest(const float *w, int count)
{
    float value = 0;
    for (int i = 0; i < count; i++)
        value = fabsf(w[i]) > value ? fabsf(w[i]) : value;
    return value;
}

/* One scale an output, or the same for all; raised until every bias fits. */
static void choose_scales(const struct layer *l, int per_tensor)
{
    float all = per_tensor ? largest(l->w, l->k * l->per) : 0, shared = 0;
    int raised = 0;
    for (int k = 0; k < l->k; k++) {
        float scale = weight_scale(per_tensor ? all : largest(l->w + (size_t)k * (size_t)l->per, l->per), l->qmax);
        l->scale[k] = weight_scale_for_bias(l->bias ? l->bias[k] : 0, l->scale_x, scale);
        raised |= l->scale[k] != scale;
        shared = l->scale[k] > shared ? l->scale[k] : shared;
    }
    for (int k = 0; per_tensor && raised && k < l->k; k++)
        l->scale[k] = shared;
}

static void run_quantize_weights(struct device *d, const struct host_call *queued)
{
    const struct device_quantize_weights_call *c = &queued->quantize_weights;
    int k = c->k, per = c->per;
    size_t count = (size_t)k * (size_t)per;
    struct layer l = {.w = c->w,
                      .bias = c->bias,
                      .k = k,
                      .per = per,
                      .qmax = (1 << (c->bits - 1)) - 1,
                      .scale_x = c->x->scale,
                      .scale = c->code_scale};
    (void)d;
    host_check(l.w, count * sizeof(float), "weights");
    host_check(c->codes, count, "codes");
    host_check(l.scale, (size_t)k * sizeof(float), "code scale");
    host_check(c->code_bias, (size_t)k * sizeof(int32_t), "code bias");
    choose_scales(&l, c->per_tensor);
    for (size_t i = 0; i < count; i++)
        c->codes[i] = (int8_t)weight_code(l.w[i], l.scale[i / (size_t)per], l.qmax);
    for (int i = 0; i < k; i++)
        c->code_bias[i] = l.bias ? (int32_t)bias_code_value(l.bias[i], l.scale_x, l.scale[i]) : 0;
}

static int quantize_weights(struct device *d, const struct device_quantize_weights_call *c, struct message *m)
{
    return HOST_QUEUE(d, "quantize_weights", run_quantize_weights, m, .quantize_weights = *c);
}

static void run_dequantize_weights(struct device *d, const struct host_call *queued)
{
    const struct device_dequantize_weights_call *c = &queued->dequantize_weights;
    size_t per = (size_t)c->per, count = (size_t)c->k * per;
    float *w = host_new(count, sizeof *w);
    (void)d;
    host_check(c->codes, count, "codes");
    for (size_t i = 0; i < count; i++)
        w[i] = c->code_scale[i / per] * (float)c->codes[i];
    host_narrow(w, c->type, c->w, count, "dequantized weights");
}

static int dequantize_weights(struct device *d, const struct device_dequantize_weights_call *c, struct message *m)
{
    return HOST_QUEUE(d, "dequantize_weights", run_dequantize_weights, m, .dequantize_weights = *c);
}

static void run_requantize_prepare(struct device *d, const struct host_call *queued)
{
    const struct device_requantize_call *c = &queued->requantize;
    (void)d;
    host_check(c->code_scale, (size_t)c->k * sizeof *c->code_scale, "code scale");
    host_check(c->multiplier, (size_t)c->k * sizeof *c->multiplier, "multiplier");
    host_check(c->requantize, sizeof(struct device_requantize), "requantize");
    for (int k = 0; k < c->k; k++)
        c->multiplier[k] = multiplier_value(c->x->scale, c->code_scale[k], c->y ? c->y->scale : 0);
    *c->requantize = requantize_of(c->x, c->y, c->residual, c->relu);
}

static int requantize_prepare(struct device *d, const struct device_requantize_call *c, struct message *m)
{
    return HOST_QUEUE(d, "requantize_prepare", run_requantize_prepare, m, .requantize = *c);
}

/* ---- straight-through ---- */

static void run_straight_through(struct device *d, const struct host_call *queued)
{
    const struct device_straight_through_call *c = &queued->straight_through;
    size_t count = (size_t)c->n * c->elements;
    struct slope slope = slope_of(c->map, c->relu);
    float *dy = host_widen(c->dy, c->type, count, "straight-through dy");
    double sum = 0;
    (void)d;
    host_check(c->before, count * sizeof *c->before, "before");
    for (size_t i = 0; i < count; i++) {
        sum += (double)(dy[i] * slope_at(&slope, c->before[i]));
        dy[i] = slope_passes(&slope, c->before[i]) ? dy[i] : 0;
    }
    if (c->scale_gradient)
        *c->scale_gradient = scale_gradient_value(sum, c->elements, c->map);
    host_narrow(dy, c->type, c->dy, count, "straight-through dy");
}

static int straight_through(struct device *d, const struct device_straight_through_call *c, struct message *m)
{
    return HOST_QUEUE(d, "straight_through", run_straight_through, m, .straight_through = *c);
}

/* ---- moving range ---- */

static void run_range_update(struct device *d, const struct host_call *queued)
{
    const struct device_range_call *c = &queued->range;
    float low = 0, high = 0;
    (void)d;
    host_check(c->before, c->count * sizeof *c->before, "range values");
    for (size_t i = 0; i < c->count; i++) {
        low = c->before[i] < low ? c->before[i] : low;
        high = c->before[i] > high ? c->before[i] : high;
    }
    *c->low = range_moved(*c->low, c->relu ? 0 : (double)low, c->map->scale, c->averaging);
    *c->high = range_moved(*c->high, (double)high, c->map->scale, c->averaging);
}

static int range_update(struct device *d, const struct device_range_call *c, struct message *m)
{
    return HOST_QUEUE(d, "range_update", run_range_update, m, .range = *c);
}

/* p = {values, ends}, i = {count} */
static void run_extremes(struct device *d, const struct host_call *c)
{
    const float *values = c->p[0];
    float *ends = host_written(c->p[1]);
    (void)d;
    host_check(values, (size_t)c->i[0] * sizeof *values, "extremes of");
    host_check(ends, 2 * sizeof *ends, "extremes");
    ends[0] = ends[1] = 0;
    for (int64_t i = 0; i < c->i[0]; i++) {
        ends[0] = values[i] < ends[0] ? values[i] : ends[0];
        ends[1] = values[i] > ends[1] ? values[i] : ends[1];
    }
}

static int extremes(struct device *d, const float *values, size_t count, float *ends, struct message *m)
{
    return HOST_QUEUE(d, "extremes", run_extremes, m, HOST_P(values, ends), HOST_I((int64_t)count));
}

void host_table_codes(struct device_backend *b)
{
    b->maps = maps;
    b->quantize_weights = quantize_weights;
    b->dequantize_weights = dequantize_weights;
    b->requantize_prepare = requantize_prepare;
    b->straight_through = straight_through;
    b->range_update = range_update;
    b->extremes = extremes;
}
