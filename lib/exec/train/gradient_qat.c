/* Quantized mode: the integer kernels in forward, straight-through in backward (Jacob et al. 2018,
 * arXiv:1712.05877; learned scales: Esser et al. 2020, arXiv:1902.08153).
 *
 * With v the value before rounding, in units of a code and without the zero point z, and q = clamp(rint(v) + z,
 * low, high): d q*scale / d v*scale = 1 where low <= rint(v) + z <= high, else 0 d q*scale / d scale   = rint(v) -
 * v there, else low - z or high - z                                                  */
#include "exec/train/gradient_plan.h"
#include <math.h>

int gradient_check_quantized(const struct graph *g, struct message *m)
{
    const struct node *last = &g->nodes[g->count - 1];
    for (int i = 0; i < g->count; i++) {
        const struct node *n = &g->nodes[i];
        if (n->op == OP_BATCHNORM || n->op == OP_ADD || n->op == OP_RELU)
            return message_set(m, STATUS_UNSUPPORTED,
                               "%s: %s cannot be trained in integers: fuse it into a convolution", n->name,
                               graph_op_name(n->op));
        if (n->op == OP_LINEAR && n != last)
            return message_set(m, STATUS_UNSUPPORTED, "%s: only the last layer may be linear", n->name);
        if (n->op != OP_CONV2D && n->op != OP_LINEAR)
            continue;
        /* whatever the weights become, the sums must fit: 2^30 of bias and the rest of the products */
        int side = n->op == OP_CONV2D ? n->kernel : 1;
        double terms = (double)g->nodes[n->inputs[0]].c / (n->op == OP_CONV2D ? n->groups : 1) * side * side;
        if (terms * 127 * 255 >= 0x1p30)
            return message_set(m, STATUS_UNSUPPORTED, "%s: sums of %.0f products may exceed 32 bits", n->name,
                               terms);
    }
    if (last->op != OP_LINEAR)
        return message_set(m, STATUS_UNSUPPORTED, "%s: the last layer must be linear", last->name);
    return 0;
}

/* ---- maps ---- */

int qat_map(const struct gradient *g, const float *parameters, const struct train_step *s, struct affine *map,
            struct message *m)
{
    const char *name = g->graph.nodes[s->output].name;
    *map = g->values[s->output].given;
    if (s->scale != NO_OFFSET) {
        map->scale = parameters[s->scale];
        if (!isfinite(map->scale))
            return message_set(m, STATUS_RANGE, "%s.scale: the learned scale is not finite", name);
        map->scale = learned_scale_value(map->scale, g->values[s->output].given.scale);
    }
    if (s->low != NO_OFFSET) {
        int status = affine_from_range((double)g->state[s->low], (double)g->state[s->high],
                                       g->options.activation_bits, map, m);
        return status < 0 ? message_prefix(m, status, "%s", name) : 0;
    }
    return 0;
}

int qat_begin_forward(struct gradient *g, struct message *m)
{
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        struct train_value *v = &g->values[s->output];
        if (s->output == g->graph.count - 1)
            continue;
        TRY(qat_map(g, g->parameters, s, &v->map, m));
        if (s->scale != NO_OFFSET)
            g->parameters[s->scale] = v->map.scale;
        if (s->kind == TRAIN_NORMALIZE)
            input_table(&g->kernels->elementwise, &g->graph.nodes[s->node], &v->map, g->table_values, g->table);
    }
    return 0;
}

/* As kernel/contract/arithmetic.h takes it. */
static struct device_map map_of_output(const struct gradient *g, const struct train_step *s)
{
    const struct affine *y = &g->values[s->output].map;
    return (struct device_map){y->scale, y->zero_point, y->qmin, y->qmax};
}

void qat_constants(struct gradient *g, struct train_step *s)
{
    const struct affine *x = &g->values[s->x].map;
    struct device_map y = map_of_output(g, s);
    int is_last = s->output == g->graph.count - 1;
    s->requantize = (struct requantize){
        .multiplier = s->multiplier, .bias = s->code_bias, .zero_point_x = x->zero_point, .high = 255};
    conv_multipliers(x->scale, s->code_scale, is_last ? 0 : y.scale, s->shape.out, s->multiplier);
    if (is_last)
        return;
    s->requantize.zero_point_y = (uint8_t)y.zero_point;
    s->requantize.low = (uint8_t)low_code_value(&y, s->relu);
    s->requantize.high = (uint8_t)y.qmax;
    if (s->other >= 0) {
        s->requantize.residual_zero_point = g->values[s->other].map.zero_point;
        s->requantize.residual_multiplier = g->values[s->other].map.scale / y.scale;
    }
}

/* ---- forward ---- */

