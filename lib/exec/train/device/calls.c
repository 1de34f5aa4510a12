/* gradient_forward and gradient_backward on a device: each brings in what it needs and takes out what it made, so
 * that one call's results can be looked at; whole steps do not pass here. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include <string.h>

static int bring_in(struct gradient *g, const uint8_t *images, int count, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    TRY(device_flat_in(g, g->parameters, t->parameters, m));
    TRY(device_state_in(g, g->state, t->state, m));
    TRY(device_copy_parameters(g, m));
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

int device_forward(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    size_t classes = g->values[g->graph.count - 1].elements;
    TRY(device_program_get(g, count, &t->program, m));
    TRY(bring_in(g, images, count, m));
    TRY(device_queue_forward(g, t->program, m));
    TRY(c->backend->copy_out(c->device, QUEUE_COMPUTE, logits, device_at(t->arena, t->logits),
                             (size_t)count * classes * sizeof *logits, m));
    TRY(c->backend->synchronize(c->device, m));
    device_count_batch(g);
    TRY(device_state_out(g, t->state, g->state, m));
    return check_maps(g, m);
}

int device_backward(struct gradient *g, const float *dlogits, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    int last = g->graph.count - 1;
    size_t count = g->values[last].elements * (size_t)t->program->count;
    void *rounded = memory_new_raw(count, sizeof(float), m);
    if (!rounded)
        return STATUS_NOMEM;
    device_values_round(dlogits, count, t->type, rounded);
    int status = c->backend->copy_in(c->device, QUEUE_COMPUTE, device_slot_gradient(g, last), rounded,
                                     count * device_type_bytes(t->type), m);
    if (status >= 0)
        status = c->backend->synchronize(c->device, m);
    memory_free(rounded);
    TRY(status);
    TRY(device_queue_backward(g, t->program, m));
    return device_flat_out(g, t->gradients, g->gradients, m);
}
