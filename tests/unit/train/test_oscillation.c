/* Weights that jump between two codes are frozen, others are not: against the rule in
 * oscillation.h, step by step in double. */
#include "common.h"
#include "exec/train/gradient.h"
#include "graph/convert.h"
#include "train/oscillation.h"
#include <math.h>

enum { WEIGHTS = 4 * 3 * 9, STEPS = 400, PER = 27, BITS = 3 };

static const char network[] = "x = input u8[8,8,3]\n"
                              "n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                              "c = conv2d n out=4 kernel=3 pad=1 bias relu\n"
                              "p = avgpool c\n"
                              "f = linear p out=5 bias\n";

struct net {
    struct model model;
    struct affine maps[5];
    struct weight_codes codes[5];
    float scale[2][5];
    struct gradient *gradient;
    float *weight;       /* c's */
    const float *scales; /* c's, learned */
};

static void net_open(struct net *n, int learned)
{
    struct graph g = {0};
    *n = (struct net){.gradient = NULL};
    ASSERT_OK(graph_parse(&g, network, &m));
    ASSERT_OK(model_initialise(&n->model, &g, 4, &m));
    for (int i = 0; i < 5; i++) {
        n->maps[i] = (struct affine){0.03f, 0, 0, 255};
        n->scale[0][i] = n->scale[1][i] = 0.125f;
        n->codes[i] = (struct weight_codes){.bits = i == 2 ? BITS : 8, .scale = i == 2 ? n->scale[0] : n->scale[1]};
    }
    n->maps[1].zero_point = 128;
    const struct gradient_options o = {.threads = 1,
                                       .batch = 4,
                                       .quantized = 1,
                                       .activations = n->maps,
                                       .weight_bits = BITS,
                                       .activation_bits = 8,
                                       .weights = n->codes,
                                       .learn_weight_scales = learned};
    struct gradient_weights w;
    ASSERT_OK(gradient_open(&n->gradient, &n->model, &o, &m));
    for (int i = 0; i < gradient_layer_count(n->gradient); i++)
        if (gradient_weights_at(n->gradient, i, &w) && w.bits == BITS) {
            assert_string_equal(w.name, "c");
            assert_int_equal(w.outputs * w.per_output, WEIGHTS);
            n->weight = w.weight;
            n->scales = w.scale;
        }
    assert_non_null(n->weight);
}

static void net_close(struct net *n)
{
    gradient_close(n->gradient);
    model_free(&n->model);
}

/* In units of a code, after step t: what moves to and fro every k steps, what climbs once, what stands. */
static float course(int weight, int t)
{
    switch (weight % 4) {
    case 0:
        return 1.5f + (t / (1 + weight / 4 * (weight / 4) / 4) % 2 ? 0.2f : -0.2f);
    case 1:
        return -3.2f + (float)t / 80;
    case 2:
        return t % 2 ? 0.2f : -0.3f; /* within a code */
    default:
        return (float)(weight % 7) - 3;
    }
}

struct by_hand {
    double frequency, mean;
    int code, direction, frozen;
};

static void follow(struct by_hand *h, double v, double threshold)
{
    int code = (int)fmin(fmax(nearbyint(v), -3), 3);
    if (h->frozen)
        return;
    int direction = (code > h->code) - (code < h->code);
    int turned = direction && h->direction && direction != h->direction;
    h->frequency = 0.01 * turned + 0.99 * h->frequency;
    h->mean = 0.01 * code + 0.99 * h->mean;
    h->direction = direction ? direction : h->direction;
    h->code = code;
    if (h->frequency > threshold) {
        h->frozen = 1;
        h->code = (int)nearbyint(h->mean);
    }
}

