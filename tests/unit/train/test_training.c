/* Whole runs on a tiny network: the same bytes however they are stopped, cut and threaded. */
#include "runs.h"
#include <stdatomic.h>
#include "base/memory.h"
#include "graph/model.h"
#include "train/checkpoint.h"
#include "train/held_out.h"

static void test_threads_and_averages(void **state)
{
    (void)state;
    struct files one, two;
    struct training_options o = options_for(&one, "one");
    ASSERT_OK(run_float(o));
    o = options_for(&two, "two");
    o.threads = 3;
    ASSERT_OK(run_float(o));
    assert_same_file(one.output, two.output);
    assert_same_file(one.last, two.last);
    struct model model;
    ASSERT_OK(model_load(&model, one.output, &m));
    assert_string_equal(record_get(model.record, "trained-on"), "sha256:aa train/train");
    assert_string_equal(record_get(model.record, "dataset"), "Pictures");
    assert_non_null(
        strstr(record_get(model.record, "made-by"), "train-test " RESQ_VERSION " ema=0.9 graph=sha256:"));
    const struct tensor *tracked = record_find(model.record, "b.num_batches_tracked");
    assert_int_equal(*(const int64_t *)tracked->data % STEPS, 0);
    model_free(&model);
    o = options_for(&two, "plain");
    o.ema = 0;
    ASSERT_OK(run_float(o));
    size_t na, nb;
    char *a = slurp(one.last, &na), *b = slurp(two.last, &nb);
    assert_true(na != nb || memcmp(a, b, na) != 0);
    free(a);
    free(b);
}

static double accuracy_of(const char *path, double *loss)
{
    struct held_out h;
    struct model model;
    struct loss_sums sums;
    ASSERT_OK(model_load(&model, path, &m));
    ASSERT_OK(held_out_open(&h, path_of("held-out"), NULL, NULL, &m));
    ASSERT_OK(held_out_evaluate(&h, &model, NULL, &sums, &m));
    held_out_close(&h);
    model_free(&model);
    *loss = loss_mean(&sums);
    return loss_accuracy(&sums);
}

/* The last epoch's steps are so large that they wreck the network: what is delivered is the epoch before. */
static void test_the_best_is_kept(void **state)
{
    (void)state;
    struct files f;
    struct record *r;
    double best = -1, loss;
    struct training_options o = options_for(&f, "best");
    o.schedule = (struct schedule){
        .kind = SCHEDULE_STEP, .rate = 0.5, .milestones = {0.66}, .milestone_count = 1, .factor = 1e4};
    o.ema = 0;
    ASSERT_OK(run_float(o));
    size_t size;
    char *log = slurp(f.log, &size), *save;
    for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        double held_out;
        if (sscanf(line, "%*d %*d %*f %*f %*f %lf", &held_out) == 1)
            best = held_out > best ? held_out : best;
    }
    free(log);
    ASSERT_NEAR(accuracy_of(f.output, &loss), best, 1e-3);
    assert_true(accuracy_of(f.last, &loss) < best);
    assert_int_equal(checkpoint_load(f.checkpoint, &r, &m), 1);
    ASSERT_NEAR(atof(record_get(r, "best-accuracy")), best, 1e-3);
    record_free(r);
}

/* Weights and batch norm's statistics that are delivered are the averaged ones. */
static void test_averages_are_delivered(void **state)
{
    (void)state;
    struct files f;
    struct record *r;
    struct model model;
    ASSERT_OK(run_float(options_for(&f, "averaged")));
    assert_int_equal(checkpoint_load(f.checkpoint, &r, &m), 1);
    ASSERT_OK(model_load(&model, f.last, &m));
    const char *names[] = {"c.weight", "b.bias", "b.running_mean", "e.running_var", "f.bias"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char averaged[64];
        snprintf(averaged, sizeof averaged, "ema.%s", names[i]);
        const struct tensor *now = record_find(r, names[i]), *ema = record_find(r, averaged),
                            *delivered = record_find(model.record, names[i]);
        assert_memory_equal(delivered->data, ema->data, ema->bytes);
        assert_memory_not_equal(now->data, ema->data, ema->bytes);
    }
    model_free(&model);
    record_free(r);
}

/* Stopped after each epoch. */
static void test_resumed_after_each_epoch(void **state)
{
    (void)state;
    struct files whole, part;
    int64_t after = 1;
    struct training_options o = options_for(&whole, "whole");
    ASSERT_OK(run_float(o));
    o = options_for(&part, "part");
    o.resume = 1;
    o.say = stop_after_lines;
    o.say_context = &after;
    o.stop = &stop;
    talk_lines = 0;
    for (int session = 0; session < EPOCHS; session++) {
        stop = 0;
        if (session == 1)
            o.input = path_of("train-from-1");
        talk_lines = 0;
        ASSERT_FAILS(run_float(o), STATUS_INTERRUPTED, "interrupted after step");
        assert_int_not_equal(access(part.output, F_OK), 0);
        /* what a killed run left in the log beyond its checkpoint is cut */
        FILE *f = fopen(part.log, "a");
        fputs("9\t9\t9\t9\t9\t9\t9\t9\n", f);
        fclose(f);
    }
    stop = 0;
    o.stop = NULL;
    o.input = path_of("train");
    ASSERT_OK(run_float(o));
    assert_same_file(whole.output, part.output);
    assert_same_file(whole.last, part.last);
    assert_same_log(whole.log, part.log);
    o.input = path_of("train-from-1"); /* finished already: nothing is left to do, the same comes out */
    ASSERT_OK(run_float(o));
    assert_same_file(whole.output, part.output);
}

