/* y = max(x, 0), where nothing else takes it in.   x, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void forward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.relu(value_f32(g, s->x, image), g->values[s->output].elements,
                                 value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, g->count);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    void *scratch = worker_scratch(g, worker);
    g->kernels->elementwise.relu_backward(value_f32(g, s->output, image), value_gradient(g, s->output, image),
                                          g->values[s->output].elements, image_x_target(g, i, image, scratch));
    image_x_done(g, i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    if (gradient_wants(g, g->steps.at[i].x))
        image_each(g, i, backward_item, g->count);
}

const struct image_op image_relu = {.forward = forward, .backward = backward};
