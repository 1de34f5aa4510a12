/* Training on a device: where everything lies. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include "kernel/contract/arithmetic.h"
#include <string.h>

/* ---- the arena ---- */

/* Blocks: value, before and gradient of each node, then these. */
enum { SPARE, SPARE_OTHER, DEQUANTIZED, WEIGHTS, LOGITS, OTHERS };

struct blocks {
    struct lifetime *value, *before, *gradient, *other;
};

static void live(struct lifetime *l, size_t bytes, int begin, int end)
{
    *l = (struct lifetime){.bytes = device_align(bytes), .begin = begin, .end = end};
}

static size_t value_size(const struct gradient *g, int node)
{
    if (gradient_quantized(g))
        return device_is_last(g, node) ? sizeof(float) : 1;
    int is_logits = device_is_last(g, node) && device_node(g, node)->op == OP_LINEAR;
    return is_logits ? sizeof(float) : device_type_bytes(g->on_device->type);
}

/* As on the CPU: forward step i runs at time i, its backward at 2 * steps - 1 - i. */
static void plan_nodes(const struct gradient *g, const struct blocks *b)
{
    size_t batch = (size_t)g->options.batch, size = device_type_bytes(g->on_device->type);
    int end = 2 * g->step_count - 1;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        const struct train_value *v = &g->values[s->output];
        size_t count = v->elements * batch;
        live(&b->value[s->output], count * value_size(g, s->output), i, end - i);
        if (gradient_quantized(g) && !device_is_last(g, s->output) && s->kind != TRAIN_NORMALIZE)
            live(&b->before[s->output], count * sizeof(float), i, end - i);
        if (v->wants_gradient) /* its first user begins it, see below; the last node's is the loss's */
            live(&b->gradient[s->output], count * size, device_is_last(g, s->output) ? g->step_count - 1 : end - i,
                 end - i);
    }
    for (int i = 0; i < g->step_count; i++) {
        const int operands[2] = {g->steps[i].x, g->steps[i].other};
        for (int k = 0; k < 2; k++)
            if (operands[k] >= 0 && b->gradient[operands[k]].begin > end - i)
                b->gradient[operands[k]].begin = end - i;
    }
}

/* Room for a gradient that cannot go where it belongs, for a step's x as floats, and for its weights. */
static void plan_others(const struct gradient *g, struct lifetime *l)
{
    size_t batch = (size_t)g->options.batch, size = device_type_bytes(g->on_device->type), values = 0, weights = 0;
    int begin = g->step_count, end = 2 * g->step_count - 1;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        const struct conv_shape *c = &s->shape;
        values = max_size(values, g->values[s->x].elements);
        if (s->other >= 0)
            values = max_size(values, g->values[s->other].elements);
        if (s->kind == TRAIN_CONV)
            weights = max_size(weights, (size_t)c->out * (size_t)c->c * (size_t)c->kernel * (size_t)c->kernel);
    }
    live(&l[SPARE], values * batch * size, begin, end);
    live(&l[SPARE_OTHER], values * batch * size, begin, end);
    live(&l[DEQUANTIZED], gradient_quantized(g) ? values * batch * size : 0, begin, end);
    live(&l[WEIGHTS], gradient_quantized(g) ? weights * size : 0, begin, end);
    live(&l[LOGITS], g->values[g->graph.count - 1].elements * batch * sizeof(float), g->step_count - 1,
         g->step_count);
}

static int plan_arena(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    int nodes = g->graph.count;
    struct lifetime *all = memory_new(3 * (size_t)nodes + OTHERS, sizeof *all, m);
    if (!all)
        return STATUS_NOMEM;
    struct blocks b = {all, all + nodes, all + 2 * nodes, all + 3 * nodes};
    plan_nodes(g, &b);
    plan_others(g, b.other);
    int status = lifetimes_place(all, 3 * nodes + OTHERS, &t->arena_bytes, m);
    for (int i = 0; i < nodes; i++)
        t->slots[i] = (struct device_slot){b.value[i].offset, b.before[i].offset, b.gradient[i].offset};
    t->spare = b.other[SPARE].offset;
    t->spare_other = b.other[SPARE_OTHER].offset;
    t->dequantized = b.other[DEQUANTIZED].offset;
    t->weights = b.other[WEIGHTS].offset;
    t->logits = b.other[LOGITS].offset;
    memory_free(all);
    return status;
}

/* ---- what layers keep ---- */

