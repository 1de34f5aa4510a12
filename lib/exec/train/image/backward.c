/* Backward, step by step from the last: the gradient of a step's output becomes those of its operands and
 * parameters. */
#include "exec/train/block/block_engine.h"
#include "exec/train/device/device_train.h"
#include <string.h>

struct job {
    struct gradient *g;
    const struct train_step *s;
};

static int pixels_of(const struct gradient *g, int node)
{
    return g->graph.nodes[node].h * g->graph.nodes[node].w;
}

static double *partials_of(const struct gradient *g, int image)
{
    return g->partials + (size_t)image * g->partial_stride;
}

/* ---- what all kinds share ---- */

/* Gives `from` to an operand: its first user writes, the others add. */
static void pass_on(const struct gradient *g, int operand, int accumulate, int image, const float *from)
{
    if (operand < 0 || !g->values[operand].wants_gradient)
        return;
    float *to = value_gradient(g, operand, image);
    size_t elements = g->values[operand].elements;
    if (accumulate)
        g->kernels->elementwise.add(to, from, elements, 0, to);
    else
        memcpy(to, from, elements * sizeof *to);
}

/* Where an operand's gradient may be written: itself, or scratch that pass_on_scratch then adds. */
static float *target(const struct gradient *g, const struct train_step *s, int image, void *scratch)
{
    return s->accumulate_x ? scratch : value_gradient(g, s->x, image);
}

static void pass_on_scratch(const struct gradient *g, const struct train_step *s, int image, const void *scratch)
{
    if (s->accumulate_x)
        pass_on(g, s->x, 1, image, scratch);
}

/* The clamp of the output: a relu, or the codes' range. In place: nobody else reads this gradient any more. */
static void mask_item(struct gradient *g, const struct train_step *s, int image)
{
    float *dy = value_gradient(g, s->output, image);
    if (gradient_quantized(g) && s->output != g->graph.count - 1)
        qat_mask_item(g, s, image);
    else if (s->relu)
        g->kernels->elementwise.relu_backward(value_f32(g, s->output, image), dy, g->values[s->output].elements,
                                              dy);
}

/* Sums the images' partials in order into a parameter's gradient. row: which of the partials' two. */
static void sum_partials(struct gradient *g, size_t offset, int channels, int row)
{
    for (int c = 0; c < channels; c++) {
        double sum = 0;
        for (int i = 0; i < g->count; i++)
            sum += partials_of(g, i)[row * channels + c];
        g->gradients[offset + (size_t)c] = (float)sum;
    }
}

/* ---- convolution ---- */

static void conv_begin_item(void *context, int image, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    (void)worker;
    mask_item(g, s, image);
    const float *dy = value_gradient(g, s->output, image);
    pass_on(g, s->other, s->accumulate_other, image, dy);
    if (gradient_quantized(g))
        qat_dequantize_item(g, s, image);
}

static void conv_bias_item(void *context, int image, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    int out = j->s->shape.out;
    double *sums = partials_of(g, image);
    (void)worker;
    g->kernels->elementwise.sum_and_squares(value_gradient(g, j->s->output, image), pixels_of(g, j->s->output), out,
                                            sums, sums + out);
}

static void conv_weight_item(void *context, int item, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    const float *x = gradient_quantized(g) ? value_dequantized(g, s->x, 0) : value_f32(g, s->x, 0);
    g->kernels->conv_f32_backward_weight.run(&s->shape, g->count, x, value_gradient(g, s->output, 0), item,
                                             g->gradients + s->weight, worker_scratch(g, worker));
}

static void conv_data_item(void *context, int image, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = j->s;
    g->kernels->conv_f32_backward_data.run(&s->shape, value_gradient(g, s->output, image), s->packed_backward,
                                           value_gradient(g, s->x, image), s->accumulate_x,
                                           worker_scratch(g, worker));
}

static void conv_backward(struct job *j)
{
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    int step = (int)(s - g->steps);
    double start = profile_begin(g);
    threads_run(g->pool, conv_begin_item, j, g->count);
    if (s->scale != NO_OFFSET)
        qat_scale_gradient(g, s);
    if (s->bias != NO_OFFSET) {
        threads_run(g->pool, conv_bias_item, j, g->count);
        sum_partials(g, s->bias, s->shape.out, 0);
    }
    threads_run(g->pool, conv_weight_item, j, g->kernels->conv_f32_backward_weight.items(&s->shape));
    profile_end(g, step, PASS_WEIGHT, start);
    if (!g->values[s->x].wants_gradient)
        return;
    start = profile_begin(g);
    threads_run(g->pool, conv_data_item, j, g->count);
    profile_end(g, step, PASS_DATA, start);
}

/* ---- batch norm ---- */

