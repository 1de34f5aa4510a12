/* Loss, loss scaling and the optimizer. */
#include "tests/cuda/both.h"

static struct both struct_new(const void *values, size_t bytes)
{
    return both_raw(DEVICE_U8, bytes, values);
}

static struct both labels_random(int n, int k, uint64_t of)
{
    uint16_t *values = malloc((size_t)n * sizeof *values);
    for (int i = 0; i < n; i++)
        values[i] = (uint16_t)(mixed(of, (uint64_t)i) % (uint64_t)k);
    struct both x = both_raw(DEVICE_U8, (size_t)n * sizeof *values, values);
    free(values);
    return x;
}

/* Three a row, in all at most 3/4; some are 0. */
static struct both shares_random(int n)
{
    float *values = malloc((size_t)n * 3 * sizeof *values);
    for (int i = 0; i < 3 * n; i++)
        values[i] = (float)(mixed(6, (uint64_t)i) % 5) / 16;
    struct both x = both_floats(DEVICE_F32, (size_t)n * 3, values);
    free(values);
    return x;
}

static void check_loss(int n, int k, double smoothing, enum device_type type, int scaled, float size)
{
    size_t count = (size_t)n * (size_t)k;
    struct device_scale scale = {1024, 0, 0, 0, 0};
    struct both logits = both_random(DEVICE_F32, count, 1, size), labels = labels_random(n, k, 2);
    struct both labels2 = labels_random(3 * n, k, 5), share = shares_random(n);
    struct both s_scale = struct_new(&scale, sizeof scale), dlogits = both_new(type, count);
    struct both report = both_new(DEVICE_U8, sizeof(struct device_report));
    ON_BOTH(B->loss(D,
                    &(struct device_loss_call){AT(logits),
                                               {AT(labels), AT(labels2), AT(share), 3},
                                               n,
                                               k,
                                               smoothing,
                                               scaled ? AT(s_scale) : NULL,
                                               type,
                                               AT(dlogits),
                                               AT(report),
                                               scaled ? 3 * n : 0 /* as a shard */},
                    M));
    both_close(&dlogits, 1e-6, "gradient of the loss");
    struct device_report *ours = both_get(&report, OURS), *host = both_get(&report, HOST);
    assert_true(fabs(ours->loss - host->loss) <= 1e-9 * fabs(host->loss));
    assert_int_equal(ours->correct, host->correct);
    assert_int_equal(ours->images, n);
    free(ours), free(host);
    both_free(&logits), both_free(&labels), both_free(&s_scale), both_free(&dlogits), both_free(&report);
    both_free(&labels2), both_free(&share);
}

static void test_loss(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++) {
        check_loss(1, 2, 0, float_types[t], 0, 1);
        check_loss(7, 10, 0.1, float_types[t], 1, 4);
        check_loss(512, 10, 0.1, float_types[t], 0, 10);
        check_loss(1000, 100, 0, float_types[t], 1, 100);
        check_loss(64, 70 * 256, 0.1, float_types[t], 0, 10);
    }
}

/* The first of equal logits is the answer; a NaN shows in the loss. */
static void test_loss_of_odd_logits(void **state)
{
    (void)state;
    const float logits[] = {1, 1, 1, 0, 2, 2, NAN, 0, 0};
    const uint16_t labels[] = {0, 2, 1};
    struct both l = both_floats(DEVICE_F32, 9, logits), t = both_raw(DEVICE_U8, sizeof labels, labels);
    struct both d = both_new(DEVICE_F32, 9), report = both_new(DEVICE_U8, sizeof(struct device_report));
    ON_BOTH(B->loss(
        D, &(struct device_loss_call){AT(l), {.labels = AT(t)}, 2, 3, 0, NULL, DEVICE_F32, AT(d), AT(report), 0},
        M));
    struct device_report *r = both_get(&report, OURS);
    assert_int_equal(r->correct, 1);
    free(r);
    ON_BOTH(B->loss(
        D, &(struct device_loss_call){AT(l), {.labels = AT(t)}, 3, 3, 0, NULL, DEVICE_F32, AT(d), AT(report), 0},
        M));
    r = both_get(&report, OURS);
    assert_true(isnan(r->loss));
    free(r);
    both_free(&l), both_free(&t), both_free(&d), both_free(&report);
}

