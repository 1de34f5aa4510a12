/* What a step needs beside the images: packed weights, tables, requantization constants. Made once, by exec_open.
 */
#include "base/memory.h"
#include "base/scalar.h"
#include "exec/infer/cpu/plan.h"
#include <math.h>
#include <string.h>

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static const float *floats(const struct exec *e, int node, const char *suffix)
{
    const struct tensor *t = model_tensor(e->model, node, suffix);
    return t ? t->data : NULL;
}

static int missing(const struct exec *e, int node, const char *suffix, struct message *m)
{
    return message_set(m, STATUS_MISMATCH, "%s.%s: missing tensor", node_of(e, node)->name, suffix);
}

static int not_positive(const struct node *n, int channel, struct message *m)
{
    return message_set(m, STATUS_RANGE, "%s.running_var: variance + eps of channel %d is not positive", n->name,
                       channel);
}

static int prepare_norm(struct exec *e, struct step *s, int norm, struct message *m)
{
    const struct node *n = node_of(e, norm);
    const float *gamma = floats(e, norm, "weight"), *beta = floats(e, norm, "bias");
    const float *mean = floats(e, norm, "running_mean"), *variance = floats(e, norm, "running_var");
    if (!gamma || !beta || !mean || !variance)
        return missing(e, norm, "weight, bias, running_mean or running_var", m);
    for (int c = 0; c < n->c; c++)
        if (!((double)variance[c] + (double)n->eps > 0))
            return not_positive(n, c, m);
    s->scale = memory_new((size_t)n->c, sizeof(float), m);
    s->shift = memory_new((size_t)n->c, sizeof(float), m);
    if (!s->scale || !s->shift)
        return STATUS_NOMEM;
    norm_constants(n->c, gamma, beta, mean, variance, (double)n->eps, s->scale, s->shift);
    return 0;
}

static int prepare_parts(struct exec *e, struct step *s, const void *weight, struct message *m)
{
    if (e->on_device) /* which packs its own */
        return 0;
    TRY(conv_parts_choose(e, s, e->choice, weight, &s->parts, m));
    const char *direct = s->kind == STEP_CONV_F32    ? e->kernels->conv_f32.algorithm
                         : s->kind == STEP_CONV_BF16 ? e->kernels->conv_bf16.algorithm
                                                     : e->kernels->conv_u8.algorithm;
    s->algorithm = s->parts.count > 1                                 ? "mixed"
                   : s->parts.part[0].algorithm == ALGORITHM_WINOGRAD ? "winograd"
                                                                      : direct;
    return 0;
}

static int prepare_bias(struct exec *e, struct step *s, struct message *m)
{
    const float *bias = floats(e, s->node, "bias");
    int is_given = node_of(e, s->node)->has_bias;
    if (is_given && !bias)
        return missing(e, s->node, "bias", m);
    if (!is_given && s->fold < 0)
        return 0;
    s->bias = memory_new((size_t)s->shape.out, sizeof(float), m);
    if (!s->bias)
        return STATUS_NOMEM;
    if (is_given)
        memcpy(s->bias, bias, (size_t)s->shape.out * sizeof(float));
    return 0;
}

static int prepare_conv_f32(struct exec *e, struct step *s, struct message *m)
{
    const float *weight = floats(e, s->node, "weight");
    if (!weight)
        return missing(e, s->node, "weight", m);
    TRY(prepare_parts(e, s, weight, m));
    TRY(prepare_bias(e, s, m));
    return s->norm >= 0 ? prepare_norm(e, s, s->norm, m) : 0;
}

/* The weights and bias of a convolution with its batch norm, as pass/fold_batchnorm.c makes them. */
static int fold_norm(struct exec *e, struct step *s, const float *weight, float *folded, struct message *m)
{
    const struct node *n = node_of(e, s->fold);
    const float *gamma = floats(e, s->fold, "weight"), *beta = floats(e, s->fold, "bias");
    const float *mean = floats(e, s->fold, "running_mean"), *variance = floats(e, s->fold, "running_var");
    size_t per_output = (size_t)s->shape.c * (size_t)s->shape.kernel * (size_t)s->shape.kernel;
    if (!gamma || !beta || !mean || !variance)
        return missing(e, s->fold, "weight, bias, running_mean or running_var", m);
    for (int c = 0; c < n->c; c++) {
        double spread = (double)variance[c] + (double)n->eps;
        if (!(spread > 0))
            return not_positive(n, c, m);
        double factor = (double)gamma[c] / sqrt(spread);
        size_t first = (size_t)c * per_output;
        fold_weights(weight + first, per_output, factor, folded + first);
        s->bias[c] = folded_bias(s->bias[c], beta[c], mean[c], factor);
    }
    return 0;
}

static int prepare_conv_bf16(struct exec *e, struct step *s, struct message *m)
{
    const float *weight = floats(e, s->node, "weight");
    if (!weight)
        return missing(e, s->node, "weight", m);
    TRY(prepare_bias(e, s, m));
    if (s->fold < 0)
        return prepare_parts(e, s, weight, m);
    size_t count = (size_t)s->shape.out * (size_t)s->shape.c * (size_t)(s->shape.kernel * s->shape.kernel);
    s->folded = memory_new_raw(count, sizeof *s->folded, m);
    if (!s->folded)
        return STATUS_NOMEM;
    TRY(fold_norm(e, s, weight, s->folded, m));
    return prepare_parts(e, s, s->folded, m);
}

