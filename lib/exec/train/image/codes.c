/* Quantized mode image by image; ../qat.c has what it is. */
#include "exec/train/image/image_engine.h"

/* ---- forward ---- */

int codes_begin_forward(struct gradient *g, struct message *m)
{
    struct image_engine *e = image_of(g);
    TRY(weight_scales_begin(g, m));
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        struct affine *map = &g->values[s->output].map;
        if (gradient_is_last(g, s->output))
            continue;
        TRY(qat_map(g, g->parameters, g->state, i, map, m));
        if (g->train[i].scale != NO_OFFSET)
            g->parameters[g->train[i].scale] = map->scale;
        if (s->kind == STEP_NORMALIZE)
            input_table(&g->kernels->elementwise, gradient_node(g, s->node), map, e->table_values, e->table);
    }
    return 0;
}

/* The extremes of one image's values before rounding, for a moving range. */
static void range_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const float *v = value_before(g, s->output, image);
    double *extremes = image_partials(g, image);
    float low = 0, high = 0;
    (void)worker;
    for (size_t k = 0; k < g->values[s->output].elements; k++) {
        low = v[k] < low ? v[k] : low;
        high = v[k] > high ? v[k] : high;
    }
    float scale = g->values[s->output].map.scale;
    low = s->relu ? 0 : low;
    if (s->clip.on) { /* the value is what is left of v */
        low = fmaxf(low, fminf(s->clip.low / scale, 0));
        high = fminf(high, fmaxf(s->clip.high / scale, 0));
    }
    extremes[0] = (double)low;
    extremes[1] = (double)high;
}

void codes_update_range(struct gradient *g, int i)
{
    const struct train_step *t = &g->train[i];
    const struct parts parts = image_parts(g);
    float scale = g->values[g->steps.at[i].output].map.scale;
    double low, high;
    if (t->low == NO_OFFSET)
        return;
    image_each(g, i, range_item, g->count);
    reduce_extremes(&g->reduce, &parts, &low, &high);
    g->state[t->low] = range_moved(g->state[t->low], low, scale, g->options.range_averaging);
    g->state[t->high] = range_moved(g->state[t->high], high, scale, g->options.range_averaging);
}

/* ---- backward ---- */

struct slope codes_slope(const struct gradient *g, int i)
{
    const struct affine *y = &g->values[g->steps.at[i].output].map;
    uint8_t low, high;
    codes_clip(y, g->steps.at[i].relu, &g->steps.at[i].clip, &low, &high);
    return slope_between(low - y->zero_point, high - y->zero_point);
}

/* The same with gradients scaled element by element. */
static void scale_item(struct gradient *g, int i, int image)
{
    int node = g->steps.at[i].output;
    const float *v = value_before(g, node, image);
    float *dy = value_gradient(g, node, image);
    struct slope slope = codes_slope(g, i);
    double sum = 0;
    for (size_t k = 0; k < g->values[node].elements; k++)
        dy[k] = slope_scale(&slope, v[k], dy[k], (float)g->options.ewgs, &sum);
    if (g->train[i].scale != NO_OFFSET)
        *image_partials(g, image) = sum;
}

void codes_mask_item(struct gradient *g, int i, int image)
{
    int node = g->steps.at[i].output;
    const float *v = value_before(g, node, image);
    float *dy = value_gradient(g, node, image);
    size_t elements = g->values[node].elements;
    struct slope slope = codes_slope(g, i);
    if (g->options.ewgs > 0) {
        scale_item(g, i, image);
        return;
    }
    if (g->train[i].scale != NO_OFFSET) {
        double sum = 0;
        for (size_t k = 0; k < elements; k++)
            sum += (double)(dy[k] * slope_at(&slope, v[k]));
        *image_partials(g, image) = sum;
    }
    for (size_t k = 0; k < elements; k++)
        dy[k] = slope_passes(&slope, v[k]) ? dy[k] : 0.0f;
}

/* Scaled by 1 / sqrt(features * codes) as the paper does, so that a scale moves as weights do. */
void codes_set_scale_gradient(struct gradient *g, int i, double sum)
{
    int node = g->steps.at[i].output;
    const struct train_value *y = &g->values[node];
    g->gradients[g->train[i].scale] = scale_gradient_value(sum, y->elements, &y->map);
}

void codes_scale_gradient(struct gradient *g, int i)
{
    if (g->train[i].scale != NO_OFFSET)
        codes_set_scale_gradient(g, i, image_sums(g, 1)[0]);
}

void codes_dequantize_item(struct gradient *g, int i, int image)
{
    int node = g->steps.at[i].x;
    const struct affine *x = &g->values[node].map;
    g->kernels->elementwise.dequantize(value_u8(g, node, image), g->values[node].elements, x->scale, x->zero_point,
                                       value_dequantized(g, node, image));
}

static void operand_items(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    for (int k = 0; k < step_operands(s); k++) {
        int node = step_operand(s, k);
        if (node < 0)
            continue;
        const struct affine *x = &g->values[node].map;
        g->kernels->elementwise.dequantize(value_u8(g, node, image), g->values[node].elements, x->scale,
                                           x->zero_point, operand_f32(g, i, k, image));
    }
}

void codes_dequantize_operands(struct gradient *g, int i)
{
    image_each(g, i, operand_items, g->count);
}

void codes_clamp_backward(const struct gradient *g, int i, int image, float *dx)
{
    const struct step *s = &g->steps.at[i];
    const uint8_t *q = value_u8(g, s->x, image);
    const float *dy = value_gradient(g, s->output, image);
    uint8_t low, high;
    codes_clip(&g->values[s->x].map, s->kind == STEP_RELU, &s->clip, &low, &high);
    for (size_t k = 0; k < g->values[s->x].elements; k++)
        dx[k] = q[k] >= low && q[k] <= high ? dy[k] : 0.0f;
}