static struct device_scale scale_of(const struct both *scale)
{
    struct device_scale *s = both_get(scale, OURS), copy = *s;
    free(s);
    both_equal(scale, "loss scale");
    return copy;
}

static void test_scale(void **state)
{
    (void)state;
    enum { N = 100003 };
    float *values = malloc(N * sizeof *values);
    for (size_t i = 0; i < N; i++)
        values[i] = (float)i;
    struct device_scale first = {65536, 0, 0, 0, 0};
    struct both scale = struct_new(&first, sizeof first);
    static const size_t bad_at[] = {N, 0, 50000, N - 1, N};
    for (int i = 0; i < 5; i++) {
        if (bad_at[i] < N)
            values[bad_at[i]] = i % 2 ? NAN : INFINITY;
        struct both g = both_floats(DEVICE_F32, N, values);
        ON_BOTH(B->scale_check(D, AT(g), N, AT(scale), M));
        assert_int_equal(scale_of(&scale).overflow, bad_at[i] < N);
        ON_BOTH(B->scale_update(D, AT(scale), M));
        (void)scale_of(&scale);
        if (bad_at[i] < N)
            values[bad_at[i]] = 1;
        both_free(&g);
    }
    assert_true(scale_of(&scale).scale == 65536 / 8);
    assert_int_equal(scale_of(&scale).skipped, 3);
    for (int i = 0; i < 2000; i++)
        ON_BOTH(B->scale_update(D, AT(scale), M));
    assert_true(scale_of(&scale).scale == 65536 / 4);
    both_free(&scale), free(values);
}

static void check_sgd(enum device_type copy_type, int nesterov, int with_average, int overflow)
{
    enum { COUNT = 16 * 1001 };
    struct device_scalars scalars = {0.1f, 0.02f, 0.05f};
    struct device_scale scale = {1024, overflow, 0, 0, 0};
    struct both w = both_random(DEVICE_F32, COUNT, 3, 1), v = both_random(DEVICE_F32, COUNT, 4, 1);
    struct both g = both_random(DEVICE_F32, COUNT, 5, 1000), average = both_random(DEVICE_F32, COUNT, 6, 1);
    struct both flags = both_integers(DEVICE_U8, COUNT / DEVICE_FLAG_FLOATS, 7, 0, 3),
                copy = both_new(copy_type, COUNT);
    struct both s_scalars = struct_new(&scalars, sizeof scalars), s_scale = struct_new(&scale, sizeof scale);
    for (int s = 0; s < SIDES; s++) {
        struct device_sgd sgd = {.count = COUNT,
                                 .parameters = AT(w),
                                 .velocity = AT(v),
                                 .gradients = AT(g),
                                 .flags = AT(flags),
                                 .average = with_average ? AT(average) : NULL,
                                 .copy = copy_type == DEVICE_F32 ? NULL : AT(copy),
                                 .copy_type = copy_type,
                                 .scalars = AT(s_scalars),
                                 .scale = with_average ? AT(s_scale) : NULL,
                                 .momentum = 0.9f,
                                 .weight_decay = 5e-4f,
                                 .nesterov = nesterov};
        for (int step = 0; step < 3; step++)
            ok(sides[s].b->sgd(sides[s].d, &sgd, &reason));
    }
    both_equal(&w, "parameters"), both_equal(&v, "velocity"), both_equal(&average, "average"),
        both_equal(&copy, "copy");
    ON_BOTH(B->blend(D, AT(average), AT(w), COUNT, AT(s_scalars), with_average ? AT(s_scale) : NULL, M));
    both_equal(&average, "blended");
    struct both *all[] = {&w, &v, &g, &average, &flags, &copy, &s_scalars, &s_scale};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        both_free(all[i]);
}

static void test_sgd(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int kind = 0; kind < 8; kind++)
            check_sgd(float_types[t], kind & 1, kind >> 1 & 1, kind >> 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_loss_of_odd_logits),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_sgd),
    };
    return cmocka_run_group_tests_name("training", tests, sides_open, sides_close);
}
