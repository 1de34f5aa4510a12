/* Quantized training. Forward: the bits of the integer arithmetic of integers.h on the quantized weights. Backward:
 * central differences of a surrogate in double that is straight-through by construction: around the integer pass, a
 * node's value is y0 + mask * (S - S0) + slope * (scale - scale0),   S its real sum before rounding, with mask and
 * slope from the published formulas. */
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
static int lowered(int node)
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
static void choose_maps(struct bench *b)
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

static void put(struct model *model, int node, const char *suffix, const void *value)
{
    struct tensor *t = model_tensor(model, node, suffix);
    memcpy(t->data, value, t->bytes);
}

/* The integer model of the fused one under b's maps. */
static void lower_by_hand(struct bench *b, const struct affine *maps)
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

/* The same with other scales of its weights. */
static void relower_weights(struct bench *b, const struct weight_codes *codes)
{
    for (int i = 0; i < b->fused.graph.count; i++) {
        const struct node *n = &b->fused.graph.nodes[i];
        const struct tensor *w = model_tensor(&b->fused, i, "weight");
        int to = lowered(i);
        if (w)
            layer_quantize(
                w->data, model_tensor(&b->fused, i, "bias")->data, n->out, (int)(w->count / (size_t)n->out),
                &codes[i], b->maps[n->inputs[0]].scale, model_tensor(&b->integer, to, "weight")->data,
                model_tensor(&b->integer, to, "weight_scale")->data, model_tensor(&b->integer, to, "bias")->data);
    }
}

static void bench_open(struct bench *b, uint64_t seed, int bits, int per_tensor, enum range_mode ranges)
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

static void bench_close(struct bench *b)
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
static void anchor(struct surrogate *s, const struct bench *b)
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
static void dequantize_parameters(struct surrogate *s, const struct bench *b)
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
static double surrogate_loss(struct surrogate *s, const struct bench *b, int first)
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

static void surrogate_open(struct surrogate *s, const struct bench *b)
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

static void surrogate_close(struct surrogate *s)
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

static double difference(struct surrogate *s, const struct bench *b, double *parameter)
{
    double keep = *parameter, step = 1e-5;
    *parameter = keep + step;
    double up = surrogate_loss(s, b, 0);
    *parameter = keep - step;
    double down = surrogate_loss(s, b, 0);
    *parameter = keep;
    return (up - down) / (2 * step);
}

/* ---- tests ---- */

static void expect_integer_logits(const struct bench *b, const float *logits)
{
    struct integers t;
    integers_open(&t, &b->integer);
    for (int i = 0; i < IMAGES; i++) {
        const float *want = integers_run(&t, b->images + (size_t)i * node_count(&b->fused.graph.nodes[0]));
        assert_memory_equal(logits + i * CLASSES, want, CLASSES * sizeof *want);
    }
    integers_close(&t);
}

static void compare_slice(struct surrogate *s, const struct bench *b, const struct slice *slice,
                          const float *gradients)
{
    double norm = 0;
    const float *got = gradients + slice->offset;
    for (size_t k = 0; k < slice->count; k++)
        norm = fmax(norm, fabs((double)got[k]));
    if (slice->role != SLICE_SCALE) /* a learned scale may have next to none */
        assert_true(norm > 1e-3);
    for (size_t k = 0; k < slice->count; k += slice->count / 10 + 1) {
        double want;
        if (slice->role == SLICE_SCALE) {
            char name[NODE_NAME_SIZE];
            snprintf(name, sizeof name, "%.*s", (int)(strlen(slice->name) - strlen(".scale")), slice->name);
            int i = graph_find(&b->fused.graph, name);
            double levels = b->maps[i].qmax - b->maps[i].qmin;
            want = difference(s, b, &s->scale[i]) / sqrt((double)node_count(&b->fused.graph.nodes[i]) * levels);
        } else {
            const struct tensor *t = record_find(s->linear.record, slice->name);
            want = difference(s, b, &s->net.tensors[t - s->linear.record->tensors][k]);
        }
        if (!(fabs((double)got[k] - want) <= 2e-5 * norm + 2e-5 * fabs(want) + 1e-6))
            fail_msg("%s[%zu]: gradient %g, want %g", slice->name, k, (double)got[k], want);
    }
}

