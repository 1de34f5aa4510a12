/* What a plan offers to be brought ahead: all packed weights, by one worker or in parts, in the order of the steps.
 */
#include "exec/infer/cpu/cpu_exec.h"
#include "integers.h"

enum { WORKERS = 2 };

/* Everything that worker `worker` reads, taken as it is offered; its bytes. Each step's own weights are behind what
 * is taken when the step ends. */
static size_t take_all(const struct exec *e, int worker, unsigned char *seen)
{
    struct ahead a = {0};
    size_t bytes = 0;
    for (int i = 0; i < e->steps.count; i++) {
        weights_ahead(e, worker, i, &a);
        for (struct ahead_range w = ahead_window(&a); w.begin < w.end; w = ahead_window(&a)) {
            for (const char *p = w.begin; p < w.end; p++)
                seen[p - (const char *)cpu_of(e)->weights]++;
            bytes += (size_t)(w.end - w.begin);
            ahead_take(&a, w.end);
        }
    }
    return bytes;
}

static void test_every_weight_once(void **state)
{
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++) {
        struct model model;
        struct message m = {{0}};
        struct exec *e;
        size_t bytes = 0, taken = 0;
        random_model(&model, NET_INTEGER, 1);
        struct exec_options options = {.threads = workers, .batch = 1, .isa = "ref"};
        ASSERT_OK(exec_open(&e, &model, &options, &m), m);
        for (int i = 0; i < e->steps.count; i++)
            bytes += conv_parts_bytes(&cpu_of(e)->steps[i].parts);
        unsigned char *seen = calloc(bytes, 1);
        assert_non_null(seen);
        for (int k = 0; k < workers; k++)
            taken += take_all(e, k, seen);
        assert_true(taken >= bytes); /* layers cut by rows are read by all */
        for (size_t i = 0; i < bytes; i++)
            assert_in_range(seen[i], 1, workers);
        free(seen);
        exec_close(e);
        model_free(&model);
    }
}

/* What lies behind is not offered any more, and the room counts from the step's end. */
static void test_weights_behind_are_left_out(void **state)
{
    (void)state;
    struct model model;
    struct message m = {{0}};
    struct exec *e;
    random_model(&model, NET_INTEGER, 1);
    struct exec_options options = {.batch = 1, .isa = "ref"};
    ASSERT_OK(exec_open(&e, &model, &options, &m), m);
    size_t before = 0;
    for (int i = 0; i < e->steps.count; i++) {
        struct ahead a = {0};
        weights_ahead(e, 0, i, &a);
        struct ahead_range w = ahead_window(&a);
        if (w.begin < w.end)
            assert_ptr_equal(w.begin, cpu_of(e)->weights + before);
        before += conv_parts_bytes(&cpu_of(e)->steps[i].parts);
        assert_int_equal(a.room, conv_parts_bytes(&cpu_of(e)->steps[i].parts) + second_level_cache() / 8 * 3);
    }
    exec_close(e);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_weight_once),
                                       cmocka_unit_test(test_weights_behind_are_left_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
