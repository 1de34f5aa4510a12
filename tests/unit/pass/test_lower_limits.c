/* The lowering where numbers end: maps and channels of nothing, weights too small for a
 * scale, sums that leave 32 bits. */
#include "lowered.h"

static void test_degenerate_layers_are_defined_and_warned_of(void **state)
{
    (void)state;
    struct model model = sample_model(small, 1);
    memset(model_tensor(&model, 2, "weight")->data, 0, model_tensor(&model, 2, "weight")->bytes);
    float *bias = model_tensor(&model, 2, "bias")->data;
    for (int c = 0; c < 4; c++)
        bias[c] = 3;
    struct setup s = fused(model);
    struct lower_report report = {0};
    struct model low = lowered(&s, &defaults, &report);
    int conv = graph_find(&low.graph, "c");
    assert_true(*(const float *)model_tensor(&low, conv, "scale")->data == 3.0f / 255);
    assert_int_equal(*(const uint8_t *)model_tensor(&low, conv, "zero_point")->data, 0);
    assert_non_null(strstr(report.warnings.data, "c: activation is always 3\n"));
    assert_non_null(strstr(report.warnings.data, "c: 4 of 4 channels are zero\n"));
    assert_non_null(strstr(report.warnings.data, "p: activation is always 3\n"));
    assert_true(output_sqnr(&s.model, &low, 1) > 30);
    lower_report_free(&report);
    model_free(&low);
    for (int c = 0; c < 4; c++) /* all zero, and a bias that no code holds at the smallest scale */
        ((float *)model_tensor(&s.model, 2, "bias")->data)[c] = c == 0 ? -5000 : 0;
    ranges_free(&s.ranges);
    s.ranges = sample_ranges(&s.model, 1);
    low = lowered(&s, &defaults, &report);
    assert_true(*(const float *)model_tensor(&low, conv, "scale")->data == ZERO_SCALE);
    assert_non_null(strstr(report.warnings.data, "c: activation is always 0\n"));
    assert_non_null(strstr(report.warnings.data, "c: weight scale raised in 1 of 4 channels"));
    lower_report_free(&report);
    model_free(&low);
    setup_free(&s);
}

/* The last layer any power of two smaller keeps its codes, without a word;
 * beyond normal numbers channels are counted. */
static void test_a_small_layer_keeps_its_codes(void **state)
{
    (void)state;
    static const int exponents[] = {0, 23, 40, 90, 125};
    struct model model =
        sample_model("x = input u8[4,4,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                     "c = conv2d n out=4 kernel=3 bias relu\np = avgpool c\nfc = linear p out=3 bias\n",
                     7);
    struct setup s = fused(model);
    int8_t codes[12];
    for (int k = 0; k < 5; k++) {
        struct lower_report report = {0};
        float *w = model_tensor(&s.model, 4, "weight")->data, *b = model_tensor(&s.model, 4, "bias")->data;
        int by = exponents[k] - (k ? exponents[k - 1] : 0);
        for (int i = 0; i < 12; i++)
            w[i] = ldexpf(w[i], -by);
        for (int i = 0; i < 3; i++)
            b[i] = ldexpf(b[i], -by);
        struct model low = lowered(&s, &defaults, &report);
        const struct tensor *q = model_tensor(&low, graph_find(&low.graph, "fc"), "weight");
        if (k == 0)
            memcpy(codes, q->data, sizeof codes);
        if (k < 4) {
            assert_memory_equal(q->data, codes, sizeof codes);
            assert_null(strstr(report.warnings.data ? report.warnings.data : "", "fc"));
        } else {
            assert_non_null(
                strstr(report.warnings.data,
                       "fc: 3 of 3 channels lose weights: they are too small for a scale that is a normal"));
        }
        lower_report_free(&report);
        model_free(&low);
    }
    setup_free(&s);
}

/* 70,000 weights of one sign at full scale: 70,000 * 127 * 255 is beyond 31 bits. */
static void test_an_accumulator_that_could_overflow_is_refused(void **state)
{
    (void)state;
    struct message m;
    struct model model =
        sample_model("x = input u8[4,4,1]\nn = normalize x mean=0 std=1\nc = conv2d n out=8750 kernel=1 relu\n"
                     "d = conv2d c out=1 kernel=3 pad=1\np = avgpool d\nfc = linear p out=2\n",
                     1);
    float *w = model_tensor(&model, 2, "weight")->data;
    for (int i = 0; i < 8750; i++)
        w[i] = 1;
    w = model_tensor(&model, 3, "weight")->data;
    for (int i = 0; i < 8750 * 9; i++)
        w[i] = i % 9 < 7 ? 1e-3f : 9e-4f;
    struct setup s = fused(model);
    ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &defaults, NULL, &m), STATUS_RANGE,
                 "d: accumulator may reach ", m);
    setup_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_degenerate_layers_are_defined_and_warned_of),
        cmocka_unit_test(test_a_small_layer_keeps_its_codes),
        cmocka_unit_test(test_an_accumulator_that_could_overflow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
