/* Which algorithm a convolution takes, what proves Winograd and pairs exact, and that none changes a bit. */
#include "integers.h"
#include "exec/plan/bounds.h"
#include "exec/plan/cost.h"
#include <stdlib.h>

enum { IMAGES = 19, CLASSES = 5 };

static const char *const isas[] = {"ref",        "blas", "avx2", "avx2vnni", "avx512",
                                   "avx512vnni", "amx",  "neon", "neondot",  "neoni8mm"};
enum { ISAS = sizeof isas / sizeof *isas };

#define HEAD                                                  \
    "x = input u8[6,17,3]\n"                                  \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "q = quantize norm\n"

/* Whole blocks of 64 channels, maps of every kind of size, no relu: zero points are not 0. */
#define NET_WIDE                                              \
    HEAD "c0 = conv2d q out=64 kernel=3 pad=1 bias\n"         \
         "c1 = conv2d c0 out=64 kernel=3 pad=1 bias\n"        \
         "c2 = conv2d c1 out=64 kernel=3 pad=1 add=c0\n"      \
         "e = conv2d c2 out=64 kernel=3 pad=1 bias\n"         \
         "f = conv2d e out=64 kernel=3 pad=1 bias\n"          \
         "d = conv2d f out=128 kernel=1 stride=2 bias\n"      \
         "c3 = conv2d f out=128 kernel=3 stride=2 pad=1\n"    \
         "c4 = conv2d c3 out=128 kernel=3 pad=1 bias add=d\n" \
         "c5 = conv2d c4 out=128 kernel=3 pad=1 bias relu\n"  \
         "pool = avgpool c5\n"                                \
         "fc = linear pool out=5 bias\n"

static struct exec *open_with(const struct model *model, struct exec_options options, const char *conv)
{
    struct message m = {{0}};
    struct exec *e = NULL;
    setenv("RESQ_CONV", conv, 1);
    int status = exec_open(&e, model, &options, &m);
    unsetenv("RESQ_CONV");
    if (status < 0 && status != STATUS_UNSUPPORTED)
        fail_msg("%s", m.text);
    return e; /* NULL: no such instructions here */
}

static const char *algorithm_of(const struct exec *e, const char *layer)
{
    for (int i = 0; i < exec_layer_count(e); i++)
        if (strcmp(exec_layer_at(e, i).name, layer) == 0)
            return exec_layer_at(e, i).algorithm;
    fail_msg("no layer %s", layer);
    return NULL;
}

/* Every set, choice, batch and number of threads against ref, whose first images are the interpreter's. */
static void everything_equal(const struct model *model)
{
    static const char *const choices[] = {"", "direct", "winograd", "pairs"};
    static const int batches[] = {1, 3, 16, 19};
    struct message m;
    struct integers t;
    float want[IMAGES * CLASSES], got[IMAGES * CLASSES];
    uint8_t *images = random_images(model, IMAGES, 3);
    size_t bytes = node_count(&model->graph.nodes[0]);
    integers_open(&t, model);
    struct exec *ref = open_with(model, (struct exec_options){.isa = "ref"}, "");
    ASSERT_OK(exec_run(ref, images, IMAGES, want, &m), m);
    exec_close(ref);
    for (int i = 0; i < IMAGES; i += 9)
        assert_memory_equal(want + i * CLASSES, integers_run(&t, images + (size_t)i * bytes),
                            CLASSES * sizeof *want);
    for (int k = 0; k < ISAS * 4 * 4 * 3; k++) {
        if (k < 2 * 48 && k % 48 > 1 && k % 48 != 3 * 2) /* ref and blas know no choice, and take their time */
            continue;
        struct exec_options how = {.isa = isas[k / 48], .batch = batches[k / 3 % 4], .threads = 1 + k % 3};
        struct exec *e = open_with(model, how, choices[k / 12 % 4]);
        if (!e)
            continue;
        for (int again = 0; again < 2; again++) { /* borders must survive a run */
            ASSERT_OK(exec_run(e, images, IMAGES, got, &m), m);
            if (memcmp(got, want, sizeof got) != 0)
                fail_msg("%s, RESQ_CONV=%s, batch %d, %d threads: logits differ", how.isa, choices[k / 12 % 4],
                         how.batch, how.threads);
        }
        exec_close(e);
    }
    integers_close(&t);
    free(images);
}

