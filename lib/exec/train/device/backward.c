/* Training on a device, backward, step by step from the last. */
#include "exec/train/device/device_train.h"

struct place {
    struct gradient *g;
    struct device_program *p;
    const struct device_backend *b;
    struct device *d;
};

/* ---- what all kinds share ---- */

static int wants(const struct gradient *g, int node)
{
    return node >= 0 && g->values[node].wants_gradient;
}

/* Gives `from` to an operand: its first user writes, the others add. */
static int pass_on(const struct place *at, int operand, int accumulate, const void *from, struct message *m)
{
    const struct gradient *g = at->g;
    enum device_type type = g->on_device->type;
    if (!wants(g, operand))
        return 0;
    size_t count = device_slot_count(g, at->p, operand);
    void *to = device_slot_gradient(g, operand);
    if (accumulate)
        return at->b->add(at->d, type, to, from, count, 0, to, m);
    return at->b->copy_on(at->d, QUEUE_COMPUTE, to, from, count * device_type_bytes(type), m);
}

static void *spare(const struct place *at)
{
    return device_at(at->g->on_device->arena, at->g->on_device->spare);
}

/* Where a gradient by x is to be written: its own place, or the spare one, which x_done then adds. */
static void *x_target(const struct place *at, const struct train_step *s)
{
    return wants(at->g, s->x) && !s->accumulate_x ? device_slot_gradient(at->g, s->x) : spare(at);
}

static int x_done(const struct place *at, const struct train_step *s, struct message *m)
{
    return s->accumulate_x ? pass_on(at, s->x, 1, spare(at), m) : 0;
}

/* The clamp of the output, in place: a relu, or the codes' range and the learned scale. */
static int mask(const struct place *at, const struct train_step *s, struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = g->on_device;
    void *dy = device_slot_gradient(g, s->output);
    if (gradient_quantized(g) && !device_is_last(g, s->output))
        return at->b->straight_through(at->d, device_slot_before(g, s->output), at->p->count,
                                       g->values[s->output].elements, s->relu, device_map_of(g, s->output), t->type,
                                       dy, s->scale == NO_OFFSET ? NULL : t->gradients + s->scale, m);
    if (s->relu)
        return at->b->relu_backward(at->d, t->type, device_slot_value(g, s->output), dy,
                                    device_slot_count(g, at->p, s->output), dy, m);
    return 0;
}

/* ---- convolution and linear ---- */

/* What forward multiplied: values and weights, in quantized mode made floats again. */
static int multiplied(const struct place *at, const struct train_step *s, const void **x, const void **w,
                      struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = g->on_device;
    const struct device_layer *l = &t->layer[s - g->steps];
    *x = device_slot_value(g, s->x);
    *w = device_weights(g, s);
    if (!gradient_quantized(g))
        return 0;
    void *values = device_at(t->arena, t->dequantized), *weights = device_at(t->arena, t->weights);
    TRY(at->b->dequantize(at->d, *x, device_slot_count(g, at->p, s->x), device_map_of(g, s->x), t->type, values,
                          m));
    *x = values;
    *w = weights;
    if (!wants(g, s->x))
        return 0;
    return at->b->dequantize_weights(at->d, device_layer_at(g, l->codes), device_layer_at(g, l->code_scale),
                                     s->shape.out, s->shape.c * s->shape.kernel * s->shape.kernel, t->type, weights,
                                     m);
}

static int linear_backward(const struct place *at, const struct train_step *s, const void *x, const void *w,
                           struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = g->on_device;
    struct device_linear l = {at->p->count, s->shape.c, s->shape.out, t->type, t->type};
    TRY(at->b->linear_backward(at->d, &l, x, w, device_slot_gradient(g, s->output),
                               wants(g, s->x) ? x_target(at, s) : NULL, t->gradients + s->weight,
                               s->bias == NO_OFFSET ? NULL : t->gradients + s->bias, m));
    return x_done(at, s, m);
}

