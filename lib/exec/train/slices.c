/* The flat buffers of parameters, gradients and state: what lies where, and the way into and out of a model. */
#include "base/memory.h"
#include "exec/train/gradient_engine.h"
#include "graph/schema.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Every slice begins on a multiple of 64 bytes, as kernels want; the floats between are zeros and stay so. */
static size_t next_offset(size_t offset, size_t count)
{
    return offset + round_up_64(count * sizeof(float)) / sizeof(float);
}

static struct slice *slice_add(struct slice *slices, int *count, size_t *total, const char *node,
                               const char *suffix, enum slice_role role)
{
    struct slice *s = &slices[(*count)++];
    *s = (struct slice){.role = role, .offset = *total, .count = 1};
    snprintf(s->name, sizeof s->name, "%s.%s", node, suffix);
    return s;
}

/* Where this tensor's offset is kept in its step. */
static size_t *offset_of(struct train_step *t, const char *suffix)
{
    static const struct {
        const char *suffix;
        size_t member;
    } members[] = {{"weight", offsetof(struct train_step, weight)},
                   {"bias", offsetof(struct train_step, bias)},
                   {"running_mean", offsetof(struct train_step, mean)},
                   {"running_var", offsetof(struct train_step, variance)},
                   {"num_batches_tracked", offsetof(struct train_step, tracked)}};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (strcmp(members[i].suffix, suffix) == 0)
            return (size_t *)(void *)((char *)t + members[i].member);
    return NULL;
}

static void add_tensors(struct gradient *g, int step)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int node = g->steps.at[step].node, count = node_tensors(&g->graph, node, specs);
    const struct node *n = gradient_node(g, node);
    for (int i = 0; i < count; i++) {
        size_t *offset = offset_of(&g->train[step], specs[i].suffix);
        if (!offset)
            continue;
        int learned = specs[i].is_parameter;
        enum slice_role role = !learned                                 ? SLICE_STATE
                               : n->op == OP_BATCHNORM                  ? SLICE_NORM
                               : strcmp(specs[i].suffix, "weight") == 0 ? SLICE_WEIGHT
                                                                        : SLICE_BIAS;
        struct slice *slice =
            learned ? slice_add(g->slices, &g->slice_count, &g->parameter_count, n->name, specs[i].suffix, role)
                    : slice_add(g->state_slices, &g->state_slice_count, &g->state_count, n->name, specs[i].suffix,
                                role);
        slice->rank = specs[i].rank;
        for (int k = 0; k < specs[i].rank; k++) {
            slice->shape[k] = specs[i].shape[k];
            slice->count *= (size_t)specs[i].shape[k];
        }
        *offset = slice->offset;
        size_t *total = learned ? &g->parameter_count : &g->state_count;
        *total = next_offset(*total, slice->count);
    }
}

static size_t add_scale(struct gradient *g, const char *node)
{
    size_t offset = slice_add(g->slices, &g->slice_count, &g->parameter_count, node, "scale", SLICE_SCALE)->offset;
    g->parameter_count = next_offset(offset, 1);
    return offset;
}

/* Where the weights' scales are learned. */
static void add_weight_scales(struct gradient *g, int step)
{
    if (!g->options.learn_weight_scales || g->train[step].weight == NO_OFFSET ||
        g->steps.at[step].kind != STEP_CONV)
        return;
    int count = weight_scales_count(g, step);
    const char *name = gradient_node(g, g->steps.at[step].node)->name;
    struct slice *s = slice_add(g->slices, &g->slice_count, &g->parameter_count, name, "weight_scale", SLICE_SCALE);
    s->rank = 1;
    s->shape[0] = count;
    s->count = (size_t)count;
    g->train[step].weight_scale = s->offset;
    g->parameter_count = next_offset(s->offset, s->count);
}

static size_t add_end(struct gradient *g, const char *node, const char *suffix)
{
    size_t offset =
        slice_add(g->state_slices, &g->state_slice_count, &g->state_count, node, suffix, SLICE_STATE)->offset;
    g->state_count = next_offset(offset, 1);
    return offset;
}

