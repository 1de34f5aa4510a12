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
    const struct device_norm_call call = {.x = device_slot_value(g, s->x),
                                          .other = device_slot_value(g, s->other),
                                          .gamma = t->parameters + own->weight,
                                          .beta = t->parameters + own->bias,
                                          .running_mean = t->state + own->mean,
                                          .running_variance = t->state + own->variance,
                                          .saved_mean = device_layer_at(g, l->saved_mean),
                                          .saved_inv_std = device_layer_at(g, l->saved_inv_std),
                                          .y = device_slot_value(g, s->output),
                                          .reserve = device_at(at->p->reserve, p->reserve),
                                          .workspace = at->p->workspace};
    return at->b->norm_forward(at->d, p->plan, &call, m);
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
    const struct device_norm_backward_call call = {.x = device_slot_value(g, s->x),
                                                   .y = device_slot_value(g, s->output),
                                                   .dy = device_slot_gradient(g, s->output),
                                                   .gamma = t->parameters + own->weight,
                                                   .beta = t->parameters + own->bias,
                                                   .saved_mean = device_layer_at(g, l->saved_mean),
                                                   .saved_inv_std = device_layer_at(g, l->saved_inv_std),
                                                   .reserve = device_at(at->p->reserve, p->reserve),
                                                   .dx = device_x_target(at, i),
                                                   .d_other = d_other,
                                                   .dgamma = t->gradients + own->weight,
                                                   .dbeta = t->gradients + own->bias,
                                                   .workspace = at->p->workspace};
    TRY(at->b->norm_backward(at->d, p->plan, &call, m));
    if (s->other >= 0 && !is_own)
        TRY(device_pass_on(at, s->other, 1, d_other, m));
    return device_x_done(at, i, m);
}

const struct device_op device_norm_op = {.forward = forward, .backward = backward};
