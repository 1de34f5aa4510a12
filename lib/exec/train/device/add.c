/* y = x + other on a device, where nothing else takes it in.   x, other, y [N,H,W,C] */
#include "exec/train/device/device_train.h"

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_add_call call = {.type = device_of(g)->type,
                                         .a = device_slot_value(at, s->x),
                                         .b = device_slot_value(at, s->other),
                                         .count = device_slot_count(at, s->output),
                                         .y = device_slot_value(at, s->output)};
    return at->b->add(at->d, &call, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const void *dy = device_slot_gradient(at, s->output);
    TRY(device_pass_on(at, s->other, g->train[i].accumulate_other, dy, m));
    return device_pass_on(at, s->x, g->train[i].accumulate_x, dy, m);
}

const struct device_op device_add = {.forward = forward, .backward = backward};