static void conv_item(struct gradient *g, const struct train_step *s, int image, int block, void *scratch)
{
    int begin = block * s->rows;
    struct layout y_at = layout_dense(s->shape.out_h, s->shape.out_w, s->shape.out);
    struct conv_u8_call call = {
        .images = 1,
        .x = value_u8(g, s->x, image),
        .x_at = layout_dense(s->shape.h, s->shape.w, s->shape.c),
        .packed = s->packed,
        .requantize = &s->requantize,
        .residual = s->other >= 0 ? value_u8(g, s->other, image) : NULL,
        .residual_at = y_at,
        .y_at = y_at,
        .before_at = y_at,
        .logits_at = y_at,
        .row_begin = begin,
        .row_end = begin + s->rows < s->shape.out_h ? begin + s->rows : s->shape.out_h,
    };
    if (s->output == g->graph.count - 1) {
        call.logits = value_f32(g, s->output, image);
    } else {
        call.y = value_u8(g, s->output, image);
        call.before = value_before(g, s->output, image);
    }
    g->kernels->conv_u8.run(&s->shape, &call, scratch);
}

/* The extremes of one image's values before rounding, for a moving range. */
static void range_item(void *context, int image, int worker)
{
    const struct gradient *g = ((const void *const *)context)[0];
    const struct train_step *s = ((const void *const *)context)[1];
    const float *v = value_before(g, s->output, image);
    float low = 0, high = 0;
    (void)worker;
    for (size_t i = 0; i < g->values[s->output].elements; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    g->partials[(size_t)image * g->partial_stride] = s->relu ? 0 : (double)low;
    g->partials[(size_t)image * g->partial_stride + 1] = (double)high;
}

void qat_update_range(struct gradient *g, const struct train_step *s)
{
    const void *context[2] = {g, s};
    double low = 0, high = 0, averaging = g->options.range_averaging;
    float *state_low = &g->state[s->low], *state_high = &g->state[s->high], scale = g->values[s->output].map.scale;
    threads_run(g->pool, range_item, context, g->count);
    for (int i = 0; i < g->count; i++) {
        low = fmin(low, g->partials[(size_t)i * g->partial_stride]);
        high = fmax(high, g->partials[(size_t)i * g->partial_stride + 1]);
    }
    *state_low = range_moved(*state_low, low, scale, averaging);
    *state_high = range_moved(*state_high, high, scale, averaging);
}

void qat_forward_item(struct gradient *g, const struct train_step *s, int image, int block, void *scratch)
{
    const struct elementwise_kernels *k = &g->kernels->elementwise;
    const struct node *x = &g->graph.nodes[s->x];
    const struct affine *map_x = &g->values[s->x].map, *map_y = &g->values[s->output].map;
    int pixels = x->h * x->w;
    if (s->kind == TRAIN_CONV)
        conv_item(g, s, image, block, scratch);
    else if (s->kind == TRAIN_NORMALIZE)
        k->lookup_u8(value_u8(g, s->x, image), pixels, x->c, g->table, value_u8(g, s->output, image));
    else
        k->average_pool_u8(value_u8(g, s->x, image), pixels, x->c, map_x->zero_point,
                           pool_multiplier(map_x, map_y, pixels), map_y->zero_point, map_y->qmin, map_y->qmax,
                           value_u8(g, s->output, image), value_before(g, s->output, image));
}

/* ---- backward ---- */

struct slope qat_slope_of(const struct gradient *g, const struct train_step *s)
{
    struct device_map y = map_of_output(g, s);
    return slope_of(&y, s->relu);
}

void qat_mask_item(struct gradient *g, const struct train_step *s, int image)
{
    const float *v = value_before(g, s->output, image);
    float *dy = value_gradient(g, s->output, image);
    size_t elements = g->values[s->output].elements;
    struct slope slope = qat_slope_of(g, s);
    if (s->scale != NO_OFFSET) {
        double sum = 0;
        for (size_t i = 0; i < elements; i++)
            sum += (double)(dy[i] * slope_at(&slope, v[i]));
        g->partials[(size_t)image * g->partial_stride] = sum;
    }
    for (size_t i = 0; i < elements; i++)
        dy[i] = slope_passes(&slope, v[i]) ? dy[i] : 0.0f;
}

/* The sum over the mini-batch, scaled by 1 / sqrt(features * codes) as the paper does, so that a scale moves as
 * weights do. */
void qat_set_scale_gradient(struct gradient *g, const struct train_step *s, double sum)
{
    struct device_map y = map_of_output(g, s);
    g->gradients[s->scale] = scale_gradient_value(sum, g->values[s->output].elements, &y);
}

void qat_scale_gradient(struct gradient *g, const struct train_step *s)
{
    double sum = 0;
    for (int i = 0; i < g->count; i++)
        sum += g->partials[(size_t)i * g->partial_stride];
    qat_set_scale_gradient(g, s, sum);
}

void qat_dequantize_item(struct gradient *g, const struct train_step *s, int image)
{
    const struct affine *x = &g->values[s->x].map;
    g->kernels->elementwise.dequantize(value_u8(g, s->x, image), g->values[s->x].elements, x->scale, x->zero_point,
                                       value_dequantized(g, s->x, image));
}
