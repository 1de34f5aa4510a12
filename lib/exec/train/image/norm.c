/* Batch norm by the mini-batch's statistics, with the add and the relu behind it.
 *   x, other, y [N,H,W,C], gamma and beta [C]
 *   y = [relu]((x - mean) / sqrt(variance + eps) * gamma + beta [+ other]) */
#include "exec/train/image/image_engine.h"
#include "exec/train/statistics.h"

static int channels_of(const struct gradient *g, const struct step *s)
{
    return gradient_node(g, s->node)->c;
}

/* ---- forward ---- */

void image_norm_sums(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    int channels = channels_of(g, s);
    double *sums = image_partials(g, image);
    (void)worker;
    g->kernels->elementwise.sum_and_squares(value_f32(g, s->x, image), image_pixels(g, s->x), channels, sums,
                                            sums + channels);
}

static void statistics(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int channels = channels_of(g, s);
    double rows = gradient_rows(g, image_pixels(g, s->x));
    const double *sums = image_sums(g, 2 * channels);
    for (int c = 0; c < channels; c++) {
        struct norm_channel k = norm_channel_update(g, i, c, (struct norm_sums){sums[c], sums[channels + c]}, rows);
        saved_row(own, SAVED_MEAN, channels)[c] = k.mean;
        saved_row(own, SAVED_INV_STD, channels)[c] = k.inv_std;
        saved_row(own, SAVED_SCALE, channels)[c] = k.scale;
        saved_row(own, SAVED_SHIFT, channels)[c] = k.shift;
    }
    g->state[g->train[i].tracked] += 1;
}

void image_norm_apply(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int channels = channels_of(g, s);
    (void)worker;
    g->kernels->elementwise.scale_shift(&(struct scale_shift_call){
        value_f32(g, s->x, image), image_pixels(g, s->x), channels, saved_row(own, SAVED_SCALE, channels),
        saved_row(own, SAVED_SHIFT, channels), s->other >= 0 ? value_f32(g, s->other, image) : NULL, s->relu,
        value_f32(g, s->output, image)});
    image_clip_values(g, i, value_f32(g, s->output, image), g->values[s->output].elements);
}

static void forward(struct gradient *g, int i)
{
    if (!image_links_behind(g, i - 1))
        image_each(g, i, image_norm_sums, g->count);
    statistics(g, i);
    if (!image_links_before(g, i + 1))
        image_each(g, i, image_norm_apply, g->count);
}

/* ---- backward ---- */

static struct batchnorm_backward_call backward_call(const struct gradient *g, int i, int image)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int channels = channels_of(g, s);
    return (struct batchnorm_backward_call){.x = value_f32(g, s->x, image),
                                            .dy = value_gradient(g, s->output, image),
                                            .rows = image_pixels(g, s->x),
                                            .c = channels,
                                            .mean = saved_row(own, SAVED_MEAN, channels),
                                            .inv_std = saved_row(own, SAVED_INV_STD, channels)};
}

void image_norm_backward_sums(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    int channels = channels_of(g, s);
    double *sums = image_partials(g, image);
    (void)worker;
    image_mask_item(g, i, image);
    const float *dy = value_gradient(g, s->output, image);
    image_pass_on(g, s->other, g->train[i].accumulate_other, image, dy);
    struct batchnorm_backward_call call = backward_call(g, i, image);
    call.sum_dy = sums;
    call.sum_dy_xhat = sums + channels;
    g->kernels->elementwise.batchnorm_backward_sums(&call);
}

void image_norm_backward_data(struct gradient *g, int i, int image, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    int channels = channels_of(g, s);
    void *scratch = worker_scratch(g, worker);
    struct batchnorm_backward_call call = backward_call(g, i, image);
    call.gamma = g->parameters + g->train[i].weight;
    call.mean_dy = saved_row(own, SAVED_MEAN_DY, channels);
    call.mean_dy_xhat = saved_row(own, SAVED_MEAN_DY_XHAT, channels);
    call.dx = image_x_target(g, i, image, scratch);
    g->kernels->elementwise.batchnorm_backward(&call);
    image_x_done(g, i, image, scratch);
}

static void backward(struct gradient *g, int i)
{
    struct image_engine *e = image_of(g);
    const struct step *s = &g->steps.at[i];
    const struct train_step *t = &g->train[i];
    int channels = channels_of(g, s);
    double rows = gradient_rows(g, image_pixels(g, s->x));
    if (!image_links_before(g, i + 1))
        image_each(g, i, image_norm_backward_sums, g->count);
    const double *sums = image_sums(g, 2 * channels);
    for (int c = 0; c < channels; c++) {
        float *d_beta = &g->gradients[t->bias + (size_t)c], *d_gamma = &g->gradients[t->weight + (size_t)c];
        *d_beta = (float)sums[c];
        *d_gamma = (float)sums[channels + c];
        saved_row(&e->steps[i], SAVED_MEAN_DY, channels)[c] = (float)((double)*d_beta / rows);
        saved_row(&e->steps[i], SAVED_MEAN_DY_XHAT, channels)[c] = (float)((double)*d_gamma / rows);
    }
    if (gradient_wants(g, s->x) && !image_links_behind(g, i - 1))
        image_each(g, i, image_norm_backward_data, g->count);
}

const struct image_op image_norm = {.forward = forward, .backward = backward};
