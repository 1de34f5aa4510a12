/* Metrics, intervals and tests against scikit-learn, torchmetrics, PyTorch and statsmodels
 * (tests/reference/report.py). */
#include "check.h"
#include "record/stream.h"
#include "report/metrics.h"

static struct record *fixture;

static int load(void **state)
{
    struct message m;
    (void)state;
    return record_load(&fixture, FIXTURE, &m);
}

static int unload(void **state)
{
    (void)state;
    record_free(fixture);
    return 0;
}

static const struct tensor *get(const char *name)
{
    const struct tensor *t = record_find(fixture, name);
    assert_non_null(t);
    return t;
}

static void test_intervals_are_statsmodels(void **state)
{
    (void)state;
    const struct tensor *t = get("wilson.counts");
    const int64_t *counts = t->data;
    const double *want = get("wilson")->data;
    assert_true(t->shape[0] == 10);
    for (int64_t i = 0; i < t->shape[0]; i++) {
        struct interval got = wilson_interval(counts[2 * i], counts[2 * i + 1]);
        assert_near(got.low, want[2 * i], 1e-12);
        assert_near(got.high, want[2 * i + 1], 1e-12);
    }
}

/* Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I,
 * method 3. */
static void test_intervals_are_newcombes(void **state)
{
    (void)state;
    const double want[][4] = {
        {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0000, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (int i = 0; i < 4; i++) {
        struct interval got = wilson_interval((int64_t)want[i][0], (int64_t)want[i][1]);
        assert_near(got.low, want[i][2], 0.00005);
        assert_near(got.high, want[i][3], 0.00005);
    }
    assert_true(wilson_interval(0, 0).low == 0 && wilson_interval(0, 0).high == 1);
    assert_true(wilson_interval(0, 9).low == 0 && wilson_interval(9, 9).high == 1);
}

static void test_mcnemar_is_statsmodels(void **state)
{
    (void)state;
    const struct tensor *t = get("mcnemar.counts");
    const int64_t *counts = t->data;
    const double *want = get("mcnemar")->data;
    assert_true(t->shape[0] == 12);
    for (int64_t i = 0; i < t->shape[0]; i++)
        assert_near(mcnemar_exact(counts[2 * i], counts[2 * i + 1]) / want[i], 1, 1e-9);
}

/* By hand, from the formula of Agresti and Min, "Simple improved confidence intervals for comparing matched
 * proportions", Statistics in Medicine 24 (2005). */
static void test_paired_intervals(void **state)
{
    (void)state;
    struct interval got = paired_interval(10, 20, 100), back = paired_interval(20, 10, 100);
    assert_near(got.low, -0.00724189, 1e-7);
    assert_near(got.high, 0.20332032, 1e-7);
    assert_true(back.low == -got.high && back.high == -got.low);
    got = paired_interval(0, 0, 100);
    assert_true(got.low < 0 && got.high == -got.low);
}

static void test_metrics_are_those_of_others(void **state)
{
    (void)state;
    const struct tensor *logits = get("logits");
    const float *rows = logits->data;
    int n = (int)logits->shape[0], k = (int)logits->shape[1];
    struct message m;
    struct metrics x;
    uint16_t *labels = malloc((size_t)n * sizeof *labels);
    for (int i = 0; i < n; i++)
        labels[i] = ((const uint8_t *)get("labels")->data)[i];
    ASSERT_OK(metrics_compute(&x, rows, labels, n, k, &m), m);
    free(labels);
    assert_int_equal(x.images, n);
    assert_near(x.loss, *(const double *)get("loss")->data, 1e-9);
    assert_near(x.calibration_error, *(const double *)get("calibration_error")->data, 1e-6);
    assert_true(x.top2 == *(const int64_t *)get("top2")->data);
    for (int i = 0; i < k * k; i++)
        assert_int_equal(metrics_confusion(&x, i / k, i % k), ((const int64_t *)get("confusion")->data)[i]);
    int64_t correct = 0;
    for (int c = 0; c < k; c++) {
        struct class_metrics got = metrics_of_class(&x, c);
        assert_near(got.precision, ((const double *)get("precision")->data)[c], 1e-12);
        assert_near(got.recall, ((const double *)get("recall")->data)[c], 1e-12);
        assert_near(got.f1, ((const double *)get("f1")->data)[c], 1e-12);
        correct += got.hits;
    }
    assert_int_equal(x.correct, correct);
    const double *probability = get("probability")->data;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < k; c++)
            assert_near(softmax_probability(rows + i * k, k, c), probability[i * k + c], 1e-12);
    metrics_free(&x);
}

/* As many classes as there may be: no table of all pairs. */
static void test_confusions_of_65535_classes(void **state)
{
    (void)state;
    enum { CLASSES = 65535, IMAGES = 5 };
    struct message m;
    struct metrics x;
    float *logits = calloc((size_t)IMAGES * CLASSES, sizeof *logits);
    const uint16_t labels[IMAGES] = {CLASSES - 1, 0, CLASSES - 1, 40000, CLASSES - 1};
    const int said[IMAGES] = {CLASSES - 1, 65000, 3, 40000, 3};
    for (int i = 0; i < IMAGES; i++)
        logits[(size_t)i * CLASSES + (size_t)said[i]] = 9;
    ASSERT_OK(metrics_compute(&x, logits, labels, IMAGES, CLASSES, &m), m);
    assert_int_equal(x.correct, 2);
    assert_int_equal(x.cells, 4);
    assert_int_equal(metrics_confusion(&x, CLASSES - 1, 3), 2);
    assert_int_equal(metrics_confusion(&x, 3, CLASSES - 1), 0);
    struct class_metrics last = metrics_of_class(&x, CLASSES - 1);
    assert_int_equal(last.images, 3);
    assert_int_equal(last.predicted, 1);
    assert_int_equal(last.hits, 1);
    metrics_free(&x);
    free(logits);
}

static void test_ties_go_to_the_first(void **state)
{
    (void)state;
    struct message m;
    struct metrics x;
    const float logits[4 * 3] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2, 2};
    const uint16_t labels[4] = {0, 1, 2, 2};
    assert_int_equal(argmax(logits, 3), 0);
    assert_int_equal(argmax(logits + 9, 3), 1);
    ASSERT_OK(metrics_compute(&x, logits, labels, 4, 3, &m), m);
    assert_int_equal(x.correct, 1);
    assert_int_equal(x.top2, 3); /* of three alike, the third class is not among the first two */
    metrics_free(&x);
}

