/* A model's inference on a device: constants, plans, and where values lie. */
#include "base/memory.h"
#include "exec/infer/device/device_exec.h"
#include "kernel/contract/arithmetic.h"
#include <string.h>

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static int step_is_linear(const struct exec *e, const struct step *s)
{
    return s->kind == STEP_CONV_F32 && node_of(e, s->node)->op == OP_LINEAR;
}

/* ---- constants ---- */

static int add_weights(const struct exec *e, const struct step *s, struct device_constants *c, size_t *offset,
                       struct message *m)
{
    const struct tensor *weight = model_tensor(e->model, s->node, "weight");
    enum device_type type = e->on_device->type;
    size_t size = weight->bytes / weight->count;
    int is_float = s->kind == STEP_CONV_F32;
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

static int add_requantize(const struct exec *e, const struct step *s, struct device_constants *c, size_t *offset,
                          struct message *m)
{
    const struct requantize *r = &s->requantize;
    struct device_requantize q = {r->residual_multiplier, r->zero_point_x, r->zero_point_y,
                                  r->residual_zero_point, r->low,          r->high};
    (void)e;
    return device_constants_add(c, &q, sizeof q, offset, m);
}

static int add_step(struct exec *e, int i, struct device_constants *c, struct message *m)
{
    const struct step *s = &e->steps[i];
    struct device_step *d = &e->on_device->steps[i];
    int integer = s->kind == STEP_CONV_U8 || s->kind == STEP_LINEAR_U8;
    size_t outputs = (size_t)node_of(e, s->output)->c;
    *d = (struct device_step){NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE, NULL};
    if (step_is_conv(s))
        TRY(add_weights(e, s, c, &d->weight, m));
    if (s->bias)
        TRY(device_constants_add(c, s->bias, outputs * sizeof(float), &d->bias, m));
    if (integer)
        TRY(device_constants_add(c, s->bias_q, outputs * sizeof(int32_t), &d->bias, m));
    if (s->scale)
        TRY(device_constants_add(c, s->scale, outputs * sizeof(float), &d->scale, m));
    if (s->shift)
        TRY(device_constants_add(c, s->shift, outputs * sizeof(float), &d->shift, m));
    if (s->kind == STEP_LOOKUP_INPUT)
        TRY(device_constants_add(c, s->table, 256 * outputs, &d->table, m));
    return integer ? add_requantize(e, s, c, &d->requantize, m) : 0;
}

static int add_maps(struct exec *e, struct device_constants *c, struct message *m)
{
    const struct graph *g = &e->model->graph;
    for (int i = 0; i < g->count; i++) {
        struct affine a;
        e->on_device->maps[i] = NOT_THERE;
        if (i == 0 || g->nodes[i].type != NODE_U8)
            continue;
        TRY(node_affine(e->model, i, &a, m));
        struct device_map map = {a.scale, a.zero_point, a.qmin, a.qmax};
        TRY(device_constants_add(c, &map, sizeof map, &e->on_device->maps[i], m));
    }
    return 0;
}

static int plan_constants(struct exec *e, struct message *m)
{
    struct device_exec *d = e->on_device;
    struct device_constants c = {0};
    int status = add_maps(e, &c, m);
    for (int i = 0; i < e->step_count && status >= 0; i++)
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
    struct device_exec *d = e->on_device;
    const struct device_backend *b = d->context->backend;
    for (int i = 0; i < e->step_count; i++) {
        const struct step *s = &e->steps[i];
        const struct conv_shape *c = &s->shape;
        if (!step_is_conv(s) || step_is_linear(e, s))
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
                                   s->kind == STEP_CONV_F32 ? d->type : DEVICE_U8};
        int status = device_conv_plan_get(d->context, &conv, 1u << DEVICE_FORWARD, &d->steps[i].plan, m);
        if (status < 0)
            return message_prefix(m, status, "%s", node_of(e, s->node)->name);
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
    const struct node *n = node_of(e, i);
    size_t size = n->type == NODE_U8               ? 1
                  : i == e->model->graph.count - 1 ? 4
                                                   : device_type_bytes(e->on_device->type);
    return device_align(node_elements(n) * size * (size_t)e->batch);
}

static void use(struct lifetime *l, int node, int step)
{
    if (node >= 0 && l[node].end < step)
        l[node].end = step;
}

/* The block behind those of the nodes is the logits'. */
static void plan_lifetimes(const struct exec *e, struct lifetime *l)
{
    int nodes = e->model->graph.count, last = e->step_count;
    for (int i = 0; i < nodes; i++)
        l[i] = (struct lifetime){.end = -1};
    l[0] = (struct lifetime){.bytes = value_bytes(e, 0)};
    for (int i = 0; i < e->step_count; i++) {
        const struct step *s = &e->steps[i];
        l[s->output] = (struct lifetime){.bytes = value_bytes(e, s->output), .begin = i, .end = e->keep ? last : i};
        use(l, s->x, i);
        use(l, s->other, i);
        use(l, s->norm_other, i);
    }
    use(l, nodes - 1, last);
    l[nodes] = (struct lifetime){.bytes = value_bytes(e, nodes - 1), .begin = last, .end = last};
}

static int plan_values(struct exec *e, struct message *m)
{
    struct device_exec *d = e->on_device;
    int nodes = e->model->graph.count;
    struct lifetime *l = memory_new((size_t)nodes + 1, sizeof *l, m);
    if (!l)
        return STATUS_NOMEM;
    plan_lifetimes(e, l);
    int status = lifetimes_place(l, nodes + 1, &d->arena_bytes, m);
    for (int i = 0; i < nodes; i++)
        d->values[i] = l[i].offset;
    d->logits = l[nodes].offset;
    memory_free(l);
    return status;
}

/* ---- open and close ---- */

static int take_memory(struct exec *e, struct message *m)
{
    struct device_exec *d = e->on_device;
    const struct device_backend *b = d->context->backend;
    TRY(b->allocate(d->context->device, device_align(d->packed_bytes + 1), &d->packed, m));
    TRY(b->allocate(d->context->device, device_align(d->workspace_bytes + 1), &d->workspace, m));
    TRY(b->allocate(d->context->device, d->arena_bytes, &d->arena, m));
    size_t batch = (size_t)e->batch;
    TRY(device_pipe_open(&d->pipe, d->context, exec_image_bytes(e) * batch,
                         (size_t)exec_classes(e) * sizeof(float) * batch, m));
    for (int i = 0; i < PIPE_SLOTS; i++) {
        TRY(b->event_new(d->context->device, &d->begin[i], m));
        TRY(b->event_new(d->context->device, &d->end[i], m));
    }
    for (int i = 0; i <= e->step_count; i++)
        TRY(b->event_new(d->context->device, &d->events[i], m));
    return 0;
}

/* Once without, so that what libraries do at first is not captured. Without a captured graph the steps are queued
 * each time: slower, and the same. */
static int capture(struct exec *e, struct message *m)
{
    struct device_exec *d = e->on_device;
    const struct device_backend *b = d->context->backend;
    struct message unsupported;
    TRY(device_steps_queue(e, NULL, m));
    TRY(b->synchronize(d->context->device, m));
    int status = b->capture_begin(d->context->device, &unsupported);
    if (status == STATUS_UNSUPPORTED)
        return 0;
    if (status < 0)
        return message_set(m, status, "%s", unsupported.text);
    status = device_steps_queue(e, NULL, m);
    if (status < 0) {
        b->capture_abandon(d->context->device);
        return status;
    }
    return b->capture_end(d->context->device, &d->graph, m);
}

static int choose_type(struct exec *e, const char *precision, struct message *m)
{
    struct device_exec *d = e->on_device;
    TRY(device_type_choose(d->context, precision, &d->type, m));
    if (e->integer_layers && d->type != DEVICE_F32)
        return message_set(m, STATUS_UNSUPPORTED,
                           "precision %s: the model has integer layers, which have their own", precision);
    return 0;
}

int device_exec_open(struct exec *e, const struct exec_options *options, struct message *m)
{
    struct device_exec *d = e->on_device;
    size_t nodes = (size_t)e->model->graph.count, steps = (size_t)e->step_count;
    TRY(device_context_get(options->tf32, options->fast, &d->context, m));
    TRY(choose_type(e, options->precision, m));
    d->steps = memory_new(steps, sizeof *d->steps, m);
    d->values = memory_new(nodes, 2 * sizeof *d->values, m);
    d->events = memory_new(steps + 1, sizeof(struct device_event *), m);
    d->seconds = memory_new(steps, sizeof *d->seconds, m);
    if (!d->steps || !d->values || !d->events || !d->seconds)
        return STATUS_NOMEM;
    d->maps = d->values + nodes;
    TRY(plan_constants(e, m));
    TRY(plan_convs(e, m));
    TRY(plan_values(e, m));
    TRY(take_memory(e, m));
    TRY(device_steps_pack(e, m));
    return capture(e, m);
}

void device_exec_close(struct exec *e)
{
    struct device_exec *d = e->on_device;
    if (!d)
        return;
    if (d->context) {
        const struct device_backend *b = d->context->backend;
        b->graph_free(d->context->device, d->graph);
        device_pipe_close(&d->pipe);
        for (int i = 0; d->events && i <= e->step_count; i++)
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
    memory_free(d);
}
