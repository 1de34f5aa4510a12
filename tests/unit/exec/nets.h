/* nets.h: small networks with random tensors, and an interpreter of float graphs in double that shares no code with
 * the library's: loops over the definition, one image batch at a time. */
#ifndef RESQ_TEST_NETS_H
#define RESQ_TEST_NETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "exec/infer/exec.h"
#include "graph/op.h"
#include "graph/schema.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSERT_OK(call, m)                       \
    do {                                         \
        if ((call) < 0)                          \
            fail_msg("%s: %s", #call, (m).text); \
    } while (0)

#define ASSERT_NEAR(got, want, tolerance)                         \
    do {                                                          \
        double got_ = (got), want_ = (want);                      \
        if (!(fabs(got_ - want_) <= (tolerance)))                 \
            fail_msg("%s is %.9g, want %.9g", #got, got_, want_); \
    } while (0)

/* ---- random models ---- */

static inline double draw(struct random_stream *r, double low, double high)
{
    return low + (high - low) * random_uniform(r);
}

/* Codes that a test of zero points wants to meet. */
static const uint8_t zero_points[] = {255, 1, 200, 128, 77, 0};

static inline void fill_f32(struct tensor *t, const struct node *n, const char *suffix, struct random_stream *r)
{
    float *values = t->data;
    double fan_in = 1;
    for (int k = 1; k < t->rank; k++)
        fan_in *= (double)t->shape[k];
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(suffix, "running_var") == 0)
            values[i] = (float)draw(r, 0.3, 1.5);
        else if (n->op == OP_BATCHNORM && strcmp(suffix, "weight") == 0)
            values[i] = (float)draw(r, 0.5, 1.5);
        else
            values[i] = (float)(random_normal(r) * (t->rank > 1 ? sqrt(2 / fan_in) : 0.3));
    }
}

/* Scales that spread every integer layer's outputs over the codes; weights with codes of about 40. */
static inline void fill_integer(struct model *model, int i, struct tensor *t, const char *suffix,
                                struct random_stream *r)
{
    const struct node *n = &model->graph.nodes[i], *x = &model->graph.nodes[n->inputs[0]];
    int is_conv = n->op == OP_CONV2D || n->op == OP_LINEAR;
    double terms = is_conv ? (double)x->c * (n->op == OP_CONV2D ? n->kernel * n->kernel : 1) : 1;
    terms /= n->op == OP_CONV2D ? n->groups : 1;
    if (strcmp(suffix, "weight") == 0)
        for (size_t k = 0; k < t->count; k++)
            ((int8_t *)t->data)[k] = (int8_t)(random_below(r, 255) - 127);
    else if (strcmp(suffix, "weight_scale") == 0)
        for (size_t k = 0; k < t->count; k++)
            ((float *)t->data)[k] = (float)(draw(r, 0.7, 1.3) / (73 * sqrt(terms)));
    else if (strcmp(suffix, "bias") == 0)
        for (size_t k = 0; k < t->count; k++)
            ((int32_t *)t->data)[k] = (int32_t)(random_normal(r) * 2000);
    else if (strcmp(suffix, "scale") == 0)
        *(float *)t->data = (float)draw(r, 0.015, 0.03);
    else if (strcmp(suffix, "zero_point") == 0)
        *(uint8_t *)t->data =
            n->op == OP_LINEAR || n->op == OP_CONCAT ? 120 : zero_points[(size_t)i % sizeof zero_points];
    else if (strcmp(suffix, "range") == 0)
        ((uint8_t *)t->data)[1] = 255;
}

