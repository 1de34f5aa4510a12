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

/* ---- weights: p = {w, bias, map x, codes, code_scale, code_bias}, i = {k, per, bits, per_tensor} ---- */

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

static void run_quantize_weights(struct device *d, const struct host_call *c)
{
    int k = (int)c->i[0], per = (int)c->i[1];
    size_t count = (size_t)k * (size_t)per;
    struct layer l = {.w = c->p[0],
                      .bias = c->p[1],
                      .k = k,
                      .per = per,
                      .qmax = (1 << ((int)c->i[2] - 1)) - 1,
                      .scale_x = ((const struct affine *)c->p[2])->scale,
                      .scale = host_written(c->p[4])};
    int8_t *codes = host_written(c->p[3]);
    int32_t *code_bias = host_written(c->p[5]);
    (void)d;
    host_check(l.w, count * sizeof(float), "weights");
    host_check(codes, count, "codes");
    host_check(l.scale, (size_t)k * sizeof(float), "code scale");
    host_check(code_bias, (size_t)k * sizeof(int32_t), "code bias");
    choose_scales(&l, (int)c->i[3]);
    for (size_t i = 0; i < count; i++)
        codes[i] = (int8_t)weight_code(l.w[i], l.scale[i / (size_t)per], l.qmax);
    for (int i = 0; i < k; i++)
        code_bias[i] = l.bias ? (int32_t)bias_code_value(l.bias[i], l.scale_x, l.scale[i]) : 0;
}

static int quantize_weights(struct device *d, const float *w, const float *bias, int k, int per, int bits,
                            int per_tensor, const struct affine *x, int8_t *codes, float *code_scale,
                            int32_t *code_bias, struct message *m)
{
    return HOST_QUEUE(d, "quantize_weights", run_quantize_weights, m,
                      HOST_P(w, bias, x, codes, code_scale, code_bias), HOST_I(k, per, bits, per_tensor));
}

/* p = {codes, code_scale, w}, i = {k, per, type} */
static void run_dequantize_weights(struct device *d, const struct host_call *c)
{
    size_t per = (size_t)c->i[1], count = (size_t)c->i[0] * per;
    const int8_t *codes = c->p[0];
    const float *scale = c->p[1];
    float *w = host_new(count, sizeof *w);
    (void)d;
    host_check(codes, count, "codes");
    for (size_t i = 0; i < count; i++)
        w[i] = scale[i / per] * (float)codes[i];
    host_narrow(w, (enum device_type)c->i[2], host_written(c->p[2]), count, "dequantized weights");
}

static int dequantize_weights(struct device *d, const int8_t *codes, const float *code_scale, int k, int per,
                              enum device_type type, void *w, struct message *m)
{
    return HOST_QUEUE(d, "dequantize_weights", run_dequantize_weights, m, HOST_P(codes, code_scale, w),
                      HOST_I(k, per, type));
}

/* p = {code_scale, x, y, residual, multiplier, requantize}, i = {k, relu} */
static void run_requantize_prepare(struct device *d, const struct host_call *c)
{
    const float *scale = c->p[0];
    const struct affine *x = c->p[1], *y = c->p[2];
    float *multiplier = host_written(c->p[4]);
    (void)d;
    host_check(scale, (size_t)c->i[0] * sizeof *scale, "code scale");
    host_check(multiplier, (size_t)c->i[0] * sizeof *multiplier, "multiplier");
    host_check(c->p[5], sizeof(struct device_requantize), "requantize");
    for (int64_t k = 0; k < c->i[0]; k++)
        multiplier[k] = multiplier_value(x->scale, scale[k], y ? y->scale : 0);
    *(struct device_requantize *)host_written(c->p[5]) = requantize_of(x, y, c->p[3], (int)c->i[1]);
}

static int requantize_prepare(struct device *d, int k, const float *code_scale, const struct affine *x,
                              const struct affine *y, const struct affine *residual, int relu, float *multiplier,
                              struct device_requantize *requantize, struct message *m)
{
    return HOST_QUEUE(d, "requantize_prepare", run_requantize_prepare, m,
                      HOST_P(code_scale, x, y, residual, multiplier, requantize), HOST_I(k, relu));
}

/* ---- straight-through: p = {before, map, dy, scale_gradient}, i = {count, elements, relu, type} ---- */

static void run_straight_through(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[0];
    const float *before = c->p[0];
    const struct affine *map = c->p[1];
    struct slope slope = slope_of(map, (int)c->i[2]);
    float *dy = host_widen(c->p[2], (enum device_type)c->i[3], count, "straight-through dy");
    double sum = 0;
    (void)d;
    host_check(before, count * sizeof *before, "before");
    for (size_t i = 0; i < count; i++) {
        sum += (double)(dy[i] * slope_at(&slope, before[i]));
        dy[i] = slope_passes(&slope, before[i]) ? dy[i] : 0;
    }
    if (c->p[3])
        *(float *)host_written(c->p[3]) = scale_gradient_value(sum, (size_t)c->i[1], map);
    host_narrow(dy, (enum device_type)c->i[3], host_written(c->p[2]), count, "straight-through dy");
}

static int straight_through(struct device *d, const float *before, int n, size_t elements, int relu,
                            const struct affine *map, enum device_type type, void *dy, float *scale_gradient,
                            struct message *m)
{
    return HOST_QUEUE(d, "straight_through", run_straight_through, m, HOST_P(before, map, dy, scale_gradient),
                      HOST_I((int64_t)n * (int64_t)elements, (int64_t)elements, relu, type));
}

/* ---- moving range: p = {before, map, low, high}, i = {count, relu}, f = {averaging} ---- */

static void run_range_update(struct device *d, const struct host_call *c)
{
    const float *v = c->p[0];
    float low = 0, high = 0, *state_low = host_written(c->p[2]), *state_high = host_written(c->p[3]);
    const struct affine *map = c->p[1];
    (void)d;
    host_check(v, (size_t)c->i[0] * sizeof *v, "range values");
    for (int64_t i = 0; i < c->i[0]; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    *state_low = range_moved(*state_low, c->i[1] ? 0 : (double)low, map->scale, c->f[0]);
    *state_high = range_moved(*state_high, (double)high, map->scale, c->f[0]);
}

static int range_update(struct device *d, const float *before, size_t count, int relu, const struct affine *map,
                        double averaging, float *low, float *high, struct message *m)
{
    return HOST_QUEUE(d, "range_update", run_range_update, m, HOST_P(before, map, low, high),
                      HOST_I((int64_t)count, relu), HOST_F(averaging));
}

void host_table_codes(struct device_backend *b)
{
    b->maps = maps;
    b->quantize_weights = quantize_weights;
    b->dequantize_weights = dequantize_weights;
    b->requantize_prepare = requantize_prepare;
    b->straight_through = straight_through;
    b->range_update = range_update;
}
