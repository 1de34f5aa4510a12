/* y = max(x, 0), where nothing else takes it in.   x, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void forward_item(void *context, int image, int worker)
{
    const struct image_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    (void)worker;
    g->kernels->elementwise.relu(value_f32(g, s->x, image), g->values[s->output].elements,
                                 value_f32(g, s->output, image));
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
    void *scratch = worker_scratch(g, worker);
    g->kernels->elementwise.relu_backward(value_f32(g, s->output, image), value_gradient(g, s->output, image),
                                          g->values[s->output].elements, image_x_target(g, j->i, image, scratch));
    image_x_done(g, j->i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    struct image_job job = {g, i};
    if (gradient_wants(g, g->steps.at[i].x))
        threads_run(image_of(g)->pool, backward_item, &job, g->count);
}

const struct image_op image_relu = {.forward = forward, .backward = backward};
