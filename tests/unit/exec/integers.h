/* integers.h: the integer arithmetic of lib/quant/QUANT.md written out once more, in 64-bit sums, sharing no code
 * with the library's. Values are codes (as floats hold them exactly) or floats. */
#ifndef RESQ_TEST_INTEGERS_H
#define RESQ_TEST_INTEGERS_H

#include "nets.h"

struct map {
    float scale;
    int zero, low, high;
};

/* One image. before: the value before rounding, of integer nodes. */
struct integers {
    const struct model *model;
    float **values, **before;
};

static inline void integers_open(struct integers *t, const struct model *model)
{
    const struct graph *g = &model->graph;
    t->model = model;
    t->values = calloc((size_t)g->count, sizeof *t->values);
    t->before = calloc((size_t)g->count, sizeof *t->before);
    for (int i = 0; i < g->count; i++) {
        t->values[i] = calloc(node_count(&g->nodes[i]), sizeof(float));
        t->before[i] = calloc(node_count(&g->nodes[i]), sizeof(float));
    }
}

static inline void integers_close(struct integers *t)
{
    for (int i = 0; i < t->model->graph.count; i++) {
        free(t->values[i]);
        free(t->before[i]);
    }
    free(t->values);
    free(t->before);
}

static inline struct map map_of(const struct model *model, int i)
{
    const uint8_t *range = model_tensor(model, i, "range")->data;
    return (struct map){*(float *)model_tensor(model, i, "scale")->data,
                        *(uint8_t *)model_tensor(model, i, "zero_point")->data, range[0], range[1]};
}

static inline float to_code(float v, const struct map *y, int relu)
{
    v = fminf(fmaxf(v, -1e6f), 1e6f);
    int q = (int)rintf(v) + y->zero, low = relu && y->zero > y->low ? y->zero : y->low;
    return (float)(q < low ? low : q > y->high ? y->high : q);
}

/* A code kept between those of the clip's ends. */
static inline float code_clipped(const struct node *n, float q, const struct map *y)
{
    if (!n->clip.on)
        return q;
    float low = to_code(n->clip.low / y->scale, y, 0), high = to_code(n->clip.high / y->scale, y, 0);
    return q < low ? low : q > high ? high : q;
}

static inline int64_t conv_sum(const struct integers *t, int i, int oy, int ox, int k)
{
    const struct node *n = &t->model->graph.nodes[i], *x = &t->model->graph.nodes[n->inputs[0]];
    const int8_t *w = model_tensor(t->model, i, "weight")->data;
    const struct tensor *bias = model_tensor(t->model, i, "bias");
    int side = n->op == OP_CONV2D ? n->kernel : 1, stride = n->op == OP_CONV2D ? n->stride : 1;
    int zero = map_of(t->model, n->inputs[0]).zero, groups = n->op == OP_CONV2D ? n->groups : 1;
    int inputs = x->c / groups, first = k / (n->c / groups) * inputs;
    int64_t sum = bias ? ((int32_t *)bias->data)[k] : 0;
    for (int c = 0; c < inputs; c++)
        for (int r = 0; r < side; r++)
            for (int s = 0; s < side; s++) {
                int iy = oy * stride + r - n->pad, ix = ox * stride + s - n->pad;
                if (iy >= 0 && iy < x->h && ix >= 0 && ix < x->w)
                    sum += ((int64_t)t->values[n->inputs[0]][(iy * x->w + ix) * x->c + first + c] - zero) *
                           w[((k * inputs + c) * side + r) * side + s];
            }
    return sum;
}

static inline void integers_conv(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i];
    struct map x = map_of(t->model, n->inputs[0]), y = {0}, residual = {0};
    const float *scale = model_tensor(t->model, i, "weight_scale")->data;
    if (n->type == NODE_U8)
        y = map_of(t->model, i);
    if (n->input_count > 1)
        residual = map_of(t->model, n->inputs[1]);
    size_t at = 0;
    for (int oy = 0; oy < n->h; oy++)
        for (int ox = 0; ox < n->w; ox++)
            for (int k = 0; k < n->c; k++, at++) {
                float acc = (float)conv_sum(t, i, oy, ox, k), product = x.scale * scale[k];
                if (n->type != NODE_U8) {
                    t->values[i][at] = acc * product;
                    continue;
                }
                float multiplier = product / y.scale, v = acc * multiplier;
                if (n->input_count > 1) {
                    float factor = residual.scale / y.scale;
                    float b = (t->values[n->inputs[1]][at] - (float)residual.zero) * factor;
                    v = v + b;
                }
                t->before[i][at] = v;
                t->values[i][at] = code_clipped(n, to_code(v, &y, n->has_relu), &y);
            }
}

