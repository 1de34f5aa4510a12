/* Convolution and linear (a 1x1 convolution on one pixel).
 *   x [N,H,W,C], weight [K,C,R,R], bias [K], residual and y [N,H',W',K]
 *   float:      y = [relu](conv(x, weight) + bias [+ residual])
 *   quantized:  the same in integers, x, residual and y as codes; `before` [N,H',W',K] is y before it is rounded, in
 *               units of a code. Backward goes through the reals that the codes stand for. */
#include "exec/train/image/image_engine.h"

/* ---- forward ---- */

static int row_end(const struct step *s, const struct image_step *own, int begin)
{
    return begin + own->rows < s->shape.out_h ? begin + own->rows : s->shape.out_h;
}

static void float_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct train_step *t = &g->train[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int image = item / own->items, begin = item % own->items * own->rows;
    struct layout y_at = layout_dense(s->shape.out_h, s->shape.out_w, s->shape.out);
    struct conv_f32_call call = {
        .images = 1,
        .x = value_f32(g, s->x, image),
        .x_at = layout_dense(s->shape.h, s->shape.w, s->shape.c),
        .packed = own->packed,
        .bias = t->bias == NO_OFFSET ? NULL : g->parameters + t->bias,
        .residual = s->other >= 0 ? value_f32(g, s->other, image) : NULL,
        .residual_at = y_at,
        .relu = s->relu,
        .y = value_f32(g, s->output, image),
        .y_at = y_at,
        .row_begin = begin,
        .row_end = row_end(s, own, begin),
    };
    kernel_conv_f32(g->kernels, &s->shape)->run(&s->shape, &call, worker_scratch(g, worker));
    size_t row = (size_t)s->shape.out_w * (size_t)s->shape.out;
    image_clip_values(g, i, call.y + (size_t)call.row_begin * row, (size_t)(call.row_end - call.row_begin) * row);
}

static void codes_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int image = item / own->items, begin = item % own->items * own->rows;
    struct layout y_at = layout_dense(s->shape.out_h, s->shape.out_w, s->shape.out);
    struct conv_u8_call call = {
        .images = 1,
        .x = value_u8(g, s->x, image),
        .x_at = layout_dense(s->shape.h, s->shape.w, s->shape.c),
        .packed = own->packed,
        .requantize = &own->requantize,
        .residual = s->other >= 0 ? value_u8(g, s->other, image) : NULL,
        .residual_at = y_at,
        .y_at = y_at,
        .before_at = y_at,
        .logits_at = y_at,
        .row_begin = begin,
        .row_end = row_end(s, own, begin),
    };
    if (gradient_is_last(g, s->output)) {
        call.logits = value_f32(g, s->output, image);
    } else {
        call.y = value_u8(g, s->output, image);
        call.before = value_before(g, s->output, image);
    }
    kernel_conv_u8(g->kernels, &s->shape)->run(&s->shape, &call, worker_scratch(g, worker));
}

static void linked_item(struct gradient *g, int i, int image, int worker)
{
    int items = image_of(g)->steps[i].items;
    if (image_links_before(g, i))
        image_norm_apply(g, i - 1, image, worker);
    for (int item = image * items; item < (image + 1) * items; item++)
        float_item(g, i, item, worker);
    if (image_links_behind(g, i))
        image_norm_sums(g, i + 1, image, worker);
}

static int is_linked(const struct gradient *g, int i)
{
    return image_links_before(g, i) || image_links_behind(g, i);
}

static void forward(struct gradient *g, int i)
{
    if (is_linked(g, i))
        image_each(g, i, linked_item, g->count);
    else
        image_each(g, i, float_item, g->count * image_of(g)->steps[i].items);
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count * image_of(g)->steps[i].items);
}

/* ---- backward ---- */

static void begin_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    (void)worker;
    image_mask_item(g, i, image);
    image_pass_on(g, s->other, g->train[i].accumulate_other, image, value_gradient(g, s->output, image));
    if (gradient_quantized(g))
        codes_dequantize_item(g, i, image);
}

static void bias_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    double *sums = image_partials(g, image);
    (void)worker;
    g->kernels->elementwise.sum_and_squares(value_gradient(g, s->output, image), image_pixels(g, s->output),
                                            s->shape.out, sums, sums + s->shape.out);
}

/* The gradient by the weights of some images. */
struct weight_job {
    struct gradient *g;
    int i, first, images;
    float *gradient;
};

static void weight_item(void *context, int item, int worker)
{
    const struct weight_job *j = context;
    const struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    const float *x = gradient_quantized(g) ? value_dequantized(g, s->x, j->first) : value_f32(g, s->x, j->first);
    kernel_conv_f32_backward_weight(g->kernels, &s->shape)
        ->run(&s->shape, j->images, x, value_gradient(g, s->output, j->first), item, j->gradient,
              worker_scratch(g, worker));
    if (worker == 0)
        reduce_poke(&j->g->reduce);
}

static void weight_shards(void *context, int begin, int end, float *gradient)
{
    struct weight_job j = *(const struct weight_job *)context;
    const struct conv_shape *s = &j.g->steps.at[j.i].shape;
    j.first = begin * SHARD_IMAGES;
    j.images = (end * SHARD_IMAGES < j.g->count ? end * SHARD_IMAGES : j.g->count) - j.first;
    j.gradient = gradient;
    threads_run(image_of(j.g)->pool, weight_item, &j, kernel_conv_f32_backward_weight(j.g->kernels, s)->items(s));
}

static void data_item(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    kernel_conv_f32_backward_data(g->kernels, &s->shape)
        ->run(&s->shape, value_gradient(g, s->output, image), image_of(g)->steps[i].packed_backward,
              value_gradient(g, s->x, image), g->train[i].accumulate_x, worker_scratch(g, worker));
}

static void weight_gradient(struct gradient *g, int i)
{
    struct weight_job weights = {.g = g, .i = i};
    reduce_weights(&g->reduce, weight_shards, &weights, g->gradients + g->train[i].weight,
                   shape_weights(&g->steps.at[i].shape));
}

/* A plain convolution's: the gradient of its output comes from the batch norm behind alone. */
static void linked_backward_item(struct gradient *g, int i, int image, int worker)
{
    if (image_links_behind(g, i))
        image_norm_backward_data(g, i + 1, image, worker);
    if (gradient_wants(g, g->steps.at[i].x))
        data_item(g, i, image, worker);
    if (image_links_before(g, i))
        image_norm_backward_sums(g, i - 1, image, worker);
}

static void backward(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    size_t bias = g->train[i].bias;
    if (is_linked(g, i)) {
        image_each(g, i, linked_backward_item, g->count);
        weight_gradient(g, i);
        return;
    }
    double start = profile_begin(g);
    image_each(g, i, begin_item, g->count);
    codes_scale_gradient(g, i);
    if (bias != NO_OFFSET) {
        image_each(g, i, bias_item, g->count);
        const double *sums = image_sums(g, s->shape.out);
        for (int k = 0; k < s->shape.out; k++)
            g->gradients[bias + (size_t)k] = (float)sums[k];
    }
    weight_gradient(g, i);
    profile_end(g, i, PASS_WEIGHT, start);
    if (!gradient_wants(g, s->x))
        return;
    start = profile_begin(g);
    image_each(g, i, data_item, g->count);
    profile_end(g, i, PASS_DATA, start);
}

const struct image_op image_conv = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
