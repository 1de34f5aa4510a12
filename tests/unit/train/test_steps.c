/* Loss, optimizer, schedules and averages: the arithmetic of a step. */
#include "common.h"
#include "record/stream.h"
#include "train/average.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"

static struct record *reference;

static int reference_load(void **state)
{
    (void)state;
    return record_load(&reference, "tests/reference/sgd.safetensors", &m);
}

static int reference_free(void **state)
{
    (void)state;
    record_free(reference);
    return 0;
}

static const void *reference_data(const char *name)
{
    const struct tensor *t = record_find(reference, name);
    if (!t)
        fail_msg("no %s in the reference", name);
    return t->data;
}

/* ---- loss ---- */

static void test_loss_is_pytorchs(void **state)
{
    (void)state;
    const float *logits = reference_data("loss.logits");
    const uint8_t *narrow = reference_data("loss.labels");
    uint16_t labels[17];
    for (int i = 0; i < 17; i++)
        labels[i] = narrow[i];
    const char *cases[] = {"0", "0.1", "0.3"};
    for (int i = 0; i < 3; i++) {
        char name[64];
        float gradient[17 * 10];
        struct loss_sums sums = {0};
        ASSERT_OK(loss_cross_entropy(logits, labels, 17, 10, atof(cases[i]), gradient, &sums, &m));
        snprintf(name, sizeof name, "loss.value.%s", cases[i]);
        ASSERT_NEAR(loss_mean(&sums), *(const double *)reference_data(name), 1e-12);
        snprintf(name, sizeof name, "loss.gradient.%s", cases[i]);
        const double *want = reference_data(name);
        for (int k = 0; k < 170; k++)
            ASSERT_NEAR(gradient[k], want[k], 4e-9);
    }
}

/* Three labels a row and their shares, as PyTorch's cross entropy of class probabilities has it. */
static void test_loss_of_mixed_labels_is_pytorchs(void **state)
{
    (void)state;
    const uint8_t *narrow = reference_data("mixed.labels");
    uint16_t labels[17], labels2[17 * 2];
    for (int i = 0; i < 17; i++) {
        labels[i] = narrow[3 * i];
        labels2[2 * i] = narrow[3 * i + 1];
        labels2[2 * i + 1] = narrow[3 * i + 2];
    }
    const struct targets targets = {labels, labels2, reference_data("mixed.share"), 2};
    const char *cases[] = {"0", "0.1"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        float gradient[17 * 10];
        struct loss_sums sums = {0};
        ASSERT_OK(
            loss_of_targets(reference_data("loss.logits"), &targets, 17, 10, atof(cases[i]), gradient, &sums, &m));
        snprintf(name, sizeof name, "mixed.value.%s", cases[i]);
        ASSERT_NEAR(loss_mean(&sums), *(const double *)reference_data(name), 1e-12);
        snprintf(name, sizeof name, "mixed.gradient.%s", cases[i]);
        const double *want = reference_data(name);
        for (int k = 0; k < 170; k++)
            ASSERT_NEAR(gradient[k], want[k], 4e-9);
    }
}

/* Right is the label of the largest share, the first of equal ones; one without a share has no part in anything. */
static void test_right_is_the_largest_share(void **state)
{
    (void)state;
    const float logits[4][3] = {{0, 0, 9}, {0, 0, 9}, {9, 0, 0}, {0, 9, -INFINITY}};
    const uint16_t labels[4] = {0, 0, 0, 1}, labels2[4] = {2, 2, 2, 2};
    const float share[4] = {0.625f, 0.375f, 0.5f, 0};
    const struct targets targets = {labels, labels2, share, 1};
    const int right[4] = {1, 0, 1, 1};
    for (int i = 0; i < 4; i++) {
        struct loss_sums sums = {0};
        const struct targets one = {targets.labels + i, targets.labels2 + i, targets.share + i, 1};
        ASSERT_OK(loss_of_targets(logits[i], &one, 1, 3, 0, NULL, &sums, &m));
        assert_int_equal(sums.correct, right[i]);
    }
}

