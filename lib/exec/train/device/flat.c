/* Flat buffers between host and device: convolutions' weights in another order, the rest as it is. */
#include "exec/train/device/device_train.h"
#include <string.h>

static int is_conv_weight(const struct slice *s)
{
    return s->role == SLICE_WEIGHT && s->rank == 4;
}

typedef void permute(const void *from, int k, int c, int kernel, size_t size, void *to);

static void permute_all(const struct gradient *g, permute *each, const float *from, float *to)
{
    for (int i = 0; i < g->slice_count; i++) {
        const struct slice *s = &g->slices[i];
        if (is_conv_weight(s))
            each(from + s->offset, (int)s->shape[0], (int)s->shape[1], (int)s->shape[2], sizeof *to,
                 to + s->offset);
        else
            memcpy(to + s->offset, from + s->offset, s->count * sizeof *to);
    }
}

int device_flat_in(struct gradient *g, const float *from, float *to, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    if (!to || !g->parameter_count)
        return 0;
    memset(t->flat, 0, g->parameter_count * sizeof *to);
    permute_all(g, device_weights_in, from, t->flat);
    TRY(c->backend->copy_in(c->device, QUEUE_COMPUTE, to, t->flat, g->parameter_count * sizeof *to, m));
    return c->backend->synchronize(c->device, m);
}

int device_flat_out(struct gradient *g, const float *from, float *to, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    if (!from || !g->parameter_count)
        return 0;
    TRY(c->backend->copy_out(c->device, QUEUE_COMPUTE, t->flat, from, g->parameter_count * sizeof *to, m));
    TRY(c->backend->synchronize(c->device, m));
    permute_all(g, device_weights_out, t->flat, to);
    return 0;
}

int device_state_in(struct gradient *g, const float *from, float *to, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    if (!to || !g->state_count)
        return 0;
    memcpy(t->flat, from, g->state_count * sizeof *to);
    TRY(c->backend->copy_in(c->device, QUEUE_COMPUTE, to, t->flat, g->state_count * sizeof *to, m));
    return c->backend->synchronize(c->device, m);
}

int device_state_out(struct gradient *g, const float *from, float *to, struct message *m)
{
    struct device_training *t = device_of(g);
    const struct device_context *c = t->context;
    if (!from || !g->state_count)
        return 0;
    TRY(c->backend->copy_out(c->device, QUEUE_COMPUTE, t->flat, from, g->state_count * sizeof *to, m));
    TRY(c->backend->synchronize(c->device, m));
    for (int i = 0; i < g->steps.count; i++)
        if (g->steps.at[i].kind == STEP_NORM)
            t->flat[g->train[i].tracked] = g->state[g->train[i].tracked];
    memcpy(to, t->flat, g->state_count * sizeof *to);
    return 0;
}

void device_count_batch(struct gradient *g)
{
    for (int i = 0; i < g->steps.count; i++)
        if (g->steps.at[i].kind == STEP_NORM)
            g->state[g->train[i].tracked] += 1;
}

int device_copy_parameters(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    if (!t->copy)
        return 0;
    return t->context->backend->cast(t->context->device, DEVICE_F32, t->parameters, t->type, t->copy,
                                     g->parameter_count, m);
}