/* ---- scales of weights ---- */

/* The surrogate of a layer's weights: w^(s) = s * (q0 + (v(s) - v0)) where the code is one, s * q0 where it is clamped, v(s) = w / s:
 * rounded as it is now, whatever s becomes. Output c, or all of them, at scale s + step. */
static void move_scale(struct surrogate *s, const struct bench *b, int node, int c, double step)
{
    const struct tensor *w = model_tensor(&b->fused, node, "weight");
    const struct weight_codes *how = &b->options.weights[node];
    size_t row = w->count / (size_t)w->shape[0];
    int qmax = weight_qmax(how->bits);
    for (size_t k = 0; k < w->count; k++) {
        if (!how->per_tensor && k / row != (size_t)c)
            continue;
        double scale = (double)how->scale[k / row], value = (double)((const float *)w->data)[k], v = value / scale;
        double code = fmin(fmax(rint(v), -qmax), qmax);
        double moved = rint(v) == code ? code + value / (scale + step) - v : code;
        net_tensor(&s->net, node, "weight")[k] = (scale + step) * moved;
    }
}

static double scale_difference(struct surrogate *s, const struct bench *b, int node, int c)
{
    double step = 1e-6;
    move_scale(s, b, node, c, step);
    double up = surrogate_loss(s, b, 0);
    move_scale(s, b, node, c, -step);
    double down = surrogate_loss(s, b, 0);
    move_scale(s, b, node, c, 0);
    return (up - down) / (2 * step);
}

/* Every scale of every layer; and the gradients by weights, 0 where they are beyond their codes. */
static void compare_weight_scales(uint64_t seed, int bits, int per_tensor, const char *isa)
{
    struct message m;
    struct bench b;
    struct surrogate s;
    struct gradient *g;
    struct weight_codes codes[MAX_NODES] = {{0}};
    float scales[MAX_NODES][16], logits[IMAGES * CLASSES];
    bench_open(&b, seed, bits, per_tensor, RANGE_LEARNED);
    b.options.isa = isa;
    b.options.learn_weight_scales = 1;
    b.options.weights = codes;
    for (int i = 0; i < b.fused.graph.count; i++) {
        const struct tensor *w = model_tensor(&b.fused, i, "weight");
        float *own = w ? model_tensor(&b.integer, lowered(i), "weight_scale")->data : NULL;
        for (int c = 0; w && c < w->shape[0]; c++)
            scales[i][c] = own[c] *= 0.6f; /* so that some are beyond */
        codes[i] = (struct weight_codes){.bits = bits, .per_tensor = per_tensor, .scale = w ? scales[i] : NULL};
    }
    relower_weights(&b, codes);
    ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits);
    ASSERT_OK(gradient_backward(g, b.dlogits, &m), m);
    surrogate_open(&s, &b);
    const struct slice *slices;
    int count = gradient_slices(g, &slices), seen = 0, stopped = 0;
    for (int i = 0; i < count; i++) {
        const float *got = gradient_gradients(g) + slices[i].offset;
        char name[NODE_NAME_SIZE];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(slices[i].name, "."), slices[i].name);
        int node = graph_find(&b.fused.graph, name);
        const struct tensor *w = model_tensor(&b.fused, node, "weight");
        if (strstr(slices[i].name, ".weight") == NULL)
            continue;
        size_t row = w->count / (size_t)w->shape[0];
        if (slices[i].role == SLICE_WEIGHT) {
            for (size_t k = 0; k < w->count; k++) {
                double v = fabs((double)((const float *)w->data)[k] / (double)scales[node][k / row]);
                stopped += got[k] == 0 && rint(v) > weight_qmax(bits);
                assert_true(rint(v) <= weight_qmax(bits) || got[k] == 0);
            }
            continue;
        }
        assert_int_equal(slices[i].count, per_tensor ? 1 : w->shape[0]);
        double n = (double)row * (per_tensor ? (double)w->shape[0] : 1);
        for (size_t c = 0; c < slices[i].count; c++, seen++) {
            double want = scale_difference(&s, &b, node, (int)c) / sqrt(n * weight_qmax(bits));
            ASSERT_NEAR((double)got[c], want, 2e-4 * fabs(want) + 2e-5);
        }
    }
    assert_int_equal(seen, per_tensor ? 6 : 7 + 6 + 6 + 6 + 6 + 5);
    assert_true(stopped > 20);
    surrogate_close(&s);
    /* Stepped, they are those of the next pass, and of what is asked for. */
    for (int i = 0; i < count; i++)
        for (size_t k = 0; strstr(slices[i].name, ".weight_scale") && k < slices[i].count; k++)
            gradient_parameters(g)[slices[i].offset + k] *= 1.1f;
    struct weight_codes moved[MAX_NODES];
    float moved_scales[MAX_NODES][16];
    memcpy(moved, codes, sizeof moved);
    for (int i = 0; i < b.fused.graph.count; i++) {
        assert_int_equal(gradient_weight_scales(g, NULL, i, moved_scales[i]), codes[i].scale != NULL);
        moved[i].scale = codes[i].scale ? moved_scales[i] : NULL;
    }
    assert_true(moved_scales[2][1] > scales[2][1]);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    relower_weights(&b, moved);
    expect_integer_logits(&b, logits);
    gradient_close(g);
    bench_close(&b);
}

