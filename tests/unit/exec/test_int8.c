/* Integer inference: every instruction set, batch and thread count gives the bits of the arithmetic written out in
 * integers.h. Zero points are 1, 77, 128, 255, 0 and 200, and most layers have no relu: behind a relu every zero
 * point is 0. */
#include "integers.h"

enum { IMAGES = 7, CLASSES = 5 };

static const char *const isas[] = {"ref",        "blas", "avx2", "avx2vnni", "avx512",
                                   "avx512vnni", "amx",  "neon", "neondot",  "neoni8mm"};

static void expect_logits(const struct model *model, const uint8_t *images, const float *want,
                          struct exec_options options, const char *precision)
{
    struct message m = {{0}};
    struct exec *e;
    float logits[IMAGES * CLASSES];
    int status = exec_open(&e, model, &options, &m);
    if (status == STATUS_UNSUPPORTED)
        return; /* no such instructions here */
    if (status < 0)
        fail_msg("%s", m.text);
    ASSERT_OK(exec_run(e, images, IMAGES, logits, &m), m);
    assert_memory_equal(logits, want, sizeof logits);
    assert_string_equal(exec_precision(e), precision);
    exec_close(e);
}

static void compare(const char *text, uint64_t seed, const char *precision)
{
    struct model model;
    struct integers t;
    float want[IMAGES * CLASSES];
    random_model(&model, text, seed);
    uint8_t *images = random_images(&model, IMAGES, seed);
    size_t bytes = node_count(&model.graph.nodes[0]);
    integers_open(&t, &model);
    for (int i = 0; i < IMAGES; i++)
        memcpy(want + i * CLASSES, integers_run(&t, images + (size_t)i * bytes), CLASSES * sizeof *want);
    assert_memory_not_equal(want, want + CLASSES, CLASSES * sizeof *want); /* the images do differ */
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++)
        for (int threads = 1; threads <= 3; threads++)
            for (int batch = 1; batch <= 7; batch += 3)
                expect_logits(&model, images, want,
                              (struct exec_options){.isa = isas[k], .threads = threads, .batch = batch}, precision);
    expect_logits(&model, images, want, (struct exec_options){.keep_activations = 1}, precision);
    integers_close(&t);
    free(images);
    model_free(&model);
}

static void test_integer_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        compare(NET_INTEGER, seed, "int8");
}

static void test_other_ops(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        compare(NET_INTEGER_OPS, seed, "int8");
}

static void test_mixed_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        compare(NET_MIXED, seed, "int8");
}

/* The codes must move, or the tests above would pass with a dead network. */
static void test_codes_are_spread(void **state)
{
    (void)state;
    struct model model;
    struct integers t;
    random_model(&model, NET_INTEGER, 1);
    uint8_t *image = random_images(&model, 1, 1);
    integers_open(&t, &model);
    integers_run(&t, image);
    for (int i = 2; i < model.graph.count - 1; i++) {
        unsigned char seen[256] = {0};
        int different = 0;
        for (size_t k = 0; k < node_count(&model.graph.nodes[i]); k++)
            different += !seen[(int)t.values[i][k]]++;
        int enough = node_count(&model.graph.nodes[i]) > 100 ? 15 : 2;
        if (different < enough)
            fail_msg("%s has only %d codes", model.graph.nodes[i].name, different);
    }
    integers_close(&t);
    free(image);
    model_free(&model);
}

/* A float layer among integers: the graph of lowering with a layer kept in float. */
/* Cut before every step, and gone on with by an exec of another batch and thread count: the logits of one run. */
static void test_a_run_in_parts(void **state)
{
    static const char *const nets[] = {NET_INTEGER, NET_FLOAT};
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct message m = {{0}};
        struct model model;
        struct exec *e, *other;
        float want[IMAGES * CLASSES], got[IMAGES * CLASSES];
        random_model(&model, nets[n], 2);
        uint8_t *images = random_images(&model, IMAGES, 2);
        ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.keep_activations = 1, .batch = 3}, &m), m);
        ASSERT_OK(exec_open(&other, &model, &(struct exec_options){.keep_activations = 1, .threads = 2}, &m), m);
        ASSERT_OK(exec_run(e, images, IMAGES, want, &m), m);
        assert_int_equal(exec_cut_bytes(e, 0), exec_image_bytes(e));
        assert_int_equal(exec_cut_bytes(e, exec_layer_count(e)), CLASSES * sizeof(float));
        for (int i = 0; i <= exec_layer_count(e); i++) {
            uint8_t *cut = malloc(IMAGES * exec_cut_bytes(e, i));
            ASSERT_OK(exec_run_part(e, 0, i, images, IMAGES, cut, &m), m);
            memset(got, 0, sizeof got);
            ASSERT_OK(exec_run(other, images + exec_image_bytes(e), IMAGES - 1, got, &m),
                      m); /* leaves other values */
            ASSERT_OK(exec_run_part(other, i, exec_layer_count(e), cut, IMAGES, (uint8_t *)got, &m), m);
            assert_memory_equal(got, want, sizeof want);
            free(cut);
        }
        ASSERT_OK(exec_run(e, images, IMAGES, got, &m), m); /* whole again */
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(exec_run_part(e, 2, 1, images, IMAGES, images, &m), STATUS_MISMATCH);
        exec_close(e);
        exec_close(other);
        free(images);
        model_free(&model);
    }
}

static void test_float_layer_among_integers(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e;
    float logits[2][IMAGES * CLASSES];
    random_model(&model,
                 "x = input u8[9,8,3]\nnorm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"
                 "c1 = conv2d norm out=7 kernel=3 pad=1 bias relu\nq = quantize c1\nqn = quantize norm\n"
                 "d = conv2d qn out=7 kernel=3 pad=1\n"
                 "c2 = conv2d q out=7 kernel=3 pad=1 bias add=d\np = avgpool c2\nf = dequantize p\n"
                 "fc = linear f out=5 bias\n",
                 5);
    uint8_t *images = random_images(&model, IMAGES, 5);
    for (int threads = 1; threads <= 2; threads++) {
        ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.threads = threads, .batch = 1 + threads}, &m), m);
        ASSERT_OK(exec_run(e, images, IMAGES, logits[threads - 1], &m), m);
        assert_string_equal(exec_precision(e), "mixed");
        exec_close(e);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    free(images);
    model_free(&model);
}

static void test_sums_beyond_32_bits_are_refused(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e;
    random_model(
        &model,
        "x = input u8[16,16,2]\nn = normalize x mean=0,0 std=1,1\nq = quantize n\n"
        "c1 = conv2d q out=8000 kernel=1\nc2 = conv2d c1 out=1 kernel=5\np = avgpool c2\nfc = linear p out=3\n",
        6);
    struct tensor *w = model_tensor(&model, 4, "weight");
    memset(w->data, 127, w->bytes);
    assert_int_equal(exec_open(&e, &model, NULL, &m), STATUS_RANGE);
    assert_null(e);
    assert_non_null(strstr(m.text, "c2: sums may reach"));
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integer_network),
        cmocka_unit_test(test_a_run_in_parts),
        cmocka_unit_test(test_mixed_network),
        cmocka_unit_test(test_other_ops),
        cmocka_unit_test(test_codes_are_spread),
        cmocka_unit_test(test_float_layer_among_integers),
        cmocka_unit_test(test_sums_beyond_32_bits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
