/* interpret.h: runs a model one image at a time in double, as slowly and plainly as possible: what the passes are
 * measured by. A u8 value is held as the real that it stands for, so integer nodes need no code of their own but
 * the rounding at the end. */
#ifndef TESTS_UNIT_PASS_INTERPRET_H
#define TESTS_UNIT_PASS_INTERPRET_H

#include "../graph/samples.h"
#include <math.h>
#include "graph/codes.h"
#include "quant/affine.h"
#include "quant/histogram.h"

/* The reals of a parameter, on the heap: a tensor is looked up once a node, not once a use. */
static inline double *parameters(const struct model *model, int node, const char *suffix)
{
    struct message m;
    const struct tensor *t = model_tensor(model, node, suffix);
    if (!t)
        return NULL;
    size_t count = t->count;
    int8_t *owned = NULL;
    const int8_t *codes = strcmp(suffix, "weight") == 0 && t->dtype != DTYPE_F32
                              ? model_weight_codes(model, node, &count, &owned, &m)
                              : NULL;
    double *values = memory_new(count, sizeof *values, &m), input = 1;
    const float *scales = NULL;
    if (t->dtype != DTYPE_F32)
        scales = model_tensor(model, node, "weight_scale")->data;
    if (t->dtype == DTYPE_I32)
        input = (double)*(const float *)model_tensor(model, model->graph.nodes[node].inputs[0], "scale")->data;
    size_t per_channel = count / (size_t)model->graph.nodes[node].c;
    for (size_t i = 0; i < count; i++) {
        double value = t->dtype == DTYPE_F32 ? (double)((const float *)t->data)[i]
                       : codes               ? codes[i]
                                             : ((const int32_t *)t->data)[i];
        values[i] = scales ? value * input * (double)scales[i / per_channel] : value;
    }
    memory_free(owned);
    return values;
}

static inline void run_conv(const struct model *model, int i, const double *w, const double *x, double *y)
{
    const struct node *n = &model->graph.nodes[i], *in = &model->graph.nodes[n->inputs[0]];
    int per_group = in->c / n->groups, outs = n->out / n->groups, taps = per_group * n->kernel * n->kernel;
    for (int at = 0; at < n->h * n->w * n->c; at++) {
        int o = at % n->c, column = at / n->c % n->w, row = at / n->c / n->w;
        for (int k = 0; k < taps; k++) {
            int c = k / (n->kernel * n->kernel), r = row * n->stride + k / n->kernel % n->kernel - n->pad;
            int s = column * n->stride + k % n->kernel - n->pad;
            if (r >= 0 && s >= 0 && r < in->h && s < in->w)
                y[at] += w[o * taps + k] * x[(r * in->w + s) * in->c + o / outs * per_group + c];
        }
    }
}

static inline void run_linear(int out, int in, const double *w, const double *x, double *y)
{
    for (int c = 0; c < out; c++)
        for (int k = 0; k < in; k++)
            y[c] += w[c * in + k] * x[k];
}

static inline void run_batchnorm(const struct model *model, int i, const double *gamma, const double *x, double *y)
{
    const struct node *n = &model->graph.nodes[i];
    double *mean = parameters(model, i, "running_mean"), *variance = parameters(model, i, "running_var");
    for (int at = 0; at < n->h * n->w * n->c; at++) {
        int c = at % n->c;
        y[at] = (x[at] - mean[c]) / sqrt(variance[c] + (double)n->eps) * gamma[c];
    }
    memory_free(mean);
    memory_free(variance);
}

/* y is zero at first. r: the second input, or NULL. */
static inline void run_node(const struct model *model, int i, const double *x, const double *r, double *y)
{
    const struct node *n = &model->graph.nodes[i], *in = &model->graph.nodes[n->inputs[0]];
    int size = n->h * n->w * n->c, pixels = in->h * in->w;
    double *w = parameters(model, i, "weight"), *bias = parameters(model, i, "bias");
    if (n->op == OP_CONV2D)
        run_conv(model, i, w, x, y);
    else if (n->op == OP_LINEAR)
        run_linear(n->c, in->c, w, x, y);
    else if (n->op == OP_BATCHNORM)
        run_batchnorm(model, i, w, x, y);
    else if (n->op == OP_AVGPOOL)
        for (int at = 0; at < pixels * n->c; at++)
            y[at % n->c] += x[at] / pixels;
    else
        for (int at = 0; at < size; at++)
            y[at] = n->op == OP_NORMALIZE ? (x[at] / 255 - (double)n->mean[at % n->c]) / (double)n->std[at % n->c]
                                          : x[at];
    for (int at = 0; at < size; at++) {
        y[at] += (bias ? bias[at % n->c] : 0) + (r ? r[at] : 0);
        y[at] = (n->op == OP_RELU || n->has_relu) && y[at] < 0 ? 0 : y[at];
        if (n->clip.on)
            y[at] = fmin(fmax(y[at], (double)n->clip.low), (double)n->clip.high);
    }
    memory_free(w);
    memory_free(bias);
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
            run_node(model, i, values[n->inputs[0]], n->input_count > 1 ? values[n->inputs[1]] : NULL, values[i]);
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
