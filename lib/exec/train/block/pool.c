/* The mean of a map: from blocks to plain floats, and back.
 *   x [blocks][H][W][C/32][P][32][32] -> y [N,C] */
#include "exec/train/block/block_engine.h"

static void forward_item(struct gradient *g, int i, int b, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    (void)worker;
    block_of(g)->kernels->pool(block_value_at(g, s->x, b), x->h * x->w, x->c, block_of(g)->planes,
                               block_images(g, b), value_f32(g, s->output, b * BLOCK_IMAGES), x->c);
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, block_of(g)->blocks);
}

static void backward_item(struct gradient *g, int i, int b, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    (void)worker;
    block_of(g)->kernels->pool_backward(value_gradient(g, s->output, b * BLOCK_IMAGES), x->c, x->h * x->w, x->c,
                                        block_of(g)->planes, block_images(g, b), block_gradient_at(g, s->x, b),
                                        g->train[i].accumulate_x);
}

static void backward(struct gradient *g, int i)
{
    double start = profile_begin(g);
    image_each(g, i, backward_item, block_of(g)->blocks);
    profile_end(g, i, PASS_DATA, start);
}

static void mask_item(struct gradient *g, int i, int image, int worker)
{
    (void)worker;
    codes_mask_item(g, i, image);
}

static void backward_codes(struct gradient *g, int i)
{
    double start = profile_begin(g);
    image_each(g, i, mask_item, g->count);
    codes_scale_gradient(g, i);
    profile_end(g, i, PASS_DATA, start);
    backward(g, i);
}

const struct block_op block_pool_op = {.forward = forward, .backward = backward, .backward_codes = backward_codes};
