/* y = max(x, 0), or min(max(x, low), high), where nothing else takes it in; of codes, between two codes.
 *   x, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void relu_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.relu(operand_f32(g, i, 0, image), g->values[s->output].elements,
                                 value_f32(g, s->output, image));
}

static void relu_forward(struct gradient *g, int i)
{
    image_each(g, i, relu_item, g->count);
}

static void clip_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.clip(operand_f32(g, i, 0, image), g->values[s->output].elements, s->clip.low,
                                 s->clip.high, value_f32(g, s->output, image));
}

static void clip_forward(struct gradient *g, int i)
{
    image_each(g, i, clip_item, g->count);
}

static void codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const uint8_t *x = value_u8(g, s->x, image);
    uint8_t low, high, *y = value_u8(g, s->output, image);
    (void)worker;
    codes_clip(&g->values[s->x].map, s->kind == STEP_RELU, &s->clip, &low, &high);
    for (size_t k = 0; k < g->values[s->x].elements; k++)
        y[k] = x[k] < low ? low : x[k] > high ? high : x[k];
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct elementwise_kernels *k = &g->kernels->elementwise;
    void *scratch = worker_scratch(g, worker);
    float *dx = image_x_target(g, i, image, scratch);
    if (gradient_quantized(g) && !gradient_is_last(g, s->output))
        codes_clamp_backward(g, i, image, dx);
    else if (s->kind == STEP_RELU)
        k->relu_backward(value_f32(g, s->output, image), value_gradient(g, s->output, image),
                         g->values[s->output].elements, dx);
    else
        k->clip_backward(value_f32(g, s->output, image), value_gradient(g, s->output, image),
                         g->values[s->output].elements, s->clip.low, s->clip.high, dx);
    image_x_done(g, i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    if (gradient_wants(g, g->steps.at[i].x))
        image_each(g, i, backward_item, g->count);
}

const struct image_op image_relu = {.forward = relu_forward, .forward_codes = forward_codes, .backward = backward};
const struct image_op image_clip = {.forward = clip_forward, .forward_codes = forward_codes, .backward = backward};
