/* What trains, said to others. */
#include "exec/train/device/device_train.h"
#include <stdio.h>

const char *device_training_precision(const struct gradient *g)
{
    const struct device_training *t = g->on_device;
    return t->type == DEVICE_F32 && t->context->options.tf32 ? "tf32" : device_type_precision(t->type);
}

double device_training_peak(const struct gradient *g)
{
    const struct device_context *c = g->on_device->context;
    struct message unused;
    double macs = 0;
    return c->backend->peak(c->device, g->on_device->type, 0.05, &macs, &unused) < 0 ? 0 : macs;
}

int device_profile_begin(struct gradient *g)
{
    struct device_training *t = g->on_device;
    struct message unused;
    for (int i = 0; i < g->step_count * DEVICE_EVENTS; i++)
        if (!t->events[i])
            TRY(t->context->backend->event_new(t->context->device, &t->events[i], &unused));
    return 0;
}

int gradient_layer_algorithms(const struct gradient *g, int i, char *text, size_t size)
{
    const struct device_training *t = g->on_device;
    if (!t || g->steps[i].kind != TRAIN_CONV || !t->programs[0].steps[i].plan)
        return 0;
    const struct device_program_step *p = &t->programs[0].steps[i];
    const struct device_backend *b = t->context->backend;
    snprintf(text, size, "%s: forward %s, data %s, weight %s", g->graph.nodes[g->steps[i].node].name,
             b->plan_algorithm(p->integer ? p->integer : p->plan, DEVICE_FORWARD),
             g->values[g->steps[i].x].wants_gradient ? b->plan_algorithm(p->plan, DEVICE_DATA) : "-",
             b->plan_algorithm(p->plan, DEVICE_WEIGHT));
    return 1;
}
