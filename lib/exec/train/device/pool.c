/* The mean of a map on a device.   x [N,H,W,C] -> y [N,C] */
#include "exec/train/device/device_train.h"

static struct device_pool pool_of(const struct device_place *at, int i)
{
    const struct node *x = gradient_node(at->g, at->g->steps.at[i].x);
    return (struct device_pool){at->p->count, x->h * x->w, x->c, device_of(at->g)->type};
}

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_pool pool = pool_of(at, i);
    return at->b->average_pool(at->d, &pool, device_slot_value(at, s->x), device_slot_value(at, s->output), m);
}

static int forward_codes(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_pool pool = pool_of(at, i);
    const struct device_pool_u8_call call = {.x = device_slot_value(at, s->x),
                                             .map_x = device_map_of(g, s->x),
                                             .map_y = device_map_of(g, s->output),
                                             .y = device_slot_value(at, s->output),
                                             .before = device_slot_before(at, s->output)};
    return at->b->average_pool_u8(at->d, &pool, &call, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_pool pool = pool_of(at, i);
    if (gradient_quantized(g))
        TRY(device_mask(at, i, m));
    if (!gradient_wants(g, s->x))
        return 0;
    TRY(at->b->average_pool_backward(at->d, &pool, device_slot_gradient(at, s->output), device_x_target(at, i), m));
    return device_x_done(at, i, m);
}

const struct device_op device_pool = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
