/* The tensors of an int8 model, and what the report says about them. */
#include "pass/lower.h"
#include "graph/codes.h"
#include "graph/schema.h"
#include "quant/saturation.h"
#include "quant/observer.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lower_report_free(struct lower_report *r)
{
    memory_free(r->rows);
    text_free(&r->warnings);
    *r = (struct lower_report){0};
}

int lower_warn(struct lowering *l, struct message *m, const char *format, ...)
{
    char line[MESSAGE_SIZE];
    va_list args;
    if (!l->report)
        return 0;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return text_add(&l->report->warnings, m, "%s\n", line);
}

struct lower_row *lower_row_for(struct lowering *l, int now, struct message *m)
{
    struct lower_report *r = l->report;
    const char *name = l->to.graph.nodes[now].name;
    for (int i = 0; r && i < r->count; i++)
        if (strcmp(r->rows[i].name, name) == 0)
            return &r->rows[i];
    if (r && r->count == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 64;
        void *rows =
            memory_resize(r->rows, (size_t)r->count * sizeof *r->rows, (size_t)capacity, sizeof *r->rows, m);
        if (!rows)
            return NULL;
        r->rows = rows;
        r->capacity = capacity;
    }
    if (!r)
        return NULL;
    struct lower_row *row = &r->rows[r->count++];
    *row = (struct lower_row){.activation_sqnr = (double)NAN, .weight_sqnr = (double)NAN};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static int add(struct lowering *l, int now, const char *suffix, const void *data, struct message *m)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    char name[TENSOR_NAME_SIZE];
    int count = node_tensors(&l->to.graph, now, specs), k = 0;
    while (k < count - 1 && strcmp(specs[k].suffix, suffix) != 0)
        k++;
    tensor_name(name, &l->to.graph.nodes[now], suffix);
    return record_add_copy(l->to.record, name, specs[k].dtype, specs[k].rank, specs[k].shape, data, m);
}

int lower_activation(struct lowering *l, int old, int now, const struct affine *a, struct message *m)
{
    const char *name = l->from->graph.nodes[old].name;
    const uint8_t range[2] = {a->qmin, a->qmax};
    if (!isnormal(a->scale) || a->scale <= 0)
        return message_set(m, STATUS_RANGE, "%s: scale %g is not a positive normal number", name, (double)a->scale);
    if (a->qmin >= a->qmax || a->zero_point < a->qmin || a->zero_point > a->qmax)
        return message_set(m, STATUS_RANGE, "%s: zero point %d is not in %d..%d", name, a->zero_point, a->qmin,
                           a->qmax);
    TRY(add(l, now, "scale", &a->scale, m));
    TRY(add(l, now, "zero_point", &a->zero_point, m));
    TRY(add(l, now, "range", range, m));
    struct lower_row *row = lower_row_for(l, now, m);
    if (!row)
        return l->report ? STATUS_NOMEM : 0;
    int i = l->ranges ? ranges_find(l->ranges, name) : -1;
    row->scale = a->scale;
    row->zero_point = a->zero_point;
    if (i >= 0)
        row->activation_sqnr = histogram_sqnr_of(&l->ranges->histograms[i], a);
    return 0;
}

/* One layer's parameters on both sides. */
struct layer {
    const float *weight, *bias;
    int outputs, per_output;
    struct weight_codes how;
    int8_t *q;
    float *scale;
    int32_t *bias_q;
};

static int layer_open(struct layer *y, const struct lowering *l, int old, struct message *m)
{
    const struct tensor *weight = model_tensor(l->from, old, "weight"), *bias = model_tensor(l->from, old, "bias");
    *y = (struct layer){.weight = weight->data,
                        .bias = bias ? bias->data : NULL,
                        .outputs = (int)weight->shape[0],
                        .per_output = (int)(weight->count / (size_t)weight->shape[0]),
                        .how = lower_weight_codes(l->options, &l->from->graph, old)};
    y->q = memory_new(weight->count, 1, m);
    y->scale = memory_new((size_t)y->outputs, sizeof *y->scale, m);
    y->bias_q = memory_new((size_t)y->outputs, sizeof *y->bias_q, m);
    return y->q && y->scale && y->bias_q ? 0 : STATUS_NOMEM;
}

static void layer_close(struct layer *y)
{
    memory_free(y->q);
    memory_free(y->scale);
    memory_free(y->bias_q);
}

/* Sums of squares over all weights. */
static void weight_noise(const struct layer *y, double *signal_sum, double *noise_sum)
{
    double signal = 0, noise = 0;
    for (int c = 0; c < y->outputs; c++) {
        for (int i = 0; i < y->per_output; i++) {
            size_t at = (size_t)c * (size_t)y->per_output + (size_t)i;
            double w = (double)y->weight[at], e = w - (double)y->q[at] * (double)y->scale[c];
            signal += w * w;
            noise += e * e;
        }
    }
    *signal_sum = signal;
    *noise_sum = noise;
}

/* Signal to noise in dB. */
static double weight_sqnr(const struct layer *y)
{
    double signal, noise;
    weight_noise(y, &signal, &noise);
    return noise > 0 ? 10 * log10(signal / noise) : (double)INFINITY;
}