static void test_bad_values_are_named(void **state)
{
    (void)state;
    struct message m;
    struct metrics x;
    const uint16_t labels[2] = {0, 1}, large[2] = {0, 2};
    const float with_nan[4] = {0, 1, 2, NAN}, with_inf[4] = {0, INFINITY, 0, 0}, fine[4] = {0};
    assert_int_equal(metrics_compute(&x, with_nan, labels, 2, 2, &m), STATUS_RANGE);
    assert_string_equal(m.text, "logits: image 1: class 1 is not finite");
    assert_int_equal(metrics_compute(&x, with_inf, labels, 2, 2, &m), STATUS_RANGE);
    assert_string_equal(m.text, "logits: image 0: class 1 is not finite");
    assert_int_equal(metrics_compute(&x, fine, large, 2, 2, &m), STATUS_RANGE);
    assert_string_equal(m.text, "labels: image 1: label 2 of 2 classes");
    assert_int_equal(metrics_compute(&x, fine, labels, 0, 2, &m), STATUS_FORMAT);
}

static void test_sure_and_right_is_calibrated(void **state)
{
    (void)state;
    struct message m;
    struct metrics x;
    const float logits[4] = {1000, 0, 0, 1000};
    ASSERT_OK(metrics_compute(&x, logits, (const uint16_t[]){0, 1}, 2, 2, &m), m);
    assert_true(x.calibration_error == 0 && x.loss == 0);
    metrics_free(&x);
    ASSERT_OK(metrics_compute(&x, logits, (const uint16_t[]){1, 0}, 2, 2, &m), m);
    assert_true(x.calibration_error == 1 && x.loss == 1000);
    metrics_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals_are_statsmodels),    cmocka_unit_test(test_intervals_are_newcombes),
        cmocka_unit_test(test_mcnemar_is_statsmodels),       cmocka_unit_test(test_paired_intervals),
        cmocka_unit_test(test_metrics_are_those_of_others),  cmocka_unit_test(test_confusions_of_65535_classes),
        cmocka_unit_test(test_ties_go_to_the_first),         cmocka_unit_test(test_bad_values_are_named),
        cmocka_unit_test(test_sure_and_right_is_calibrated),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
