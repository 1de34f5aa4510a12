/* The loss mixed with a teacher's against PyTorch's kl_div, and its gradient against central differences. */
#include "common.h"
#include "train/distill.h"
#include <math.h>

enum { ROWS = 13, CLASSES = 10 };

static struct record *fixture(void)
{
    struct record *r;
    ASSERT_OK(record_load(&r, "tests/reference/learned.safetensors", &m));
    return r;
}

static double mixed(const float *logits, const float *teacher, const uint16_t *labels,
                    const struct distillation *how, float *dlogits)
{
    struct loss_sums sums = {.loss = 7, .images = 3}; /* of rows before */
    ASSERT_OK(loss_cross_entropy(logits, labels, ROWS, CLASSES, 0.1, dlogits, &sums, &m));
    ASSERT_OK(distill(logits, teacher, ROWS, CLASSES, how, 7, dlogits, &sums, &m));
    assert_int_equal(sums.images, 3 + ROWS);
    return (sums.loss - 7) / ROWS;
}

static void labels_of(const struct record *r, uint16_t labels[ROWS])
{
    const uint8_t *from = record_find(r, "distill.labels")->data;
    for (int i = 0; i < ROWS; i++)
        labels[i] = from[i];
}

static void test_is_pytorchs(void **state)
{
    (void)state;
    struct record *r = fixture();
    static const struct {
        const char *name;
        struct distillation how;
    } cases[] = {{"0.5_4", {0.5, 4}}, {"0.3_1", {0.3, 1}}, {"1_2.5", {1, 2.5}}, {"0_3", {0, 3}}};
    const float *logits = record_find(r, "distill.logits")->data,
                *teacher = record_find(r, "distill.teacher")->data;
    uint16_t labels[ROWS];
    labels_of(r, labels);
    for (int i = 0; i < 4; i++) {
        char name[64];
        float dlogits[ROWS * CLASSES];
        snprintf(name, sizeof name, "distill.value.%s", cases[i].name);
        double want = *(const double *)record_find(r, name)->data;
        ASSERT_NEAR(mixed(logits, teacher, labels, &cases[i].how, dlogits), want, 1e-12 * fabs(want));
        snprintf(name, sizeof name, "distill.gradient.%s", cases[i].name);
        const double *gradient = record_find(r, name)->data;
        for (int k = 0; k < ROWS * CLASSES; k++)
            ASSERT_NEAR((double)dlogits[k], gradient[k], 1e-7 * fabs(gradient[k]) + 1e-9);
    }
    record_free(r);
}

static void test_gradient_is_the_loss_s(void **state)
{
    (void)state;
    struct record *r = fixture();
    const float *teacher = record_find(r, "distill.teacher")->data;
    const struct distillation how = {0.6, 2};
    float logits[ROWS * CLASSES], dlogits[ROWS * CLASSES], unused[ROWS * CLASSES];
    uint16_t labels[ROWS];
    memcpy(logits, record_find(r, "distill.logits")->data, sizeof logits);
    labels_of(r, labels);
    mixed(logits, teacher, labels, &how, dlogits);
    for (int k = 0; k < ROWS * CLASSES; k += 7) {
        if (k / CLASSES == 2) /* numbers of 300: a float's step is too coarse */
            continue;
        float keep = logits[k];
        logits[k] = keep + 0x1p-8f;
        double up = mixed(logits, teacher, labels, &how, unused);
        logits[k] = keep - 0x1p-8f;
        double down = mixed(logits, teacher, labels, &how, unused);
        logits[k] = keep;
        ASSERT_NEAR((double)dlogits[k], (up - down) / 0x1p-7, 2e-5);
    }
    record_free(r);
}

static void test_what_is_not_finite(void **state)
{
    (void)state;
    const float logits[2] = {1, 2}, teacher[2] = {NAN, 0};
    float dlogits[2] = {0};
    struct loss_sums sums = {.loss = 1, .images = 1};
    assert_int_equal(distill(logits, teacher, 1, 2, &(struct distillation){0.5, 1}, 0, dlogits, &sums, &m),
                     STATUS_RANGE);
    assert_string_equal(m.text, "loss is nan");
    assert_true(sums.loss == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_is_pytorchs),
                                       cmocka_unit_test(test_gradient_is_the_loss_s),
                                       cmocka_unit_test(test_what_is_not_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
