/* Training on a device: where everything lies. */
#include "base/memory.h"
#include "exec/plan/device_steps.h"
#include "exec/train/device/device_train.h"

/* ---- the arena ---- */

/* Blocks besides those of nodes: room for a gradient that cannot go where it belongs, for a step's x as floats, for
 * its weights, and for the logits. */
enum { SPARE, SPARE_OTHER, DEQUANTIZED, WEIGHTS, LOGITS, OTHERS };

size_t device_value_size(const struct gradient *g, int node)
{
    if (gradient_quantized(g))
        return gradient_is_last(g, node) ? sizeof(float) : 1;
    int is_logits = gradient_is_last(g, node) && gradient_node(g, node)->op == OP_LINEAR;
    return is_logits ? sizeof(float) : device_type_bytes(device_of(g)->type);
}

/* Node 0's pixels lie in the intake. */
static struct buffer_bytes bytes_of(const struct gradient *g, int node, int step)
{
    size_t shards = (size_t)device_of(g)->shards;
    if (step < 0)
        return (struct buffer_bytes){0};
    return (struct buffer_bytes){
        .value = shards * device_block(g, node, device_value_size(g, node)),
        .before = gradient_has_before(g, node, step) ? shards * device_block(g, node, sizeof(float)) : 0,
        .gradient = shards * device_block(g, node, device_type_bytes(device_of(g)->type))};
}

/* All but the logits and what other operands get are a shard's alone. */
static void plan_others(struct gradient *g, struct lifetime *l)
{
    size_t shards = (size_t)device_of(g)->shards;
    size_t batch = (size_t)device_of(g)->shard, size = device_type_bytes(device_of(g)->type), values = 0,
           weights = 0;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        values = max_size(values, g->values[s->x].elements);
        if (s->other >= 0)
            values = max_size(values, g->values[s->other].elements);
        if (s->kind == STEP_CONV)
            weights = max_size(weights, shape_weights(&s->shape));
    }
    device_of(g)->spare_bytes = device_align(values * batch * size);
    size_t bytes[OTHERS] = {[SPARE] = values * batch * size, [SPARE_OTHER] = shards * device_of(g)->spare_bytes};
    if (gradient_quantized(g)) {
        bytes[DEQUANTIZED] = values * batch * size;
        bytes[WEIGHTS] = weights * size;
    }
    for (int i = 0; i < LOGITS; i++)
        l[i] = life_of_backward(&g->steps, device_align(bytes[i]));
    l[LOGITS] = (struct lifetime){.bytes = shards * device_block(g, g->graph.count - 1, sizeof(float)),
                                  .begin = g->steps.count - 1,
                                  .end = g->steps.count};
}

static int plan_arena(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    struct lifetime others[OTHERS];
    plan_others(g, others);
    TRY(gradient_plan_buffers(g, bytes_of, others, OTHERS, &t->arena_bytes, m));
    t->spare = others[SPARE].offset;
    t->spare_other = others[SPARE_OTHER].offset;
    t->dequantized = others[DEQUANTIZED].offset;
    t->weights = others[WEIGHTS].offset;
    t->logits = others[LOGITS].offset;
    return 0;
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
    struct device_training *t = device_of(g);
    struct device_program *p;
    TRY(device_program_get(g, t->shard, &p, m));
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        struct device_layer *l = &t->layer[i];
        size_t channels = (size_t)gradient_node(g, s->output)->c * sizeof(float);
        size_t weights = shape_weights(&s->shape);
        if (s->kind == STEP_NORM) {
            l->saved_mean = take(&t->layer_bytes, channels);
            l->saved_inv_std = take(&t->layer_bytes, channels);
            l->scale = take(&t->layer_bytes, channels);
            l->shift = take(&t->layer_bytes, channels);
        }
        if (s->kind != STEP_CONV || !gradient_quantized(g))
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

static struct device_map_source source_of(const struct gradient *g, int i)
{
    const struct device_training *t = device_of(g);
    const struct train_step *own = &g->train[i];
    const struct affine *given = &g->values[g->steps.at[i].output].given;
    struct device_map_source source = {.mode = MAP_GIVEN, .bits = affine_bits(given), .given = *given};
    if (own->scale != NO_OFFSET) {
        source.mode = MAP_LEARNED;
        source.scale = t->parameters + own->scale;
    } else if (own->low != NO_OFFSET) {
        source.mode = MAP_RANGE;
        source.low = t->state + own->low;
        source.high = t->state + own->high;
    }
    return source;
}

static int add_maps(struct gradient *g, struct device_constants *c, struct message *m)
{
    struct device_training *t = device_of(g);
    size_t nodes = (size_t)g->graph.count;
    void *to;
    TRY(device_constants_take(c, nodes * sizeof(struct affine), &t->maps, &to, m));
    TRY(device_constants_take(c, nodes * sizeof(struct device_map_source), &t->sources, &to, m));
    struct device_map_source *sources = to;
    for (int i = 0; i < g->graph.count; i++)
        sources[i].given = (struct affine){1, 0, 0, 255};
    for (int i = 0; i < g->steps.count; i++)
        if (!gradient_is_last(g, g->steps.at[i].output))
            sources[g->steps.at[i].output] = source_of(g, i);
    return 0;
}

/* The input's map stays as it was given, and so does its table. */
static int add_table(struct gradient *g, struct device_constants *c, struct message *m)
{
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        const struct node *n = gradient_node(g, s->node);
        void *to;
        if (s->kind != STEP_NORMALIZE)
            continue;
        TRY(device_constants_take(c, 256 * (size_t)n->c, &device_of(g)->table, &to, m));
        float *values = memory_new(256 * (size_t)n->c, sizeof *values, m);
        if (!values)
            return STATUS_NOMEM;
        input_table(&g->kernels->elementwise, n, &g->values[s->output].given, values, to);
        memory_free(values);
    }
    return 0;
}

