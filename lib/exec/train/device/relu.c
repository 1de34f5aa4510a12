/* y = max(x, 0) on a device, where nothing else takes it in.   x, y [N,H,W,C] */
#include "exec/train/device/device_train.h"

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    return at->b->relu(at->d, device_of(g)->type, device_slot_value(at, s->x), device_slot_count(at, s->output),
                       device_slot_value(at, s->output), m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    if (!gradient_wants(g, s->x))
        return 0;
    TRY(at->b->relu_backward(at->d, device_of(g)->type, device_slot_value(at, s->output),
                             device_slot_gradient(at, s->output), device_slot_count(at, s->output),
                             device_x_target(at, i), m));
    return device_x_done(at, i, m);
}

const struct device_op device_relu = {.forward = forward, .backward = backward};
