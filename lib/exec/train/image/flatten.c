/* Pixel by pixel to channel by channel; codes on their map.   x [N,H,W,C] -> y [N,C*H*W] */
#include "exec/train/image/image_engine.h"

static void forward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.transpose(operand_f32(g, i, 0, image), image_pixels(g, s->x), gradient_node(g, s->x)->c,
                                      sizeof(float), value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, g->count);
}

static void codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.transpose(value_u8(g, s->x, image), image_pixels(g, s->x), gradient_node(g, s->x)->c, 1,
                                      value_u8(g, s->output, image));
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    void *scratch = worker_scratch(g, worker);
    g->kernels->elementwise.transpose(value_gradient(g, s->output, image), gradient_node(g, s->x)->c,
                                      image_pixels(g, s->x), sizeof(float), image_x_target(g, i, image, scratch));
    image_x_done(g, i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    if (gradient_wants(g, g->steps.at[i].x))
        image_each(g, i, backward_item, g->count);
}

const struct image_op image_flatten = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