/* A stream that breaks off stops the run anywhere. */
static void test_resumed_after_any_break(void **state)
{
    (void)state;
    struct files whole, part;
    ASSERT_OK(run_float(options_for(&whole, "unbroken")));
    run_broken(options_for(&part, "broken"));
    assert_same_file(whole.output, part.output);
    assert_same_file(whole.last, part.last);
    assert_same_log(whole.log, part.log);
}

static void test_foreign_checkpoint(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = options_for(&f, "foreign");
    ASSERT_OK(run_float(o));
    o.resume = 1;
    o.ema = 0.5;
    o.schedule.rate = 0.3;
    ASSERT_FAILS(
        run_float(o), STATUS_MISMATCH,
        "foreign.checkpoint: another run's checkpoint: ema is 0.9, want 0.5; learning-rate is 0.2, want 0.3");
}

static void assert_same_tensors(const char *path_a, const char *path_b)
{
    struct record *a, *b;
    ASSERT_OK(record_load(&a, path_a, &m));
    ASSERT_OK(record_load(&b, path_b, &m));
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (size_t i = 0; i < a->tensor_count; i++) {
        const struct tensor *x = &a->tensors[i], *y = record_find(b, x->name);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        if (memcmp(x->data, y->data, x->bytes) != 0)
            fail_msg("%s differs", x->name);
    }
    record_free(a);
    record_free(b);
}

/* The model that the runs of the other tests start from, in a file. */
static const char *initial(struct files *f, const char *name)
{
    init = NULL;
    struct training_options o = options_for(f, name);
    o.epochs = 0;
    o.last = o.log = o.checkpoint = NULL;
    ASSERT_OK(run_float(o));
    return f->output;
}

static int64_t batches_tracked(const char *path)
{
    struct record *r;
    ASSERT_OK(record_load(&r, path, &m));
    int64_t tracked = *(const int64_t *)record_find(r, "e.num_batches_tracked")->data;
    record_free(r);
    return tracked;
}

static void test_init_of_initial_weights(void **state)
{
    (void)state;
    struct files start, seeded, given;
    struct record *r;
    initial(&start, "start");
    ASSERT_OK(run_float(options_for(&seeded, "seeded")));
    init = start.output;
    ASSERT_OK(run_float(options_for(&given, "given")));
    assert_same_tensors(seeded.output, given.output);
    assert_same_tensors(seeded.last, given.last);
    ASSERT_OK(record_load(&r, given.output, &m));
    const char *made_by = record_get(r, "made-by");
    assert_non_null(strstr(made_by, " init=sha256:"));
    assert_non_null(strstr(made_by, "\n  train-test " RESQ_VERSION " ema=0.9 graph=sha256:"));
    record_free(r);
    init = NULL;
}

/* Weights and batch norm's state are gone on from; optimizer and averages begin anew, which no test of one run
 * sees. */
static void test_init_of_a_trained_model(void **state)
{
    (void)state;
    struct files first, then, idle;
    ASSERT_OK(run_float(options_for(&first, "first")));
    init = first.last;
    ASSERT_OK(run_float(options_for(&then, "then")));
    assert_int_equal(batches_tracked(first.last), EPOCHS * STEPS);
    assert_int_equal(batches_tracked(then.last), 2 * EPOCHS * STEPS);
    struct training_options o = options_for(&idle, "idle");
    o.schedule = (struct schedule){.kind = SCHEDULE_CONSTANT, .rate = 0};
    ASSERT_OK(run_float(o)); /* steps of no size: parameters stay, statistics move */
    struct model a, b;
    ASSERT_OK(model_load(&a, first.last, &m));
    ASSERT_OK(model_load(&b, idle.last, &m));
    struct tensor *parameters[2][32];
    int count = model_parameters(&a, parameters[0]);
    assert_int_equal(model_parameters(&b, parameters[1]), count);
    for (int i = 0; i < count; i++)
        assert_memory_equal(parameters[0][i]->data, parameters[1][i]->data, parameters[0][i]->bytes);
    model_free(&a);
    model_free(&b);
    init = NULL;
}