static inline void integers_pool(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i], *p = &t->model->graph.nodes[n->inputs[0]];
    struct map x = map_of(t->model, n->inputs[0]), y = map_of(t->model, i);
    float multiplier = x.scale / (y.scale * (float)(p->h * p->w));
    for (int c = 0; c < n->c; c++) {
        int sum = 0;
        for (int k = 0; k < p->h * p->w; k++)
            sum += (int)t->values[n->inputs[0]][k * p->c + c] - x.zero;
        t->before[i][c] = (float)sum * multiplier;
        t->values[i][c] = to_code(t->before[i][c], &y, 0);
    }
}

static inline void integers_window(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i], *p = &t->model->graph.nodes[n->inputs[0]];
    struct map x = map_of(t->model, n->inputs[0]), y = map_of(t->model, i);
    float multiplier = x.scale / (y.scale * (float)(n->kernel * n->kernel));
    size_t at = 0;
    for (int oy = 0; oy < n->h; oy++)
        for (int ox = 0; ox < n->w; ox++)
            for (int c = 0; c < n->c; c++, at++) {
                int best = -1, sum = 0;
                for (int r = 0; r < n->kernel; r++)
                    for (int s = 0; s < n->kernel; s++) {
                        int iy = oy * n->stride + r - n->pad, ix = ox * n->stride + s - n->pad;
                        if (iy < 0 || iy >= p->h || ix < 0 || ix >= p->w)
                            continue;
                        int q = (int)t->values[n->inputs[0]][(iy * p->w + ix) * p->c + c];
                        best = q > best ? q : best;
                        sum += q - x.zero;
                    }
                t->before[i][at] = (float)sum * multiplier;
                t->values[i][at] = n->op == OP_MAXPOOL ? (float)best : to_code(t->before[i][at], &y, 0);
            }
}

static inline void integers_concat(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i];
    struct map y = map_of(t->model, i);
    size_t at = 0;
    for (int p = 0; p < n->h * n->w; p++)
        for (int k = 0; k < n->input_count; k++) {
            struct map x = map_of(t->model, n->inputs[k]);
            int channels = t->model->graph.nodes[n->inputs[k]].c;
            for (int c = 0; c < channels; c++, at++) {
                float real = (t->values[n->inputs[k]][p * channels + c] - (float)x.zero) * x.scale;
                t->before[i][at] = real / y.scale;
                t->values[i][at] = to_code(t->before[i][at], &y, 0);
            }
        }
}

static inline void integers_flatten(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i], *x = &t->model->graph.nodes[n->inputs[0]];
    int pixels = x->h * x->w;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < x->c; c++)
            t->values[i][c * pixels + p] = t->values[n->inputs[0]][p * x->c + c];
}

static inline void integers_add(struct integers *t, int i)
{
    const struct node *n = &t->model->graph.nodes[i];
    struct map y = map_of(t->model, i), a = map_of(t->model, n->inputs[0]), b = map_of(t->model, n->inputs[1]);
    float scale_a = a.scale / y.scale, scale_b = b.scale / y.scale;
    float offset = (float)y.zero - fmaf(scale_a, (float)a.zero, scale_b * (float)b.zero);
    for (size_t k = 0; k < node_count(n); k++) {
        float one = (t->values[n->inputs[0]][k] - (float)a.zero) * scale_a;
        float two = (t->values[n->inputs[1]][k] - (float)b.zero) * scale_b;
        float v = fmaf(t->values[n->inputs[0]][k], scale_a, fmaf(t->values[n->inputs[1]][k], scale_b, offset));
        v = n->is_separate ? v - (float)y.zero : one + two;
        t->before[i][k] = v;
        t->values[i][k] = to_code(v, &y, 0);
    }
}

static inline void integers_simple(struct integers *t, int i)
{
    const struct graph *g = &t->model->graph;
    const struct node *n = &g->nodes[i];
    const float *a = t->values[n->inputs[0]], *b = n->input_count > 1 ? t->values[n->inputs[1]] : NULL;
    struct map y = {0}, x = {0};
    if (n->type == NODE_U8)
        y = map_of(t->model, i);
    if (n->op == OP_DEQUANTIZE)
        x = map_of(t->model, n->inputs[0]);
    for (size_t k = 0; k < node_count(n); k++) {
        float *to = &t->values[i][k];
        int c = (int)(k % (size_t)n->c);
        if (n->op == OP_NORMALIZE)
            *to = (a[k] / 255.0f - n->mean[c]) / n->std[c];
        else if (n->op == OP_QUANTIZE)
            *to = to_code(a[k] / y.scale, &y, 0);
        else if (n->op == OP_DEQUANTIZE)
            *to = (a[k] - (float)x.zero) * x.scale;
        else if (n->op == OP_RELU)
            *to = fmaxf(a[k], n->type == NODE_U8 ? (float)y.zero : 0);
        else if (n->op == OP_CLIP)
            *to = code_clipped(n, a[k], &y);
        else
            *to = a[k] + b[k];
    }
}