static void test_same_bits_everywhere(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_WIDE, 4);
    everything_equal(&model);
    model_free(&model);
}

static void fill_weights(struct model *model, const char *name, int first, int count, int8_t value)
{
    int node = graph_find(&model->graph, name);
    struct tensor *w = model_tensor(model, node, "weight");
    size_t row = w->count / (size_t)w->shape[0];
    memset((int8_t *)w->data + (size_t)first * row, value, (size_t)count * row);
}

/* 9 * 128 weights of 127: sums to 37 million. The group with such an output goes direct, the others do not. */
static void test_groups_beyond_the_bound_are_direct(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_WIDE, 5);
    fill_weights(&model, "c4", 70, 3, 127);
    fill_weights(&model, "c5", 0, 128, -127);
    everything_equal(&model);
    int winograds = 0;
    for (int k = 0; k < ISAS; k++) {
        struct exec *e = open_with(&model, (struct exec_options){.isa = isas[k]}, "winograd");
        if (!e)
            continue;
        int has = strcmp(algorithm_of(e, "c1"), "winograd") == 0;
        winograds += has;
        if (has)
            assert_string_equal(algorithm_of(e, "c4"), "mixed");
        assert_string_not_equal(algorithm_of(e, "c5"), "winograd");
        assert_string_not_equal(algorithm_of(e, "c3"), "winograd"); /* stride 2 */
        exec_close(e);
        e = open_with(&model, (struct exec_options){.isa = isas[k]}, "direct");
        assert_string_not_equal(algorithm_of(e, "c1"), "winograd");
        exec_close(e);
    }
#ifdef __x86_64__
    assert_int_equal(winograds > 0, __builtin_cpu_supports("avx2") != 0);
#endif
    struct text t = {0};
    struct message m;
    ASSERT_OK(winograd_bounds_print(&model, &t, &m), m);
    assert_non_null(
        strstr(t.data, "c5: winograd bound 37307520, margin 0.8994 (-0.15 bits), 128 of 128 outputs beyond"));
    assert_non_null(strstr(t.data, "c1: winograd bound "));
    assert_null(strstr(t.data, "c3: "));
    text_free(&t);
    model_free(&model);
}

/* All weights of a layer within +-most: sign and size by turns, up to it. */
static void shrink_weights(struct model *model, const char *name, int most)
{
    struct tensor *w = model_tensor(model, graph_find(&model->graph, name), "weight");
    int8_t *at = w->data;
    for (size_t i = 0; i < w->count; i++)
        at[i] = (int8_t)(at[i] % (most + 1));
    at[0] = (int8_t)most;
}

static void expect_algorithm(const struct model *model, const char *isa, const char *conv, const char *layer,
                             const char *algorithm)
{
    struct exec *e = open_with(model, (struct exec_options){.isa = isa}, conv);
    if (e)
        assert_string_equal(algorithm_of(e, layer), algorithm);
    exec_close(e);
}

/* Weights whose pairs have room with codes of 8 bits: |w| <= 16. A group with one beyond goes direct. With codes of 4
 * bits every weight has room. */
