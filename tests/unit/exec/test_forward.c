/* Float inference against the double interpreter, and what must not change a single bit. */
#include "nets.h"

static const char *const isas[] = {"ref",        "blas", "avx2", "avx2vnni", "avx512",
                                   "avx512vnni", "amx",  "neon", "neondot",  "neoni8mm"};

static struct exec *open_exec(const struct model *model, struct exec_options options)
{
    struct message m = {{0}};
    struct exec *e = NULL;
    int status = exec_open(&e, model, &options, &m);
    if (status == STATUS_UNSUPPORTED && options.isa)
        return NULL; /* this machine has no such instructions */
    if (status < 0)
        fail_msg("exec_open: %s", m.text);
    return e;
}

static float *run(struct exec *e, const uint8_t *images, int count)
{
    struct message m;
    float *logits = calloc((size_t)count * (size_t)exec_classes(e), sizeof *logits);
    ASSERT_OK(exec_run(e, images, count, logits, &m), m);
    return logits;
}

static void compare_with_double(const char *text, int stands_for)
{
    enum { IMAGES = 5 };
    struct model model;
    struct net net;
    random_model(&model, text, (uint64_t)stands_for);
    uint8_t *images = random_images(&model, IMAGES, 1);
    net_open(&net, &model, IMAGES, 0);
    const double *want = net_run(&net, images);
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        struct exec *e = open_exec(&model, (struct exec_options){.isa = isas[k], .batch = 2});
        if (!e)
            continue;
        float *got = run(e, images, IMAGES);
        for (int i = 0; i < IMAGES * exec_classes(e); i++)
            ASSERT_NEAR((double)got[i], want[i], 2e-5 * (1 + fabs(want[i])));
        assert_string_equal(exec_isa(e), isas[k]);
        assert_string_equal(exec_precision(e), "f32");
        assert_string_equal(exec_device(e), "cpu");
        free(got);
        exec_close(e);
    }
    net_close(&net);
    free(images);
    model_free(&model);
}

static void test_float_against_double(void **state)
{
    (void)state;
    compare_with_double(NET_FLOAT, 1);
}

/* Large maps in several segments, each of a few images at a time: what the first step of a segment reads must not be
 * where its last step writes. */
static void test_chunks_do_not_meet(void **state)
{
    (void)state;
    enum { MANY = 40 };
    struct model model;
    random_model(&model,
                 "x = input u8[32,32,3]\nnorm = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                 "c = conv2d norm out=6 kernel=5\nr = relu c\nm = maxpool r kernel=2\n"
                 "d = conv2d m out=16 kernel=5\ns = relu d\np = avgpool s\nfc = linear p out=5\n",
                 8);
    uint8_t *images = random_images(&model, MANY, 2);
    struct exec *one = open_exec(&model, (struct exec_options){.batch = 1});
    float *want = run(one, images, MANY);
    for (int threads = 1; threads <= 2; threads++) {
        struct exec *e = open_exec(&model, (struct exec_options){.batch = MANY, .threads = threads});
        float *got = run(e, images, MANY);
        assert_memory_equal(got, want, MANY * 5 * sizeof *got);
        free(got);
        exec_close(e);
    }
    free(want);
    exec_close(one);
    free(images);
    model_free(&model);
}

static void test_other_ops_against_double(void **state)
{
    (void)state;
    compare_with_double(NET_OPS, 4);
    compare_with_double(NET_HEAD, 5);
}

static void test_fused_against_double(void **state)
{
    (void)state;
    compare_with_double(NET_FUSED, 2);
    compare_with_double(NET_CUT, 6);
}

static void check_cuts(const char *net)
{
    enum { IMAGES = 11 };
    struct model model;
    random_model(&model, net, 3);
    uint8_t *images = random_images(&model, IMAGES, 2);
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        struct exec *first = open_exec(&model, (struct exec_options){.isa = isas[k]});
        if (!first)
            continue;
        float *want = run(first, images, IMAGES);
        size_t row = (size_t)exec_classes(first);
        for (int threads = 1; threads <= 3; threads++)
            for (int batch = 1; batch <= 4; batch += 3) {
                struct exec *e =
                    open_exec(&model, (struct exec_options){.isa = isas[k], .threads = threads, .batch = batch});
                float *got = run(e, images, IMAGES);
                assert_memory_equal(got, want, IMAGES * row * sizeof *got);
                free(got);
                /* an image alone, from an address that no kernel would like */
                uint8_t *odd = malloc(1 + exec_image_bytes(e));
                memcpy(odd + 1, images + 6 * exec_image_bytes(e), exec_image_bytes(e));
                got = run(e, odd + 1, 1);
                assert_memory_equal(got, want + 6 * row, row * sizeof *got);
                free(odd);
                free(got);
                exec_close(e);
            }
        free(want);
        exec_close(first);
    }
    free(images);
    model_free(&model);
}

static void test_same_bits_however_cut(void **state)
{
    (void)state;
    check_cuts(NET_FLOAT);
    check_cuts(NET_CUT);
}

/* ---- observation ---- */

struct seen {
    const struct net *net;
    size_t counts[64];
    int last;
};

static int see(void *context, int node, const float *values, size_t count, struct message *m)
{
    struct seen *s = context;
    const struct node *n = &s->net->model->graph.nodes[node];
    (void)m;
    assert_true(node >= s->last || s->counts[node] < 3 * node_count(n)); /* graph order within a chunk */
    for (size_t i = 0; i < count; i++)
        ASSERT_NEAR((double)values[i], s->net->values[node][s->counts[node] + i], 2e-5 * 10);
    s->counts[node] += count;
    s->last = node;
    return 0;
}

