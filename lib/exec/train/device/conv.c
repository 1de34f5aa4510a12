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
    return at->b->linear_forward(at->d, &l, device_slot_value(at, s->x), device_weights(g, i),
                                 own->bias == NO_OFFSET ? NULL : device_of(g)->parameters + own->bias,
                                 device_slot_value(at, s->output), m);
}

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    if (device_is_linear(g, i))
        return forward_linear(at, i, m);
    const struct device_conv_call call = {.x = device_slot_value(at, s->x),
                                          .w = device_weights(g, i),
                                          .bias =
                                              own->bias == NO_OFFSET ? NULL : device_of(g)->parameters + own->bias,
                                          .other = device_slot_value(at, s->other),
                                          .relu = s->relu,
                                          .y = device_slot_value(at, s->output),
                                          .workspace = at->p->workspace};
    return at->b->conv_forward(at->d, at->p->steps[i].plan, &call, m);
}

/* The layer's weights as codes, and its constants, from parameters and maps as they now are. Once for shards of one
 * size. */
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
    const struct weight_codes how = gradient_weight_codes(g, i);
    const struct device_quantize_weights_call codes = {.w = t->parameters + own->weight,
                                                       .bias = own->bias == NO_OFFSET ? NULL
                                                                                      : t->parameters + own->bias,
                                                       .k = c->out,
                                                       .per = c->c * c->kernel * c->kernel,
                                                       .bits = how.bits,
                                                       .per_tensor = how.per_tensor,
                                                       .x = x,
                                                       .codes = device_layer_at(g, l->codes),
                                                       .code_scale = device_layer_at(g, l->code_scale),
                                                       .code_bias = device_layer_at(g, l->code_bias)};
    const struct device_requantize_call requantize = {.k = c->out,
                                                      .code_scale = codes.code_scale,
                                                      .x = x,
                                                      .y = is_last ? NULL : device_map_of(g, s->output),
                                                      .residual = s->other < 0 ? NULL : device_map_of(g, s->other),
                                                      .relu = s->relu,
                                                      .multiplier = device_layer_at(g, l->multiplier),
                                                      .requantize = device_layer_at(g, l->requantize)};
    TRY(at->b->quantize_weights(at->d, &codes, m));
    TRY(at->b->requantize_prepare(at->d, &requantize, m));
    return at->b->conv_u8_pack(at->d, at->p->steps[i].integer, device_layer_at(g, l->codes),
                               device_layer_at(g, l->code_bias), device_layer_at(g, l->requantize),
                               device_layer_at(g, l->packed), m);
}

static int forward_codes(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_layer *l = &device_of(g)->layer[i];
    struct device_conv_u8_call call = {.x = device_slot_value(at, s->x),
                                       .packed = device_layer_at(g, l->packed),
                                       .multiplier = device_layer_at(g, l->multiplier),
                                       .requantize = device_layer_at(g, l->requantize),
                                       .residual = device_slot_value(at, s->other)};
    if (gradient_is_last(g, s->output)) {
        call.logits = device_slot_value(at, s->output);
    } else {
        call.y = device_slot_value(at, s->output);
        call.before = device_slot_before(at, s->output);
    }
    if (at->is_new)
        TRY(quantize_layer(at, i, m));
    return at->b->conv_u8(at->d, at->p->steps[i].integer, &call, at->p->workspace, m);
}

/* ---- backward ---- */

/* What forward multiplied: values and weights, in quantized mode made floats again. */
static int multiplied(const struct device_place *at, int i, const void **x, const void **w, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    struct device_training *t = device_of(g);
    const struct device_layer *l = &t->layer[i];
    *x = device_slot_value(at, s->x);
    *w = device_weights(g, i);
    if (!gradient_quantized(g))
        return 0;
    void *values = device_at(t->arena, t->dequantized), *weights = device_at(t->arena, t->weights);
    TRY(at->b->dequantize(at->d, *x, device_slot_count(at, s->x), device_map_of(g, s->x), t->type, values, m));
    *x = values;
    *w = weights;
    if (!gradient_wants(g, s->x))
        return 0;
    const struct device_dequantize_weights_call call = {.codes = device_layer_at(g, l->codes),
                                                        .code_scale = device_layer_at(g, l->code_scale),
                                                        .k = s->shape.out,
                                                        .per = s->shape.c * s->shape.kernel * s->shape.kernel,
                                                        .type = t->type,
                                                        .w = weights};
    return at->b->dequantize_weights(at->d, &call, m);
}

static int linear_backward(const struct device_place *at, int i, const void *x, const void *w, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    struct device_linear l = {at->p->count, s->shape.c, s->shape.out, t->type, t->type};
    const struct device_linear_backward_call call = {.x = x,
                                                     .w = w,
                                                     .dy = device_slot_gradient(at, s->output),
                                                     .dx = gradient_wants(g, s->x) ? device_x_target(at, i) : NULL,
                                                     .dw = at->gradients + own->weight,
                                                     .db =
                                                         own->bias == NO_OFFSET ? NULL : at->gradients + own->bias};
    TRY(at->b->linear_backward(at->d, &l, &call, m));
    return device_x_done(at, i, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    struct device_plan *plan = at->p->steps[i].plan;
    void *dy = device_slot_gradient(at, s->output);
    const void *x, *w;
    TRY(device_mask(at, i, m));
    TRY(device_pass_on(at, s->other, own->accumulate_other, dy, m));
    TRY(multiplied(at, i, &x, &w, m));
    if (device_is_linear(g, i)) {
        TRY(linear_backward(at, i, x, w, m));
        return device_mark(g, i, MARK_WEIGHT_END, m);
    }
    if (own->bias != NO_OFFSET)
        TRY(at->b->bias_gradient(at->d, t->type, dy, device_slot_rows(at, s->output), s->shape.out,
                                 at->gradients + own->bias, m));
    TRY(at->b->conv_weight(at->d, plan, x, dy, at->gradients + own->weight, at->p->workspace, m));
    TRY(device_mark(g, i, MARK_WEIGHT_END, m));
    if (!gradient_wants(g, s->x))
        return 0;
    const struct device_conv_data_call call = {.dy = dy,
                                               .w = w,
                                               .accumulate = own->accumulate_x,
                                               .dx = device_slot_gradient(at, s->x),
                                               .workspace = at->p->workspace};
    return at->b->conv_data(at->d, plan, &call, m);
}

const struct device_op device_conv_op = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
