/* y = x + other, where nothing else takes it in; of codes on a map of its own.   x, other, y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void forward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.add(operand_f32(g, i, 0, image), operand_f32(g, i, 1, image),
                                g->values[s->output].elements, 0, value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, g->count);
}

static void codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    struct add_u8_call call =
        add_call_make(&g->values[s->x].map, &g->values[s->other].map, &g->values[s->output].map);
    (void)worker;
    call.a = value_u8(g, s->x, image);
    call.b = value_u8(g, s->other, image);
    call.count = g->values[s->output].elements;
    call.y = value_u8(g, s->output, image);
    call.before = value_before(g, s->output, image);
    add_call_run(&g->kernels->elementwise, s->is_separate, &call);
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const float *dy = value_gradient(g, s->output, image);
    (void)worker;
    image_mask_item(g, i, image);
    image_pass_on(g, s->other, g->train[i].accumulate_other, image, dy);
    image_pass_on(g, s->x, g->train[i].accumulate_x, image, dy);
}

static void backward(struct gradient *g, int i)
{
    image_each(g, i, backward_item, g->count);
    codes_scale_gradient(g, i);
}

const struct image_op image_add = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
