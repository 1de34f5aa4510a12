/* Cross-layer equalization: the same function, and channels of one size on both sides. */
#include "interpret.h"
#include "pass/pass.h"

static const char net[] =
    "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\na = conv2d n out=5 kernel=3 pad=1 bias relu\n"
    "b = conv2d a out=4 kernel=3 pad=1 bias relu\nc = conv2d b out=4 kernel=3 pad=1 bias relu\n"
    "d = conv2d c out=4 kernel=1 bias add=b relu\np = avgpool d\nfc = linear p out=3 bias\n";

static struct model model_of(const char *text)
{
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(graph_parse(&g, text, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 11, &m), m);
    for (int i = 0; i < model.graph.count; i++) { /* channels of very different sizes */
        const struct tensor *w = model_tensor(&model, i, "weight"), *bias = model_tensor(&model, i, "bias");
        for (size_t k = 0; w && k < w->count; k++)
            ((float *)w->data)[k] *= ldexpf(1, (int)(k / (w->count / (size_t)w->shape[0])) * 2 - 4);
        for (size_t k = 0; bias && k < bias->count; k++)
            ((float *)bias->data)[k] = 0.125f * (float)(k + 1);
    }
    ASSERT_OK(model_store(&model, &m), m);
    return model;
}

static double magnitude(const struct model *model, const char *name, int channel, int reads)
{
    const struct tensor *w = model_tensor(model, graph_find(&model->graph, name), "weight");
    size_t taps = (size_t)(w->shape[2] * w->shape[3]), inputs = (size_t)w->shape[1];
    double most = 0;
    for (size_t i = 0; i < w->count; i++) {
        size_t output = i / (inputs * taps), input = i / taps % inputs;
        if ((reads ? input : output) == (size_t)channel)
            most = fmax(most, fabs((double)((const float *)w->data)[i]));
    }
    return most;
}

static void test_the_network_computes_the_same(void **state)
{
    (void)state;
    struct message m;
    struct model before = model_of(net), after = model_of(net);
    struct text report = {0};
    uint8_t image[6 * 6 * 3];
    double *one[16], *two[16];
    ASSERT_OK(pass_equalize(&after, &report, &m), m);
    ASSERT_OK(model_verify(&after, &m), m);
    for (uint64_t k = 0; k < 5; k++) {
        sample_image(&before.graph, k, image);
        interpret(&before, image, one);
        interpret(&after, image, two);
        int last = before.graph.count - 1;
        for (int c = 0; c < 3; c++)
            assert_true(fabs(one[last][c] - two[last][c]) < 1e-4 * (1 + fabs(one[last][c])));
        values_free(one, before.graph.count);
        values_free(two, before.graph.count);
    }
    /* a -> b and c -> d are pairs; b is read by c and by d */
    for (int c = 0; c < 5; c++) {
        assert_true(fabs(magnitude(&after, "a", c, 0) / magnitude(&after, "b", c, 1) - 1) < 2e-3);
        if (c > 0) /* sizes that were 4 apart are 2 apart: roots */
            assert_true(magnitude(&before, "a", c, 0) / magnitude(&before, "a", c - 1, 0) >
                        1.4 * magnitude(&after, "a", c, 0) / magnitude(&after, "a", c - 1, 0));
    }
    assert_non_null(strstr(report.data, "a: channels equalized with b"));
    assert_non_null(strstr(report.data, "c: channels equalized with d"));
    assert_null(strstr(report.data, "b: channels equalized"));
    text_free(&report);
    model_free(&before);
    model_free(&after);
}

static void test_zeros_and_no_pair(void **state)
{
    (void)state;
    struct message m;
    struct model model = model_of(net);
    struct tensor *w = model_tensor(&model, graph_find(&model.graph, "a"), "weight");
    memset(w->data, 0, w->bytes / 5); /* channel 0 */
    ASSERT_OK(pass_equalize(&model, NULL, &m), m);
    ASSERT_OK(model_verify(&model, &m), m);
    model_free(&model);
    model = model_of(
        "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\na = conv2d n out=5 kernel=3 pad=1 bias relu\n"
        "p = avgpool a\nfc = linear p out=3 bias\n");
    ASSERT_FAILS(pass_equalize(&model, NULL, &m), STATUS_MISMATCH, "no two convolutions", m);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_network_computes_the_same),
        cmocka_unit_test(test_zeros_and_no_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
