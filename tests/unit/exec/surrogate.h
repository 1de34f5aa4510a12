/* surrogate.h: what quantized training is held against.
 * Forward: the bits of the integer arithmetic of integers.h on the quantized weights.
 * Backward: central differences of a surrogate in double that is straight-through by construction. Around the integer
 * pass, a node's value is y0 + mask * (S - S0) + slope * (scale - scale0), S being its real sum before rounding, with
 * mask and slope from the published formulas. */
#ifndef TESTS_UNIT_EXEC_SURROGATE_H
#define TESTS_UNIT_EXEC_SURROGATE_H

#include "exec/train/gradient.h"
#include "integers.h"

enum { IMAGES = 3, CLASSES = 5, MAX_NODES = 16 };

#define NET_LOWERED                                            \
    "x = input u8[9,8,3]\n"                                    \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"  \
    "q = quantize norm\n"                                      \
    "c1 = conv2d q out=7 kernel=3 pad=1 bias relu\n"           \
    "c2 = conv2d c1 out=6 kernel=3 stride=2 pad=1 bias relu\n" \
    "d = conv2d c1 out=6 kernel=1 stride=2 bias\n"             \
    "c3 = conv2d c2 out=6 kernel=5 pad=2 bias relu add=d\n"    \
    "c4 = conv2d c3 out=6 kernel=3 pad=1 bias add=c3\n"        \
    "pool = avgpool c4\n"                                      \
    "fc = linear pool out=5 bias\n"

/* NET_FUSED's node as it stands in NET_LOWERED, which has one node more. */
static inline int lowered(int node)
{
    return node + (node > 0);
}

struct bench {
    struct model fused, integer;
    struct affine maps[MAX_NODES];
    struct gradient_options options;
    uint8_t *images;
    float dlogits[IMAGES * CLASSES];
};

/* Maps that clip: 0.6 of what a float pass shows, with zero points in the middle where there is no relu. */
static inline void choose_maps(struct bench *b)
{
    struct message m;
    struct net net;
    net_open(&net, &b->fused, IMAGES, 0);
    net_run(&net, b->images);
    for (int i = 1; i < b->fused.graph.count - 1; i++) {
        double low = 0, high = 0;
        for (size_t k = 0; k < IMAGES * node_count(&b->fused.graph.nodes[i]); k++) {
            low = fmin(low, net.values[i][k]);
            high = fmax(high, net.values[i][k]);
        }
        ASSERT_OK(affine_from_range(0.6 * low, 0.6 * high, b->options.activation_bits, &b->maps[i], &m), m);
    }
    /* a relu behind a zero point above its smallest code */
    b->maps[2].zero_point = 3;
    net_close(&net);
}

static inline void put(struct model *model, int node, const char *suffix, const void *value)
{
    struct tensor *t = model_tensor(model, node, suffix);
    memcpy(t->data, value, t->bytes);
}

/* The integer model of the fused one under b's maps. */
static inline void lower_by_hand(struct bench *b, const struct affine *maps)
{
    for (int i = 1; i < b->fused.graph.count; i++) {
        const struct node *n = &b->fused.graph.nodes[i];
        int to = lowered(i);
        if (i < b->fused.graph.count - 1) {
            const uint8_t range[2] = {maps[i].qmin, maps[i].qmax};
            put(&b->integer, to, "scale", &maps[i].scale);
            put(&b->integer, to, "zero_point", &maps[i].zero_point);
            put(&b->integer, to, "range", range);
        }
        if (n->op != OP_CONV2D && n->op != OP_LINEAR)
            continue;
        const struct tensor *w = model_tensor(&b->fused, i, "weight");
        const struct weight_codes how = {.bits = b->options.weight_bits, .per_tensor = b->options.per_tensor};
        layer_quantize(w->data, model_tensor(&b->fused, i, "bias")->data, n->out, (int)(w->count / (size_t)n->out),
                       &how, maps[n->inputs[0]].scale, model_tensor(&b->integer, to, "weight")->data,
                       model_tensor(&b->integer, to, "weight_scale")->data,
                       model_tensor(&b->integer, to, "bias")->data);
    }
}

static inline void bench_open(struct bench *b, uint64_t seed, int bits, int per_tensor, enum range_mode ranges)
{
    struct random_stream r = random_open(9, RANDOM_TEST, 1, 1);
    memset(b, 0, sizeof *b);
    random_model(&b->fused, NET_FUSED, seed);
    random_model(&b->integer, NET_LOWERED, seed);
    b->images = random_images(&b->fused, IMAGES, seed);
    b->options = (struct gradient_options){.threads = 2,
                                           .batch = 4,
                                           .quantized = 1,
                                           .activations = b->maps,
                                           .weight_bits = bits,
                                           .activation_bits = bits,
                                           .per_tensor = per_tensor,
                                           .ranges = ranges};
    choose_maps(b);
    lower_by_hand(b, b->maps);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        b->dlogits[i] = (float)random_normal(&r);
}

static inline void bench_close(struct bench *b)
{
    free(b->images);
    model_free(&b->fused);
    model_free(&b->integer);
}

/* ---- the surrogate ---- */

struct surrogate {
    struct net net; /* of the fused model without relus: masks hold them */
    struct model linear;
    double *y0[MAX_NODES], *s0[MAX_NODES], *mask[MAX_NODES], *slope[MAX_NODES];
    double scale[MAX_NODES], scale0[MAX_NODES];
    int clamped; /* values outside the codes */
};