static void test_loss_gradient_is_the_slope(void **state)
{
    (void)state;
    float logits[6] = {0.3f, -1.25f, 2, 0.5f, 0.5f, -0.75f}, gradient[6];
    const uint16_t labels[2] = {1, 2};
    struct loss_sums sums = {0};
    ASSERT_OK(loss_cross_entropy(logits, labels, 2, 3, 0.2, gradient, &sums, &m));
    for (int k = 0; k < 6; k++) {
        const float step = 1.0f / 1024, at = logits[k];
        double ends[2];
        for (int side = 0; side < 2; side++) {
            struct loss_sums end = {0};
            logits[k] = side ? at + step : at - step;
            ASSERT_OK(loss_cross_entropy(logits, labels, 2, 3, 0.2, NULL, &end, &m));
            ends[side] = loss_mean(&end);
        }
        logits[k] = at;
        ASSERT_NEAR(gradient[k], (ends[1] - ends[0]) / (2.0 * step), 1e-6);
    }
}

static void test_loss_counts_the_first_of_the_largest(void **state)
{
    (void)state;
    const float logits[] = {1, 1, 0, 0, 2, 2};
    const uint16_t right[] = {0, 1}, wrong[] = {1, 2};
    struct loss_sums sums = {0};
    ASSERT_OK(loss_cross_entropy(logits, right, 2, 3, 0, NULL, &sums, &m));
    assert_int_equal(sums.correct, 2);
    ASSERT_OK(loss_cross_entropy(logits, wrong, 2, 3, 0, NULL, &sums, &m));
    assert_int_equal(sums.correct, 2);
    assert_int_equal(sums.images, 4);
    ASSERT_NEAR(loss_accuracy(&sums), 50, 0);
}

static void test_loss_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    const uint16_t labels[] = {0, 0};
    const float bad[][4] = {
        {0, 0, NAN, 0}, {0, 0, INFINITY, 0}, {0, 0, -INFINITY, 0}, {0, 0, -INFINITY, -INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct loss_sums sums = {.loss = 1.5, .images = 3, .correct = 2};
        ASSERT_FAILS(loss_cross_entropy(bad[i], labels, 2, 2, 0, NULL, &sums, &m), STATUS_RANGE, "loss is ");
        assert_int_equal(sums.images, 3);
        assert_int_equal(sums.correct, 2);
        ASSERT_NEAR(sums.loss, 1.5, 0);
    }
    const float good[] = {3e38f, -3e38f, -3e38f, 3e38f};
    struct loss_sums sums = {0};
    ASSERT_OK(loss_cross_entropy(good, labels, 2, 2, 0, NULL, &sums, &m));
}

/* ---- optimizer ---- */

static const struct slice slices[] = {
    {.name = "conv.weight", .role = SLICE_WEIGHT, .rank = 1, .shape = {30}, .offset = 0, .count = 30},
    {.name = "bn.bias", .role = SLICE_NORM, .rank = 1, .shape = {20}, .offset = 32, .count = 20},
};

/* 50 numbers of the reference into the two slices, with a gap. */
static void spread(float *flat, const float *from)
{
    memset(flat, 0, 64 * sizeof *flat);
    memcpy(flat, from, 30 * sizeof *flat);
    memcpy(flat + 32, from + 30, 20 * sizeof *flat);
}

static void check_sgd(const char *name, struct optimizer_options options)
{
    char after[64];
    float w[64], g[64], want[64];
    struct optimizer o;
    snprintf(after, sizeof after, "sgd.after.%s", name);
    spread(w, reference_data("sgd.start"));
    ASSERT_OK(optimizer_open(&o, &options, slices, 2, 64, &m));
    for (int step = 0; step < 6; step++) {
        spread(g, (const float *)reference_data("sgd.gradients") + 50 * step);
        optimizer_step(&o, w, g, ((const double *)reference_data("sgd.rates"))[step]);
        spread(want, (const float *)reference_data(after) + 50 * step);
        for (int i = 0; i < 64; i++)
            ASSERT_NEAR(w[i], want[i], 1e-6);
    }
    optimizer_close(&o);
}

static void test_sgd_is_pytorchs(void **state)
{
    (void)state;
    check_sgd("nesterov", (struct optimizer_options){0.9, 5e-2, 1, 1, 0, 0, 0, 0});
    check_sgd("plain", (struct optimizer_options){0.9, 5e-2, 0, 1, 1, 0, 0, 0});
    check_sgd("some", (struct optimizer_options){0.9, 5e-2, 1, 0, 1, 0, 0, 0});
    check_sgd("bias", (struct optimizer_options){0.9, 5e-2, 1, 1, 2, 0, 0, 0});
    check_sgd("clipped", (struct optimizer_options){0.9, 5e-2, 1, 1, 1, 6.8, 0, 0});
}

