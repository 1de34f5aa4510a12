/* Steps that are timed are real ones, and cases of one group may not come apart. */
#include "common.h"
#include "train/measure_step.h"

static const char network[] = "x = input u8[8,8,3]\n"
                              "n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                              "c = conv2d n out=4 kernel=3 pad=1\n"
                              "b = batchnorm c\n"
                              "r = relu b\n"
                              "p = avgpool r\n"
                              "f = linear p out=10 bias\n";

enum { BATCH = 6, IMAGE = 8 * 8 * 3 };

static struct model model;
static uint8_t images[2][BATCH * IMAGE];
static uint16_t labels[BATCH];

static int setup(void **state)
{
    struct graph g = {0};
    struct random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    (void)state;
    ASSERT_OK(graph_parse(&g, network, &m));
    ASSERT_OK(model_initialise(&model, &g, 1, &m));
    for (int i = 0; i < 2 * BATCH * IMAGE; i++)
        images[i / (BATCH * IMAGE)][i % (BATCH * IMAGE)] = (uint8_t)random_below(&r, 256);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (uint16_t)(i % 10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&model);
    return 0;
}

static struct step_case case_new(int threads, int group, const uint8_t *of)
{
    struct step_case c = {
        .images = of, .labels = labels, .batch = BATCH, .classes = 10, .rate = 0.1, .group = group, .name = "net"};
    ASSERT_OK(
        gradient_open(&c.gradient, &model, &(struct gradient_options){.threads = threads, .batch = BATCH}, &m));
    return c;
}

static void cases_free(struct step_case *cases, int count)
{
    step_measure_free(cases, count);
    for (int i = 0; i < count; i++)
        gradient_close(cases[i].gradient);
}

static void test_steps_are_trained_and_timed(void **state)
{
    (void)state;
    struct step_case cases[] = {case_new(1, 0, images[0]), case_new(3, 0, images[0]), case_new(1, 1, images[1])};
    ASSERT_OK(step_measure(cases, 3, &(struct measure_options){0, 1}, &m));
    for (int i = 0; i < 3; i++) {
        const struct step_case *c = &cases[i];
        double sum = 0;
        for (int k = 0; k < STEP_PARTS; k++)
            sum += c->parts[k].min;
        assert_int_equal(c->samples, MEASURE_LEAST);
        assert_int_equal(c->layer_samples, MEASURE_LEAST);
        assert_true(c->step.min > 0 && sum > 0 && sum <= c->step.min * (1 + 1e-9));
        assert_true(c->layers[1][LAYER_FORWARD].min > 0 && c->layers[1][LAYER_WEIGHT].min > 0);
        assert_true(c->layers[1][LAYER_DATA].p99 <= 0); /* pixels want no gradient */
        assert_true(c->products.min > 0 && c->elementwise.min > 0);
        assert_true(c->products.min + c->elementwise.min < c->step.p99 * 100);
        assert_true(c->loss > 0 && c->loss < 2.3); /* it learns */
    }
    assert_true(cases[0].loss == cases[1].loss);
    assert_true(cases[0].loss != cases[2].loss);
    cases_free(cases, 3);
}

static void test_groups_that_come_apart(void **state)
{
    (void)state;
    struct step_case cases[] = {case_new(1, 0, images[0]), case_new(2, 0, images[1])};
    ASSERT_FAILS(step_measure(cases, 2, &(struct measure_options){0, 0}, &m), STATUS_MISMATCH,
                 "net: loss after step 1 is ");
    cases_free(cases, 2);
    struct step_case faster[] = {case_new(1, 0, images[0]), case_new(2, 0, images[0])};
    faster[1].rate = 0.2; /* the loss of the first step is still the same */
    ASSERT_FAILS(step_measure(faster, 2, &(struct measure_options){0, 0}, &m), STATUS_MISMATCH,
                 "net: loss after step 2 is ");
    cases_free(faster, 2);
}

static void test_a_loss_that_is_not_finite(void **state)
{
    (void)state;
    struct step_case c = case_new(1, 0, images[0]);
    c.rate = 1e30;
    ASSERT_FAILS(step_measure(&c, 1, &(struct measure_options){0, 0}, &m), STATUS_RANGE, "net: step ");
    cases_free(&c, 1);
}

/* A step of the stepper's is what its parts do one by one; losses run on, image by image, from step to step. */
static void test_a_step_is_its_parts(void **state)
{
    static const struct step_options options = {.optimizer = {0.9, 5e-4, 1, 1, 1, 0, 0, 0},
                                                .label_smoothing = 0.1,
                                                .ema = 0.9,
                                                .batch = BATCH,
                                                .classes = 10};
    struct step_case by_stepper = case_new(1, 0, NULL), by_hand = case_new(1, 0, NULL);
    struct gradient *g = by_hand.gradient;
    struct stepper s;
    struct optimizer o;
    struct average a;
    struct loss_sums got = {0}, want = {0};
    const struct slice *slices;
    float logits[BATCH * 10], dlogits[BATCH * 10];
    int count = gradient_slices(g, &slices);
    (void)state;
    ASSERT_OK(stepper_open(&s, by_stepper.gradient, &options, &m));
    ASSERT_OK(step_begin(&s, &m));
    ASSERT_OK(optimizer_open(&o, &options.optimizer, slices, count, gradient_parameter_count(g), &m));
    ASSERT_OK(average_open(&a, options.ema, g, &m));
    for (int step = 1; step <= 8; step++) {
        struct step_done done = {.sums = &got, .behind = -1};
        const struct targets targets = {.labels = labels};
        ASSERT_OK(step_make(&s, images[step % 2], &targets, BATCH, step, 0.1, &done, &m));
        ASSERT_OK(gradient_forward(g, images[step % 2], BATCH, logits, &m));
        ASSERT_OK(loss_cross_entropy(logits, labels, BATCH, 10, 0.1, dlogits, &want, &m));
        ASSERT_OK(gradient_backward(g, dlogits, &m));
        optimizer_step(&o, gradient_parameters(g), gradient_gradients(g), 0.1);
        average_update(&a, gradient_parameters(g), gradient_state(g), step);
        assert_memory_equal(&got, &want, sizeof want);
    }
    assert_memory_equal(gradient_parameters(by_stepper.gradient), gradient_parameters(g),
                        gradient_parameter_count(g) * sizeof(float));
    assert_memory_equal(s.average.values, a.values, (a.parameters + a.state) * sizeof *a.values);
    optimizer_close(&o);
    average_close(&a);
    stepper_close(&s);
    gradient_close(by_stepper.gradient);
    gradient_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_are_trained_and_timed), cmocka_unit_test(test_groups_that_come_apart),
        cmocka_unit_test(test_a_loss_that_is_not_finite), cmocka_unit_test(test_a_step_is_its_parts)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