static int conv_backward(const struct place *at, const struct train_step *s, struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = g->on_device;
    struct device_plan *plan = at->p->steps[s - g->steps].plan;
    void *dy = device_slot_gradient(g, s->output);
    const void *x, *w;
    TRY(mask(at, s, m));
    TRY(pass_on(at, s->other, s->accumulate_other, dy, m));
    TRY(multiplied(at, s, &x, &w, m));
    if (device_step_is_linear(g, s)) {
        TRY(linear_backward(at, s, x, w, m));
        return device_mark(g, s, MARK_WEIGHT_END, m);
    }
    if (s->bias != NO_OFFSET)
        TRY(at->b->bias_gradient(at->d, t->type, dy, device_slot_rows(g, at->p, s->output), s->shape.out,
                                 t->gradients + s->bias, m));
    TRY(at->b->conv_weight(at->d, plan, x, dy, t->gradients + s->weight, at->p->workspace, m));
    TRY(device_mark(g, s, MARK_WEIGHT_END, m));
    if (!wants(g, s->x))
        return 0;
    return at->b->conv_data(at->d, plan, dy, w, device_slot_gradient(g, s->x), s->accumulate_x, at->p->workspace,
                            m);
}

/* ---- the rest ---- */

static int norm_backward(const struct place *at, const struct train_step *s, struct message *m)
{
    struct gradient *g = at->g;
    struct device_training *t = g->on_device;
    const struct device_program_step *p = &at->p->steps[s - g->steps];
    const struct device_layer *l = &t->layer[s - g->steps];
    int own = wants(g, s->other) && !s->accumulate_other;
    void *d_other = s->other < 0 ? NULL
                    : own        ? device_slot_gradient(g, s->other)
                                 : device_at(t->arena, t->spare_other);
    TRY(at->b->norm_backward(at->d, p->plan, device_slot_value(g, s->x), device_slot_value(g, s->output),
                             device_slot_gradient(g, s->output), t->parameters + s->weight, t->parameters + s->bias,
                             device_layer_at(g, l->saved_mean), device_layer_at(g, l->saved_inv_std),
                             device_at(at->p->reserve, p->reserve), x_target(at, s), d_other,
                             t->gradients + s->weight, t->gradients + s->bias, at->p->workspace, m));
    if (s->other >= 0 && !own)
        TRY(pass_on(at, s->other, 1, d_other, m));
    return x_done(at, s, m);
}

static int simple_backward(const struct place *at, const struct train_step *s, struct message *m)
{
    struct gradient *g = at->g;
    enum device_type type = g->on_device->type;
    const struct node *x = device_node(g, s->x);
    void *dy = device_slot_gradient(g, s->output);
    if (s->kind == TRAIN_ADD) {
        TRY(pass_on(at, s->other, s->accumulate_other, dy, m));
        return pass_on(at, s->x, s->accumulate_x, dy, m);
    }
    if (gradient_quantized(g))
        TRY(mask(at, s, m));
    if (!wants(g, s->x))
        return 0;
    if (s->kind == TRAIN_POOL)
        TRY(at->b->average_pool_backward(at->d, type, dy, at->p->count, x->h * x->w, x->c, x_target(at, s), m));
    else
        TRY(at->b->relu_backward(at->d, type, device_slot_value(g, s->output), dy,
                                 device_slot_count(g, at->p, s->output), x_target(at, s), m));
    return x_done(at, s, m);
}

static int step_backward(const struct place *at, const struct train_step *s, struct message *m)
{
    if (s->kind == TRAIN_NORMALIZE || !wants(at->g, s->output))
        return 0;
    if (s->kind == TRAIN_CONV)
        return conv_backward(at, s, m);
    return s->kind == TRAIN_NORM ? norm_backward(at, s, m) : simple_backward(at, s, m);
}

int device_queue_backward(struct gradient *g, struct device_program *p, struct message *m)
{
    struct device_training *t = g->on_device;
    const struct place at = {g, p, t->context->backend, t->context->device};
    for (int i = g->step_count - 1; i >= 0; i--) {
        const struct train_step *s = &g->steps[i];
        TRY(device_mark(g, s, MARK_BACKWARD, m));
        int status = step_backward(&at, s, m);
        if (status < 0)
            return message_prefix(m, status, "%s", device_node(g, s->node)->name);
        TRY(device_mark(g, s, MARK_BACKWARD_END, m));
    }
    return 0;
}
