/* Inference on a device: each step as operations of the backend. Values [batch,H,W,C], floats of the plan's type or
 * codes; one function an op, and one line of the table. */
#include "exec/infer/device/device_exec.h"
#include <string.h>

static const struct affine *map_of_node(const struct exec *e, int node)
{
    return device_constant(device_of(e), device_of(e)->maps[node]);
}

static size_t rows_of(const struct exec *e, int node)
{
    return (size_t)e->batch * (size_t)exec_node(e, node)->h * (size_t)exec_node(e, node)->w;
}

static size_t count_of(const struct exec *e, int node)
{
    return rows_of(e, node) * (size_t)exec_node(e, node)->c;
}

/* The batch norm behind a convolution, in place. */
static int queue_norm(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    int in_place = s->norm >= 0;
    void *y = device_value(d, s->output);
    const struct device_scale_shift_call call = {.type = d->type,
                                                 .x = in_place ? y : device_value(d, s->x),
                                                 .rows = rows_of(e, s->output),
                                                 .c = exec_node(e, s->output)->c,
                                                 .scale = device_constant(d, d->steps[i].scale),
                                                 .shift = device_constant(d, d->steps[i].shift),
                                                 .other = device_value(d, in_place ? s->norm_other : -1),
                                                 .relu = s->relu,
                                                 .y = y};
    return d->context->backend->scale_shift(d->context->device, &call, m);
}

static int queue_linear(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    int is_last = exec_is_last(e, s->output);
    struct device_linear l = {e->batch, s->shape.c, s->shape.out, d->type, is_last ? DEVICE_F32 : d->type};
    return d->context->backend->linear_forward(d->context->device, &l, device_value(d, s->x),
                                               device_constant(d, d->steps[i].weight),
                                               device_constant(d, d->steps[i].bias), device_value(d, s->output), m);
}

static int queue_conv_u8(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    struct device_conv_u8_call call = {.x = device_value(d, s->x),
                                       .packed = device_at(d->packed, d->steps[i].packed),
                                       .multiplier = device_constant(d, d->steps[i].scale),
                                       .requantize = device_constant(d, d->steps[i].requantize),
                                       .residual = device_value(d, s->other)};
    if (exec_node(e, s->output)->type != NODE_U8)
        call.logits = device_value(d, s->output);
    else
        call.y = device_value(d, s->output);
    return d->context->backend->conv_u8(d->context->device, d->steps[i].plan, &call, d->workspace, m);
}

static int queue_conv(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    if (s->is_integer)
        return queue_conv_u8(e, i, m);
    if (exec_node(e, s->node)->op == OP_LINEAR)
        return queue_linear(e, i, m);
    const struct device_conv_call call = {.x = device_value(d, s->x),
                                          .w = device_constant(d, d->steps[i].weight),
                                          .bias = device_constant(d, d->steps[i].bias),
                                          .other = device_value(d, s->other),
                                          .relu = s->norm < 0 && s->relu,
                                          .y = device_value(d, s->output),
                                          .workspace = d->workspace};
    TRY(d->context->backend->conv_forward(d->context->device, d->steps[i].plan, &call, m));
    return s->norm >= 0 ? queue_norm(e, i, m) : 0;
}

static int queue_pool(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    const struct device_pool pool = {e->batch, x->h * x->w, x->c, d->type};
    if (!s->is_integer)
        return d->context->backend->average_pool(d->context->device, &pool, device_value(d, s->x),
                                                 device_value(d, s->output), m);
    const struct device_pool_u8_call call = {.x = device_value(d, s->x),
                                             .map_x = map_of_node(e, s->x),
                                             .map_y = map_of_node(e, s->output),
                                             .y = device_value(d, s->output)};
    return d->context->backend->average_pool_u8(d->context->device, &pool, &call, m);
}

static int queue_normalize(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    struct device_normalize_call call = {.pixels = device_value(d, s->x),
                                         .rows = rows_of(e, s->x),
                                         .c = n->c,
                                         .type = d->type,
                                         .y = device_value(d, s->output)};
    memcpy(call.mean, n->mean, sizeof call.mean);
    memcpy(call.std, n->std, sizeof call.std);
    return d->context->backend->normalize(d->context->device, &call, m);
}