/* Any graph, float or integer, with tensors drawn from seed. */
static inline void random_model(struct model *model, const char *text, uint64_t seed)
{
    struct message m;
    memset(model, 0, sizeof *model);
    ASSERT_OK(graph_parse(&model->graph, text, &m), m);
    model->record = record_new(&m);
    assert_non_null(model->record);
    for (int i = 0; i < model->graph.count; i++) {
        struct tensor_spec specs[SCHEMA_MAX_TENSORS];
        int count = node_tensors(&model->graph, i, specs);
        for (int k = 0; k < count; k++) {
            struct random_stream r = random_open(seed, RANDOM_TEST, (uint32_t)i, (uint64_t)k);
            const struct node *n = &model->graph.nodes[i];
            char name[TENSOR_NAME_SIZE];
            struct tensor *t;
            if (specs[k].rule == RULE_PACKED) /* a byte a code */
                continue;
            tensor_name(name, n, specs[k].suffix);
            ASSERT_OK(record_add(model->record, name, specs[k].dtype, specs[k].rank, specs[k].shape, &t, &m), m);
            if (specs[k].dtype == DTYPE_F32 && !node_is_integer(&model->graph, i) && n->type == NODE_F32)
                fill_f32(t, n, specs[k].suffix, &r);
            else if (op_of(n)->integer == INTEGER_INPUT_MAP)
                memcpy(t->data, model_tensor(model, n->inputs[0], specs[k].suffix)->data, t->bytes);
            else
                fill_integer(model, i, t, specs[k].suffix, &r);
        }
    }
    ASSERT_OK(model_store(model, &m), m);
    ASSERT_OK(model_verify(model, &m), m);
}

static inline uint8_t *random_images(const struct model *model, int count, uint64_t seed)
{
    const struct node *n = &model->graph.nodes[0];
    size_t bytes = (size_t)count * (size_t)n->h * (size_t)n->w * (size_t)n->c;
    uint8_t *images = malloc(bytes);
    struct random_stream r = random_open(seed, RANDOM_TEST, 0, 77);
    assert_non_null(images);
    for (size_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)random_below(&r, 256);
    return images;
}

/* ---- floats in double ---- */

/* Values of all nodes for a batch, and the parameters by tensor name as doubles. */
struct net {
    const struct model *model;
    int images, training; /* training: batch norm by the batch's own statistics */
    double **values;      /* [node][image, h, w, c] */
    double **tensors;     /* one a tensor of the record, F32 only */
};

static inline size_t node_count(const struct node *n)
{
    return (size_t)n->h * (size_t)n->w * (size_t)n->c;
}

static inline void net_open(struct net *net, const struct model *model, int images, int training)
{
    const struct graph *g = &model->graph;
    size_t batch = (unsigned)images;
    *net = (struct net){model, images, training, calloc((unsigned)g->count, sizeof(double *)),
                        calloc(model->record->tensor_count + 1, sizeof(double *))};
    for (int i = 0; i < g->count; i++)
        net->values[i] = calloc(batch * node_count(&g->nodes[i]), sizeof(double));
    for (size_t k = 0; k < model->record->tensor_count; k++) {
        const struct tensor *t = &model->record->tensors[k];
        net->tensors[k] = calloc(t->count, sizeof(double));
        for (size_t i = 0; t->dtype == DTYPE_F32 && i < t->count; i++)
            net->tensors[k][i] = (double)((const float *)t->data)[i];
    }
}

static inline void net_close(struct net *net)
{
    for (int i = 0; i < net->model->graph.count; i++)
        free(net->values[i]);
    for (size_t k = 0; k < net->model->record->tensor_count; k++)
        free(net->tensors[k]);
    free(net->values);
    free(net->tensors);
}

static inline double *net_tensor(const struct net *net, int node, const char *suffix)
{
    const struct tensor *t = model_tensor(net->model, node, suffix);
    return t ? net->tensors[t - net->model->record->tensors] : NULL;
}

static inline double clipped(const struct node *n, double v)
{
    return !n->clip.on ? v : fmin(fmax(v, (double)n->clip.low), (double)n->clip.high);
}

