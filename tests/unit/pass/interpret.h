/* interpret.h: runs a model one image at a time in double, as slowly and plainly as possible: what the passes are
 * measured by. A u8 value is held as the real that it stands for, so integer nodes need no code of their own but
 * the rounding at the end. */
#ifndef TESTS_UNIT_PASS_INTERPRET_H
#define TESTS_UNIT_PASS_INTERPRET_H

#include "../graph/samples.h"
#include <math.h>
#include "quant/affine.h"
#include "quant/histogram.h"

static inline double parameter(const struct model *model, int node, const char *suffix, size_t i, size_t channel)
{
    const struct tensor *t = model_tensor(model, node, suffix);
    if (t->dtype == DTYPE_F32)
        return (double)((const float *)t->data)[i];
    double scale = (double)((const float *)model_tensor(model, node, "weight_scale")->data)[channel];
    if (t->dtype == DTYPE_I8)
        return scale * ((const int8_t *)t->data)[i];
    int input = model->graph.nodes[node].inputs[0];
    return scale * (double)*(const float *)model_tensor(model, input, "scale")->data *
           ((const int32_t *)t->data)[i];
}

static inline void run_conv(const struct model *model, int i, const double *x, double *y)
{
    const struct node *n = &model->graph.nodes[i], *in = &model->graph.nodes[n->inputs[0]];
    int per_group = in->c / n->groups, outs = n->out / n->groups;
    for (int at = 0; at < n->h * n->w * n->c; at++) {
        int o = at % n->c, column = at / n->c % n->w, row = at / n->c / n->w;
        double sum = n->has_bias ? parameter(model, i, "bias", (size_t)o, (size_t)o) : 0;
        for (int k = 0; k < per_group * n->kernel * n->kernel; k++) {
            int c = k / (n->kernel * n->kernel), r = row * n->stride + k / n->kernel % n->kernel - n->pad;
            int s = column * n->stride + k % n->kernel - n->pad;
            if (r < 0 || s < 0 || r >= in->h || s >= in->w)
                continue;
            size_t w = (size_t)o * (size_t)(per_group * n->kernel * n->kernel) + (size_t)k;
            sum +=
                parameter(model, i, "weight", w, (size_t)o) * x[(r * in->w + s) * in->c + o / outs * per_group + c];
        }
        y[at] = sum;
    }
}

static inline void run_float(const struct model *model, int i, const double *x, const double *r, double *y)
{
    const struct node *n = &model->graph.nodes[i], *in = &model->graph.nodes[n->inputs[0]];
    int size = n->h * n->w * n->c, pixels = in->h * in->w;
    if (n->op == OP_CONV2D)
        run_conv(model, i, x, y);
    for (int at = 0; at < size; at++) {
        int c = at % n->c;
        size_t k = (size_t)c;
        if (n->op == OP_NORMALIZE)
            y[at] = (x[at] / 255 - (double)n->mean[c]) / (double)n->std[c];
        else if (n->op == OP_BATCHNORM)
            y[at] = (x[at] - parameter(model, i, "running_mean", k, k)) /
                        sqrt(parameter(model, i, "running_var", k, k) + (double)n->eps) *
                        parameter(model, i, "weight", k, k) +
                    parameter(model, i, "bias", k, k);
        else if (n->op == OP_AVGPOOL || n->op == OP_LINEAR) {
            y[at] = n->op == OP_LINEAR && n->has_bias ? parameter(model, i, "bias", k, k) : 0;
            for (int p = 0; n->op == OP_AVGPOOL && p < pixels; p++)
                y[at] += x[p * n->c + c] / pixels;
            for (int p = 0; n->op == OP_LINEAR && p < in->c; p++)
                y[at] += x[p] * parameter(model, i, "weight", k * (size_t)in->c + (size_t)p, k);
        } else if (n->op != OP_CONV2D)
            y[at] = x[at];
        y[at] += r ? r[at] : 0;
        y[at] = (n->op == OP_RELU || n->has_relu) && y[at] < 0 ? 0 : y[at];
    }
}

