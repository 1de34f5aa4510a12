/* How the gradient of a step's output is handed on, image by image. */
#include "exec/train/image/image_engine.h"
#include <string.h>

void image_clip_values(const struct gradient *g, int i, float *y, size_t count)
{
    const struct clip *c = &g->steps.at[i].clip;
    if (c->on)
        g->kernels->elementwise.clip(y, count, c->low, c->high, y);
}

void image_mask_item(struct gradient *g, int i, int image)
{
    const struct step *s = &g->steps.at[i];
    float *dy = value_gradient(g, s->output, image); /* nobody else reads it any more */
    size_t elements = g->values[s->output].elements;
    if (gradient_quantized(g) && !gradient_is_last(g, s->output)) {
        codes_mask_item(g, i, image);
        return;
    }
    /* behind both, what the relu stopped is 0 and what the clip stopped one of its ends */
    if (s->relu)
        g->kernels->elementwise.relu_backward(value_f32(g, s->output, image), dy, elements, dy);
    if (s->clip.on)
        g->kernels->elementwise.clip_backward(value_f32(g, s->output, image), dy, elements, s->clip.low,
                                              s->clip.high, dy);
}

void image_pass_on(const struct gradient *g, int operand, int accumulate, int image, const float *from)
{
    if (!gradient_wants(g, operand))
        return;
    float *to = value_gradient(g, operand, image);
    size_t elements = g->values[operand].elements;
    if (accumulate)
        g->kernels->elementwise.add(to, from, elements, 0, to);
    else
        memcpy(to, from, elements * sizeof *to);
}

float *image_x_target(const struct gradient *g, int i, int image, void *scratch)
{
    return g->train[i].accumulate_x ? scratch : value_gradient(g, g->steps.at[i].x, image);
}

void image_x_done(const struct gradient *g, int i, int image, const void *scratch)
{
    if (g->train[i].accumulate_x)
        image_pass_on(g, g->steps.at[i].x, 1, image, scratch);
}
