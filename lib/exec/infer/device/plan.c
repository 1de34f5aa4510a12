/* A model's inference on a device: constants, plans, and where values lie. */
#include "base/memory.h"
#include "exec/infer/device/device_exec.h"
#include "kernel/contract/arithmetic.h"
#include <string.h>

static int is_float_linear(const struct exec *e, const struct step *s)
{
    return !s->is_integer && exec_node(e, s->node)->op == OP_LINEAR;
}

/* ---- constants ---- */

static int add_weights(const struct exec *e, const struct step *s, struct device_constants *c, size_t *offset,
                       struct message *m)
{
    const struct tensor *weight = model_tensor(e->model, s->node, "weight");
    enum device_type type = device_of(e)->type;
    size_t size = weight->bytes / weight->count;
    int is_float = !s->is_integer;
    void *to, *permuted = memory_new_raw(weight->count, size, m);
    if (!permuted)
        return STATUS_NOMEM;
    device_weights_in(weight->data, s->shape.out, s->shape.c, s->shape.kernel, size, permuted);
    int status =
        device_constants_take(c, weight->count * (is_float ? device_type_bytes(type) : size), offset, &to, m);
    if (status >= 0 && is_float)
        device_values_round(permuted, weight->count, type, to);
    else if (status >= 0)
        memcpy(to, permuted, weight->bytes);
    memory_free(permuted);
    return status;
}

static int add_requantize(const struct requantize *r, struct device_constants *c, size_t *offset, struct message *m)
{
    struct device_requantize q = {r->residual_multiplier, r->zero_point_x, r->zero_point_y,
                                  r->residual_zero_point, r->low,          r->high};
    return device_constants_add(c, &q, sizeof q, offset, m);
}

static int add_step(struct exec *e, int i, struct device_constants *c, struct message *m)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *k = &e->constants[i];
    struct device_step *d = &device_of(e)->steps[i];
    size_t outputs = (size_t)exec_node(e, s->output)->c;
    *d = (struct device_step){NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NULL};
    if (s->kind == STEP_CONV)
        TRY(add_weights(e, s, c, &d->weight, m));
    if (k->bias)
        TRY(device_constants_add(c, k->bias, outputs * sizeof(float), &d->bias, m));
    if (k->bias_q)
        TRY(device_constants_add(c, k->bias_q, outputs * sizeof(int32_t), &d->bias, m));
    if (k->scale)
        TRY(device_constants_add(c, k->scale, outputs * sizeof(float), &d->scale, m));
    if (k->shift)
        TRY(device_constants_add(c, k->shift, outputs * sizeof(float), &d->shift, m));
    if (s->kind == STEP_LOOKUP)
        TRY(device_constants_add(c, k->table, 256 * outputs, &d->table, m));
    return k->bias_q ? add_requantize(&k->requantize, c, &d->requantize, m) : 0;
}

static int add_maps(struct exec *e, struct device_constants *c, struct message *m)
{
    const struct graph *g = &e->model->graph;
    for (int i = 0; i < g->count; i++) {
        struct affine a;
        device_of(e)->maps[i] = NOT_THERE;
        if (i == 0 || g->nodes[i].type != NODE_U8)
            continue;
        TRY(node_affine(e->model, i, &a, m));
        TRY(device_constants_add(c, &a, sizeof a, &device_of(e)->maps[i], m));
    }
    return 0;
}

static int plan_constants(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    struct device_constants c = {0};
    int status = add_maps(e, &c, m);
    for (int i = 0; i < e->steps.count && status >= 0; i++)
        status = add_step(e, i, &c, m);
    if (status >= 0)
        status = device_constants_upload(&c, d->context, &d->constants, m);
    d->constant_bytes = c.bytes;
    device_constants_free(&c);
    return status;
}

/* ---- convolutions ---- */

static int plan_convs(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    const struct device_backend *b = d->context->backend;
    for (int i = 0; i < e->steps.count; i++) {
        const struct step *s = &e->steps.at[i];
        const struct conv_shape *c = &s->shape;
        if (s->kind != STEP_CONV || is_float_linear(e, s))
            continue;
        struct device_conv conv = {e->batch,
                                   c->h,
                                   c->w,
                                   c->c,
                                   c->out_h,
                                   c->out_w,
                                   c->out,
                                   c->kernel,
                                   c->stride,
                                   c->pad,
                                   s->is_integer ? DEVICE_U8 : d->type};
        int status = device_conv_plan_get(d->context, &conv, 1u << DEVICE_FORWARD, &d->steps[i].plan, m);
        if (status < 0)
            return message_prefix(m, status, "%s", exec_node(e, s->node)->name);
        d->workspace_bytes = max_size(d->workspace_bytes, b->plan_workspace(d->steps[i].plan));
        if (conv.type == DEVICE_U8) {
            d->steps[i].packed = d->packed_bytes;
            d->packed_bytes += device_align(b->plan_packed(d->steps[i].plan));
        }
    }
    return 0;
}

