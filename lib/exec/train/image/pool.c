/* The mean of a map.   x [N,H,W,C] -> y [N,C]; quantized: of codes, with the value before rounding. */
#include "exec/train/image/image_engine.h"

static void float_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.average_pool(operand_f32(g, i, 0, image), image_pixels(g, s->x),
                                         gradient_node(g, s->x)->c, value_f32(g, s->output, image));
}

static void codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct affine *x = &g->values[s->x].map, *y = &g->values[s->output].map;
    int pixels = image_pixels(g, s->x);
    (void)worker;
    g->kernels->elementwise.average_pool_u8(
        &(struct average_pool_u8_call){.x = value_u8(g, s->x, image),
                                       .pixels = pixels,
                                       .c = gradient_node(g, s->x)->c,
                                       .multiplier = pool_multiplier(x, y, pixels),
                                       .zero_point_x = x->zero_point,
                                       .zero_point_y = y->zero_point,
                                       .low = y->qmin,
                                       .high = y->qmax,
                                       .y = value_u8(g, s->output, image),
                                       .before = value_before(g, s->output, image)});
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, float_item, g->count);
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count);
}

/* Every pixel gets its share. dy [C] -> dx [H,W,C] */
static void share_out(const float *dy, int pixels, int channels, float *dx)
{
    float share = 1.0f / (float)pixels;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c++)
            dx[(size_t)p * (size_t)channels + (size_t)c] = dy[c] * share;
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    void *scratch = worker_scratch(g, worker);
    if (gradient_quantized(g))
        image_mask_item(g, i, image);
    if (!gradient_wants(g, s->x))
        return;
    share_out(value_gradient(g, s->output, image), image_pixels(g, s->x), gradient_node(g, s->x)->c,
              image_x_target(g, i, image, scratch));
    image_x_done(g, i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    image_each(g, i, backward_item, g->count);
    codes_scale_gradient(g, i);
}

const struct image_op image_pool = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