static size_t take(size_t *total, size_t bytes)
{
    size_t offset = *total;
    *total += device_align(bytes);
    return offset;
}

/* The packed weights come with the plan. */
static int plan_layers(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    const struct device_program *p;
    TRY(device_program_get(g, g->options.batch, &t->program, m));
    p = t->program;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        struct device_layer *l = &t->layer[i];
        size_t channels = (size_t)device_node(g, s->output)->c * sizeof(float);
        size_t weights =
            (size_t)s->shape.out * (size_t)s->shape.c * (size_t)s->shape.kernel * (size_t)s->shape.kernel;
        if (s->kind == TRAIN_NORM) {
            l->saved_mean = take(&t->layer_bytes, channels);
            l->saved_inv_std = take(&t->layer_bytes, channels);
        }
        if (s->kind != TRAIN_CONV || !gradient_quantized(g))
            continue;
        l->codes = take(&t->layer_bytes, weights);
        l->code_scale = take(&t->layer_bytes, channels);
        l->code_bias = take(&t->layer_bytes, channels);
        l->multiplier = take(&t->layer_bytes, channels);
        l->requantize = take(&t->layer_bytes, sizeof(struct device_requantize));
        l->packed = take(&t->layer_bytes, t->context->backend->plan_packed(p->steps[i].integer));
    }
    return 0;
}

/* ---- constants ---- */

static struct device_map_source source_of(const struct gradient *g, const struct train_step *s)
{
    const struct device_training *t = g->on_device;
    const struct affine *a = &g->values[s->output].given;
    struct device_map_source source = {.mode = MAP_GIVEN,
                                       .bits = g->options.activation_bits,
                                       .given = {a->scale, a->zero_point, a->qmin, a->qmax}};
    if (s->scale != NO_OFFSET) {
        source.mode = MAP_LEARNED;
        source.scale = t->parameters + s->scale;
    } else if (s->low != NO_OFFSET) {
        source.mode = MAP_RANGE;
        source.low = t->state + s->low;
        source.high = t->state + s->high;
    }
    return source;
}

static int add_maps(struct gradient *g, struct device_constants *c, struct message *m)
{
    struct device_training *t = g->on_device;
    size_t nodes = (size_t)g->graph.count;
    void *to;
    TRY(device_constants_take(c, nodes * sizeof(struct device_map), &t->maps, &to, m));
    TRY(device_constants_take(c, nodes * sizeof(struct device_map_source), &t->sources, &to, m));
    struct device_map_source *sources = to;
    for (int i = 0; i < g->graph.count; i++)
        sources[i].given = (struct device_map){1, 0, 0, 255};
    for (int i = 0; i < g->step_count; i++)
        if (!device_is_last(g, g->steps[i].output))
            sources[g->steps[i].output] = source_of(g, &g->steps[i]);
    return 0;
}

/* The input's map stays as it was given, and so does its table. */
static int add_table(struct gradient *g, struct device_constants *c, struct message *m)
{
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        void *to;
        if (s->kind != TRAIN_NORMALIZE)
            continue;
        TRY(device_constants_take(c, 256 * (size_t)device_node(g, s->node)->c, &g->on_device->table, &to, m));
        input_table(&g->kernels->elementwise, device_node(g, s->node), &g->values[s->output].given, g->table_values,
                    to);
    }
    return 0;
}

static int plan_constants(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    struct device_constants c = {0};
    void *to;
    int status = device_constants_take(&c, g->parameter_count / DEVICE_FLAG_FLOATS + 1, &t->flags, &to, m);
    if (status >= 0 && gradient_quantized(g))
        status = add_maps(g, &c, m);
    if (status >= 0 && gradient_quantized(g))
        status = add_table(g, &c, m);
    if (status >= 0)
        status = device_constants_upload(&c, t->context, &t->constants, m);
    device_constants_free(&c);
    return status;
}

/* ---- memory ---- */

static int allocate_zeroed(struct gradient *g, size_t bytes, void **p, struct message *m)
{
    const struct device_context *c = g->on_device->context;
    TRY(c->backend->allocate(c->device, device_align(bytes + 1), p, m));
    return c->backend->zero(c->device, *p, device_align(bytes + 1), m);
}

static int allocate_floats(struct gradient *g, size_t count, float **to, struct message *m)
{
    void *p = NULL;
    int status = allocate_zeroed(g, count * sizeof(float), &p, m);
    *to = p;
    return status;
}

