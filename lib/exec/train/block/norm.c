/* Batch norm over blocks with the add and the relu behind it, and each of the three alone.
 *   x, other, y [blocks][H][W][C/32][P][32][32], gamma and beta [C]
 *   y = [relu]([batch norm of] x [+ other]) */
#include "exec/train/block/map_parts.h"
#include "exec/train/statistics.h"

/* ---- forward ---- */

static void statistics(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    struct block_step *t = &block_of(g)->steps[i];
    const struct block_step *maker = &block_of(g)->steps[t->maker];
    const struct node *n = gradient_node(g, s->node);
    int channels = block_channels(n->c), pieces = maker->pieces;
    double rows = gradient_rows(g, n->h * n->w);
    const struct parts parts = {maker->sums, 2 * (size_t)channels, block_of(g)->blocks * pieces, pieces};
    const double *sums = reduce_sums(&g->reduce, &parts, 2 * channels);
    for (int c = 0; c < n->c; c++) {
        struct norm_channel k = norm_channel_update(g, i, c, (struct norm_sums){sums[c], sums[channels + c]}, rows);
        block_constant(t, BLOCK_MEAN, n->c)[c] = k.mean;
        block_constant(t, BLOCK_INV_STD, n->c)[c] = k.inv_std;
        block_constant(t, BLOCK_SCALE, n->c)[c] = k.scale;
        block_constant(t, BLOCK_SHIFT, n->c)[c] = k.shift;
    }
    g->state[g->train[i].tracked] += 1;
}

/* Batch norm, add and relu alike: y = [relu](x [* scale + shift] [+ other]). */
static void norm_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct block_step *t = &block_of(g)->steps[i];
    const struct node *n = gradient_node(g, s->output);
    struct part p = part_of(g, s->output, item);
    (void)worker;
    block_of(g)->kernels->norm(
        &(struct block_norm_call){.map = part_map(g, s->output, &p),
                                  .x = part_value(g, s->x, &p),
                                  .scale = s->kind == STEP_NORM ? block_constant(t, BLOCK_SCALE, n->c) : NULL,
                                  .shift = s->kind == STEP_NORM ? block_constant(t, BLOCK_SHIFT, n->c) : NULL,
                                  .other = s->other >= 0 ? part_value(g, s->other, &p) : NULL,
                                  .relu = s->relu || s->kind == STEP_RELU,
                                  .y = part_value(g, s->output, &p),
                                  .positive = part_mask(g, s->output, t->positive, &p)});
}

static void forward(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    if (s->kind == STEP_NORM)
        statistics(g, i);
    image_each(g, i, norm_item, part_items(g, s->output));
}

/* ---- backward ---- */

static void sums_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct block_step *t = &block_of(g)->steps[i];
    int real = gradient_node(g, s->output)->c;
    struct part p = part_of(g, s->output, item);
    (void)worker;
    block_of(g)->kernels->norm_backward_sums(&(struct block_norm_backward_call){
        .map = part_map(g, s->output, &p),
        .x = part_value(g, s->x, &p),
        .dy = part_gradient(g, s->output, &p),
        .positive = part_mask(g, s->output, t->positive, &p),
        .mean = block_constant(t, BLOCK_MEAN, real),
        .inv_std = block_constant(t, BLOCK_INV_STD, real),
        .sums = block_of(g)->partials + (size_t)item * 2 * (size_t)block_channels(real)});
}

/* dx = a g + b x + d from gamma inv_std (g - mean g - xhat mean(g xhat)). */
static void norm_gradients(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct train_step *t = &g->train[i];
    const struct block_step *own = &block_of(g)->steps[i];
    const struct node *n = gradient_node(g, s->node);
    size_t channels = (size_t)block_channels(n->c);
    double rows = gradient_rows(g, n->h * n->w);
    const double *sums = part_sums(g, s->output);
    for (size_t c = 0; c < (size_t)n->c; c++) {
        double sum = sums[c], product = sums[channels + c];
        g->gradients[t->bias + c] = (float)sum;
        g->gradients[t->weight + c] = (float)product;
        double inv_std = (double)block_constant(own, BLOCK_INV_STD, n->c)[c];
        double a = (double)g->parameters[t->weight + c] * inv_std, b = -a * inv_std * product / rows;
        block_constant(own, BLOCK_A, n->c)[c] = (float)a;
        block_constant(own, BLOCK_B, n->c)[c] = (float)b;
        block_constant(own, BLOCK_D, n->c)[c] =
            (float)(-a * sum / rows - b * (double)block_constant(own, BLOCK_MEAN, n->c)[c]);
    }
}

static void pass_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct block_step *t = &block_of(g)->steps[i];
    int real = gradient_node(g, s->output)->c, norm = s->kind == STEP_NORM;
    struct part p = part_of(g, s->output, item);
    (void)worker;
    block_of(g)->kernels->norm_backward(
        &(struct block_norm_backward_call){.map = part_map(g, s->output, &p),
                                           .x = norm ? part_value(g, s->x, &p) : NULL,
                                           .dy = part_gradient(g, s->output, &p),
                                           .positive = part_mask(g, s->output, t->positive, &p),
                                           .a = norm ? block_constant(t, BLOCK_A, real) : NULL,
                                           .b = norm ? block_constant(t, BLOCK_B, real) : NULL,
                                           .d = norm ? block_constant(t, BLOCK_D, real) : NULL,
                                           .dx = part_operand_gradient(g, s->x, &p),
                                           .accumulate = g->train[i].accumulate_x,
                                           .other = part_operand_gradient(g, s->other, &p),
                                           .accumulate_other = g->train[i].accumulate_other});
}

static void backward(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    int items = part_items(g, s->output);
    double start = profile_begin(g);
    if (s->kind == STEP_NORM) {
        image_each(g, i, sums_item, items);
        norm_gradients(g, i);
    }
    image_each(g, i, pass_item, items);
    profile_end(g, i, PASS_DATA, start);
}

const struct block_op block_norm_op = {.forward = forward, .backward = backward};
