/* Convolution and linear on a device.
 *   x [N,H,W,C], weight [K][R][R][C] ([K][C] of a linear layer), bias [K], residual and y [N,H',W',K]
 * Floats of the plan's type, or codes; see kernel/contract/device.h. */
#include "exec/train/device/device_train.h"

/* ---- forward ---- */

static int forward_linear(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    enum device_type type = device_of(g)->type;
    struct device_linear l = {at->p->count, s->shape.c, s->shape.out, type,
                              gradient_is_last(g, s->output) ? DEVICE_F32 : type};
    return at->b->linear_forward(at->d, &l, device_slot_value(g, s->x), device_weights(g, i),
                                 own->bias == NO_OFFSET ? NULL : device_of(g)->parameters + own->bias,
                                 device_slot_value(g, s->output), m);
}

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    if (device_is_linear(g, i))
        return forward_linear(at, i, m);
    return at->b->conv_forward(at->d, at->p->steps[i].plan, device_slot_value(g, s->x), device_weights(g, i),
                               own->bias == NO_OFFSET ? NULL : device_of(g)->parameters + own->bias,
                               device_slot_value(g, s->other), s->relu, device_slot_value(g, s->output),
                               at->p->workspace, m);
}

/* The layer's weights as codes, and its constants, from parameters and maps as they now are. */
static int quantize_layer(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    const struct device_training *t = device_of(g);
    const struct device_layer *l = &t->layer[i];
    const struct conv_shape *c = &s->shape;
    int is_last = gradient_is_last(g, s->output);
    const struct affine *x = device_map_of(g, s->x);
    TRY(at->b->quantize_weights(
        at->d, t->parameters + own->weight, own->bias == NO_OFFSET ? NULL : t->parameters + own->bias, c->out,
        c->c * c->kernel * c->kernel, g->options.weight_bits, g->options.per_tensor, x,
        device_layer_at(g, l->codes), device_layer_at(g, l->code_scale), device_layer_at(g, l->code_bias), m));
    TRY(at->b->requantize_prepare(at->d, c->out, device_layer_at(g, l->code_scale), x,
                                  is_last ? NULL : device_map_of(g, s->output),
                                  s->other < 0 ? NULL : device_map_of(g, s->other), s->relu,
                                  device_layer_at(g, l->multiplier), device_layer_at(g, l->requantize), m));
    return at->b->conv_u8_pack(at->d, at->p->steps[i].integer, device_layer_at(g, l->codes),
                               device_layer_at(g, l->code_bias), device_layer_at(g, l->requantize),
                               device_layer_at(g, l->packed), m);
}

static int forward_codes(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_layer *l = &device_of(g)->layer[i];
    struct device_conv_u8_call call = {.x = device_slot_value(g, s->x),
                                       .packed = device_layer_at(g, l->packed),
                                       .multiplier = device_layer_at(g, l->multiplier),
                                       .requantize = device_layer_at(g, l->requantize),
                                       .residual = device_slot_value(g, s->other)};
    if (gradient_is_last(g, s->output)) {
        call.logits = device_slot_value(g, s->output);
    } else {
        call.y = device_slot_value(g, s->output);
        call.before = device_slot_before(g, s->output);
    }
    TRY(quantize_layer(at, i, m));
    TRY(at->b->conv_u8(at->d, at->p->steps[i].integer, &call, at->p->workspace, m));
    return device_range_update(at, i, m);
}

/* ---- backward ---- */

/* What forward multiplied: values and weights, in quantized mode made floats again. */
static int multiplied(const struct device_place *at, int i, const void **x, const void **w, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    struct device_training *t = device_of(g);
    const struct device_layer *l = &t->layer[i];
    *x = device_slot_value(g, s->x);
    *w = device_weights(g, i);
    if (!gradient_quantized(g))
        return 0;
    void *values = device_at(t->arena, t->dequantized), *weights = device_at(t->arena, t->weights);
    TRY(at->b->dequantize(at->d, *x, device_slot_count(g, at->p, s->x), device_map_of(g, s->x), t->type, values,
                          m));
    *x = values;
    *w = weights;
    if (!gradient_wants(g, s->x))
        return 0;
    return at->b->dequantize_weights(at->d, device_layer_at(g, l->codes), device_layer_at(g, l->code_scale),
                                     s->shape.out, s->shape.c * s->shape.kernel * s->shape.kernel, t->type, weights,
                                     m);
}

static int linear_backward(const struct device_place *at, int i, const void *x, const void *w, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    struct device_linear l = {at->p->count, s->shape.c, s->shape.out, t->type, t->type};
    TRY(at->b->linear_backward(at->d, &l, x, w, device_slot_gradient(g, s->output),
                               gradient_wants(g, s->x) ? device_x_target(at, i) : NULL, t->gradients + own->weight,
                               own->bias == NO_OFFSET ? NULL : t->gradients + own->bias, m));
    return device_x_done(at, i, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    struct device_plan *plan = at->p->steps[i].plan;
    void *dy = device_slot_gradient(g, s->output);
    const void *x, *w;
    TRY(device_mask(at, i, m));
    TRY(device_pass_on(at, s->other, own->accumulate_other, dy, m));
    TRY(multiplied(at, i, &x, &w, m));
    if (device_is_linear(g, i)) {
        TRY(linear_backward(at, i, x, w, m));
        return device_mark(g, i, MARK_WEIGHT_END, m);
    }
    if (own->bias != NO_OFFSET)
        TRY(at->b->bias_gradient(at->d, t->type, dy, device_slot_rows(g, at->p, s->output), s->shape.out,
                                 t->gradients + own->bias, m));
    TRY(at->b->conv_weight(at->d, plan, x, dy, t->gradients + own->weight, at->p->workspace, m));
    TRY(device_mark(g, i, MARK_WEIGHT_END, m));
    if (!gradient_wants(g, s->x))
        return 0;
    return at->b->conv_data(at->d, plan, dy, w, device_slot_gradient(g, s->x), own->accumulate_x, at->p->workspace,
                            m);
}

const struct device_op device_conv_op = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
