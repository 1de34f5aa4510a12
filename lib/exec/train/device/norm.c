/* Batch norm by the mini-batch's statistics on a device, with the add and the relu behind it.
 *   x, other, y [N,H,W,C], gamma and beta [C] */
#include "exec/train/device/device_train.h"

static int forward(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    const struct device_training *t = device_of(g);
    const struct device_program_step *p = &at->p->steps[i];
    const struct device_layer *l = &t->layer[i];
    return at->b->norm_forward(at->d, p->plan, device_slot_value(g, s->x), device_slot_value(g, s->other),
                               t->parameters + own->weight, t->parameters + own->bias, t->state + own->mean,
                               t->state + own->variance, device_layer_at(g, l->saved_mean),
                               device_layer_at(g, l->saved_inv_std), device_slot_value(g, s->output),
                               device_at(at->p->reserve, p->reserve), at->p->workspace, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    const struct device_program_step *p = &at->p->steps[i];
    const struct device_layer *l = &t->layer[i];
    int is_own = gradient_wants(g, s->other) && !own->accumulate_other; /* place */
    void *d_other = s->other < 0 ? NULL
                    : is_own     ? device_slot_gradient(g, s->other)
                                 : device_at(t->arena, t->spare_other);
    TRY(at->b->norm_backward(at->d, p->plan, device_slot_value(g, s->x), device_slot_value(g, s->output),
                             device_slot_gradient(g, s->output), t->parameters + own->weight,
                             t->parameters + own->bias, device_layer_at(g, l->saved_mean),
                             device_layer_at(g, l->saved_inv_std), device_at(at->p->reserve, p->reserve),
                             device_x_target(at, i), d_other, t->gradients + own->weight, t->gradients + own->bias,
                             at->p->workspace, m));
    if (s->other >= 0 && !is_own)
        TRY(device_pass_on(at, s->other, 1, d_other, m));
    return device_x_done(at, i, m);
}

const struct device_op device_norm_op = {.forward = forward, .backward = backward};
