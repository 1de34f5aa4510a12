/* Memory, copies, events, captured steps and the peak. */
#include "tests/cuda/both.h"

#define B (sides[OURS].b)
#define D (sides[OURS].d)

static void *device_new(size_t bytes)
{
    void *p = NULL;
    ok(B->allocate(D, bytes, &p, &reason));
    return p;
}

static void *pinned_new(size_t bytes)
{
    void *p = NULL;
    ok(B->allocate_host(D, bytes, &p, &reason));
    return p;
}

static void test_information(void **state)
{
    (void)state;
    struct device_information i;
    ok(B->information(D, &i, &reason));
    print_message("# %s: %s, %zu MiB of %zu free, %d multiprocessors\n", i.name, i.library, i.free >> 20,
                  i.memory >> 20, i.multiprocessors);
    assert_true(strlen(i.name) > 0 && strlen(i.library) > 0);
    assert_true(i.free <= i.memory && i.memory > 0 && i.multiprocessors > 0);
}

static void test_copies(void **state)
{
    (void)state;
    enum { N = 100000 };
    unsigned char *in = pinned_new(N), *out = pinned_new(N), *a = device_new(N), *b = device_new(N);
    for (size_t i = 0; i < N; i++)
        in[i] = (unsigned char)mixed(1, i);
    ok(B->copy_in(D, QUEUE_COMPUTE, a, in, N, &reason));
    ok(B->copy_on(D, QUEUE_COMPUTE, b, a, N, &reason));
    ok(B->zero(D, a, N / 2, &reason));
    ok(B->copy_out(D, QUEUE_COMPUTE, out, b, N, &reason));
    ok(B->synchronize(D, &reason));
    assert_memory_equal(in, out, N);
    ok(B->copy_out(D, QUEUE_COMPUTE, out, a, N, &reason));
    ok(B->synchronize(D, &reason));
    for (size_t i = 0; i < N / 2; i++)
        assert_int_equal(out[i], 0);
    assert_memory_equal(in + N / 2, out + N / 2, N / 2);
    B->release(D, a), B->release(D, b), B->release_host(D, in), B->release_host(D, out);
    B->release(D, NULL), B->release_host(D, NULL);
}

/* What the copy queue brings, the compute queue waits for. */
static void test_queues(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    float *in = pinned_new(N * 4), *out = pinned_new(N * 4), *x = device_new(N * 4), *y = device_new(N * 4);
    struct device_event *copied = NULL, *done = NULL;
    ok(B->event_new(D, &copied, &reason)), ok(B->event_new(D, &done, &reason));
    for (int turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < N; i++)
            in[i] = (float)(i % 1000) + (float)turn;
        ok(B->copy_in(D, QUEUE_COPY, x, in, N * 4, &reason));
        ok(B->event_record(D, copied, QUEUE_COPY, &reason));
        ok(B->event_wait(D, QUEUE_COMPUTE, copied, &reason));
        ok(B->add(D, &(struct device_add_call){DEVICE_F32, x, x, N, 0, y}, &reason));
        ok(B->copy_out(D, QUEUE_COMPUTE, out, y, N * 4, &reason));
        ok(B->event_record(D, done, QUEUE_COMPUTE, &reason));
        ok(B->event_synchronize(D, done, &reason));
        for (size_t i = 0; i < N; i += 997)
            assert_true(out[i] == 2 * in[i]);
    }
    double seconds = -1;
    ok(B->event_seconds(D, copied, done, &seconds, &reason));
    assert_true(seconds >= 0 && seconds < 60);
    B->event_free(D, copied), B->event_free(D, done), B->event_free(D, NULL);
    B->release(D, x), B->release(D, y), B->release_host(D, in), B->release_host(D, out);
}

/* Captured once, launched three times; values in memory may change between. */
static void test_capture(void **state)
{
    (void)state;
    enum { N = 5000 };
    float *host = pinned_new(N * 4), *x = device_new(N * 4), *step = device_new(N * 4);
    struct device_graph *g = NULL;
    ok(B->zero(D, x, N * 4, &reason));
    ok(B->synchronize(D, &reason));
    ok(B->capture_begin(D, &reason));
    ok(B->add(D, &(struct device_add_call){DEVICE_F32, x, step, N, 0, x}, &reason));
    ok(B->copy_out(D, QUEUE_COMPUTE, host, x, N * 4, &reason));
    ok(B->capture_end(D, &g, &reason));
    float expected = 0;
    for (int turn = 1; turn <= 3; turn++) {
        float by[N];
        for (int i = 0; i < N; i++)
            by[i] = (float)turn;
        ok(B->copy_in(D, QUEUE_COMPUTE, step, by, sizeof by, &reason));
        ok(B->graph_launch(D, g, &reason));
        ok(B->synchronize(D, &reason));
        expected += (float)turn;
        for (int i = 0; i < N; i++)
            assert_true(host[i] == expected);
    }
    B->graph_free(D, g), B->graph_free(D, NULL);
    B->release(D, x), B->release(D, step), B->release_host(D, host);
}