/* The input's map stays as calibrated in every mode: it does not depend on the weights. */
static void add_ranges(struct gradient *g, int step)
{
    const struct step *s = &g->steps.at[step];
    struct train_step *t = &g->train[step];
    const char *name = gradient_node(g, s->output)->name;
    if (!gradient_has_before(g, s->output, step))
        return;
    if (g->options.ranges == RANGE_LEARNED)
        t->scale = add_scale(g, name);
    if (g->options.ranges == RANGE_AVERAGE) {
        t->low = add_end(g, name, "low");
        t->high = add_end(g, name, "high");
    }
}

static int copy_in(const struct slice *slices, int count, const struct model *model, float *flat, struct message *m)
{
    for (int i = 0; i < count; i++) {
        const struct tensor *t = record_find(model->record, slices[i].name);
        if (!t)
            continue; /* ranges and scales: the model has none */
        if (t->count != slices[i].count)
            return message_set(m, STATUS_MISMATCH, "%s: %zu values, want %zu", t->name, t->count, slices[i].count);
        if (t->dtype == DTYPE_F32)
            memcpy(flat + slices[i].offset, t->data, t->bytes);
        else if (t->dtype == DTYPE_I64)
            flat[slices[i].offset] = (float)*(const int64_t *)t->data;
    }
    return 0;
}

static void start_ranges(struct gradient *g)
{
    for (int i = 0; i < g->steps.count; i++) {
        const struct train_step *t = &g->train[i];
        const struct affine *a = &g->values[g->steps.at[i].output].given;
        if (t->scale != NO_OFFSET)
            g->parameters[t->scale] = a->scale;
        for (int c = 0; t->weight_scale != NO_OFFSET && c < weight_scales_count(g, i); c++)
            g->parameters[t->weight_scale + (size_t)c] = gradient_weight_codes(g, i).scale[c];
        if (t->low != NO_OFFSET) {
            g->state[t->low] = a->scale * (float)(a->qmin - a->zero_point);
            g->state[t->high] = a->scale * (float)(a->qmax - a->zero_point);
        }
    }
}

int gradient_plan_slices(struct gradient *g, const struct model *model, struct message *m)
{
    size_t most = (size_t)g->graph.count * (SCHEMA_MAX_TENSORS + 3);
    g->slices = memory_new(most, sizeof *g->slices, m);
    g->state_slices = memory_new(most, sizeof *g->state_slices, m);
    if (!g->slices || !g->state_slices)
        return STATUS_NOMEM;
    for (int i = 0; i < g->steps.count; i++) {
        struct train_step *t = &g->train[i];
        t->weight = t->bias = t->mean = t->scale = t->weight_scale = t->low = NO_OFFSET;
        add_tensors(g, i);
        add_weight_scales(g, i);
        add_ranges(g, i);
    }
    g->parameters = memory_new(g->parameter_count, sizeof(float), m);
    g->gradients = memory_new(g->parameter_count, sizeof(float), m);
    g->state = memory_new(g->state_count, sizeof(float), m);
    if (!g->parameters || !g->gradients || !g->state)
        return STATUS_NOMEM;
    TRY(copy_in(g->slices, g->slice_count, model, g->parameters, m));
    TRY(copy_in(g->state_slices, g->state_slice_count, model, g->state, m));
    start_ranges(g);
    return 0;
}

static int copy_out(const struct slice *slices, int count, const float *flat, struct model *model,
                    struct message *m)
{
    for (int i = 0; i < count; i++) {
        const struct slice *s = &slices[i];
        const float *from = flat + s->offset;
        struct tensor *t = record_find(model->record, s->name);
        if (!t && (s->role == SLICE_SCALE || s->role == SLICE_STATE))
            continue;
        if (t && t->dtype == DTYPE_I64 && t->count == 1) {
            *(int64_t *)t->data = llrintf(*from);
            continue;
        }
        TRY(record_require(model->record, s->name, DTYPE_F32, s->rank, s->shape, &t, m));
        memcpy(t->data, from, t->bytes);
    }
    return 0;
}

int gradient_store(const struct gradient *g, const float *parameters, const float *state, struct model *model,
                   struct message *m)
{
    TRY(copy_out(g->slices, g->slice_count, parameters ? parameters : g->parameters, model, m));
    return copy_out(g->state_slices, g->state_slice_count, state ? state : g->state, model, m);
}
