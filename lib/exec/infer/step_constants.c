#include "exec/infer/step_constants.h"
#include "base/memory.h"
#include "base/scalar.h"
#include "graph/codes.h"
#include <math.h>
#include <string.h>

/* What is made, and what from. */
struct maker {
    struct step_constants *c;
    const struct model *model;
    const struct step *s;
    const struct elementwise_kernels *kernels;
};

static const struct node *node_of(const struct maker *k, int i)
{
    return &k->model->graph.nodes[i];
}

static const float *floats(const struct maker *k, int node, const char *suffix)
{
    const struct tensor *t = model_tensor(k->model, node, suffix);
    return t ? t->data : NULL;
}

static int missing(const struct maker *k, int node, const char *suffix, struct message *m)
{
    return message_set(m, STATUS_MISMATCH, "%s.%s: missing tensor", node_of(k, node)->name, suffix);
}

/* ---- batch norm ---- */

struct norm_tensors {
    const float *gamma, *beta, *mean, *variance; /* [C] */
};

static int norm_find(const struct maker *k, int norm, struct norm_tensors *t, struct message *m)
{
    const struct node *n = node_of(k, norm);
    *t = (struct norm_tensors){floats(k, norm, "weight"), floats(k, norm, "bias"), floats(k, norm, "running_mean"),
                               floats(k, norm, "running_var")};
    if (!t->gamma || !t->beta || !t->mean || !t->variance)
        return missing(k, norm, "weight, bias, running_mean or running_var", m);
    for (int c = 0; c < n->c; c++)
        if (!((double)t->variance[c] + (double)n->eps > 0))
            return message_set(m, STATUS_RANGE, "%s.running_var: variance + eps of channel %d is not positive",
                               n->name, c);
    return 0;
}

static int make_norm(const struct maker *k, int norm, struct message *m)
{
    const struct node *n = node_of(k, norm);
    struct step_constants *c = k->c;
    struct norm_tensors t;
    TRY(norm_find(k, norm, &t, m));
    c->scale = memory_new((size_t)n->c, sizeof(float), m);
    c->shift = memory_new((size_t)n->c, sizeof(float), m);
    if (!c->scale || !c->shift)
        return STATUS_NOMEM;
    norm_constants(n->c, t.gamma, t.beta, t.mean, t.variance, (double)n->eps, c->scale, c->shift);
    return 0;
}

/* The weights and bias of a convolution with its batch norm, as pass/fold_batchnorm.c makes them. */
static int fold_norm(const struct maker *k, const float *weight, struct message *m)
{
    const struct node *n = node_of(k, k->s->fold);
    size_t per_output = shape_reduced(&k->s->shape);
    struct norm_tensors t;
    TRY(norm_find(k, k->s->fold, &t, m));
    for (int c = 0; c < n->c; c++) {
        double factor = (double)t.gamma[c] / sqrt((double)t.variance[c] + (double)n->eps);
        size_t first = (size_t)c * per_output;
        fold_weights(weight + first, per_output, factor, k->c->folded + first);
        k->c->bias[c] = folded_bias(k->c->bias[c], t.beta[c], t.mean[c], factor);
    }
    return 0;
}

/* ---- convolutions ---- */

static int make_bias(const struct maker *k, struct message *m)
{
    const float *bias = floats(k, k->s->node, "bias");
    int is_given = node_of(k, k->s->node)->has_bias;
    size_t outputs = (size_t)k->s->shape.out;
    if (is_given && !bias)
        return missing(k, k->s->node, "bias", m);
    if (!is_given && k->s->fold < 0)
        return 0;
    k->c->bias = memory_new(outputs, sizeof(float), m);
    if (!k->c->bias)
        return STATUS_NOMEM;
    if (is_given)
        memcpy(k->c->bias, bias, outputs * sizeof(float));
    return 0;
}

static int make_float_conv(const struct maker *k, struct message *m)
{
    const float *weight = floats(k, k->s->node, "weight");
    if (!weight)
        return missing(k, k->s->node, "weight", m);
    TRY(make_bias(k, m));
    if (k->s->norm >= 0)
        return make_norm(k, k->s->norm, m);
    if (k->s->fold < 0)
        return 0;
    k->c->folded = memory_new_raw(shape_weights(&k->s->shape), sizeof *k->c->folded, m);
    return k->c->folded ? fold_norm(k, weight, m) : STATUS_NOMEM;
}

/* A model from elsewhere carries no proof that its sums fit; signed overflow must not be reached by data. */
static int check_bound(const struct maker *k, const int32_t *bias, struct message *m)
{
    const struct affine *x = &k->c->map_x;
    const struct conv_shape *s = &k->s->shape;
    void *expanded;
    const int8_t *weight = step_weights(k->c, k->model, k->s, &expanded, m);
    if (!weight)
        return STATUS_NOMEM;
    int64_t bound = accumulator_bound(weight, bias, s->out, (int)shape_reduced(s), x->zero_point, x->qmin, x->qmax);
    memory_free(expanded);
    if (bound > INT32_MAX)
        return message_set(m, STATUS_RANGE, "%s: sums may reach %lld, beyond 32 bits", node_of(k, k->s->node)->name,
                           (long long)bound);
    return 0;
}

static int make_requantize(const struct maker *k, const float *weight_scale, struct message *m)
{
    const struct step *s = k->s;
    struct affine residual;
    int is_logits = node_of(k, s->output)->type != NODE_U8, has_residual = !is_logits && s->other >= 0;
    if (!is_logits)
        TRY(node_affine(k->model, s->output, &k->c->map_y, m));
    if (has_residual)
        TRY(node_affine(k->model, s->other, &residual, m));
    const struct conv_maps maps = {.x = &k->c->map_x,
                                   .y = is_logits ? NULL : &k->c->map_y,
                                   .residual = has_residual ? &residual : NULL,
                                   .relu = s->relu,
                                   .clip = s->clip};
    k->c->requantize = requantize_make(&maps, weight_scale, s->shape.out, k->c->bias_q, k->c->scale);
    return 0;
}

