/* Pixels to values, or to codes by a table, on a device.   pixels u8 [N,H,W,C] -> y [N,H,W,C] */
#include "exec/train/device/device_train.h"
#include <string.h>

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->node);
    struct device_normalize_call call = {.pixels = device_slot_value(at, s->x),
                                         .rows = device_slot_rows(at, s->x),
                                         .c = n->c,
                                         .type = device_of(g)->type,
                                         .y = device_slot_value(at, s->output)};
    memcpy(call.mean, n->mean, sizeof call.mean);
    memcpy(call.std, n->std, sizeof call.std);
    return at->b->normalize(at->d, &call, m);
}

static int forward_codes(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_training *t = device_of(g);
    return at->b->lookup_u8(at->d, device_slot_value(at, s->x), device_slot_rows(at, s->x),
                            gradient_node(g, s->x)->c, device_at(t->constants, t->table),
                            device_slot_value(at, s->output), m);
}

const struct device_op device_normalize = {.forward = forward, .forward_codes = forward_codes};