static void test_follows_the_rule(void **state)
{
    (void)state;
    struct net n;
    struct oscillation o;
    struct by_hand want[WEIGHTS] = {{0}};
    const struct oscillation_options options = {0.015, STEPS};
    net_open(&n, 1);
    for (int k = 0; k < WEIGHTS; k++) {
        n.weight[k] = course(k, 0) * n.scales[k / PER];
        want[k].code = (int)fmin(fmax(nearbyint((double)course(k, 0)), -3), 3);
        want[k].mean = want[k].code;
    }
    ASSERT_OK(oscillation_open(&o, n.gradient, &options, &m));
    assert_int_equal(o.count, WEIGHTS);
    ASSERT_NEAR(oscillation_threshold(&options, 0), 0.1, 1e-12);
    ASSERT_NEAR(oscillation_threshold(&options, STEPS / 2), 0.0575, 1e-12);
    ASSERT_NEAR(oscillation_threshold(&options, STEPS), 0.015, 1e-12);
    int frozen = 0, kinds[4] = {0};
    for (int t = 1; t <= STEPS; t++) {
        for (int k = 0; k < WEIGHTS; k++) {
            n.weight[k] = course(k, t) * n.scales[k / PER];
            follow(&want[k], (double)course(k, t), oscillation_threshold(&options, t));
        }
        oscillation_update(&o, t);
        for (int k = 0; k < WEIGHTS; k++) {
            assert_int_equal(o.code[k], want[k].code);
            assert_int_equal(o.direction[k] == OSCILLATION_FROZEN, want[k].frozen);
            assert_true(n.weight[k] == (want[k].frozen ? (float)want[k].code : course(k, t)) * n.scales[k / PER]);
        }
    }
    for (int k = 0; k < WEIGHTS; k++) {
        frozen += want[k].frozen;
        kinds[k % 4] += want[k].frozen;
    }
    assert_int_equal(oscillation_frozen(&o), frozen);
    assert_true(kinds[0] > 3 && kinds[0] < WEIGHTS / 4); /* those that turn seldom go on */
    assert_true(kinds[1] == 0 && kinds[2] == 0 && kinds[3] == 0);
    oscillation_close(&o);
    net_close(&n);
}

/* What a checkpoint holds goes on as if nothing had been. */
static void test_checkpoint(void **state)
{
    (void)state;
    struct net n;
    struct oscillation o, other;
    const struct oscillation_options options = {0.015, STEPS};
    net_open(&n, 0);
    ASSERT_OK(oscillation_open(&o, n.gradient, &options, &m));
    for (int t = 1; t <= STEPS; t++) {
        for (int k = 0; k < WEIGHTS; k++)
            n.weight[k] = course(k, t) * n.scales[k / PER];
        oscillation_update(&o, t);
        if (t != STEPS / 2)
            continue;
        struct record *r = record_new(&m), *copy;
        ASSERT_OK(oscillation_add(r, &o, &m));
        assert_int_equal(r->tensor_count, 4);
        copy = record_copy(r, &m);
        ASSERT_OK(oscillation_open(&other, n.gradient, &options, &m));
        ASSERT_OK(oscillation_take(copy, &other, &m));
        assert_true(oscillation_frozen(&other) == oscillation_frozen(&o) && oscillation_frozen(&o) > 0);
        oscillation_close(&o);
        o = other;
        record_free(r);
        record_free(copy);
    }
    assert_true(oscillation_frozen(&o) > 3);
    oscillation_close(&o);
    net_close(&n);
}

static void test_off_and_refused(void **state)
{
    (void)state;
    struct net n;
    struct oscillation o;
    net_open(&n, 0);
    ASSERT_OK(oscillation_open(&o, n.gradient, &(struct oscillation_options){0, STEPS}, &m));
    n.weight[0] = 9;
    oscillation_update(&o, 1);
    assert_true(n.weight[0] == 9 && oscillation_frozen(&o) == 0);
    n.codes[2].scale = NULL;
    ASSERT_FAILS(oscillation_open(&o, n.gradient, &(struct oscillation_options){0.02, STEPS}, &m),
                 STATUS_UNSUPPORTED, "c: its weights' scales are found anew in each step");
    oscillation_close(&o);
    net_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_follows_the_rule), cmocka_unit_test(test_checkpoint),
                                       cmocka_unit_test(test_off_and_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