/* What gradients are multiplied by, against PyTorch's norms; what they become has the norm that was asked for; what
 * is less is left alone, and what is not finite does not become so. */
static void test_gradients_are_clipped_to_their_norm(void **state)
{
    (void)state;
    struct optimizer o;
    float g[64];
    int clipped = 0;
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 0, 0, 1, 1, 6.8, 0, 0}, slices, 2, 64, &m));
    for (int step = 0; step < 6; step++) {
        const double norm = ((const double *)reference_data("sgd.norms"))[step];
        spread(g, (const float *)reference_data("sgd.gradients") + 50 * step);
        g[63] = 1e9F; /* between slices: nobody's */
        const double by = optimizer_clip(&o, g);
        ASSERT_NEAR(by, norm > 6.8 ? 6.8 / norm : 1, 1e-6);
        clipped += by < 1;
        if (by == 1)
            continue;
        double squares = 0;
        for (int i = 0; i < 52; i++) /* the slices are [0,30) and [32,52) */
            squares += i < 30 || i >= 32 ? by * g[i] * by * g[i] : 0;
        ASSERT_NEAR(sqrt(squares), 6.8, 1e-12);
    }
    assert_in_range(clipped, 1, 5);
    g[7] = INFINITY;
    assert_true(optimizer_clip(&o, g) == 0);
    g[7] = NAN;
    assert_true(optimizer_clip(&o, g) == 1);
    o.options.clip_norm = 0;
    assert_true(optimizer_clip(&o, g) == 1);
    optimizer_close(&o);
}

/* Each slice moves by the same share of what it is; a learned scale by a part of that; zeros at the given rate. */
static void test_layers_have_rates_of_their_own(void **state)
{
    (void)state;
    enum { RATE_SLICES = 5, RATE_COUNT = 24 };
    static const struct slice five[RATE_SLICES] = {
        {.name = "a.weight", .role = SLICE_WEIGHT, .offset = 0, .count = 9},
        {.name = "b.weight", .role = SLICE_WEIGHT, .offset = 9, .count = 9},
        {.name = "a.scale", .role = SLICE_SCALE, .offset = 18, .count = 2},
        {.name = "b.bias", .role = SLICE_NORM, .offset = 20, .count = 2},
        {.name = "dead.weight", .role = SLICE_WEIGHT, .offset = 22, .count = 2}};
    const double rate = 0.01, decay = 0.05, share = 0.3, clip = 2;
    struct optimizer o;
    float w[RATE_COUNT], before[RATE_COUNT], g[RATE_COUNT];
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, decay, 0, 1, 1, clip, 1, share}, five,
                             RATE_SLICES, RATE_COUNT, &m));
    for (int i = 0; i < RATE_COUNT; i++) {
        w[i] = before[i] = i < 20 || i > 21 ? (float)(1 + i % 5) * (i < 9 ? 1.0F : 0.01F) : 0;
        g[i] = i > 21 ? 0 : (float)((i * 7) % 11 - 4) * (i < 9 ? 0.001F : 3.0F);
    }
    const double by = optimizer_clip(&o, g);
    optimizer_step(&o, w, g, rate);
    for (int i = 0; i < RATE_SLICES; i++) {
        const struct slice *s = &five[i];
        double ww = 0, gg = 0, own = s->role == SLICE_SCALE ? 0 : decay;
        for (size_t k = s->offset; k < s->offset + s->count; k++) {
            ww += (double)before[k] * before[k];
            gg += (double)g[k] * g[k];
        }
        double trust = ww > 0 && gg > 0 ? sqrt(ww) / (by * sqrt(gg) + own * sqrt(ww)) : 1;
        trust *= s->role == SLICE_SCALE ? share : 1;
        for (size_t k = s->offset; k < s->offset + s->count; k++)
            ASSERT_NEAR(w[k], before[k] - rate * trust * (by * g[k] + own * before[k]),
                        1e-6 * (1e-3 + fabs((double)before[k])));
    }
    g[3] = NAN;
    optimizer_step(&o, w, g, rate);
    assert_true(isnan(w[3]));
    optimizer_close(&o);
}