static inline void net_conv(struct net *net, int i)
{
    const struct graph *g = &net->model->graph;
    const struct node *n = &g->nodes[i], *x = &g->nodes[n->inputs[0]];
    int side = n->op == OP_CONV2D ? n->kernel : 1, stride = n->op == OP_CONV2D ? n->stride : 1;
    const double *w = net_tensor(net, i, "weight"), *bias = net_tensor(net, i, "bias");
    const double *residual = n->input_count > 1 ? net->values[n->inputs[1]] : NULL;
    int groups = n->op == OP_CONV2D ? n->groups : 1, inputs = x->c / groups;
    double *y = net->values[i];
    for (int b = 0; b < net->images; b++)
        for (int oy = 0; oy < n->h; oy++)
            for (int ox = 0; ox < n->w; ox++)
                for (int k = 0; k < n->c; k++, y++) {
                    *y = bias ? bias[k] : 0;
                    int first = k / (n->c / groups) * inputs;
                    for (int c = 0; c < inputs; c++)
                        for (int r = 0; r < side; r++)
                            for (int t = 0; t < side; t++) {
                                int iy = oy * stride + r - n->pad, ix = ox * stride + t - n->pad;
                                if (iy >= 0 && iy < x->h && ix >= 0 && ix < x->w)
                                    *y += net->values[n->inputs[0]]
                                                     [((b * x->h + iy) * x->w + ix) * x->c + first + c] *
                                          w[((k * inputs + c) * side + r) * side + t];
                            }
                    *y += residual ? *residual++ : 0;
                    *y = n->has_relu && *y < 0 ? 0 : *y;
                    *y = clipped(n, *y);
                }
}

static inline void net_norm(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    const double *x = net->values[n->inputs[0]];
    int rows = net->images * n->h * n->w;
    for (int c = 0; c < n->c; c++) {
        double mean = net_tensor(net, i, "running_mean")[c], variance = net_tensor(net, i, "running_var")[c];
        if (net->training) {
            mean = variance = 0;
            for (int r = 0; r < rows; r++)
                mean += x[r * n->c + c] / rows;
            for (int r = 0; r < rows; r++)
                variance += (x[r * n->c + c] - mean) * (x[r * n->c + c] - mean) / rows;
        }
        for (int r = 0; r < rows; r++)
            net->values[i][r * n->c + c] =
                (x[r * n->c + c] - mean) / sqrt(variance + (double)n->eps) * net_tensor(net, i, "weight")[c] +
                net_tensor(net, i, "bias")[c];
    }
}

static inline void net_pool(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i], *x = &net->model->graph.nodes[n->inputs[0]];
    int pixels = x->h * x->w;
    memset(net->values[i], 0, (size_t)net->images * (size_t)n->c * sizeof(double));
    for (int b = 0; b < net->images; b++)
        for (int p = 0; p < pixels; p++)
            for (int c = 0; c < n->c; c++)
                net->values[i][b * n->c + c] += net->values[n->inputs[0]][(b * pixels + p) * n->c + c] / pixels;
}

/* The largest or the mean of each window. */
static inline void net_window(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i], *x = &net->model->graph.nodes[n->inputs[0]];
    double *y = net->values[i];
    for (int b = 0; b < net->images; b++)
        for (int oy = 0; oy < n->h; oy++)
            for (int ox = 0; ox < n->w; ox++)
                for (int c = 0; c < n->c; c++, y++) {
                    double best = -INFINITY, sum = 0;
                    for (int r = 0; r < n->kernel; r++)
                        for (int t = 0; t < n->kernel; t++) {
                            int iy = oy * n->stride + r - n->pad, ix = ox * n->stride + t - n->pad;
                            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w)
                                continue;
                            double v = net->values[n->inputs[0]][((b * x->h + iy) * x->w + ix) * x->c + c];
                            best = fmax(best, v);
                            sum += v;
                        }
                    *y = n->op == OP_MAXPOOL ? best : sum / (n->kernel * n->kernel);
                }
}

