/* y = x + other, where nothing else takes it in.   x, other, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void forward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.add(value_f32(g, s->x, image), value_f32(g, s->other, image),
                                g->values[s->output].elements, 0, value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, g->count);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const float *dy = value_gradient(g, s->output, image);
    (void)worker;
    image_pass_on(g, s->other, g->train[i].accumulate_other, image, dy);
    image_pass_on(g, s->x, g->train[i].accumulate_x, image, dy);
}

static void backward(struct gradient *g, int i)
{
    image_each(g, i, backward_item, g->count);
}

const struct image_op image_add = {.forward = forward, .backward = backward};