/* One image; returns the logits. Float convolutions are not for this interpreter. */
static inline const float *integers_run(struct integers *t, const uint8_t *image)
{
    const struct graph *g = &t->model->graph;
    for (size_t k = 0; k < node_count(&g->nodes[0]); k++)
        t->values[0][k] = image[k];
    for (int i = 1; i < g->count; i++) {
        enum graph_op op = g->nodes[i].op;
        if (op == OP_CONV2D || op == OP_LINEAR)
            integers_conv(t, i);
        else if (op == OP_MAXPOOL || (op == OP_AVGPOOL && g->nodes[i].kernel > 0))
            integers_window(t, i);
        else if (op == OP_AVGPOOL)
            integers_pool(t, i);
        else if (op == OP_CONCAT)
            integers_concat(t, i);
        else if (op == OP_FLATTEN)
            integers_flatten(t, i);
        else if (op == OP_ADD && g->nodes[i].type == NODE_U8)
            integers_add(t, i);
        else
            integers_simple(t, i);
    }
    return t->values[g->count - 1];
}

#define NET_INTEGER                                           \
    "x = input u8[9,8,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "q = quantize norm\n"                                     \
    "c1 = conv2d q out=7 kernel=3 pad=1 bias\n"               \
    "c2 = conv2d c1 out=6 kernel=3 stride=2 pad=1 bias\n"     \
    "d = conv2d c1 out=6 kernel=1 stride=2 bias\n"            \
    "c3 = conv2d c2 out=6 kernel=5 pad=2 bias add=d\n"        \
    "c4 = conv2d c3 out=19 kernel=3 pad=1\n"                  \
    "c5 = conv2d c4 out=19 kernel=3 pad=1 bias add=c4 relu\n" \
    "c6 = conv2d c5 out=6 kernel=3 pad=1\n"                   \
    "r6 = relu c6\n"                                          \
    "pool = avgpool r6\n"                                     \
    "fc = linear pool out=5 bias\n"

#define NET_MIXED                                               \
    "x = input u8[9,8,3]\n"                                     \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"   \
    "q = quantize norm\n"                                       \
    "c1 = conv2d q out=7 kernel=3 pad=1 bias\n"                 \
    "f1 = dequantize c1\n"                                      \
    "r1 = relu f1\n"                                            \
    "a1 = add r1 f1\n"                                          \
    "q1 = quantize a1\n"                                        \
    "d = conv2d q out=6 kernel=1 stride=2\n"                    \
    "c2 = conv2d q1 out=6 kernel=3 stride=2 pad=1 bias add=d\n" \
    "pool = avgpool c2\n"                                       \
    "fc = linear pool out=5\n"

/* Groups, clips in a convolution and alone, windows with borders and without, concats,
 * sums and linear layers of codes. */
#define NET_INTEGER_OPS                                                      \
    "x = input u8[9,8,3]\n"                                                  \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"                \
    "q = quantize norm\n"                                                    \
    "m0 = maxpool q kernel=3 stride=1 pad=1\n"                               \
    "c1 = conv2d m0 out=6 kernel=3 pad=1 bias clip=-1.5,1\n"                 \
    "o1 = concat c1\n"                                                       \
    "c2 = conv2d o1 out=6 kernel=3 pad=1 groups=6 bias\n"                    \
    "v2 = clip c2 low=-1 high=0.75\n"                                        \
    "c3 = conv2d v2 out=12 kernel=3 pad=1 groups=2 bias relu clip=0.125,2\n" \
    "s3 = add c3 c3\n"                                                       \
    "m3 = maxpool s3 kernel=3 stride=2 pad=1\n"                              \
    "a3 = avgpool c3 kernel=2 pad=1\n"                                       \
    "d3 = conv2d c3 out=4 kernel=3 stride=2 pad=1\n"                         \
    "k3 = concat m3 d3 m3\n"                                                 \
    "c4 = conv2d k3 out=28 kernel=3 pad=1 groups=28 bias add=k3 relu\n"      \
    "k4 = concat c4 m3\n"                                                    \
    "m4 = maxpool k4 kernel=2\n"                                             \
    "q4 = avgpool a3 kernel=3 stride=2 pad=1\n"                              \
    "f4 = flatten m4\n"                                                      \
    "p4 = avgpool q4\n"                                                      \
    "l4 = linear f4 out=12 bias requantize relu\n"                           \
    "s4 = add l4 p4\n"                                                       \
    "r4 = relu s4\n"                                                         \
    "z4 = add r4 l4 separate\n"                                              \
    "k5 = concat r4 p4 z4\n"                                                 \
    "l5 = linear k5 out=9 bias requantize clip=-2,2\n"                       \
    "fc = linear l5 out=5 bias\n"

#endif
