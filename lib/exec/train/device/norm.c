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
    const struct device_norm_call call = {.x = device_slot_value(at, s->x),
                                          .other = device_slot_value(at, s->other),
                                          .gamma = t->parameters + own->weight,
                                          .beta = t->parameters + own->bias,
                                          .running_mean = t->state + own->mean,
                                          .running_variance = t->state + own->variance,
                                          .saved_mean = device_layer_at(g, l->saved_mean),
                                          .saved_inv_std = device_layer_at(g, l->saved_inv_std),
                                          .y = device_slot_value(at, s->output),
                                          .reserve = device_at(at->p->reserve, p->reserve),
                                          .workspace = at->p->workspace};
    return at->b->norm_forward(at->d, p->plan, &call, m);
}

/* ---- backward ---- */

/* Whether the other operand's gradient is written where it belongs; else it is added to what is there. */
static int other_is_own(const struct gradient *g, int i)
{
    int other = g->steps.at[i].other;
    return gradient_wants(g, other) && !g->train[i].accumulate_other;
}

static void *other_target(const struct device_place *at, int i)
{
    const struct gradient *g = at->g;
    const struct device_training *t = device_of(g);
    int other = g->steps.at[i].other;
    if (other < 0 || other_is_own(g, i))
        return other < 0 ? NULL : device_slot_gradient(at, other);
    return device_at(t->arena, t->spare_other + (size_t)at->shard * t->spare_bytes);
}

static struct device_norm_backward_call backward_call(const struct device_place *at, int i)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct train_step *own = &g->train[i];
    const struct device_training *t = device_of(g);
    const struct device_layer *l = &t->layer[i];
    return (struct device_norm_backward_call){.x = device_slot_value(at, s->x),
                                              .y = device_slot_value(at, s->output),
                                              .dy = device_slot_gradient(at, s->output),
                                              .gamma = t->parameters + own->weight,
                                              .beta = t->parameters + own->bias,
                                              .saved_mean = device_layer_at(g, l->saved_mean),
                                              .saved_inv_std = device_layer_at(g, l->saved_inv_std),
                                              .reserve = device_at(at->p->reserve, at->p->steps[i].reserve),
                                              .dx = device_x_target(at, i),
                                              .d_other = other_target(at, i),
                                              .dgamma = at->gradients + own->weight,
                                              .dbeta = at->gradients + own->bias,
                                              .workspace = at->p->workspace};
}

static int hand_on(const struct device_place *at, int i, const struct device_norm_backward_call *call,
                   struct message *m)
{
    int other = at->g->steps.at[i].other;
    if (other >= 0 && !other_is_own(at->g, i))
        TRY(device_pass_on(at, other, 1, call->d_other, m));
    return device_x_done(at, i, m);
}

static int backward(const struct device_place *at, int i, struct message *m)
{
    const struct device_norm_backward_call call = backward_call(at, i);
    TRY(at->b->norm_backward(at->d, at->p->steps[i].plan, &call, m));
    return hand_on(at, i, &call, m);
}

/* ---- in shards ---- */

static size_t row_bytes(const struct gradient *g, int i)
{
    return 2 * (size_t)gradient_node(g, g->steps.at[i].node)->c * sizeof(double);
}

static int sums(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_norm n = device_norm_of(at->g, at->p, i);
    return at->b->norm_sums(at->d, &n, device_slot_value(at, g->steps.at[i].x),
                            device_shared_row(g, at->shard, row_bytes(g, i)), m);
}

static int apply(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct step *s = &g->steps.at[i];
    const struct device_layer *l = &device_of(g)->layer[i];
    const struct device_scale_shift_call call = {.type = device_of(g)->type,
                                                 .x = device_slot_value(at, s->x),
                                                 .rows = device_slot_rows(at, s->output),
                                                 .c = gradient_node(g, s->node)->c,
                                                 .scale = device_layer_at(g, l->scale),
                                                 .shift = device_layer_at(g, l->shift),
                                                 .other = device_slot_value(at, s->other),
                                                 .relu = s->relu,
                                                 .y = device_slot_value(at, s->output)};
    return at->b->scale_shift(at->d, &call, m);
}

static int forward_shards(struct gradient *g, int i, struct message *m)
{
    const struct train_step *own = &g->train[i];
    struct device_training *t = device_of(g);
    const struct device_layer *l = &t->layer[i];
    const struct node *n = gradient_node(g, g->steps.at[i].node);
    const struct device_norm_statistics_call call = {.c = n->c,
                                                     .rows = gradient_rows(g, n->h * n->w),
                                                     .eps = (double)n->eps,
                                                     .momentum = g->options.batchnorm_momentum,
                                                     .sums = t->shared.total,
                                                     .gamma = t->parameters + own->weight,
                                                     .beta = t->parameters + own->bias,
                                                     .running_mean = t->state + own->mean,
                                                     .running_variance = t->state + own->variance,
                                                     .saved_mean = device_layer_at(g, l->saved_mean),
                                                     .saved_inv_std = device_layer_at(g, l->saved_inv_std),
                                                     .scale = device_layer_at(g, l->scale),
                                                     .shift = device_layer_at(g, l->shift)};
    TRY(device_each(g, sums, i, m));
    TRY(device_shared_sums(g, 2 * n->c, m));
    TRY(t->context->backend->norm_statistics(t->context->device, &call, m));
    return device_each(g, apply, i, m);
}

static int backward_sums(const struct device_place *at, int i, struct message *m)
{
    const struct device_norm n = device_norm_of(at->g, at->p, i);
    const struct device_norm_backward_call call = backward_call(at, i);
    return at->b->norm_backward_sums(at->d, &n, &call, device_shared_row(at->g, at->shard, row_bytes(at->g, i)), m);
}

static int backward_apply(const struct device_place *at, int i, struct message *m)
{
    const struct gradient *g = at->g;
    const struct device_norm n = device_norm_of(at->g, at->p, i);
    const struct device_norm_backward_call call = backward_call(at, i);
    TRY(at->b->norm_backward_apply(at->d, &n, &call, device_of(g)->shared.total, gradient_rows(g, n.h * n.w), m));
    return hand_on(at, i, &call, m);
}

static int backward_shards(struct gradient *g, int i, struct message *m)
{
    TRY(device_each_gradient(g, backward_sums, i, m));
    TRY(device_shared_sums(g, 2 * gradient_node(g, g->steps.at[i].node)->c, m));
    return device_each(g, backward_apply, i, m);
}

const struct device_op device_norm_op = {
    .forward = forward, .backward = backward, .forward_shards = forward_shards, .backward_shards = backward_shards};