static void test_learned_weight_scales(void **state)
{
    (void)state;
    compare_weight_scales(75, 3, 0, "ref");
    compare_weight_scales(76, 2, 0, NULL);
    compare_weight_scales(77, 4, 1, NULL);
}

static void compare(uint64_t seed, int bits, int per_tensor, enum range_mode ranges, const char *isa)
{
    struct message m;
    struct bench b;
    struct surrogate s;
    struct gradient *g;
    float logits[IMAGES * CLASSES];
    bench_open(&b, seed, bits, per_tensor, ranges);
    b.options.isa = isa;
    int status = gradient_open(&g, &b.fused, &b.options, &m);
    if (status == STATUS_UNSUPPORTED) {
        bench_close(&b);
        return;
    }
    ASSERT_OK(status, m);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits);
    ASSERT_OK(gradient_backward(g, b.dlogits, &m), m);
    surrogate_open(&s, &b);
    assert_true(s.clamped > 50);
    const struct slice *slices;
    int count = gradient_slices(g, &slices), scales = 0;
    for (int i = 0; i < count; i++) {
        compare_slice(&s, &b, &slices[i], gradient_gradients(g));
        scales += slices[i].role == SLICE_SCALE;
    }
    assert_int_equal(scales, ranges == RANGE_LEARNED ? 6 : 0);
    assert_int_equal(count, 12 + scales);
    surrogate_close(&s);
    gradient_close(g);
    bench_close(&b);
}

static void test_straight_through(void **state)
{
    (void)state;
    compare(61, 8, 0, RANGE_FIXED, "ref");
    compare(62, 8, 0, RANGE_FIXED, "blas");
    compare(63, 8, 0, RANGE_FIXED, "avx2");
    compare(64, 4, 1, RANGE_FIXED, NULL);
}

static void test_learned_scales(void **state)
{
    (void)state;
    compare(71, 8, 0, RANGE_LEARNED, "ref");
    compare(72, 5, 1, RANGE_LEARNED, NULL);
}

/* A stepped scale is the map of the next pass, of gradient_activations and of the integer model; never zero or
 * negative. */
static void test_learned_scales_are_used(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    struct gradient *g;
    struct affine maps[MAX_NODES];
    float logits[IMAGES * CLASSES];
    bench_open(&b, 73, 8, 0, RANGE_LEARNED);
    ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] *= 1.25f;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    assert_true(maps[3].scale == b.maps[3].scale * 1.25f && maps[2].scale == b.maps[2].scale);
    assert_true(maps[0].scale == 0 && maps[b.fused.graph.count - 1].scale == 0);
    lower_by_hand(&b, maps);
    expect_integer_logits(&b, logits);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] = -1;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    assert_true(maps[3].scale == ZERO_SCALE);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] = NAN;
    assert_int_equal(gradient_forward(g, b.images, IMAGES, logits, &m), STATUS_RANGE);
    assert_string_equal(m.text, "c2.scale: the learned scale is not finite");
    gradient_close(g);
    bench_close(&b);
}