static void test_pairs_with_room(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_WIDE, 7);
    shrink_weights(&model, "c3", 16);
    shrink_weights(&model, "d", 7);
    shrink_weights(&model, "c1", 3);
    expect_algorithm(&model, "avx2", "", "c3", "pairs");
    expect_algorithm(&model, "avx2", "", "d", "pairs");
    expect_algorithm(&model, "avx2", "pairs", "c1", "pairs");
    expect_algorithm(&model, "avx2", "pairs", "c2", "direct");
    expect_algorithm(&model, "avx2", "direct", "c3", "direct");
    expect_algorithm(&model, "avx2", "winograd", "c1", "winograd");
    expect_algorithm(&model, "avx2", "winograd", "c3", "pairs");
    expect_algorithm(&model, "avx2vnni", "", "c3", "direct");
    expect_algorithm(&model, "avx512vnni", "", "c3", "direct");
    everything_equal(&model);
    fill_weights(&model, "c3", 70, 3, 17);
    expect_algorithm(&model, "avx2", "", "c3", "mixed");
    everything_equal(&model);
    ((uint8_t *)model_tensor(&model, graph_find(&model.graph, "c4"), "range")->data)[1] = 15;
    *(uint8_t *)model_tensor(&model, graph_find(&model.graph, "c4"), "zero_point")->data = 7;
    fill_weights(&model, "c5", 0, 128, 127);
    expect_algorithm(&model, "avx2", "pairs", "c5", "pairs");
    everything_equal(&model);
    model_free(&model);
}

static int pairs_are_cheaper(int side, int channels, int images)
{
    struct conv_shape s = {side, side, channels, channels, 3, 1, 1, side, side, 1};
    return cost_of(ALGORITHM_PAIRS, &s, "avx2", 1, images) < cost_of(ALGORITHM_WINOGRAD, &s, "avx2", 1, images);
}

/* As measured: what Winograd spends on the weights of few tiles decides. */
static void test_pairs_where_tiles_are_few(void **state)
{
    (void)state;
    for (int width = 16; width <= 64; width *= 2)
        for (int images = 1; images <= 16; images *= 2) {
            assert_false(pairs_are_cheaper(32, width, images));
            assert_false(pairs_are_cheaper(16, 2 * width, images));
            assert_int_equal(pairs_are_cheaper(8, 4 * width, images), images == 1);
            assert_int_equal(pairs_are_cheaper(4, 8 * width, images), images <= 4);
        }
}

/* Just below and at the limit: 2^25 = 255 * 131586.01. */
static void test_bound(void **state)
{
    (void)state;
    static int8_t w[1100];
    memset(w, 127, sizeof w);
    assert_true(winograd_bound(w, 1036) == 255LL * 127 * 1036 && winograd_bound(w, 1036) < WINOGRAD_SUM_LIMIT);
    assert_true(winograd_bound(w, 1037) >= WINOGRAD_SUM_LIMIT);
    memset(w, -127, sizeof w);
    assert_true(winograd_bound(w, 1036) == 255LL * 127 * 1036);
    memset(w + 100, 1, 1000);
    assert_true(winograd_bound(w, 1100) == 255LL * 127 * 100);
    assert_true(winograd_bound(w, 0) == 0);
}

static void test_wrong_choice(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e;
    random_model(&model, NET_INTEGER, 1);
    setenv("RESQ_CONV", "fast", 1);
    assert_int_equal(exec_open(&e, &model, NULL, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "RESQ_CONV=fast: unknown (direct, pairs, winograd)");
    unsetenv("RESQ_CONV");
    model_free(&model);
}

/* A layer's other algorithm is timed, and named where there is one. */
static void test_comparison(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    random_model(&model, NET_WIDE, 6);
    for (int k = 0; k < ISAS; k++) {
        struct exec *e = open_with(&model, (struct exec_options){.isa = isas[k], .batch = 4}, "winograd");
        for (int i = 0; e && i < exec_layer_count(e); i++) {
            struct exec_layer layer = exec_layer_at(e, i);
            struct exec_comparison c;
            int status = exec_compare_layer(e, i, 4, &c, &m);
            ASSERT_OK(status, m);
            assert_int_equal(status, strcmp(layer.algorithm, "winograd") == 0);
            assert_true(status ? c.chosen_seconds > 0 && c.other_seconds > 0 && strcmp(c.other, "direct") == 0
                               : strcmp(c.other, "-") == 0);
        }
        exec_close(e);
    }
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits_everywhere),
        cmocka_unit_test(test_groups_beyond_the_bound_are_direct),
        cmocka_unit_test(test_pairs_with_room),
        cmocka_unit_test(test_pairs_where_tiles_are_few),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_wrong_choice),
        cmocka_unit_test(test_comparison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