static inline void net_concat(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    double *y = net->values[i];
    for (int p = 0; p < net->images * n->h * n->w; p++)
        for (int k = 0; k < n->input_count; k++) {
            int channels = net->model->graph.nodes[n->inputs[k]].c;
            for (int c = 0; c < channels; c++)
                *y++ = net->values[n->inputs[k]][p * channels + c];
        }
}

static inline void net_flatten(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i], *x = &net->model->graph.nodes[n->inputs[0]];
    int pixels = x->h * x->w;
    for (int b = 0; b < net->images; b++)
        for (int p = 0; p < pixels; p++)
            for (int c = 0; c < x->c; c++)
                net->values[i][b * n->c + c * pixels + p] = net->values[n->inputs[0]][(b * pixels + p) * x->c + c];
}

static inline void net_simple(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    const double *a = net->values[n->inputs[0]], *b = n->input_count > 1 ? net->values[n->inputs[1]] : NULL;
    size_t count = (size_t)net->images * node_count(n);
    for (size_t k = 0; k < count; k++) {
        double *y = &net->values[i][k];
        if (n->op == OP_NORMALIZE)
            *y = (a[k] / 255 - (double)n->mean[k % (size_t)n->c]) / (double)n->std[k % (size_t)n->c];
        else if (n->op == OP_RELU)
            *y = a[k] > 0 ? a[k] : 0;
        else if (n->op == OP_CLIP)
            *y = clipped(n, a[k]);
        else
            *y = a[k] + b[k];
    }
}

/* Runs all nodes; the logits are the last node's values. */
static inline const double *net_run(struct net *net, const uint8_t *images)
{
    const struct graph *g = &net->model->graph;
    for (size_t k = 0; k < (size_t)net->images * node_count(&g->nodes[0]); k++)
        net->values[0][k] = images[k];
    for (int i = 1; i < g->count; i++) {
        enum graph_op op = g->nodes[i].op;
        if (op == OP_CONV2D || op == OP_LINEAR)
            net_conv(net, i);
        else if (op == OP_BATCHNORM)
            net_norm(net, i);
        else if (op == OP_MAXPOOL || (op == OP_AVGPOOL && g->nodes[i].kernel > 0))
            net_window(net, i);
        else if (op == OP_AVGPOOL)
            net_pool(net, i);
        else if (op == OP_CONCAT)
            net_concat(net, i);
        else if (op == OP_FLATTEN)
            net_flatten(net, i);
        else
            net_simple(net, i);
    }
    return net->values[g->count - 1];
}

/* ---- graphs ---- */

/* Stride 2, a residual with a downsample computed after the main branch, a kernel of 5, a bias, an odd number of
 * channels. */
#define NET_FLOAT                                             \
    "x = input u8[9,8,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "c1 = conv2d norm out=7 kernel=3 pad=1\n"                 \
    "b1 = batchnorm c1\n"                                     \
    "r1 = relu b1\n"                                          \
    "c2 = conv2d r1 out=6 kernel=3 stride=2 pad=1\n"          \
    "b2 = batchnorm c2\n"                                     \
    "r2 = relu b2\n"                                          \
    "c3 = conv2d r2 out=6 kernel=5 pad=2 bias\n"              \
    "b3 = batchnorm c3 eps=0.001\n"                           \
    "d = conv2d r1 out=6 kernel=1 stride=2\n"                 \
    "db = batchnorm d\n"                                      \
    "a = add b3 db\n"                                         \
    "r3 = relu a\n"                                           \
    "c4 = conv2d r3 out=6 kernel=3 pad=1\n"                   \
    "b4 = batchnorm c4\n"                                     \
    "a4 = add b4 r3\n"                                        \
    "b5 = batchnorm a4\n"                                     \
    "r5 = relu b5\n"                                          \
    "s = add r5 a4\n"                                         \
    "pool = avgpool s\n"                                      \
    "fc = linear pool out=5 bias\n"

