/* The mean of a map: from blocks to plain floats, and back.
 *   x [blocks][H][W][C/32][P][32][32] -> y [N,C] */
#include "exec/train/block/block_engine.h"

static void forward_item(void *context, int b, int worker)
{
    const struct block_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    const struct node *x = gradient_node(g, s->x);
    (void)worker;
    block_of(g)->kernels->pool(block_value_at(g, s->x, b), x->h * x->w, x->c, block_of(g)->planes,
                               block_images(g, b), value_f32(g, s->output, b * BLOCK_IMAGES), x->c);
}

static void forward(struct gradient *g, int i)
{
    struct block_job job = {g, i};
    threads_run(image_of(g)->pool, forward_item, &job, block_of(g)->blocks);
}

static void backward_item(void *context, int b, int worker)
{
    const struct block_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    const struct node *x = gradient_node(g, s->x);
    (void)worker;
    block_of(g)->kernels->pool_backward(value_gradient(g, s->output, b * BLOCK_IMAGES), x->c, x->h * x->w, x->c,
                                        block_of(g)->planes, block_images(g, b), block_gradient_at(g, s->x, b),
                                        g->train[j->i].accumulate_x);
}

static void backward(struct gradient *g, int i)
{
    struct block_job job = {g, i};
    double start = profile_begin(g);
    threads_run(image_of(g)->pool, backward_item, &job, block_of(g)->blocks);
    profile_end(g, i, PASS_DATA, start);
}

static void mask_item(void *context, int image, int worker)
{
    const struct block_job *j = context;
    (void)worker;
    codes_mask_item(j->g, j->i, image);
}

static void backward_codes(struct gradient *g, int i)
{
    struct block_job job = {g, i};
    double start = profile_begin(g);
    threads_run(image_of(g)->pool, mask_item, &job, g->count);
    codes_scale_gradient(g, i);
    profile_end(g, i, PASS_DATA, start);
    backward(g, i);
}

const struct block_op block_pool_op = {.forward = forward, .backward = backward, .backward_codes = backward_codes};
