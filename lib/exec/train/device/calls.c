/* gradient_forward and gradient_backward on a device: each brings in what it needs and takes out what it made, so
 * that one call's results can be looked at; whole steps do not pass here. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include <string.h>

/* count: own images. */
static int bring_in(struct gradient *g, const uint8_t *images, int count, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    TRY(device_flat_in(g, g->parameters, t->parameters, m));
    TRY(device_state_in(g, g->state, t->state, m));
    TRY(device_copy_parameters(g, m));
    if (count > 0)
        TRY(c->backend->copy_in(c->device, QUEUE_COMPUTE, device_at(t->intake, t->at.pixels), images,
                                g->values[0].elements * (size_t)count, m));
    return c->backend->synchronize(c->device, m);
}

static int check_maps(struct gradient *g, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    struct device_outcome o;
    if (!gradient_quantized(g))
        return 0;
    TRY(c->backend->copy_out(c->device, QUEUE_COMPUTE, &o, device_of(g)->outcome, sizeof o, m));
    TRY(c->backend->synchronize(c->device, m));
    if (o.report.bad_map > 0)
        return message_set(m, STATUS_RANGE, "%s: the learned scale or moving range is not finite",
                           gradient_node(g, o.report.bad_map - 1)->name);
    return device_flat_out(g, device_of(g)->parameters, g->parameters, m); /* scales may have been raised */
}

/* What a shard's logits, or their gradient, are on the host. */
static size_t row_of(const struct gradient *g, const struct device_place *at)
{
    return (size_t)at->first * g->values[g->graph.count - 1].elements;
}

static int logits_out(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    size_t bytes = device_slot_count(at, g->graph.count - 1) * sizeof(float);
    (void)i;
    return at->b->copy_out(at->d, QUEUE_COMPUTE, device_of(g)->logits_to + row_of(g, at), device_logits(at), bytes,
                           m);
}

int device_forward(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    TRY(bring_in(g, images, count, m));
    TRY(device_queue_forward(g, m));
    t->logits_to = logits;
    TRY(device_each(g, logits_out, 0, m));
    TRY(c->backend->synchronize(c->device, m));
    device_count_batch(g);
    TRY(device_state_out(g, t->state, g->state, m));
    return check_maps(g, m);
}

static int gradient_in(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    int last = g->graph.count - 1;
    size_t size = device_type_bytes(device_of(g)->type);
    (void)i;
    return at->b->copy_in(at->d, QUEUE_COMPUTE, device_slot_gradient(at, last),
                          (const char *)device_of(g)->gradient_from + row_of(g, at) * size,
                          device_slot_count(at, last) * size, m);
}

int device_backward(struct gradient *g, const float *dlogits, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    size_t count = g->values[g->graph.count - 1].elements * (size_t)g->count;
    void *rounded = memory_new_raw(count + 1, sizeof(float), m);
    if (!rounded)
        return STATUS_NOMEM;
    device_values_round(dlogits, count, t->type, rounded);
    t->gradient_from = rounded;
    int status = device_each(g, gradient_in, 0, m);
    if (status >= 0)
        status = c->backend->synchronize(c->device, m);
    memory_free(rounded);
    TRY(status);
    TRY(device_queue_backward(g, m));
    return device_flat_out(g, t->gradients, g->gradients, m);
}
