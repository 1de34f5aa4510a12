/* Inference on a device: each step of plan.h as operations of the backend. */
#include "exec/infer/device/device_exec.h"

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static const struct device_map *map_of_node(const struct exec *e, int node)
{
    return device_constant(e->on_device, e->on_device->maps[node]);
}

static size_t rows_of(const struct exec *e, int node)
{
    return (size_t)e->batch * (size_t)node_of(e, node)->h * (size_t)node_of(e, node)->w;
}

static size_t count_of(const struct exec *e, int node)
{
    return rows_of(e, node) * (size_t)node_of(e, node)->c;
}

/* The batch norm behind a convolution, in place. */
static int queue_norm(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct step *s = &e->steps[i];
    int in_place = s->norm >= 0;
    void *y = device_value(d, s->output);
    return d->context->backend->scale_shift(
        d->context->device, d->type, in_place ? y : device_value(d, s->x), rows_of(e, s->output),
        node_of(e, s->output)->c, device_constant(d, d->steps[i].scale), device_constant(d, d->steps[i].shift),
        device_value(d, in_place ? s->norm_other : -1), s->relu, y, m);
}

static int queue_linear(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct step *s = &e->steps[i];
    int is_last = s->output == e->model->graph.count - 1;
    struct device_linear l = {e->batch, s->shape.c, s->shape.out, d->type, is_last ? DEVICE_F32 : d->type};
    return d->context->backend->linear_forward(d->context->device, &l, device_value(d, s->x),
                                               device_constant(d, d->steps[i].weight),
                                               device_constant(d, d->steps[i].bias), device_value(d, s->output), m);
}

static int queue_conv(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct step *s = &e->steps[i];
    if (node_of(e, s->node)->op == OP_LINEAR)
        return queue_linear(e, i, m);
    TRY(d->context->backend->conv_forward(d->context->device, d->steps[i].plan, device_value(d, s->x),
                                          device_constant(d, d->steps[i].weight),
                                          device_constant(d, d->steps[i].bias), device_value(d, s->other),
                                          s->norm < 0 && s->relu, device_value(d, s->output), d->workspace, m));
    return s->norm >= 0 ? queue_norm(e, i, m) : 0;
}

static int queue_conv_u8(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct step *s = &e->steps[i];
    struct device_conv_u8_call call = {.x = device_value(d, s->x),
                                       .packed = device_at(d->packed, d->steps[i].packed),
                                       .multiplier = device_constant(d, d->steps[i].scale),
                                       .requantize = device_constant(d, d->steps[i].requantize),
                                       .residual = device_value(d, s->other)};
    if (s->kind == STEP_LINEAR_U8)
        call.logits = device_value(d, s->output);
    else
        call.y = device_value(d, s->output);
    return d->context->backend->conv_u8(d->context->device, d->steps[i].plan, &call, d->workspace, m);
}

static int queue_pool(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct step *s = &e->steps[i];
    const struct node *x = node_of(e, s->x);
    if (s->kind == STEP_POOL_F32)
        return d->context->backend->average_pool(d->context->device, d->type, device_value(d, s->x), e->batch,
                                                 x->h * x->w, x->c, device_value(d, s->output), m);
    return d->context->backend->average_pool_u8(d->context->device, device_value(d, s->x), e->batch, x->h * x->w,
                                                x->c, map_of_node(e, s->x), map_of_node(e, s->output),
                                                device_value(d, s->output), NULL, m);
}

static int queue_step(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = e->on_device;
    const struct device_backend *b = d->context->backend;
    struct device *device = d->context->device;
    const struct step *s = &e->steps[i];
    const struct node *n = node_of(e, s->node);
    const void *x = device_value(d, s->x);
    void *y = device_value(d, s->output);
    switch (s->kind) {
    case STEP_NORMALIZE:
        return b->normalize(device, x, rows_of(e, s->x), n->c, n->mean, n->std, d->type, y, m);
    case STEP_LOOKUP_INPUT:
        return b->lookup_u8(device, x, rows_of(e, s->x), n->c, device_constant(d, d->steps[i].table), y, m);
    case STEP_CONV_F32:
        return queue_conv(e, i, m);
    case STEP_CONV_U8:
    case STEP_LINEAR_U8:
        return queue_conv_u8(e, i, m);
    case STEP_SCALE_SHIFT:
        return queue_norm(e, i, m);
    case STEP_RELU_F32:
        return b->relu(device, d->type, x, count_of(e, s->output), y, m);
    case STEP_RELU_U8:
        return b->relu_u8(device, x, count_of(e, s->output), map_of_node(e, s->x), y, m);
    case STEP_ADD:
        return b->add(device, d->type, x, device_value(d, s->other), count_of(e, s->output), 0, y, m);
    case STEP_POOL_F32:
    case STEP_POOL_U8:
        return queue_pool(e, i, m);
    case STEP_QUANTIZE:
        return b->quantize(device, x, count_of(e, s->output), map_of_node(e, s->output), y, m);
    case STEP_DEQUANTIZE:
        return b->dequantize(device, x, count_of(e, s->output), map_of_node(e, s->x), d->type, y, m);
    default:
        return message_set(m, STATUS_UNSUPPORTED, "%s: nothing computes %s there", n->name, graph_op_name(n->op));
    }
}

/* A last layer that is not linear gives values of the plan's type. */
static int queue_logits(const struct exec *e, struct message *m)
{
    const struct device_exec *d = e->on_device;
    int output = e->model->graph.count - 1;
    size_t count = count_of(e, output);
    if (d->type == DEVICE_F32 || node_of(e, output)->op == OP_LINEAR)
        return d->context->backend->copy_on(d->context->device, QUEUE_COMPUTE, device_at(d->arena, d->logits),
                                            device_value(d, output), count * sizeof(float), m);
    return d->context->backend->cast(d->context->device, d->type, device_value(d, output), DEVICE_F32,
                                     device_at(d->arena, d->logits), count, m);
}

int device_steps_queue(const struct exec *e, struct device_event *const *events, struct message *m)
{
    const struct device_context *c = e->on_device->context;
    for (int i = 0; i < e->step_count; i++) {
        if (events)
            TRY(c->backend->event_record(c->device, events[i], QUEUE_COMPUTE, m));
        int status = queue_step(e, i, m);
        if (status < 0)
            return message_prefix(m, status, "%s", node_of(e, e->steps[i].node)->name);
    }
    if (events)
        TRY(c->backend->event_record(c->device, events[e->step_count], QUEUE_COMPUTE, m));
    return queue_logits(e, m);
}

int device_steps_pack(const struct exec *e, struct message *m)
{
    const struct device_exec *d = e->on_device;
    for (int i = 0; i < e->step_count; i++) {
        const struct device_step *s = &d->steps[i];
        if (s->packed == NOT_THERE)
            continue;
        TRY(d->context->backend->conv_u8_pack(d->context->device, s->plan, device_constant(d, s->weight),
                                              device_constant(d, s->bias), device_constant(d, s->requantize),
                                              device_at(d->packed, s->packed), m));
    }
    return d->context->backend->synchronize(d->context->device, m);
}
