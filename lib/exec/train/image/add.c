/* y = x + other, where nothing else takes it in.   x, other, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void forward_item(void *context, int image, int worker)
{
    const struct image_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    (void)worker;
    g->kernels->elementwise.add(value_f32(g, s->x, image), value_f32(g, s->other, image),
                                g->values[s->output].elements, 0, value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    struct image_job job = {g, i};
    threads_run(image_of(g)->pool, forward_item, &job, g->count);
}

static void backward_item(void *context, int image, int worker)
{
    const struct image_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    const float *dy = value_gradient(g, s->output, image);
    (void)worker;
    image_pass_on(g, s->other, g->train[j->i].accumulate_other, image, dy);
    image_pass_on(g, s->x, g->train[j->i].accumulate_x, image, dy);
}

static void backward(struct gradient *g, int i)
{
    struct image_job job = {g, i};
    threads_run(image_of(g)->pool, backward_item, &job, g->count);
}

const struct image_op image_add = {.forward = forward, .backward = backward};