/* A moving range follows the values before rounding, by the averaging constant. */
static void test_moving_ranges(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    struct gradient *g;
    struct integers t;
    struct affine maps[MAX_NODES];
    float logits[IMAGES * CLASSES];
    bench_open(&b, 81, 8, 0, RANGE_AVERAGE);
    b.options.range_averaging = 0.25;
    ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    for (int i = 1; i < b.fused.graph.count - 1; i++) { /* begins where it was calibrated */
        ASSERT_NEAR((double)maps[i].scale, (double)b.maps[i].scale, 1e-6 * (double)b.maps[i].scale);
        assert_int_equal(maps[i].zero_point, b.maps[i].zero_point);
    }
    lower_by_hand(&b, maps);
    int c4 = graph_find(&b.fused.graph, "c4");
    struct map y = map_of(&b.integer, lowered(c4));
    double low = 0, high = 0;
    integers_open(&t, &b.integer);
    for (int i = 0; i < IMAGES; i++) {
        integers_run(&t, b.images + (size_t)i * node_count(&b.fused.graph.nodes[0]));
        for (size_t k = 0; k < node_count(&b.fused.graph.nodes[c4]); k++) {
            low = fmin(low, (double)(t.before[lowered(c4)][k] * y.scale));
            high = fmax(high, (double)(t.before[lowered(c4)][k] * y.scale));
        }
    }
    const struct slice *slices;
    int count = gradient_state_slices(g, &slices), at = -1;
    assert_int_equal(count, 12);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c4.low") == 0)
            at = i;
    assert_true(at >= 0 && strcmp(slices[at + 1].name, "c4.high") == 0);
    float *state_low = &gradient_state(g)[slices[at].offset],
          *state_high = &gradient_state(g)[slices[at + 1].offset];
    double before_low = (double)*state_low, before_high = (double)*state_high;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits); /* with the ranges as they were */
    ASSERT_NEAR((double)*state_low, before_low + 0.25 * (low - before_low), 1e-5);
    ASSERT_NEAR((double)*state_high, before_high + 0.25 * (high - before_high), 1e-5);
    assert_true((double)*state_low < before_low);
    assert_true((double)*state_high > before_high);
    for (int i = 0; i < count; i++) /* behind a relu no range reaches below zero */
        if (strcmp(slices[i].name, "c2.low") == 0)
            assert_true(gradient_state(g)[slices[i].offset] == 0);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    struct affine want;
    ASSERT_OK(affine_from_range((double)*state_low, (double)*state_high, 8, &want, &m), m);
    assert_memory_equal(&maps[c4].scale, &want.scale, sizeof want.scale);
    assert_int_equal(maps[c4].zero_point, want.zero_point);
    lower_by_hand(&b, maps);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits); /* the next pass uses the moved ranges */
    *state_high = INFINITY;
    assert_int_equal(gradient_forward(g, b.images, IMAGES, logits, &m), STATUS_RANGE);
    integers_close(&t);
    gradient_close(g);
    bench_close(&b);
}

static void test_same_bits_for_any_threads(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    float logits[IMAGES * CLASSES], *want = NULL;
    bench_open(&b, 91, 8, 0, RANGE_LEARNED);
    for (int threads = 1; threads <= 3; threads++) {
        struct gradient *g;
        b.options.threads = threads;
        ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
        size_t bytes = gradient_parameter_count(g) * sizeof(float);
        for (int step = 0; step < 2; step++) {
            ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
            ASSERT_OK(gradient_backward(g, b.dlogits, &m), m);
        }
        if (threads == 1)
            want = memcpy(malloc(bytes), gradient_gradients(g), bytes);
        assert_memory_equal(gradient_gradients(g), want, bytes);
        gradient_close(g);
    }
    free(want);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight_through),          cmocka_unit_test(test_learned_scales),
        cmocka_unit_test(test_learned_scales_are_used),   cmocka_unit_test(test_moving_ranges),
        cmocka_unit_test(test_same_bits_for_any_threads), cmocka_unit_test(test_learned_weight_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