/* The same kinds of layers without batch norm; c4 has a residual and no relu. */
#define NET_FUSED                                              \
    "x = input u8[9,8,3]\n"                                    \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"  \
    "c1 = conv2d norm out=7 kernel=3 pad=1 bias relu\n"        \
    "c2 = conv2d c1 out=6 kernel=3 stride=2 pad=1 bias relu\n" \
    "d = conv2d c1 out=6 kernel=1 stride=2 bias\n"             \
    "c3 = conv2d c2 out=6 kernel=5 pad=2 bias relu add=d\n"    \
    "c4 = conv2d c3 out=6 kernel=3 pad=1 bias add=c3\n"        \
    "pool = avgpool c4\n"                                      \
    "fc = linear pool out=5 bias\n"

/* Groups, clips behind a batch norm and alone, both pools of windows with borders and without, concats of one, two and
 * three with a value given twice, a batch norm that stands behind no convolution, hidden linear layers. */
#define NET_OPS                                               \
    "x = input u8[9,8,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "c1 = conv2d norm out=6 kernel=3 pad=1\n"                 \
    "b1 = batchnorm c1\n"                                     \
    "r1 = clip b1 low=0 high=1\n"                             \
    "c2 = conv2d r1 out=6 kernel=3 pad=1 groups=6\n"          \
    "b2 = batchnorm c2\n"                                     \
    "r2 = clip b2 low=-0.5 high=1.25\n"                       \
    "c3 = conv2d r2 out=12 kernel=1 groups=2 bias\n"          \
    "m3 = maxpool c3 kernel=3 stride=2 pad=1\n"               \
    "a3 = avgpool c3 kernel=2 pad=1\n"                        \
    "d3 = conv2d c3 out=4 kernel=3 stride=2 pad=1\n"          \
    "cm = conv2d m3 out=3 kernel=1\n"                         \
    "k3 = concat m3 d3 m3\n"                                  \
    "b3 = batchnorm k3\n"                                     \
    "r3 = relu b3\n"                                          \
    "v3 = clip d3 low=-1 high=1\n"                            \
    "k4 = concat r3 cm v3\n"                                  \
    "m4 = maxpool k4 kernel=2\n"                              \
    "q4 = avgpool a3 kernel=3 stride=2 pad=1\n"               \
    "f4 = flatten m4\n"                                       \
    "p4 = avgpool q4\n"                                       \
    "l4 = linear f4 out=12 bias\n"                            \
    "s4 = add l4 p4\n"                                        \
    "e4 = relu s4\n"                                          \
    "k5 = concat e4 p4\n"                                     \
    "l5 = linear k5 out=7 bias\n"                             \
    "e5 = relu l5\n"                                          \
    "k6 = concat e5\n"                                        \
    "fc = linear k6 out=5 bias\n"

/* Layers of more weights than values, whose outputs threads cut among them, with a clip behind. */
#define NET_CUT                                                          \
    "x = input u8[6,6,3]\n"                                              \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"            \
    "c1 = conv2d norm out=64 kernel=3 stride=2 pad=1 bias clip=-0.5,1\n" \
    "c2 = conv2d c1 out=80 kernel=1 bias clip=0,0.5\n"                   \
    "pool = avgpool c2\n"                                                \
    "fc = linear pool out=5 bias\n"

/* A convolution as head: its map's mean is the logits. */
#define NET_HEAD                                              \
    "x = input u8[9,8,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "m0 = maxpool norm kernel=2\n"                            \
    "c1 = conv2d m0 out=6 kernel=3 pad=1 bias relu\n"         \
    "c2 = conv2d c1 out=6 kernel=3 pad=1 groups=6 bias\n"     \
    "m1 = maxpool c1 kernel=3 stride=1 pad=1\n"               \
    "s2 = add c2 m1\n"                                        \
    "c3 = conv2d s2 out=5 kernel=1 bias clip=0,2\n"           \
    "pool = avgpool c3\n"

#endif