/* A model from elsewhere carries no proof that its sums fit; signed overflow must not be reached by data. */
static int check_bound(const struct exec *e, const struct step *s, const int8_t *weight, const int32_t *bias,
                       struct message *m)
{
    int per_output = s->shape.c * s->shape.kernel * s->shape.kernel;
    int64_t bound = accumulator_bound(weight, bias, s->shape.out, per_output, s->map_x.zero_point, s->map_x.qmin,
                                      s->map_x.qmax);
    if (bound > INT32_MAX)
        return message_set(m, STATUS_RANGE, "%s: sums may reach %lld, beyond 32 bits", node_of(e, s->node)->name,
                           (long long)bound);
    return 0;
}

static int prepare_requantize(struct exec *e, struct step *s, const float *weight_scale, struct message *m)
{
    s->requantize = (struct requantize){
        .multiplier = s->scale, .bias = s->bias_q, .zero_point_x = s->map_x.zero_point, .high = 255};
    if (s->kind == STEP_LINEAR_U8) {
        conv_multipliers(s->map_x.scale, weight_scale, 0, s->shape.out, s->scale);
        return 0;
    }
    TRY(node_affine(e->model, s->output, &s->map_y, m));
    conv_multipliers(s->map_x.scale, weight_scale, s->map_y.scale, s->shape.out, s->scale);
    uint8_t zero = s->map_y.zero_point, low = s->map_y.qmin;
    s->requantize.zero_point_y = zero;
    s->requantize.low = s->relu && zero > low ? zero : low;
    s->requantize.high = s->map_y.qmax;
    if (s->other >= 0) {
        struct affine residual;
        TRY(node_affine(e->model, s->other, &residual, m));
        s->requantize.residual_zero_point = residual.zero_point;
        s->requantize.residual_multiplier = residual.scale / s->map_y.scale;
    }
    return 0;
}

static int prepare_conv_u8(struct exec *e, struct step *s, struct message *m)
{
    size_t out = (size_t)s->shape.out;
    const struct tensor *weight = model_tensor(e->model, s->node, "weight");
    const struct tensor *bias = model_tensor(e->model, s->node, "bias");
    const float *weight_scale = floats(e, s->node, "weight_scale");
    int has_bias = node_of(e, s->node)->has_bias;
    if (!weight || !weight_scale || (has_bias && !bias))
        return missing(e, s->node, "weight, weight_scale or bias", m);
    TRY(node_affine(e->model, s->x, &s->map_x, m));
    TRY(check_bound(e, s, weight->data, has_bias ? bias->data : NULL, m));
    s->scale = memory_new(out, sizeof(float), m);
    s->bias_q = memory_new(out, sizeof(int32_t), m);
    if (!s->scale || !s->bias_q)
        return STATUS_NOMEM;
    if (has_bias)
        memcpy(s->bias_q, bias->data, out * sizeof(int32_t));
    TRY(prepare_parts(e, s, weight->data, m));
    return prepare_requantize(e, s, weight_scale, m);
}

static int prepare_lookup_input(struct exec *e, struct step *s, struct message *m)
{
    const struct node *normalize = node_of(e, node_of(e, s->node)->inputs[0]);
    size_t entries = 256 * (size_t)normalize->c;
    TRY(node_affine(e->model, s->output, &s->map_y, m));
    float *values = memory_new(entries, sizeof(float), m);
    s->table = memory_new(entries, 1, m);
    if (values && s->table)
        input_table(&e->kernels->elementwise, normalize, &s->map_y, values, s->table);
    memory_free(values);
    return s->table && values ? 0 : STATUS_NOMEM;
}

/* max(code, zero point): a relu has its input's map (model_verify). */
static int prepare_relu_u8(struct exec *e, struct step *s, struct message *m)
{
    TRY(node_affine(e->model, s->x, &s->map_x, m));
    s->table = memory_new(256, 1, m);
    if (!s->table)
        return STATUS_NOMEM;
    for (int q = 0; q < 256; q++)
        s->table[q] = q > s->map_x.zero_point ? (uint8_t)q : s->map_x.zero_point;
    return 0;
}

static int prepare_maps(struct exec *e, struct step *s, struct message *m)
{
    if (s->kind != STEP_QUANTIZE)
        TRY(node_affine(e->model, s->x, &s->map_x, m));
    if (s->kind != STEP_DEQUANTIZE)
        TRY(node_affine(e->model, s->output, &s->map_y, m));
    return 0;
}

int step_prepare(struct exec *e, struct step *s, struct message *m)
{
    switch (s->kind) {
    case STEP_CONV_F32:
        return prepare_conv_f32(e, s, m);
    case STEP_CONV_BF16:
        return prepare_conv_bf16(e, s, m);
    case STEP_CONV_U8:
    case STEP_LINEAR_U8:
        return prepare_conv_u8(e, s, m);
    case STEP_SCALE_SHIFT:
        return prepare_norm(e, s, s->node, m);
    case STEP_LOOKUP_INPUT:
        return prepare_lookup_input(e, s, m);
    case STEP_RELU_U8:
        return prepare_relu_u8(e, s, m);
    case STEP_POOL_U8:
    case STEP_QUANTIZE:
    case STEP_DEQUANTIZE:
        return prepare_maps(e, s, m);
    default:
        return 0;
    }
}

void step_release(struct step *s)
{
    conv_parts_free(&s->parts);
    memory_free(s->folded);
    memory_free(s->scale);
    memory_free(s->shift);
    memory_free(s->bias);
    memory_free(s->bias_q);
    memory_free(s->table);
}