static void test_init_and_checkpoint(void **state)
{
    (void)state;
    struct files start, other, whole, part;
    int64_t after = 1;
    initial(&start, "start-1");
    ASSERT_OK(run_float(options_for(&other, "other-start")));
    init = start.output;
    ASSERT_OK(run_float(options_for(&whole, "init-whole")));
    struct training_options o = options_for(&part, "init-part");
    o.resume = 1;
    o.say = stop_after_lines;
    o.say_context = &after;
    o.stop = &stop;
    talk_lines = 0;
    stop = 0;
    ASSERT_FAILS(run_float(o), STATUS_INTERRUPTED, "interrupted after step");
    stop = 0;
    o.stop = NULL;
    init = other.last;
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "init-part.checkpoint: another run's checkpoint: init is sha256:");
    init = NULL;
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "init is sha256:");
    assert_non_null(strstr(m.text, ", want absent"));
    init = start.output;
    ASSERT_OK(run_float(o));
    assert_same_file(whole.output, part.output);
    assert_same_file(whole.last, part.last);
    init = NULL;
}

static void test_divergence(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = options_for(&f, "divergent");
    o.schedule.rate = 1e30;
    o.schedule.kind = SCHEDULE_CONSTANT;
    ASSERT_FAILS(run_float(o), STATUS_RANGE, ", learning rate 1e+30: ");
    assert_non_null(strstr(m.text, "epoch 1, step "));
    assert_int_not_equal(access(f.output, F_OK), 0);
    assert_int_not_equal(access(f.checkpoint, F_OK), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = options_for(&f, "refused");
    write_stream(path_of("test"),
                 &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5, .split = "test"});
    o.input = path_of("test");
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "test: split: is test");
    write_stream(path_of("all"),
                 &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5, .part = "all"});
    o.input = path_of("all");
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "held-out: part: is held-out, which shares images");
    write_stream(path_of("three"),
                 &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5, .classes = 3});
    o.input = path_of("three");
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "classes: the images have 3, the model 10");
    o.input = path_of("train");
    o.output = path_of("nowhere/output");
    ASSERT_FAILS(run_float(o), STATUS_IO, "nowhere");
    o.output = f.last;
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "two outputs at once");
    o.output = o.input;
    ASSERT_FAILS(run_float(o), STATUS_MISMATCH, "train");
    o = options_for(&f, "refused");
    o.precision = "fp16";
    ASSERT_FAILS(run_float(o), STATUS_UNSUPPORTED, "fp16");
    assert_non_null(strstr(m.text, "fp32"));
    assert_int_not_equal(access(f.output, F_OK), 0);
}

/* ---- memory ---- */

static atomic_long allocations_left;

static int fail_at_last(size_t bytes)
{
    (void)bytes;
    return atomic_fetch_sub(&allocations_left, 1) == 1;
}

/* Whichever allocation fails: a reason, no crash, no output; and the next run goes on as if nothing had been. */
static void run_out_of_memory(void)
{
    struct files f, whole;
    ASSERT_OK(run_float(options_for(&whole, "plenty")));
    struct training_options o = options_for(&f, "scarce");
    int status = STATUS_NOMEM, failures = 0;
    memory_test_hook = fail_at_last;
    for (long n = 1; status < 0 && n < 100000; n += n < 50 ? 1 : n / 10) {
        unlink(f.output);
        o.input = path_of("train");
        atomic_store(&allocations_left, n);
        status = run_float(o);
        if (status < 0) {
            failures++;
            if (status != STATUS_NOMEM || !strstr(m.text, "memory exhausted") || access(f.output, F_OK) == 0)
                break;
        }
    }
    memory_test_hook = NULL; /* before any assertion leaves */
    if (status < 0)
        fail_msg("allocation failure %d: %d '%s'", failures, status, m.text);
    assert_true(failures > 50);
    assert_same_file(f.output, whole.output);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    run_out_of_memory();
}

static void test_memory_runs_out_from_a_model(void **state)
{
    (void)state;
    struct files start;
    init = initial(&start, "start-2");
    run_out_of_memory();
    init = NULL;
}

static void test_normalize(void **state)
{
    (void)state;
    float mean[3], std[3];
    ASSERT_OK(normalize_parse("0.5,0.25,0:1,2,3e-1", mean, std, &m));
    assert_true(mean[0] == 0.5f && mean[1] == 0.25f && mean[2] == 0 && std[0] == 1 && std[1] == 2 &&
                std[2] == 0.3f);
    const char *bad[] = {
        "1,2,3",         "1,2:3,4,5",    "1,2,3:4,5", "1,2,3:4,5,6,7", "1,2,3:4,5,0", "1,2,3:4,5,-1",
        "1,2,nan:1,1,1", "1,2,3:4,5,6 ", "",          "1,2,3,4:5,6,7"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ASSERT_FAILS(normalize_parse(bad[i], mean, std, &m), STATUS_RANGE, "--normalize");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_averages),
        cmocka_unit_test(test_the_best_is_kept),
        cmocka_unit_test(test_averages_are_delivered),
        cmocka_unit_test(test_resumed_after_each_epoch),
        cmocka_unit_test(test_resumed_after_any_break),
        cmocka_unit_test(test_foreign_checkpoint),
        cmocka_unit_test(test_init_of_initial_weights),
        cmocka_unit_test(test_init_of_a_trained_model),
        cmocka_unit_test(test_init_and_checkpoint),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_memory_runs_out_from_a_model),
        cmocka_unit_test(test_normalize),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