static int plan_constants(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
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
    const struct device_context *c = device_of(g)->context;
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
    struct device_training *t = device_of(g);
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
    struct device_training *t = device_of(g);
    size_t batch = (size_t)g->options.batch;
    t->at.labels = device_align(sizeof(struct device_scalars));
    t->at.labels2 = t->at.labels + device_align(batch * sizeof(uint16_t));
    t->at.share = t->at.labels2 + device_align(batch * DEVICE_MORE_LABELS * sizeof(uint16_t));
    t->at.pixels = t->at.share + device_align(batch * DEVICE_MORE_LABELS * sizeof(float));
    t->at.bytes = t->at.pixels + g->values[0].elements * batch;
    TRY(allocate_zeroed(g, t->at.bytes, &t->intake, m));
    TRY(allocate_zeroed(g, device_outcome_bytes(g), &t->outcome, m));
    TRY(allocate_zeroed(g, t->layer_bytes, &t->layers, m));
    TRY(t->context->backend->allocate(t->context->device, device_align(t->arena_bytes + 1), &t->arena, m));
    return device_pipe_open(&t->pipe, t->context, t->at.bytes, device_outcome_bytes(g), m);
}

static int take_tables(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    t->layer = memory_new((size_t)g->steps.count, sizeof *t->layer, m);
    t->events = memory_new((size_t)g->steps.count * DEVICE_EVENTS, sizeof(struct device_event *), m);
    return t->layer && t->events ? 0 : STATUS_NOMEM;
}

/* ---- all of it ---- */

int device_training_plan(struct gradient *g, struct message *m)
{
    TRY(device_steps_check(&g->steps, &g->graph,
                           gradient_quantized(g) ? DEVICE_QUANTIZED_TRAINING : DEVICE_TRAINING, m));
    struct device_training *t = device_of(g);
    t->shard = g->shard ? g->shard : g->options.batch;
    t->shards = (g->options.batch + t->shard - 1) / t->shard;
    TRY(take_tables(g, m));
    TRY(plan_arena(g, m));
    TRY(plan_layers(g, m));
    TRY(take_flat(g, m));
    TRY(plan_constants(g, m));
    TRY(take_memory(g, m));
    TRY(device_shared_open(g, m));
    return device_of(g)->context->backend->synchronize(device_of(g)->context->device, m);
}

void device_training_release(struct gradient *g)
{
    struct device_training *t = device_of(g);
    if (t->context) {
        const struct device_backend *b = t->context->backend;
        struct device *d = t->context->device;
        void *blocks[] = {t->arena,     t->layers, t->constants, t->intake,  t->outcome, t->parameters,
                          t->gradients, t->state,  t->velocity,  t->average, t->copy};
        for (int i = 0; i < MOST_PROGRAMS; i++)
            device_program_close(g, &t->programs[i]);
        device_captures_forget(g);
        device_shared_close(g);
        device_pipe_close(&t->pipe);
        for (int i = 0; t->events && i < g->steps.count * DEVICE_EVENTS; i++)
            b->event_free(d, t->events[i]);
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
            b->release(d, blocks[i]);
        b->release_host(d, t->flat);
    }
    memory_free(t->layer);
    memory_free(t->events);
}
