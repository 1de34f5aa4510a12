/* Training on a device, forward: each step of gradient_plan.h as operations of the backend. */
#include "exec/train/device/device_train.h"

struct place {
    struct gradient *g;
    struct device_program *p;
    const struct device_backend *b;
    struct device *d;
};

/* ---- floats ---- */

static int forward_linear(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    enum device_type type = g->on_device->type;
    struct device_linear l = {at->p->count, s->shape.c, s->shape.out, type,
                              device_is_last(g, s->output) ? DEVICE_F32 : type};
    return at->b->linear_forward(at->d, &l, device_slot_value(g, s->x), device_weights(g, s),
                                 s->bias == NO_OFFSET ? NULL : g->on_device->parameters + s->bias,
                                 device_slot_value(g, s->output), m);
}

static int forward_conv(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    if (device_step_is_linear(g, s))
        return forward_linear(at, s, m);
    return at->b->conv_forward(
        at->d, at->p->steps[s - g->steps].plan, device_slot_value(g, s->x), device_weights(g, s),
        s->bias == NO_OFFSET ? NULL : g->on_device->parameters + s->bias, device_slot_value(g, s->other), s->relu,
        device_slot_value(g, s->output), at->p->workspace, m);
}

static int forward_norm(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = g->on_device;
    const struct device_program_step *p = &at->p->steps[s - g->steps];
    const struct device_layer *l = &t->layer[s - g->steps];
    return at->b->norm_forward(at->d, p->plan, device_slot_value(g, s->x), device_slot_value(g, s->other),
                               t->parameters + s->weight, t->parameters + s->bias, t->state + s->mean,
                               t->state + s->variance, device_layer_at(g, l->saved_mean),
                               device_layer_at(g, l->saved_inv_std), device_slot_value(g, s->output),
                               device_at(at->p->reserve, p->reserve), at->p->workspace, m);
}

static int forward_float(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    enum device_type type = g->on_device->type;
    const struct node *n = device_node(g, s->node), *x = device_node(g, s->x);
    const void *from = device_slot_value(g, s->x);
    void *to = device_slot_value(g, s->output);
    size_t count = device_slot_count(g, at->p, s->output);
    switch (s->kind) {
    case TRAIN_NORMALIZE:
        return at->b->normalize(at->d, from, device_slot_rows(g, at->p, s->x), n->c, n->mean, n->std, type, to, m);
    case TRAIN_CONV:
        return forward_conv(at, s, m);
    case TRAIN_NORM:
        return forward_norm(at, s, m);
    case TRAIN_RELU:
        return at->b->relu(at->d, type, from, count, to, m);
    case TRAIN_ADD:
        return at->b->add(at->d, type, from, device_slot_value(g, s->other), count, 0, to, m);
    default:
        return at->b->average_pool(at->d, type, from, at->p->count, x->h * x->w, x->c, to, m);
    }
}

/* ---- codes ---- */

/* The layer's weights as codes, and its constants, from parameters and maps as they now are. */
static int quantize_layer(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = g->on_device;
    const struct device_layer *l = &t->layer[s - g->steps];
    const struct conv_shape *c = &s->shape;
    int is_last = device_is_last(g, s->output);
    const struct device_map *x = device_map_of(g, s->x);
    TRY(at->b->quantize_weights(
        at->d, t->parameters + s->weight, s->bias == NO_OFFSET ? NULL : t->parameters + s->bias, c->out,
        c->c * c->kernel * c->kernel, g->options.weight_bits, g->options.per_tensor, x,
        device_layer_at(g, l->codes), device_layer_at(g, l->code_scale), device_layer_at(g, l->code_bias), m));
    TRY(at->b->requantize_prepare(at->d, c->out, device_layer_at(g, l->code_scale), x,
                                  is_last ? NULL : device_map_of(g, s->output),
                                  s->other < 0 ? NULL : device_map_of(g, s->other), s->relu,
                                  device_layer_at(g, l->multiplier), device_layer_at(g, l->requantize), m));
    return at->b->conv_u8_pack(at->d, at->p->steps[s - g->steps].integer, device_layer_at(g, l->codes),
                               device_layer_at(g, l->code_bias), device_layer_at(g, l->requantize),
                               device_layer_at(g, l->packed), m);
}

static int forward_conv_u8(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_layer *l = &g->on_device->layer[s - g->steps];
    struct device_conv_u8_call call = {.x = device_slot_value(g, s->x),
                                       .packed = device_layer_at(g, l->packed),
                                       .multiplier = device_layer_at(g, l->multiplier),
                                       .requantize = device_layer_at(g, l->requantize),
                                       .residual = device_slot_value(g, s->other)};
    if (device_is_last(g, s->output)) {
        call.logits = device_slot_value(g, s->output);
    } else {
        call.y = device_slot_value(g, s->output);
        call.before = device_slot_before(g, s->output);
    }
    TRY(quantize_layer(at, s, m));
    return at->b->conv_u8(at->d, at->p->steps[s - g->steps].integer, &call, at->p->workspace, m);
}

static int forward_codes(const struct place *at, const struct train_step *s, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = g->on_device;
    const struct node *x = device_node(g, s->x);
    if (s->kind == TRAIN_NORMALIZE)
        return at->b->lookup_u8(at->d, device_slot_value(g, s->x), device_slot_rows(g, at->p, s->x), x->c,
                                device_at(t->constants, t->table), device_slot_value(g, s->output), m);
    if (s->kind == TRAIN_CONV)
        TRY(forward_conv_u8(at, s, m));
    else
        TRY(at->b->average_pool_u8(at->d, device_slot_value(g, s->x), at->p->count, x->h * x->w, x->c,
                                   device_map_of(g, s->x), device_map_of(g, s->output),
                                   device_slot_value(g, s->output), device_slot_before(g, s->output), m));
    if (s->low == NO_OFFSET)
        return 0;
    return at->b->range_update(at->d, device_slot_before(g, s->output), device_slot_count(g, at->p, s->output),
                               s->relu, device_map_of(g, s->output), g->options.range_averaging, t->state + s->low,
                               t->state + s->high, m);
}

/* ---- all of it ---- */

/* Whatever the last node is, its values as floats. */
static int queue_logits(const struct place *at, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_training *t = g->on_device;
    int last = g->graph.count - 1;
    size_t count = device_slot_count(g, at->p, last);
    void *logits = device_at(t->arena, t->logits);
    if (gradient_quantized(g) || t->type == DEVICE_F32 || device_node(g, last)->op == OP_LINEAR)
        return at->b->copy_on(at->d, QUEUE_COMPUTE, logits, device_slot_value(g, last), count * sizeof(float), m);
    return at->b->cast(at->d, t->type, device_slot_value(g, last), DEVICE_F32, logits, count, m);
}

int device_queue_forward(struct gradient *g, struct device_program *p, struct message *m)
{
    struct device_training *t = g->on_device;
    const struct place at = {g, p, t->context->backend, t->context->device};
    if (gradient_quantized(g))
        TRY(at.b->maps(at.d, device_at(t->constants, t->sources), g->graph.count, device_map_of(g, 0),
                       &device_outcome_of(g)->report, m));
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        TRY(device_mark(g, s, MARK_FORWARD, m));
        int status = gradient_quantized(g) ? forward_codes(&at, s, m) : forward_float(&at, s, m);
        if (status < 0)
            return message_prefix(m, status, "%s", device_node(g, s->node)->name);
        TRY(device_mark(g, s, MARK_FORWARD_END, m));
    }
    return queue_logits(&at, m);
}
