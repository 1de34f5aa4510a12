/* Forward with everything kept. */
#include "exec/train/block/block_engine.h"
#include "exec/train/device/device_train.h"
#include "exec/train/gradient_statistics.h"
#include <math.h>
#include <string.h>

struct job {
    struct gradient *g;
    struct train_step *s;
};

static int pixels_of(const struct gradient *g, int node)
{
    return g->graph.nodes[node].h * g->graph.nodes[node].w;
}

/* ---- batch norm ---- */

static void norm_sums_item(void *context, int image, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    int channels = g->graph.nodes[j->s->x].c;
    double *sums = g->partials + (size_t)image * g->partial_stride;
    (void)worker;
    g->kernels->elementwise.sum_and_squares(value_f32(g, j->s->x, image), pixels_of(g, j->s->x), channels, sums,
                                            sums + channels);
}

/* running += momentum * (batch - running), with the unbiased variance. */
static void update_running(struct gradient *g, const struct train_step *s, int c, double mean, double variance,
                           double rows)
{
    double momentum = g->options.batchnorm_momentum;
    float *running_mean = &g->state[s->mean + (size_t)c], *running_var = &g->state[s->variance + (size_t)c];
    double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
    *running_mean = (float)((1 - momentum) * (double)*running_mean + momentum * mean);
    *running_var = (float)((1 - momentum) * (double)*running_var + momentum * unbiased);
}

struct norm_channel norm_channel_update(struct gradient *g, const struct train_step *s, int c,
                                        struct norm_sums sums, double rows)
{
    double mean = sums.sum / rows, variance = sums.squares / rows - mean * mean;
    variance = variance > 0 ? variance : 0;
    double inv_std = 1 / sqrt(variance + (double)g->graph.nodes[s->node].eps);
    double factor = (double)g->parameters[s->weight + (size_t)c] * inv_std;
    update_running(g, s, c, mean, variance, rows);
    return (struct norm_channel){(float)mean, (float)inv_std, (float)factor,
                                 (float)((double)g->parameters[s->bias + (size_t)c] - mean * factor)};
}

/* Sums over images in order, whoever made them. */
static void norm_statistics(struct gradient *g, const struct train_step *s)
{
    const struct node *n = &g->graph.nodes[s->node];
    double rows = (double)g->count * pixels_of(g, s->x);
    for (int c = 0; c < n->c; c++) {
        struct norm_sums sums = {0, 0};
        for (int i = 0; i < g->count; i++) {
            const double *partial = g->partials + (size_t)i * g->partial_stride;
            sums.sum += partial[c];
            sums.squares += partial[n->c + c];
        }
        struct norm_channel k = norm_channel_update(g, s, c, sums, rows);
        saved_row(s, SAVED_MEAN, n->c)[c] = k.mean;
        saved_row(s, SAVED_INV_STD, n->c)[c] = k.inv_std;
        saved_row(s, SAVED_SCALE, n->c)[c] = k.scale;
        saved_row(s, SAVED_SHIFT, n->c)[c] = k.shift;
    }
    g->state[s->tracked] += 1;
}

/* ---- one item of a step ---- */

static void conv_item(const struct gradient *g, const struct train_step *s, int image, int block, void *scratch)
{
    int begin = block * s->rows;
    struct layout y_at = layout_dense(s->shape.out_h, s->shape.out_w, s->shape.out);
    struct conv_f32_call call = {
        .images = 1,
        .x = value_f32(g, s->x, image),
        .x_at = layout_dense(s->shape.h, s->shape.w, s->shape.c),
        .packed = s->packed,
        .bias = s->bias == NO_OFFSET ? NULL : g->parameters + s->bias,
        .residual = s->other >= 0 ? value_f32(g, s->other, image) : NULL,
        .residual_at = y_at,
        .relu = s->relu,
        .y = value_f32(g, s->output, image),
        .y_at = y_at,
        .row_begin = begin,
        .row_end = begin + s->rows < s->shape.out_h ? begin + s->rows : s->shape.out_h,
    };
    g->kernels->conv_f32.run(&s->shape, &call, scratch);
}

static void float_item(const struct gradient *g, const struct train_step *s, int image, int block, void *scratch)
{
    const struct elementwise_kernels *k = &g->kernels->elementwise;
    const struct node *n = &g->graph.nodes[s->node];
    float *y = value_f32(g, s->output, image);
    size_t elements = g->values[s->output].elements;
    switch (s->kind) {
    case TRAIN_NORMALIZE:
        k->normalize(value_u8(g, s->x, image), n->h * n->w, n->c, n->mean, n->std, y);
        break;
    case TRAIN_CONV:
        conv_item(g, s, image, block, scratch);
        break;
    case TRAIN_NORM:
        k->scale_shift(value_f32(g, s->x, image), n->h * n->w, n->c, saved_row(s, SAVED_SCALE, n->c),
                       saved_row(s, SAVED_SHIFT, n->c), s->other >= 0 ? value_f32(g, s->other, image) : NULL,
                       s->relu, y);
        break;
    case TRAIN_RELU:
        k->relu(value_f32(g, s->x, image), elements, y);
        break;
    case TRAIN_ADD:
        k->add(value_f32(g, s->x, image), value_f32(g, s->other, image), elements, 0, y);
        break;
    case TRAIN_POOL:
        k->average_pool(value_f32(g, s->x, image), pixels_of(g, s->x), n->c, y);
        break;
    }
}

static void step_item(void *context, int item, int worker)
{
    const struct job *j = context;
    int image = item / j->s->blocks, block = item % j->s->blocks;
    if (gradient_quantized(j->g))
        qat_forward_item(j->g, j->s, image, block, worker_scratch(j->g, worker));
    else
        float_item(j->g, j->s, image, block, worker_scratch(j->g, worker));
}

static void step_run(struct gradient *g, struct train_step *s)
{
    struct job job = {g, s};
    if (s->kind == TRAIN_NORM) {
        threads_run(g->pool, norm_sums_item, &job, g->count);
        norm_statistics(g, s);
    }
    threads_run(g->pool, step_item, &job, g->count * s->blocks);
    if (s->low != NO_OFFSET)
        qat_update_range(g, s);
}

int gradient_forward(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m)
{
    int last = g->graph.count - 1;
    size_t image_bytes = g->values[0].elements, classes = g->values[last].elements;
    TRY(gradient_check_count(g, count, m));
    if (g->on_device) {
        g->count = 0;
        TRY(device_forward(g, images, count, logits, m));
        g->count = count;
        return 0;
    }
    if (gradient_quantized(g))
        TRY(qat_begin_forward(g, m));
    double start = profile_begin(g);
    gradient_pack_forward(g);
    if (g->block) {
        g->block->blocks = block_count(count);
        if (!gradient_quantized(g))
            block_pack_weights(g);
    }
    profile_end(g, 0, PASS_FORWARD, start);
    g->count = count;
    for (int i = 0; i < count; i++)
        memcpy(value_u8(g, 0, i), images + (size_t)i * image_bytes, image_bytes);
    for (int i = 0; i < g->step_count; i++) {
        start = profile_begin(g);
        if (block_on(g, i))
            block_step_forward(g, i);
        else
            step_run(g, &g->steps[i]);
        profile_end(g, i, PASS_FORWARD, start);
    }
    memcpy(logits, value_f32(g, last, 0), (size_t)count * classes * sizeof(float));
    return 0;
}
