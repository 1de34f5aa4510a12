/* Backward over blocks: the gradient of a step's output becomes those of its operands and parameters. */
#include "exec/train/block/block_part.h"

struct job {
    struct gradient *g;
    int step, round;
    const bf16 *x; /* of a convolution */
    size_t x_block;
};

/* ---- convolution ---- */

static void weight_item(void *context, int item, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_weight_call call = {.blocks = g->block->blocks,
                                           .x = j->x,
                                           .dy = block_gradient_at(g, s->output, 0),
                                           .x_block = j->x_block,
                                           .dy_block = g->block->values[s->output].block,
                                           .dw = g->gradients + s->weight};
    g->block->kernels->weight_gradient(&g->block->steps[j->step].conv, &call, j->round, item,
                                       g->arena + g->block->shared, worker_scratch(g, worker));
}

static void data_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_step *t = &g->block->steps[j->step];
    struct block_conv_call call = {.packed = t->backward, .accumulate = s->accumulate_x};
    int b = cut_call(&t->data_cut, g->block->blocks, t->conv.c, item, &call);
    call.x = block_gradient_at(g, s->output, b);
    call.y = block_gradient_at(g, s->x, b);
    g->block->kernels->conv(&t->conv, BLOCK_BACKWARD, &call, worker_scratch(g, worker));
}

void block_conv_backward(struct gradient *g, int step, const bf16 *x, size_t x_block)
{
    struct job job = {g, step, 0, x, x_block}, *j = &job;
    const struct block_conv *c = &g->block->steps[step].conv;
    int blocks = g->block->blocks;
    double start = profile_begin(g);
    for (j->round = 0; j->round < BLOCK_ROUNDS; j->round++)
        threads_run(g->pool, weight_item, j, g->block->kernels->weight_items(c, blocks, j->round));
    profile_end(g, j->step, PASS_WEIGHT, start);
    if (!g->values[g->steps[j->step].x].wants_gradient)
        return;
    start = profile_begin(g);
    threads_run(g->pool, data_item, j, cut_items(&g->block->steps[step].data_cut, blocks, c->c));
    profile_end(g, j->step, PASS_DATA, start);
}

/* ---- batch norm, add, relu ---- */

static void sums_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_step *t = &g->block->steps[j->step];
    int real = g->graph.nodes[s->output].c, channels = block_channels(real);
    struct part p = part_of(g, s->output, item);
    (void)worker;
    g->block->kernels->norm_backward_sums(
        part_value(g, s->x, &p), part_gradient(g, s->output, &p), part_mask(g, s->output, t->positive, &p),
        p.pixels, channels, g->block->planes, block_images(g, p.block), block_constant(t, BLOCK_MEAN, real),
        block_constant(t, BLOCK_INV_STD, real), g->block->partials + (size_t)item * 2 * (size_t)channels);
}

/* Sums the items in order; dx = a g + b x + d from gamma inv_std (g - mean g - xhat mean(g xhat)). */
static void norm_gradients(struct gradient *g, int step, int items)
{
    const struct train_step *s = &g->steps[step];
    const struct block_step *t = &g->block->steps[step];
    const struct node *n = &g->graph.nodes[s->node];
    size_t channels = (size_t)block_channels(n->c);
    double rows = (double)g->count * n->h * n->w;
    for (size_t c = 0; c < (size_t)n->c; c++) {
        double sum = 0, product = 0;
        for (size_t i = 0; i < (size_t)items; i++) {
            sum += g->block->partials[i * 2 * channels + c];
            product += g->block->partials[(i * 2 + 1) * channels + c];
        }
        g->gradients[s->bias + c] = (float)sum;
        g->gradients[s->weight + c] = (float)product;
        double inv_std = (double)block_constant(t, BLOCK_INV_STD, n->c)[c];
        double a = (double)g->parameters[s->weight + c] * inv_std, b = -a * inv_std * product / rows;
        block_constant(t, BLOCK_A, n->c)[c] = (float)a;
        block_constant(t, BLOCK_B, n->c)[c] = (float)b;
        block_constant(t, BLOCK_D, n->c)[c] =
            (float)(-a * sum / rows - b * (double)block_constant(t, BLOCK_MEAN, n->c)[c]);
    }
}

static void pass_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_step *t = &g->block->steps[j->step];
    int real = g->graph.nodes[s->output].c, norm = s->kind == TRAIN_NORM;
    struct part p = part_of(g, s->output, item);
    (void)worker;
    g->block->kernels->norm_backward(
        norm ? part_value(g, s->x, &p) : NULL, part_gradient(g, s->output, &p),
        part_mask(g, s->output, t->positive, &p), p.pixels, block_channels(real), g->block->planes,
        block_images(g, p.block), norm ? block_constant(t, BLOCK_A, real) : NULL,
        norm ? block_constant(t, BLOCK_B, real) : NULL, norm ? block_constant(t, BLOCK_D, real) : NULL,
        part_operand_gradient(g, s->x, &p), s->accumulate_x, part_operand_gradient(g, s->other, &p),
        s->accumulate_other);
}

static void pool_item(void *context, int b, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct node *x = &g->graph.nodes[s->x];
    (void)worker;
    g->block->kernels->pool_backward(value_gradient(g, s->output, b * BLOCK_IMAGES), x->c, x->h * x->w, x->c,
                                     g->block->planes, block_images(g, b), block_gradient_at(g, s->x, b),
                                     s->accumulate_x);
}

void block_backward_pool(struct gradient *g, int step)
{
    struct job job = {.g = g, .step = step};
    threads_run(g->pool, pool_item, &job, g->block->blocks);
}

void block_step_backward(struct gradient *g, int step)
{
    struct job job = {.g = g, .step = step};
    const struct train_step *s = &g->steps[step];
    int items = part_items(g, s->output);
    if (s->kind == TRAIN_NORMALIZE || !g->values[s->output].wants_gradient)
        return;
    if (s->kind == TRAIN_CONV) {
        block_conv_backward(g, step, block_value_at(g, s->x, 0), g->block->values[s->x].block);
        return;
    }
    double start = profile_begin(g);
    if (s->kind == TRAIN_POOL) {
        block_backward_pool(g, step);
    } else {
        if (s->kind == TRAIN_NORM) {
            threads_run(g->pool, sums_item, &job, items);
            norm_gradients(g, step, items);
        }
        threads_run(g->pool, pass_item, &job, items);
    }
    profile_end(g, step, PASS_DATA, start);
}