static int refuse(void *context, int node, const float *values, size_t count, struct message *m)
{
    (void)context;
    (void)values;
    (void)count;
    return message_set(m, STATUS_RANGE, "node %d is not wanted", node);
}

static void test_observe(void **state)
{
    (void)state;
    enum { IMAGES = 3 };
    struct message m;
    struct model model;
    struct net net;
    random_model(&model, NET_FUSED, 4);
    uint8_t *images = random_images(&model, IMAGES, 3);
    net_open(&net, &model, IMAGES, 0);
    net_run(&net, images);
    struct exec *e = open_exec(&model, (struct exec_options){.batch = 2, .threads = 2, .keep_activations = 1});
    struct seen seen = {.net = &net};
    ASSERT_OK(exec_observe(e, images, IMAGES, see, &seen, &m), m);
    int last = model.graph.count - 1;
    for (int i = 0; i <= last; i++)
        assert_int_equal(seen.counts[i], i == 0 || i == last ? 0 : IMAGES * node_count(&model.graph.nodes[i]));
    assert_int_equal(exec_observe(e, images, IMAGES, refuse, NULL, &m), STATUS_RANGE);
    assert_string_equal(m.text, "node 1 is not wanted");
    exec_close(e);
    e = open_exec(&model, (struct exec_options){0});
    assert_int_equal(exec_observe(e, images, 1, see, &seen, &m), STATUS_MISMATCH);
    exec_close(e);
    net_close(&net);
    free(images);
    model_free(&model);
}

/* Keeping everything changes nothing: the fused plan and the plain one give the same logits. */
static void test_fusion_keeps_bits(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_FLOAT, 5);
    uint8_t *images = random_images(&model, 4, 4);
    struct exec *a = open_exec(&model, (struct exec_options){.isa = "ref"});
    struct exec *b = open_exec(&model, (struct exec_options){.isa = "ref", .keep_activations = 1});
    float *x = run(a, images, 4), *y = run(b, images, 4);
    assert_memory_equal(x, y, 4 * 5 * sizeof *x);
    assert_true(exec_layer_count(a) < exec_layer_count(b));
    assert_true(exec_arena_bytes(a) < exec_arena_bytes(b));
    free(x);
    free(y);
    exec_close(a);
    exec_close(b);
    free(images);
    model_free(&model);
}

/* ---- refusals and figures ---- */

static void test_refusals(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e = (struct exec *)&model;
    random_model(&model, NET_FUSED, 6);
    assert_int_equal(exec_open(&e, &model, &(struct exec_options){.device = "cuda"}, &m), STATUS_UNSUPPORTED);
    assert_non_null(strstr(m.text, "no resq-cuda.so"));
    assert_null(e);
    assert_int_equal(exec_open(&e, &model, &(struct exec_options){.device = "abacus"}, &m), STATUS_UNSUPPORTED);
    assert_int_equal(exec_open(&e, &model, &(struct exec_options){.isa = "mmx"}, &m), STATUS_UNSUPPORTED);
    assert_int_equal(exec_open(&e, &model, &(struct exec_options){.batch = -1}, &m), STATUS_RANGE);
    e = open_exec(&model, (struct exec_options){.device = "auto"});
    float logits[5];
    assert_int_equal(exec_run(e, NULL, 0, logits, &m), STATUS_RANGE);
    exec_close(e);
    exec_close(NULL);
    ((float *)model_tensor(&model, 2, "weight")->data)[3] = NAN;
    assert_int_equal(exec_open(&e, &model, NULL, &m), STATUS_RANGE);
    model_free(&model);
}

static void test_layers(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_FLOAT, 8);
    struct exec *e = open_exec(&model, (struct exec_options){.threads = 2});
    uint8_t *images = random_images(&model, 8, 5);
    exec_profile(e, 1);
    free(run(e, images, 8));
    double macs = 0, seconds = 0;
    for (int i = 0; i < exec_layer_count(e); i++) {
        struct exec_layer layer = exec_layer_at(e, i);
        assert_true(graph_find(&model.graph, layer.name) > 0);
        assert_true(layer.algorithm[0] && layer.op[0] && layer.seconds >= 0);
        macs += layer.macs;
        seconds += layer.seconds;
    }
    assert_true(seconds > 0);
    ASSERT_NEAR(macs, exec_macs(e), 0.5);
    double want = 9 * 8 * 7 * 27 + 20 * 6 * (63 + 6 * 25 + 7 + 54) + 6 * 5;
    ASSERT_NEAR(macs, want, 0.5);
    exec_profile(e, 0);
    double before = exec_layer_at(e, 1).seconds;
    free(run(e, images, 8));
    assert_true(exec_layer_at(e, 1).seconds == before);
    assert_true(exec_threads(e) >= 1 && exec_threads(e) <= 2);
    free(images);
    exec_close(e);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float_against_double),
        cmocka_unit_test(test_chunks_do_not_meet),
        cmocka_unit_test(test_other_ops_against_double),
        cmocka_unit_test(test_fused_against_double),
        cmocka_unit_test(test_same_bits_however_cut),
        cmocka_unit_test(test_observe),
        cmocka_unit_test(test_fusion_keeps_bits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