/* ---- values ---- */

static size_t value_bytes(const struct exec *e, int i)
{
    const struct node *n = exec_node(e, i);
    size_t size = n->type == NODE_U8 ? 1 : exec_is_last(e, i) ? 4 : device_type_bytes(device_of(e)->type);
    return device_align(node_elements(n) * size * (size_t)e->batch);
}

static int plan_values(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    int nodes = e->model->graph.count;
    struct lifetime *l = memory_new((size_t)nodes + 1, sizeof *l, m);
    if (!l)
        return STATUS_NOMEM;
    lives_of_inference(&e->steps, nodes, e->keep, l);
    for (int i = 0; i < nodes; i++)
        l[i].bytes = l[i].begin < 0 ? 0 : value_bytes(e, i);
    l[nodes] = (struct lifetime){/* the logits, behind those of the nodes */
                                 .bytes = value_bytes(e, nodes - 1),
                                 .begin = e->steps.count,
                                 .end = e->steps.count};
    int status = lifetimes_place(l, nodes + 1, &d->arena_bytes, m);
    for (int i = 0; i < nodes; i++)
        d->values[i] = l[i].offset;
    d->logits = l[nodes].offset;
    memory_free(l);
    return status;
}

/* ---- memory ---- */

static int take_tables(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    size_t nodes = (size_t)e->model->graph.count, steps = (size_t)e->steps.count;
    d->steps = memory_new(steps, sizeof *d->steps, m);
    d->values = memory_new(nodes, 2 * sizeof *d->values, m);
    d->events = memory_new(steps + 1, sizeof(struct device_event *), m);
    d->seconds = memory_new(steps, sizeof *d->seconds, m);
    if (!d->steps || !d->values || !d->events || !d->seconds)
        return STATUS_NOMEM;
    d->maps = d->values + nodes;
    return 0;
}

static int take_memory(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    const struct device_backend *b = d->context->backend;
    TRY(b->allocate(d->context->device, device_align(d->packed_bytes + 1), &d->packed, m));
    TRY(b->allocate(d->context->device, device_align(d->workspace_bytes + 1), &d->workspace, m));
    TRY(b->allocate(d->context->device, d->arena_bytes, &d->arena, m));
    size_t batch = (size_t)e->batch;
    TRY(device_pipe_open(&d->pipe, d->context, node_elements(exec_node(e, 0)) * batch,
                         node_elements(exec_node(e, e->model->graph.count - 1)) * sizeof(float) * batch, m));
    for (int i = 0; i < PIPE_SLOTS; i++) {
        TRY(b->event_new(d->context->device, &d->begin[i], m));
        TRY(b->event_new(d->context->device, &d->end[i], m));
    }
    for (int i = 0; i <= e->steps.count; i++)
        TRY(b->event_new(d->context->device, &d->events[i], m));
    return 0;
}

int device_exec_plan(struct exec *e, struct message *m)
{
    TRY(take_tables(e, m));
    TRY(plan_constants(e, m));
    TRY(plan_convs(e, m));
    TRY(plan_values(e, m));
    return take_memory(e, m);
}

void device_exec_release(struct exec *e)
{
    struct device_exec *d = device_of(e);
    if (d->context) {
        const struct device_backend *b = d->context->backend;
        b->graph_free(d->context->device, d->graph);
        device_pipe_close(&d->pipe);
        for (int i = 0; d->events && i <= e->steps.count; i++)
            b->event_free(d->context->device, d->events[i]);
        for (int i = 0; i < PIPE_SLOTS; i++) {
            b->event_free(d->context->device, d->begin[i]);
            b->event_free(d->context->device, d->end[i]);
        }
        b->release(d->context->device, d->constants);
        b->release(d->context->device, d->packed);
        b->release(d->context->device, d->workspace);
        b->release(d->context->device, d->arena);
    }
    memory_free(d->steps);
    memory_free(d->values);
    memory_free(d->events);
    memory_free(d->seconds);
}