static void test_sgd_never_decays_scales(void **state)
{
    (void)state;
    const struct slice scale = {.name = "x.scale", .role = SLICE_SCALE, .count = 1};
    struct optimizer o;
    float w = 2, g = 0;
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 0.5, 1, 1, 1, 0, 0, 0}, &scale, 1, 1, &m));
    optimizer_step(&o, &w, &g, 0.1);
    ASSERT_NEAR(w, 2, 0);
    optimizer_close(&o);
}

/* ---- schedules ---- */

static void test_one_cycle(void **state)
{
    (void)state;
    const struct schedule s = {.kind = SCHEDULE_ONE_CYCLE, .rate = 0.4, .peak = 0.25, .warm_up_epochs = 3};
    ASSERT_NEAR(schedule_rate(&s, 0, 10, 2), 0.4 * 0.025 / 0.25, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 4, 10, 2), 0.4 * 0.225 / 0.25, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 5, 10, 2), 0.4 * 0.725 / 0.75, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 19, 10, 2), 0.4 * 0.025 / 0.75, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 0, 1, 1), 0.4 * 0.5 / 0.75, 1e-12);
    const struct schedule down = {.kind = SCHEDULE_ONE_CYCLE, .rate = 1},
                          up = {.kind = SCHEDULE_ONE_CYCLE, .rate = 1, .peak = 1};
    ASSERT_NEAR(schedule_rate(&down, 0, 4, 1), 0.875, 1e-12);
    ASSERT_NEAR(schedule_rate(&up, 3, 4, 1), 0.875, 1e-12);
}

static void test_cosine_step_constant(void **state)
{
    (void)state;
    const struct schedule cosine = {.kind = SCHEDULE_COSINE, .rate = 0.2};
    ASSERT_NEAR(schedule_rate(&cosine, 0, 2, 1), 0.1 * (1 + sqrt(0.5)), 1e-12);
    ASSERT_NEAR(schedule_rate(&cosine, 1, 2, 1), 0.1 * (1 - sqrt(0.5)), 1e-12);
    const struct schedule step = {
        .kind = SCHEDULE_STEP, .rate = 1, .milestones = {0.5, 0.75}, .milestone_count = 2, .factor = 0.1};
    const double want[] = {1, 1, 0.1, 0.01};
    for (int i = 0; i < 4; i++)
        ASSERT_NEAR(schedule_rate(&step, i, 1, 4), want[i], 1e-12);
    const struct schedule constant = {.kind = SCHEDULE_CONSTANT, .rate = 0.3};
    ASSERT_NEAR(schedule_rate(&constant, 99, 10, 10), 0.3, 0);
}

static void test_warm_up(void **state)
{
    (void)state;
    struct schedule s = {.kind = SCHEDULE_COSINE, .rate = 0.2, .warm_up_epochs = 0.5};
    ASSERT_NEAR(schedule_rate(&s, 0, 4, 1), 0.2 * 0.25, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 1, 4, 1), 0.2 * 0.75, 1e-12);
    ASSERT_NEAR(schedule_rate(&s, 2, 4, 1), 0.1 * (1 + sqrt(0.5)), 1e-12);
    s.warm_up_epochs = 9; /* longer than the run */
    ASSERT_NEAR(schedule_rate(&s, 3, 4, 1), 0.2 * 3.5 / 4, 1e-12);
}

static void test_schedule_names(void **state)
{
    (void)state;
    enum schedule_kind kind;
    ASSERT_OK(schedule_parse("step", &kind, &m));
    assert_int_equal(kind, SCHEDULE_STEP);
    ASSERT_FAILS(schedule_parse("sine", &kind, &m), STATUS_RANGE, SCHEDULE_NAMES);
}

/* ---- averages ---- */

static void test_average_follows_its_formula(void **state)
{
    (void)state;
    const struct slice states[] = {
        {.name = "bn.running_mean", .role = SLICE_STATE, .offset = 0, .count = 1},
        {.name = "bn.num_batches_tracked", .role = SLICE_STATE, .offset = 1, .count = 1}};
    float values[3] = {1, 1, 0}, parameter[1] = {2}, tracked[2] = {5, 7};
    struct average a = {.decay = 0.9,
                        .values = values,
                        .parameters = 1,
                        .state = 2,
                        .state_slices = states,
                        .state_slice_count = 2};
    average_update(&a, parameter, tracked, 1); /* decay (1 + 1) / (10 + 1) */
    ASSERT_NEAR(values[0], 1 + (1 - 2.0 / 11), 1e-6);
    ASSERT_NEAR(values[1], 1 + 4 * (1 - 2.0 / 11), 1e-6);
    ASSERT_NEAR(values[2], 7, 0);
    values[0] = 1;
    average_update(&a, parameter, tracked, 1000); /* by now 0.9 */
    ASSERT_NEAR(values[0], 1.1, 1e-6);
    struct average off = {0};
    average_update(&off, parameter, tracked, 1);
}

