/* The mean of windows, of codes on a map of its own, and the largest of windows, of codes on their map.
 *   x [N,H,W,C] -> y [N,H',W',C] */
#include "exec/train/image/image_engine.h"

static size_t row_at(const struct pool_shape *p, int row)
{
    return (size_t)row * (size_t)p->out_w * (size_t)p->c;
}

/* ---- forward ---- */

static void mean_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    for (int row = 0; row < s->pool.out_h; row++)
        g->kernels->elementwise.window_pool(&s->pool, operand_f32(g, i, 0, image), row,
                                            value_f32(g, s->output, image) + row_at(&s->pool, row));
}

static void max_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    for (int row = 0; row < s->pool.out_h; row++)
        g->kernels->elementwise.max_pool(&s->pool, operand_f32(g, i, 0, image), row,
                                         value_f32(g, s->output, image) + row_at(&s->pool, row));
}

static void mean_codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct affine *x = &g->values[s->x].map, *y = &g->values[s->output].map;
    struct average_pool_u8_call call = {.x = value_u8(g, s->x, image),
                                        .multiplier = pool_multiplier(x, y, s->pool.kernel * s->pool.kernel),
                                        .zero_point_x = x->zero_point,
                                        .zero_point_y = y->zero_point,
                                        .low = y->qmin,
                                        .high = y->qmax};
    (void)worker;
    for (int row = 0; row < s->pool.out_h; row++) {
        call.y = value_u8(g, s->output, image) + row_at(&s->pool, row);
        call.before = value_before(g, s->output, image) + row_at(&s->pool, row);
        g->kernels->elementwise.window_pool_u8(&s->pool, &call, row);
    }
}

static void max_codes_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    for (int row = 0; row < s->pool.out_h; row++)
        g->kernels->elementwise.max_pool_u8(&s->pool, value_u8(g, s->x, image), row,
                                            value_u8(g, s->output, image) + row_at(&s->pool, row));
}

static void mean_forward(struct gradient *g, int i)
{
    image_each(g, i, mean_item, g->count);
}

static void max_forward(struct gradient *g, int i)
{
    image_each(g, i, max_item, g->count);
}

static void mean_forward_codes(struct gradient *g, int i)
{
    image_each(g, i, mean_codes_item, g->count);
}

static void max_forward_codes(struct gradient *g, int i)
{
    image_each(g, i, max_codes_item, g->count);
}

/* ---- backward ---- */

static void mean_backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    void *scratch = worker_scratch(g, worker);
    image_mask_item(g, i, image);
    if (!gradient_wants(g, s->x))
        return;
    g->kernels->elementwise.window_pool_backward(&s->pool, value_gradient(g, s->output, image),
                                                 image_x_target(g, i, image, scratch));
    image_x_done(g, i, image, scratch);
}

static void max_backward_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    void *scratch = worker_scratch(g, worker);
    if (gradient_quantized(g))
        codes_dequantize_item(g, i, image);
    g->kernels->elementwise.max_pool_backward(&s->pool, operand_f32(g, i, 0, image),
                                              value_gradient(g, s->output, image),
                                              image_x_target(g, i, image, scratch));
    image_x_done(g, i, image, scratch);
}

static void mean_backward(struct gradient *g, int i)
{
    image_each(g, i, mean_backward_item, g->count);
    codes_scale_gradient(g, i);
}

static void max_backward(struct gradient *g, int i)
{
    if (gradient_wants(g, g->steps.at[i].x))
        image_each(g, i, max_backward_item, g->count);
}

const struct image_op image_window = {
    .forward = mean_forward, .forward_codes = mean_forward_codes, .backward = mean_backward};
const struct image_op image_max = {
    .forward = max_forward, .forward_codes = max_forward_codes, .backward = max_backward};
