/* Pixels to values: y = (pixel / 255 - mean[c]) / std[c]; quantized: its code, by a table.
 *   pixels u8 [N,H,W,C] -> y [N,H,W,C] */
#include "exec/train/image/image_engine.h"

static void normalize_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->node);
    (void)worker;
    g->kernels->elementwise.normalize(value_u8(g, s->x, image), n->h * n->w, n->c, n->mean, n->std,
                                      value_f32(g, s->output, image));
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, normalize_item, g->count);
}

static void lookup_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    g->kernels->elementwise.lookup_u8(value_u8(g, s->x, image), image_pixels(g, s->x), gradient_node(g, s->x)->c,
                                      image_of(g)->table, value_u8(g, s->output, image));
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, lookup_item, g->count);
}

const struct image_op image_normalize = {.forward = forward, .forward_codes = forward_codes};
