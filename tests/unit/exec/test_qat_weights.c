/* Quantized training that learns the scales of its weights: see surrogate.h. */
#include "surrogate.h"

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

/* The surrogate of a layer's weights: w^(s) = s * (q0 + (v(s) - v0)) where the code is one, s * q0 where it is
 * clamped, v(s) = w / s: rounded as it is now, whatever s becomes. Output c, or all of them, at scale s + step. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learned_weight_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