/* y0, mask and slope of every value, from the integer pass. */
static inline void anchor(struct surrogate *s, const struct bench *b)
{
    struct integers t;
    int nodes = b->fused.graph.count;
    integers_open(&t, &b->integer);
    for (int image = 0; image < IMAGES; image++) {
        integers_run(&t, b->images + (size_t)image * node_count(&b->fused.graph.nodes[0]));
        for (int i = 1; i < nodes - 1; i++) {
            struct map y = map_of(&b->integer, lowered(i));
            int low = b->fused.graph.nodes[i].has_relu && y.zero > y.low ? y.zero : y.low;
            size_t count = node_count(&b->fused.graph.nodes[i]);
            for (size_t k = 0; k < count; k++) {
                size_t at = (size_t)image * count + k;
                double v = (double)t.before[lowered(i)][k], code = (double)t.values[lowered(i)][k];
                double rounded = rint(v) + y.zero;
                int inside = rounded >= low && rounded <= y.high;
                s->y0[i][at] = (code - y.zero) * (double)y.scale;
                s->mask[i][at] = inside;
                s->slope[i][at] = inside ? rint(v) - v : code - y.zero;
                s->clamped += i > 1 && !inside;
            }
        }
    }
    integers_close(&t);
}

/* Float graph with parameters replaced by what the codes stand for. */
static inline void dequantize_parameters(struct surrogate *s, const struct bench *b)
{
    for (int i = 2; i < b->fused.graph.count; i++) {
        const struct tensor *w = model_tensor(&b->integer, lowered(i), "weight");
        if (!w)
            continue;
        const float *scale = model_tensor(&b->integer, lowered(i), "weight_scale")->data;
        size_t row = w->count / (size_t)w->shape[0];
        for (size_t k = 0; k < w->count; k++)
            net_tensor(&s->net, i, "weight")[k] = (double)scale[k / row] * ((const int8_t *)w->data)[k];
    }
}

/* first: takes S as S0 instead of using it. */
static inline double surrogate_loss(struct surrogate *s, const struct bench *b, int first)
{
    struct net *net = &s->net;
    int last = b->fused.graph.count - 1;
    for (int i = 1; i <= last; i++) {
        size_t count = IMAGES * node_count(&b->fused.graph.nodes[i]);
        if (b->fused.graph.nodes[i].op == OP_AVGPOOL)
            net_pool(net, i);
        else if (i > 1)
            net_conv(net, i);
        if (i == last)
            break;
        if (first)
            memcpy(s->s0[i], net->values[i], count * sizeof(double));
        for (size_t k = 0; k < count; k++)
            net->values[i][k] = s->y0[i][k] + (i == 1 ? 0
                                                      : s->mask[i][k] * (net->values[i][k] - s->s0[i][k]) +
                                                            s->slope[i][k] * (s->scale[i] - s->scale0[i]));
    }
    double sum = 0;
    for (int k = 0; k < IMAGES * CLASSES; k++)
        sum += net->values[last][k] * (double)b->dlogits[k];
    return sum;
}

static inline void surrogate_open(struct surrogate *s, const struct bench *b)
{
    struct message m;
    memset(s, 0, sizeof *s);
    ASSERT_OK(model_copy(&s->linear, &b->fused, &m), m);
    for (int i = 0; i < s->linear.graph.count; i++) {
        size_t count = IMAGES * node_count(&s->linear.graph.nodes[i]);
        double **rows[] = {&s->y0[i], &s->s0[i], &s->mask[i], &s->slope[i]};
        for (int k = 0; k < 4; k++)
            *rows[k] = calloc(count, sizeof(double));
        s->linear.graph.nodes[i].has_relu = 0;
        if (i > 0 && i < s->linear.graph.count - 1)
            s->scale[i] = s->scale0[i] = (double)map_of(&b->integer, lowered(i)).scale;
    }
    net_open(&s->net, &s->linear, IMAGES, 0);
    anchor(s, b);
    dequantize_parameters(s, b);
    surrogate_loss(s, b, 1);
}

static inline void surrogate_close(struct surrogate *s)
{
    net_close(&s->net);
    for (int i = 0; i < s->linear.graph.count; i++) {
        free(s->y0[i]);
        free(s->s0[i]);
        free(s->mask[i]);
        free(s->slope[i]);
    }
    model_free(&s->linear);
}

/* Of the loss by one of the surrogate's parameters. */
static inline double difference(struct surrogate *s, const struct bench *b, double *parameter)
{
    double keep = *parameter, step = 1e-5;
    *parameter = keep + step;
    double up = surrogate_loss(s, b, 0);
    *parameter = keep - step;
    double down = surrogate_loss(s, b, 0);
    *parameter = keep;
    return (up - down) / (2 * step);
}

/* Of the images: the integer model's, to the bit. */
static inline void expect_integer_logits(const struct bench *b, const float *logits)
{
    struct integers t;
    integers_open(&t, &b->integer);
    for (int i = 0; i < IMAGES; i++) {
        const float *want = integers_run(&t, b->images + (size_t)i * node_count(&b->fused.graph.nodes[0]));
        assert_memory_equal(logits + i * CLASSES, want, CLASSES * sizeof *want);
    }
    integers_close(&t);
}

#endif