/* Pairs of codes that never saturate in 16 bits, where that is asked for. */
static void spare(struct lowering *l, const struct layer *y, const struct affine *input)
{
    double signal, before, after;
    if (!l->options->saturation_free)
        return;
    weight_noise(y, &signal, &before);
    int spared = saturation_spare(y->weight, y->bias, y->outputs, y->per_output, y->how.bits, y->how.per_tensor,
                                  input->scale, input->qmax, y->q, y->scale, y->bias_q);
    weight_noise(y, &signal, &after);
    if (!l->report)
        return;
    l->report->channels += y->outputs;
    l->report->spared += spared;
    l->report->signal += signal;
    l->report->noise_before += before;
    l->report->noise_after += after;
}

/* Every factor that an epilogue multiplies by must be a number. */
static int check_factors(const struct layer *y, const char *name, const struct affine *input,
                         const struct affine *output, const struct affine *residual, struct message *m)
{
    for (int c = 0; c < y->outputs; c++) {
        float product = input->scale * y->scale[c];
        if (!isnormal(product) || (output && !isfinite(product / output->scale)))
            return message_set(m, STATUS_RANGE, "%s: scale of channel %d is not finite", name, c);
    }
    if (residual && !isfinite(residual->scale / output->scale))
        return message_set(m, STATUS_RANGE, "%s: scale of the residual is not finite", name);
    return 0;
}

static float magnitude(const struct layer *y, int c)
{
    float largest = 0;
    for (int i = 0; i < y->per_output; i++)
        largest = fmaxf(largest, fabsf(y->weight[(size_t)c * (size_t)y->per_output + (size_t)i]));
    return largest;
}

/* Channels that are zero; whose weights lost bits to their bias (not where that scale is below what was the least for
 * all once: weights so small beside their bias are a dead channel's); and to the smallest normal number. */
static int warn_layer(struct lowering *l, const struct layer *y, const char *name, float scale_x, struct message *m)
{
    int zeros = 0, raised = 0, tiny = 0, qmax = weight_qmax(y->how.bits);
    float all = 0;
    for (int c = 0; c < y->outputs && y->how.per_tensor; c++)
        all = fmaxf(all, magnitude(y, c));
    for (int c = 0; c < y->outputs; c++) {
        float own = magnitude(y, c), first = weight_scale(y->how.per_tensor ? all : own, qmax);
        zeros += own == 0;
        if (own > 0 && (own / (float)qmax < SMALLEST_NORMAL || scale_x * first < SMALLEST_NORMAL))
            tiny++;
        else
            raised += y->scale[c] > first && y->scale[c] > ZERO_SCALE;
    }
    if (zeros > 0)
        TRY(lower_warn(l, m, "%s: %d of %d channels are zero", name, zeros, y->outputs));
    if (raised > 0)
        TRY(lower_warn(l, m, "%s: weight scale raised in %d of %d channels, to hold the bias", name, raised,
                       y->outputs));
    if (tiny > 0)
        TRY(lower_warn(l, m,
                       "%s: %d of %d channels lose weights: they are too small for a scale that is a normal number",
                       name, tiny, y->outputs));
    return 0;
}

/* In fields of 2 or 4 bits where that is enough. */
static int store_codes(struct lowering *l, const struct layer *y, int now, struct message *m)
{
    size_t count = (size_t)y->outputs * (size_t)y->per_output;
    const uint8_t bits = (uint8_t)y->how.bits;
    char name[TENSOR_NAME_SIZE];
    struct tensor *packed;
    if (codes_field(bits) == 8)
        return add(l, now, "weight", y->q, m);
    int64_t bytes = (int64_t)codes_bytes(count, bits);
    tensor_name(name, &l->to.graph.nodes[now], "weight");
    TRY(record_add(l->to.record, name, DTYPE_U8, 1, &bytes, &packed, m));
    codes_pack(y->q, count, bits, packed->data);
    return add(l, now, "weight_bits", &bits, m);
}

static int store_layer(struct lowering *l, const struct layer *y, int now, int64_t bound, struct message *m)
{
    TRY(store_codes(l, y, now, m));
    TRY(add(l, now, "weight_scale", y->scale, m));
    TRY(add(l, now, "bias", y->bias_q, m));
    TRY(add(l, now, "accumulator_bound", &bound, m));
    struct lower_row *row = lower_row_for(l, now, m);
    if (!row)
        return l->report ? STATUS_NOMEM : 0;
    row->weight_sqnr = weight_sqnr(y);
    row->bound = bound;
    return 0;
}

int lower_weights(struct lowering *l, int old, int now, const struct affine *input, const struct affine *output,
                  const struct affine *residual, struct message *m)
{
    const char *name = l->from->graph.nodes[old].name;
    struct layer y;
    int status;
    TRY_GOTO(layer_open(&y, l, old, m), done);
    layer_quantize(y.weight, y.bias, y.outputs, y.per_output, &y.how, input->scale, y.q, y.scale, y.bias_q);
    TRY_GOTO(check_factors(&y, name, input, output, residual, m), done);
    TRY_GOTO(warn_layer(l, &y, name, input->scale, m), done);
    spare(l, &y, input);
    TRY_GOTO(check_factors(&y, name, input, output, residual, m), done);
    int64_t bound =
        accumulator_bound(y.q, y.bias_q, y.outputs, y.per_output, input->zero_point, input->qmin, input->qmax);
    if (bound > INT32_MAX)
        status =
            message_set(m, STATUS_RANGE, "%s: accumulator may reach %lld, beyond 32 bits", name, (long long)bound);
    else
        status = store_layer(l, &y, now, bound, m);
done:
    layer_close(&y);
    return status;
}
