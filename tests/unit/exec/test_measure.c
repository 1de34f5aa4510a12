/* Statistics, measuring, and where buffers are put. */
#include "exec/plan/lifetimes.h"
#include "exec/infer/measure.h"
#include "nets.h"
#include <signal.h>
#include <sys/time.h>

static void test_timing(void **state)
{
    (void)state;
    double one[] = {3};
    struct timing t = timing_of(one, 1);
    assert_true(t.median == 3 && t.min == 3 && t.p95 == 3 && t.p99 == 3);
    double hundred[100];
    for (int i = 0; i < 100; i++)
        hundred[i] = (i * 37) % 100 + 1;
    t = timing_of(hundred, 100);
    assert_true(t.min == 1 && t.median == 50.5 && t.p95 == 95 && t.p99 == 99);
    double five[] = {5, 1, 4, 2, 3};
    t = timing_of(five, 5);
    assert_true(t.min == 1 && t.median == 3 && t.p95 == 5 && t.p99 == 5);
}

static uint8_t *shared_images;

/* Another picture appears again and again, so that whenever the untimed call was, later ones give other logits. */
static void spoil(int signal_number)
{
    (void)signal_number;
    shared_images[100] = (uint8_t)(shared_images[100] + 77);
}

static void test_run(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e;
    random_model(&model, NET_FLOAT, 1);
    ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.batch = 4}, &m), m);
    uint8_t *images = random_images(&model, 4, 1);
    struct measure_case cases[] = {{.exec = e, .images = images, .batch = 1, .name = "one"},
                                   {.exec = e, .images = images, .batch = 4, .name = "four"}};
    ASSERT_OK(measure_run(cases, 2, &(struct measure_options){.seconds = 0.02, .layers = 1}, &m), m);
    for (int i = 0; i < 2; i++) {
        const struct timing *t = &cases[i].call;
        assert_true(cases[i].samples >= MEASURE_LEAST && cases[i].samples <= MEASURE_MOST);
        assert_true(0 < t->min && t->min <= t->median && t->median <= t->p95 && t->p95 <= t->p99);
        assert_true(cases[i].peak >= 0 && cases[i].peak == cases[0].peak);
        assert_true(cases[i].layer_samples >= MEASURE_LEAST);
        double layers = 0;
        for (int k = 0; k < exec_layer_count(e); k++)
            layers += cases[i].layers[k].min;
        assert_true(layers > 0);
    }
    measure_free(cases, 2);
    assert_string_equal(exec_main_algorithm(e), exec_layer_at(e, 1).algorithm);
    assert_true(exec_held_bytes(e) > exec_arena_bytes(e));
    shared_images = images;
    signal(SIGALRM, spoil);
    struct itimerval often = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}};
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(measure_run(cases, 2, &(struct measure_options){.seconds = 30}, &m), STATUS_MISMATCH);
    setitimer(ITIMER_REAL, &(struct itimerval){{0}, {0}}, NULL);
    assert_non_null(strstr(m.text, ": logits differ from those of the untimed call"));
    measure_free(cases, 2);
    free(images);
    exec_close(e);
    model_free(&model);
    char name[64];
    machine_name(name, sizeof name);
    assert_true(name[0] != '\0');
}

static void test_lifetimes(void **state)
{
    (void)state;
    enum { BLOCKS = 200 };
    struct message m;
    struct lifetime blocks[BLOCKS];
    struct random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    size_t total, sum = 0;
    for (int i = 0; i < BLOCKS; i++) {
        int begin = (int)random_below(&r, 100);
        blocks[i] = (struct lifetime){
            .bytes = random_below(&r, 5000), .begin = begin, .end = begin + (int)random_below(&r, 8)};
        sum += blocks[i].bytes;
    }
    ASSERT_OK(lifetimes_place(blocks, BLOCKS, &total, &m), m);
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(blocks[i].offset % 64, 0);
        assert_true(blocks[i].offset + blocks[i].bytes <= total);
        for (int k = 0; k < i; k++)
            assert_true(blocks[i].end < blocks[k].begin || blocks[k].end < blocks[i].begin ||
                        blocks[i].offset + blocks[i].bytes <= blocks[k].offset ||
                        blocks[k].offset + blocks[k].bytes <= blocks[i].offset);
    }
    assert_true(total < sum / 5); /* about 8 of 200 live at once */
    blocks[0].bytes = SIZE_MAX / 2;
    blocks[1].bytes = SIZE_MAX / 2;
    assert_int_equal(lifetimes_place(blocks, BLOCKS, &total, &m), STATUS_RANGE);
}

static int allocations_left;

static int fail_later(size_t bytes)
{
    (void)bytes;
    return allocations_left-- <= 0;
}

/* Every allocation that opening makes fails once: an error each time, never a leak or a crash. */
static void test_failing_allocations(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct exec *e;
    random_model(&model, NET_FLOAT, 3);
    memory_test_hook = fail_later;
    int status = STATUS_NOMEM, attempts = 0;
    for (; status < 0 && attempts < 1000; attempts++) {
        allocations_left = attempts;
        status = exec_open(&e, &model, NULL, &m);
        if (status < 0)
            assert_int_equal(status, STATUS_NOMEM);
    }
    memory_test_hook = NULL;
    ASSERT_OK(status, m);
    assert_true(attempts > 20);
    exec_close(e);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timing),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
