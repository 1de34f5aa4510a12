/* How the gradient of a step's output is handed on, and what codes' ranges do. */
#include "exec/train/device/device_train.h"

int device_pass_on(const struct device_place *at, int operand, int accumulate, const void *from, struct message *m)
{
    const struct gradient *g = at->g;
    enum device_type type = device_of(g)->type;
    if (!gradient_wants(g, operand))
        return 0;
    size_t count = device_slot_count(at, operand);
    void *to = device_slot_gradient(at, operand);
    if (accumulate)
        return at->b->add(at->d, &(struct device_add_call){type, to, from, count, 0, to}, m);
    return at->b->copy_on(at->d, QUEUE_COMPUTE, to, from, count * device_type_bytes(type), m);
}

static void *spare(const struct device_place *at)
{
    return device_at(device_of(at->g)->arena, device_of(at->g)->spare);
}

void *device_x_target(const struct device_place *at, int i)
{
    const struct gradient *g = at->g;
    int x = g->steps.at[i].x;
    return gradient_wants(g, x) && !g->train[i].accumulate_x ? device_slot_gradient(at, x) : spare(at);
}

int device_x_done(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    return g->train[i].accumulate_x ? device_pass_on(at, g->steps.at[i].x, 1, spare(at), m) : 0;
}

int device_mask(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    void *dy = device_slot_gradient(at, s->output);
    if (gradient_quantized(g) && !gradient_is_last(g, s->output)) {
        const struct device_straight_through_call call = {
            .before = device_slot_before(at, s->output),
            .n = at->p->count,
            .elements = g->values[s->output].elements,
            .relu = s->relu,
            .map = device_map_of(g, s->output),
            .type = t->type,
            .dy = dy,
            .scale_gradient = own->scale == NO_OFFSET ? NULL : at->gradients + own->scale};
        return at->b->straight_through(at->d, &call, m);
    }
    if (s->relu)
        return at->b->relu_backward(at->d, t->type, device_slot_value(at, s->output), dy,
                                    device_slot_count(at, s->output), dy, m);
    return 0;
}

/* ---- moving ranges ---- */

static int range_update(const struct device_place *at, int i, const float *values, size_t count, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    const struct device_range_call call = {.before = values,
                                           .count = count,
                                           .relu = s->relu,
                                           .map = device_map_of(g, s->output),
                                           .averaging = g->options.range_averaging,
                                           .low = t->state + own->low,
                                           .high = t->state + own->high};
    return at->b->range_update(at->d, &call, m);
}

static int update_whole(const struct device_place *at, int i, struct message *m)
{
    int output = at->g->steps.at[i].output;
    return range_update(at, i, device_slot_before(at, output), device_slot_count(at, output), m);
}

enum { ENDS = 2 };

static int shard_extremes(const struct device_place *at, int i, struct message *m)
{
    int output = at->g->steps.at[i].output;
    return at->b->extremes(at->d, device_slot_before(at, output), device_slot_count(at, output),
                           device_shared_row(at->g, at->shard, ENDS * sizeof(float)), m);
}

int device_range_update(struct gradient *g, int i, struct message *m)
{
    const struct device_training *t = device_of(g);
    if (g->train[i].low == NO_OFFSET)
        return 0;
    if (!g->shard)
        return device_each(g, update_whole, i, m);
    const struct device_place at = {.g = g, .b = t->context->backend, .d = t->context->device};
    TRY(device_each(g, shard_extremes, i, m));
    TRY(device_shared_gather(g, ENDS * sizeof(float), m));
    return range_update(&at, i, t->shared.rows, ENDS * (size_t)g->reduce.share.shards, m);
}