/* After a capture that was given up, the queue works as before. */
static void test_abandoned_capture(void **state)
{
    (void)state;
    float host[4] = {1, 2, 3, 4}, *x = device_new(sizeof host);
    ok(B->capture_begin(D, &reason));
    ok(B->zero(D, x, sizeof host, &reason));
    B->capture_abandon(D);
    ok(B->copy_in(D, QUEUE_COMPUTE, x, host, sizeof host, &reason));
    ok(B->relu(D, DEVICE_F32, x, 4, x, &reason));
    ok(B->copy_out(D, QUEUE_COMPUTE, host, x, sizeof host, &reason));
    ok(B->synchronize(D, &reason));
    assert_true(host[3] == 4);
    B->release(D, x);
}

/* A convolution, a batch norm and a product inside a captured step give what they give outside. */
static void test_capture_of_libraries(void **state)
{
    (void)state;
    struct device_conv c = {4, 8, 8, 16, 8, 8, 16, 3, 1, 1, DEVICE_F16};
    struct device_norm n = {4, 8, 8, 16, DEVICE_F16, 1, 0, 1e-5, 0.1};
    struct device_linear l = {4, 1024, 10, DEVICE_F16, DEVICE_F32};
    struct device_plan *pc = NULL, *pn = NULL;
    struct device_graph *g = NULL;
    enum { VALUES = 4 * 8 * 8 * 16 };
    ok(B->conv_plan(D, &c, 1u << DEVICE_FORWARD, 1 << 20, &pc, &reason));
    ok(B->norm_plan(D, &n, &pn, &reason));
    struct both x = both_random(DEVICE_F16, VALUES, 2, 1), w = both_random(DEVICE_F16, 16 * 9 * 16, 3, 1);
    struct both y = both_new(DEVICE_F16, VALUES), z = both_new(DEVICE_F16, VALUES);
    struct both constants = both_random(DEVICE_F32, 6 * 16, 4, 1), out = both_new(DEVICE_F32, 40);
    struct both weights = both_random(DEVICE_F16, 10 * 1024, 5, 1);
    float *k = constants.at[OURS];
    void *workspace = device_new(B->plan_workspace(pc) + B->plan_workspace(pn) + 1);
    void *reserve = device_new(B->plan_reserve(pn) + 1), *results[2];
    for (int captured = 0; captured < 2; captured++) {
        if (captured)
            ok(B->capture_begin(D, &reason));
        ok(B->conv_forward(D, pc,
                           &(struct device_conv_call){x.at[OURS], w.at[OURS], NULL, NULL, 0, y.at[OURS], workspace},
                           &reason));
        ok(B->norm_forward(D, pn,
                           &(struct device_norm_call){y.at[OURS], NULL, k, k + 16, k + 32, k + 48, k + 64, k + 80,
                                                      z.at[OURS], reserve, workspace},
                           &reason));
        ok(B->linear_forward(D, &l, z.at[OURS], weights.at[OURS], NULL, out.at[OURS], &reason));
        if (captured) {
            ok(B->capture_end(D, &g, &reason));
            ok(B->zero(D, out.at[OURS], 160, &reason));
            ok(B->graph_launch(D, g, &reason));
        }
        results[captured] = both_get(&out, OURS);
    }
    assert_memory_equal(results[0], results[1], 160);
    free(results[0]), free(results[1]);
    B->graph_free(D, g), B->plan_free(D, pc), B->plan_free(D, pn), B->release(D, workspace), B->release(D, reserve);
    both_free(&x), both_free(&w), both_free(&y), both_free(&z), both_free(&constants), both_free(&out);
    both_free(&weights);
}

static void test_too_much_memory(void **state)
{
    (void)state;
    void *p = NULL;
    memset(&reason, 0, sizeof reason);
    assert_int_equal(B->allocate(D, (size_t)1 << 50, &p, &reason), STATUS_NOMEM);
    assert_null(p);
    assert_non_null(strstr(reason.text, "1125899906842624"));
    assert_non_null(strstr(reason.text, "out of memory"));
}

static void test_peak(void **state)
{
    (void)state;
    static const enum device_type types[] = {DEVICE_F32, DEVICE_F16, DEVICE_BF16, DEVICE_S8};
    static const char *const names[] = {"f32", "f16", "bf16", "s8"};
    for (int i = 0; i < 4; i++) {
        double macs = 0;
        if (getenv("RESQ_CUDA_EMULATED") && i > 0)
            break;
        ok(B->peak(D, types[i], 0.2, &macs, &reason));
        print_message("# peak of products in %s: %.1f TMAC/s\n", names[i], macs * 1e-12);
        assert_true(macs > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_information),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_abandoned_capture),
        cmocka_unit_test(test_capture_of_libraries),
        cmocka_unit_test(test_too_much_memory),
        cmocka_unit_test(test_peak),
    };
    return cmocka_run_group_tests_name("queues", tests, sides_open, sides_close);
}