static int take_flat(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    void *flat = NULL;
    TRY(allocate_floats(g, g->parameter_count, &t->parameters, m));
    TRY(allocate_floats(g, g->parameter_count, &t->gradients, m));
    TRY(allocate_floats(g, g->state_count, &t->state, m));
    if (t->type != DEVICE_F32 && !gradient_quantized(g))
        TRY(allocate_zeroed(g, g->parameter_count * device_type_bytes(t->type), &t->copy, m));
    int status = t->context->backend->allocate_host(
        t->context->device, (max_size(g->parameter_count, g->state_count) + 1) * sizeof(float), &flat, m);
    t->flat = flat;
    return status;
}

static int take_memory(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    size_t batch = (size_t)g->options.batch;
    t->at.labels = device_align(sizeof(struct device_scalars));
    t->at.pixels = t->at.labels + device_align(batch);
    t->at.bytes = t->at.pixels + g->values[0].elements * batch;
    TRY(allocate_zeroed(g, t->at.bytes, &t->intake, m));
    TRY(allocate_zeroed(g, sizeof(struct device_outcome), &t->outcome, m));
    TRY(allocate_zeroed(g, t->layer_bytes, &t->layers, m));
    TRY(t->context->backend->allocate(t->context->device, device_align(t->arena_bytes + 1), &t->arena, m));
    return device_pipe_open(&t->pipe, t->context, t->at.bytes, sizeof(struct device_outcome), m);
}

/* ---- open and close ---- */

static int take_tables(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device;
    g->table_values = memory_new(256 * (size_t)g->graph.nodes[0].c, sizeof *g->table_values, m);
    t->slots = memory_new((size_t)g->graph.count, sizeof *t->slots, m);
    t->layer = memory_new((size_t)g->step_count, sizeof *t->layer, m);
    t->events = memory_new((size_t)g->step_count * DEVICE_EVENTS, sizeof(struct device_event *), m);
    return g->table_values && t->slots && t->layer && t->events ? 0 : STATUS_NOMEM;
}

int device_training_open(struct gradient *g, struct message *m)
{
    struct device_training *t = g->on_device = memory_new(1, sizeof *t, m);
    if (!t)
        return STATUS_NOMEM;
    TRY(device_context_get(g->options.tf32, g->options.fast, &t->context, m));
    TRY(device_type_choose(t->context, g->options.precision, &t->type, m));
    t->is_scaled = t->type == DEVICE_F16;
    t->scale.scale = LOSS_SCALE_FIRST;
    for (int i = 0; i < g->graph.count; i++)
        g->values[i].elements = node_elements(&g->graph.nodes[i]);
    TRY(take_tables(g, m));
    TRY(plan_arena(g, m));
    TRY(plan_layers(g, m));
    TRY(take_flat(g, m));
    TRY(plan_constants(g, m));
    TRY(take_memory(g, m));
    return t->context->backend->synchronize(t->context->device, m);
}

void device_training_close(struct gradient *g)
{
    struct device_training *t = g->on_device;
    if (!t)
        return;
    if (t->context) {
        const struct device_backend *b = t->context->backend;
        struct device *d = t->context->device;
        void *blocks[] = {t->arena,     t->layers, t->constants, t->intake,  t->outcome, t->parameters,
                          t->gradients, t->state,  t->velocity,  t->average, t->copy};
        for (int i = 0; i < MOST_PROGRAMS; i++)
            device_program_close(g, &t->programs[i]);
        device_pipe_close(&t->pipe);
        for (int i = 0; t->events && i < g->step_count * DEVICE_EVENTS; i++)
            b->event_free(d, t->events[i]);
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
            b->release(d, blocks[i]);
        b->release_host(d, t->flat);
    }
    memory_free(t->slots);
    memory_free(t->layer);
    memory_free(t->events);
    memory_free(t);
    g->on_device = NULL;
}

size_t device_training_bytes(const struct gradient *g)
{
    const struct device_training *t = g->on_device;
    size_t flat = 3 * g->parameter_count + g->state_count + (t->average ? g->parameter_count + g->state_count : 0);
    size_t bytes = t->arena_bytes + t->layer_bytes + t->at.bytes + flat * sizeof(float);
    for (int i = 0; i < MOST_PROGRAMS; i++)
        bytes += t->programs[i].workspace_bytes + t->programs[i].reserve_bytes;
    return bytes + (t->copy ? g->parameter_count * device_type_bytes(t->type) : 0);
}