/* What one step at rate 0.25 takes from value i: of the first slice with decay, of the second tenfold, between them
 * nothing. */
static float step_at(int i, int first, int gap, float start, float gradient)
{
    if (i < first)
        return 0.25F * (gradient + 0.1F * start);
    return i < first + gap ? 0 : 2.5F * gradient;
}

/* Slices that begin and end within a thread's share, a gap between them: each value has its own slice's rate, and the
 * bytes are the same by three threads as by one. */
static void test_threads_share_an_update(void **state)
{
    (void)state;
    enum { UPDATED = 100000, UPDATES = 3, FIRST = 40001, GAP = 7 };
    const struct slice two[] = {
        {.name = "a.weight", .role = SLICE_WEIGHT, .offset = 0, .count = FIRST},
        {.name = "b.bias", .role = SLICE_BIAS, .offset = FIRST + GAP, .count = UPDATED - FIRST - GAP}};
    float *start = malloc(UPDATED * sizeof *start), *gradient = malloc(UPDATED * sizeof *gradient);
    float *w[2], *mean[2];
    for (int i = 0; i < UPDATED; i++) {
        start[i] = (float)(i % 13 - 6);
        gradient[i] = (float)(i % 7 - 3);
    }
    for (int p = 0; p < 2; p++) {
        struct threads *pool;
        struct optimizer o;
        ASSERT_OK(threads_open(&pool, p ? 3 : 1, &m));
        ASSERT_OK(
            optimizer_open(&o, &(struct optimizer_options){0.9, 0.1, 0, 0, 10, 0, 0, 0}, two, 2, UPDATED, &m));
        w[p] = malloc(UPDATED * sizeof *w[p]);
        mean[p] = malloc(UPDATED * sizeof *mean[p]);
        memcpy(w[p], start, UPDATED * sizeof *w[p]);
        memcpy(mean[p], start, UPDATED * sizeof *mean[p]);
        struct average a = {.decay = 0.5, .values = mean[p], .parameters = UPDATED, .pool = pool};
        o.pool = pool;
        for (int step = 0; step < UPDATES; step++) {
            optimizer_step(&o, w[p], gradient, 0.25);
            average_update(&a, w[p], NULL, 1000);
            for (int i = 0; step == 0 && i < UPDATED; i++) {
                const float taken = step_at(i, FIRST, GAP, start[i], gradient[i]);
                ASSERT_NEAR(w[p][i], start[i] - taken, 1e-5);
                ASSERT_NEAR(mean[p][i], start[i] - taken / 2, 1e-5);
            }
        }
        optimizer_close(&o);
        threads_close(pool);
    }
    assert_memory_equal(w[0], w[1], UPDATED * sizeof *w[0]);
    assert_memory_equal(mean[0], mean[1], UPDATED * sizeof *mean[0]);
    for (int p = 0; p < 2; p++) {
        free(w[p]);
        free(mean[p]);
    }
    free(start);
    free(gradient);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_share_an_update),
        cmocka_unit_test(test_loss_is_pytorchs),
        cmocka_unit_test(test_loss_of_mixed_labels_is_pytorchs),
        cmocka_unit_test(test_right_is_the_largest_share),
        cmocka_unit_test(test_loss_gradient_is_the_slope),
        cmocka_unit_test(test_loss_counts_the_first_of_the_largest),
        cmocka_unit_test(test_loss_that_is_not_finite_is_refused),
        cmocka_unit_test(test_sgd_is_pytorchs),
        cmocka_unit_test(test_gradients_are_clipped_to_their_norm),
        cmocka_unit_test(test_layers_have_rates_of_their_own),
        cmocka_unit_test(test_sgd_never_decays_scales),
        cmocka_unit_test(test_one_cycle),
        cmocka_unit_test(test_cosine_step_constant),
        cmocka_unit_test(test_warm_up),
        cmocka_unit_test(test_schedule_names),
        cmocka_unit_test(test_average_follows_its_formula),
    };
    return cmocka_run_group_tests(tests, reference_load, reference_free);
}