static void norm_begin_item(void *context, int image, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    int channels = g->graph.nodes[s->x].c;
    double *sums = partials_of(g, image);
    (void)worker;
    mask_item(g, s, image);
    const float *dy = value_gradient(g, s->output, image);
    pass_on(g, s->other, s->accumulate_other, image, dy);
    g->kernels->elementwise.batchnorm_backward_sums(value_f32(g, s->x, image), dy, pixels_of(g, s->x), channels,
                                                    saved_row(s, SAVED_MEAN, channels),
                                                    saved_row(s, SAVED_INV_STD, channels), sums, sums + channels);
}

static void norm_data_item(void *context, int image, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = j->s;
    int channels = g->graph.nodes[s->x].c;
    void *scratch = worker_scratch(g, worker);
    g->kernels->elementwise.batchnorm_backward(
        value_f32(g, s->x, image), value_gradient(g, s->output, image), pixels_of(g, s->x), channels,
        saved_row(s, SAVED_MEAN, channels), saved_row(s, SAVED_INV_STD, channels), g->parameters + s->weight,
        saved_row(s, SAVED_MEAN_DY, channels), saved_row(s, SAVED_MEAN_DY_XHAT, channels),
        target(g, s, image, scratch));
    pass_on_scratch(g, s, image, scratch);
}

static void norm_backward(struct job *j)
{
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    int channels = g->graph.nodes[s->x].c;
    double rows = (double)g->count * pixels_of(g, s->x);
    threads_run(g->pool, norm_begin_item, j, g->count);
    sum_partials(g, s->bias, channels, 0);
    sum_partials(g, s->weight, channels, 1);
    for (int c = 0; c < channels; c++) {
        saved_row(s, SAVED_MEAN_DY, channels)[c] = (float)((double)g->gradients[s->bias + (size_t)c] / rows);
        saved_row(s, SAVED_MEAN_DY_XHAT, channels)[c] = (float)((double)g->gradients[s->weight + (size_t)c] / rows);
    }
    if (g->values[s->x].wants_gradient)
        threads_run(g->pool, norm_data_item, j, g->count);
}

/* ---- the rest ---- */

static void pool_gradient(const struct gradient *g, const struct train_step *s, const float *dy, float *dx)
{
    int pixels = pixels_of(g, s->x), channels = g->graph.nodes[s->x].c;
    float share = 1.0f / (float)pixels;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c++)
            dx[(size_t)p * (size_t)channels + (size_t)c] = dy[c] * share;
}

static void simple_item(void *context, int image, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = j->s;
    void *scratch = worker_scratch(g, worker);
    const float *dy = value_gradient(g, s->output, image);
    if (s->kind == TRAIN_ADD) {
        pass_on(g, s->other, s->accumulate_other, image, dy);
        pass_on(g, s->x, s->accumulate_x, image, dy);
        return;
    }
    if (gradient_quantized(g))
        mask_item(g, s, image);
    if (!g->values[s->x].wants_gradient)
        return;
    float *dx = target(g, s, image, scratch);
    if (s->kind == TRAIN_POOL)
        pool_gradient(g, s, dy, dx);
    else
        g->kernels->elementwise.relu_backward(value_f32(g, s->output, image), dy, g->values[s->output].elements,
                                              dx);
    pass_on_scratch(g, s, image, scratch);
}

static void step_backward(struct gradient *g, const struct train_step *s)
{
    struct job job = {g, s};
    switch (s->kind) {
    case TRAIN_NORMALIZE:
        break;
    case TRAIN_CONV:
        conv_backward(&job);
        break;
    case TRAIN_NORM:
        norm_backward(&job);
        break;
    default:
        if (!g->values[s->output].wants_gradient)
            break;
        threads_run(g->pool, simple_item, &job, g->count);
        if (s->scale != NO_OFFSET)
            qat_scale_gradient(g, s);
    }
}

int gradient_backward(struct gradient *g, const float *dlogits, struct message *m)
{
    int last = g->graph.count - 1;
    if (!g->count)
        return message_set(m, STATUS_MISMATCH, "backward needs a forward pass before it");
    if (!g->values[last].wants_gradient)
        return message_set(m, STATUS_MISMATCH, "%s: no parameter stands before the logits",
                           g->graph.nodes[last].name);
    if (g->on_device) {
        g->count = 0;
        return device_backward(g, dlogits, m);
    }
    gradient_pack_backward(g);
    memcpy(value_gradient(g, last, 0), dlogits, (size_t)g->count * g->values[last].elements * sizeof(float));
    for (int i = g->step_count - 1; i >= 0; i--) {
        if (block_back(g, i) && gradient_quantized(g))
            block_qat_step_backward(g, i);
        else if (block_back(g, i))
            block_step_backward(g, i);
        else {
            double start = profile_begin(g);
            step_backward(g, &g->steps[i]);
            if (g->steps[i].kind != TRAIN_CONV) /* which tells its passes apart itself */
                profile_end(g, i, PASS_DATA, start);
        }
    }
    g->count = 0; /* gradients were masked in place, and values' memory reused: not twice */
    return 0;
}