static int queue_lookup(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    return d->context->backend->lookup_u8(d->context->device, device_value(d, s->x), rows_of(e, s->x),
                                          exec_node(e, s->node)->c, device_constant(d, d->steps[i].table),
                                          device_value(d, s->output), m);
}

static int queue_relu(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    const void *x = device_value(d, s->x);
    void *y = device_value(d, s->output);
    size_t count = count_of(e, s->output);
    if (s->is_integer)
        return d->context->backend->relu_u8(d->context->device, x, count, map_of_node(e, s->x), y, m);
    return d->context->backend->relu(d->context->device, d->type, x, count, y, m);
}

static int queue_add(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    const struct device_add_call call = {.type = d->type,
                                         .a = device_value(d, s->x),
                                         .b = device_value(d, s->other),
                                         .count = count_of(e, s->output),
                                         .y = device_value(d, s->output)};
    return d->context->backend->add(d->context->device, &call, m);
}

static int queue_quantize(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    return d->context->backend->quantize(d->context->device, device_value(d, s->x), count_of(e, s->output),
                                         map_of_node(e, s->output), device_value(d, s->output), m);
}

static int queue_dequantize(const struct exec *e, int i, struct message *m)
{
    const struct device_exec *d = device_of(e);
    const struct step *s = &e->steps.at[i];
    return d->context->backend->dequantize(d->context->device, device_value(d, s->x), count_of(e, s->output),
                                           map_of_node(e, s->x), d->type, device_value(d, s->output), m);
}

/* ---- all of them ---- */

static int (*const ops[STEP_KINDS])(const struct exec *, int, struct message *) = {
    [STEP_NORMALIZE] = queue_normalize, [STEP_LOOKUP] = queue_lookup,     [STEP_CONV] = queue_conv,
    [STEP_NORM] = queue_norm,           [STEP_RELU] = queue_relu,         [STEP_ADD] = queue_add,
    [STEP_POOL] = queue_pool,           [STEP_QUANTIZE] = queue_quantize, [STEP_DEQUANTIZE] = queue_dequantize,
};

/* A last layer that is not linear gives values of the plan's type. */
static int queue_logits(const struct exec *e, struct message *m)
{
    const struct device_exec *d = device_of(e);
    int output = e->model->graph.count - 1;
    size_t count = count_of(e, output);
    if (d->type == DEVICE_F32 || exec_node(e, output)->op == OP_LINEAR)
        return d->context->backend->copy_on(d->context->device, QUEUE_COMPUTE, device_at(d->arena, d->logits),
                                            device_value(d, output), count * sizeof(float), m);
    return d->context->backend->cast(d->context->device, d->type, device_value(d, output), DEVICE_F32,
                                     device_at(d->arena, d->logits), count, m);
}

int device_steps_queue(const struct exec *e, struct device_event *const *events, struct message *m)
{
    const struct device_context *c = device_of(e)->context;
    for (int i = 0; i < e->steps.count; i++) {
        if (events)
            TRY(c->backend->event_record(c->device, events[i], QUEUE_COMPUTE, m));
        int status = ops[e->steps.at[i].kind](e, i, m);
        if (status < 0)
            return message_prefix(m, status, "%s", exec_node(e, e->steps.at[i].node)->name);
    }
    if (events)
        TRY(c->backend->event_record(c->device, events[e->steps.count], QUEUE_COMPUTE, m));
    return queue_logits(e, m);
}

int device_steps_pack(const struct exec *e, struct message *m)
{
    const struct device_exec *d = device_of(e);
    for (int i = 0; i < e->steps.count; i++) {
        const struct device_step *s = &d->steps[i];
        if (s->packed == NOT_THERE)
            continue;
        TRY(d->context->backend->conv_u8_pack(d->context->device, s->plan, device_constant(d, s->weight),
                                              device_constant(d, s->bias), device_constant(d, s->requantize),
                                              device_at(d->packed, s->packed), m));
    }
    return d->context->backend->synchronize(d->context->device, m);
}