static int make_integer_conv(const struct maker *k, struct message *m)
{
    size_t out = (size_t)k->s->shape.out;
    const struct tensor *bias = model_tensor(k->model, k->s->node, "bias");
    const float *weight_scale = floats(k, k->s->node, "weight_scale");
    int has_bias = node_of(k, k->s->node)->has_bias;
    if (!weight_scale || (has_bias && !bias))
        return missing(k, k->s->node, "weight_scale or bias", m);
    TRY(node_affine(k->model, k->s->x, &k->c->map_x, m));
    TRY(check_bound(k, has_bias ? bias->data : NULL, m));
    k->c->scale = memory_new(out, sizeof(float), m);
    k->c->bias_q = memory_new(out, sizeof(int32_t), m);
    if (!k->c->scale || !k->c->bias_q)
        return STATUS_NOMEM;
    if (has_bias)
        memcpy(k->c->bias_q, bias->data, out * sizeof(int32_t));
    return make_requantize(k, weight_scale, m);
}

static int make_conv(const struct maker *k, struct message *m)
{
    return k->s->is_integer ? make_integer_conv(k, m) : make_float_conv(k, m);
}

/* ---- the rest ---- */

static int make_norm_step(const struct maker *k, struct message *m)
{
    return make_norm(k, k->s->node, m);
}

static int make_lookup(const struct maker *k, struct message *m)
{
    const struct node *normalize = node_of(k, node_of(k, k->s->node)->inputs[0]);
    size_t entries = 256 * (size_t)normalize->c;
    TRY(node_affine(k->model, k->s->output, &k->c->map_y, m));
    float *values = memory_new(entries, sizeof(float), m);
    k->c->table = memory_new(entries, 1, m);
    if (values && k->c->table)
        input_table(k->kernels, normalize, &k->c->map_y, values, k->c->table);
    memory_free(values);
    return k->c->table && values ? 0 : STATUS_NOMEM;
}

static int make_maps(const struct maker *k, struct message *m)
{
    if (node_of(k, k->s->x)->type == NODE_U8)
        TRY(node_affine(k->model, k->s->x, &k->c->map_x, m));
    if (node_of(k, k->s->output)->type == NODE_U8)
        TRY(node_affine(k->model, k->s->output, &k->c->map_y, m));
    return 0;
}

/* Codes between those of the ends: relu and clip have their input's map (model_verify). */
static int make_clamp(const struct maker *k, struct message *m)
{
    struct step_constants *c = k->c;
    uint8_t low, high;
    if (!k->s->is_integer)
        return 0;
    TRY(node_affine(k->model, k->s->x, &c->map_x, m));
    codes_clip(&c->map_x, k->s->kind == STEP_RELU, &k->s->clip, &low, &high);
    c->table = memory_new(256, 1, m);
    if (!c->table)
        return STATUS_NOMEM;
    for (int q = 0; q < 256; q++)
        c->table[q] = q < low ? low : q > high ? high : (uint8_t)q;
    return 0;
}

/* Each operand's codes as codes of the result. */
static int make_concat(const struct maker *k, struct message *m)
{
    const struct node *n = node_of(k, k->s->node);
    struct step_constants *c = k->c;
    if (!k->s->is_integer)
        return 0;
    TRY(node_affine(k->model, k->s->output, &c->map_y, m));
    c->table = memory_new((size_t)n->input_count, 256, m);
    if (!c->table)
        return STATUS_NOMEM;
    for (int i = 0; i < n->input_count; i++) {
        struct affine x;
        TRY(node_affine(k->model, n->inputs[i], &x, m));
        codes_table(&x, &c->map_y, c->table + 256 * i);
    }
    return 0;
}

static int make_add(const struct maker *k, struct message *m)
{
    if (!k->s->is_integer)
        return 0;
    TRY(node_affine(k->model, k->s->other, &k->c->map_other, m));
    return make_maps(k, m);
}

int step_constants_make(struct step_constants *c, const struct model *model, const struct step *s,
                        const struct elementwise_kernels *kernels, struct message *m)
{
    static int (*const makers[STEP_KINDS])(const struct maker *, struct message *) = {
        [STEP_LOOKUP] = make_lookup, [STEP_CONV] = make_conv,       [STEP_NORM] = make_norm_step,
        [STEP_RELU] = make_clamp,    [STEP_CLIP] = make_clamp,      [STEP_ADD] = make_add,
        [STEP_CONCAT] = make_concat, [STEP_POOL] = make_maps,       [STEP_WINDOW] = make_maps,
        [STEP_QUANTIZE] = make_maps, [STEP_DEQUANTIZE] = make_maps,
    };
    const struct maker maker = {c, model, s, kernels};
    return makers[s->kind] ? makers[s->kind](&maker, m) : 0;
}

void step_constants_free(struct step_constants *c)
{
    memory_free(c->folded);
    memory_free(c->scale);
    memory_free(c->shift);
    memory_free(c->bias);
    memory_free(c->bias_q);
    memory_free(c->table);
    *c = (struct step_constants){0};
}

const void *step_weights(const struct step_constants *c, const struct model *model, const struct step *s,
                         void **owned, struct message *m)
{
    size_t count;
    int8_t *expanded = NULL;
    const void *weights = c->folded       ? c->folded
                          : s->is_integer ? (const void *)model_weight_codes(model, s->node, &count, &expanded, m)
                                          : model_tensor(model, s->node, "weight")->data;
    *owned = expanded;
    return weights;
}
