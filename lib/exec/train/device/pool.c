/* The mean of a map on a device.   x [N,H,W,C] -> y [N,C] */
#include "exec/train/device/device_train.h"

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    return at->b->average_pool(at->d, device_of(g)->type, device_slot_value(g, s->x), at->p->count, x->h * x->w,
                               x->c, device_slot_value(g, s->output), m);
}

static int forward_codes(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    TRY(at->b->average_pool_u8(at->d, device_slot_value(g, s->x), at->p->count, x->h * x->w, x->c,
                               device_map_of(g, s->x), device_map_of(g, s->output), device_slot_value(g, s->output),
                               device_slot_before(g, s->output), m));
    return device_range_update(at, i, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    if (gradient_quantized(g))
        TRY(device_mask(at, i, m));
    if (!gradient_wants(g, s->x))
        return 0;
    TRY(at->b->average_pool_backward(at->d, device_of(g)->type, device_slot_gradient(g, s->output), at->p->count,
                                     x->h * x->w, x->c, device_x_target(at, i), m));
    return device_x_done(at, i, m);
}

const struct device_op device_pool = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