/* Rounds y to the codes of node i, where it has codes. */
static inline void round_u8(const struct model *model, int i, double *y)
{
    const struct node *n = &model->graph.nodes[i];
    if (n->type != NODE_U8 || n->op == OP_INPUT)
        return;
    const uint8_t *range = model_tensor(model, i, "range")->data;
    struct affine a = {*(const float *)model_tensor(model, i, "scale")->data,
                       *(const uint8_t *)model_tensor(model, i, "zero_point")->data, range[0], range[1]};
    for (int at = 0; at < n->h * n->w * n->c; at++)
        y[at] = (double)affine_dequantize(&a, affine_quantize(&a, (float)y[at]));
}

/* values[i] receives node i's result for image; memory_free each. */
static inline void interpret(const struct model *model, const uint8_t *image, double **values)
{
    struct message m;
    for (int i = 0; i < model->graph.count; i++) {
        const struct node *n = &model->graph.nodes[i];
        size_t size = (size_t)(n->h * n->w * n->c);
        values[i] = memory_new(size, sizeof(double), &m);
        assert_non_null(values[i]);
        for (size_t k = 0; n->op == OP_INPUT && k < size; k++)
            values[i][k] = image[k];
        if (n->op != OP_INPUT)
            run_float(model, i, values[n->inputs[0]], n->input_count > 1 ? values[n->inputs[1]] : NULL, values[i]);
        round_u8(model, i, values[i]);
    }
}

static inline void values_free(double **values, int count)
{
    for (int i = 0; i < count; i++)
        memory_free(values[i]);
}

static inline void sample_image(const struct graph *g, uint64_t index, uint8_t *image)
{
    struct random_stream r = random_open(77, RANDOM_TEST, 1, index);
    for (int k = 0; k < g->nodes[0].h * g->nodes[0].w * g->nodes[0].c; k++)
        image[k] = (uint8_t)random_below(&r, 256);
}

/* What calibrate does, for a few images. */
static inline struct ranges sample_ranges(const struct model *model, int images)
{
    struct message m;
    struct ranges r;
    static uint8_t image[1 << 16];
    double *values[GRAPH_MAX_NODES];
    int count = 0;
    for (int i = 0; i < model->graph.count; i++)
        count += node_is_observed(&model->graph, i);
    ASSERT_OK(ranges_new(&r, count, &m), m);
    for (int k = 0; k < images; k++) {
        int at = 0;
        sample_image(&model->graph, (uint64_t)k, image);
        interpret(model, image, values);
        for (int i = 0; i < model->graph.count; i++) {
            const struct node *n = &model->graph.nodes[i];
            if (!node_is_observed(&model->graph, i))
                continue;
            strcpy(r.names[at], n->name);
            for (int e = 0; e < n->h * n->w * n->c; e++)
                ASSERT_OK(histogram_add(&r.histograms[at], &(float){(float)values[i][e]}, 1, &m), m);
            at++;
        }
        values_free(values, model->graph.count);
    }
    return r;
}

/* Signal to noise in dB of b's output against a's, over a few images. */
static inline double output_sqnr(const struct model *a, const struct model *b, int images)
{
    static uint8_t image[1 << 16];
    double *x[GRAPH_MAX_NODES], *y[GRAPH_MAX_NODES], signal = 0, noise = 0;
    int last = a->graph.count - 1, other = b->graph.count - 1;
    for (int k = 0; k < images; k++) {
        sample_image(&a->graph, (uint64_t)k, image);
        interpret(a, image, x);
        interpret(b, image, y);
        for (int c = 0; c < a->graph.nodes[last].c; c++) {
            signal += x[last][c] * x[last][c];
            noise += (x[last][c] - y[other][c]) * (x[last][c] - y[other][c]);
        }
        values_free(x, a->graph.count);
        values_free(y, b->graph.count);
    }
    return noise > 0 ? 10 * log10(signal / noise) : (double)INFINITY;
}

#endif
