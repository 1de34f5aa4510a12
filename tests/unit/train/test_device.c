/* Whole runs whose steps a device makes, here one in ordinary memory: what the CPU's would be, stopped on one and
 * gone on with on the other, and with gradients that overflow. */
#include "runs.h"
#include "exec/device/choose.h"
#include "graph/model.h"
#include "kernel/device/host/host.h"
#include "train/checkpoint.h"

static int begin(void **state)
{
    (void)state;
    device_backend_test = host_backend();
    host_control = (struct host_control){0};
    host_forget();
    stop = 0;
    return 0;
}

static int nothing_held(void)
{
    devices_close();
    assert_int_equal(host_record.held, 0);
    assert_int_equal(host_record.plans_held + host_record.events_held + host_record.graphs_held, 0);
    assert_int_equal(host_record.open, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    nothing_held();
    device_backend_test = NULL;
    return 0;
}

static struct training_options on(const char *device, struct files *f, const char *name)
{
    struct training_options o = options_for(f, name);
    o.device = device;
    return o;
}

/* The largest difference between the floats of two records, in parts of each tensor's largest. */
static double records_apart(const char *got_path, const char *want_path)
{
    struct record *got, *want;
    double worst = 0;
    ASSERT_OK(record_load(&got, got_path, &m));
    ASSERT_OK(record_load(&want, want_path, &m));
    assert_int_equal(got->tensor_count, want->tensor_count);
    for (size_t i = 0; i < want->tensor_count; i++) {
        const struct tensor *w = &want->tensors[i], *g = record_find(got, w->name);
        double off = 0, largest = 1e-3;
        assert_non_null(g);
        if (w->dtype != DTYPE_F32) {
            assert_memory_equal(g->data, w->data, w->bytes);
            continue;
        }
        for (size_t k = 0; k < w->count; k++) {
            double d = fabs((double)((float *)g->data)[k] - (double)((float *)w->data)[k]);
            off = d <= off ? off : d;
            largest = fmax(largest, fabs((double)((float *)w->data)[k]));
        }
        worst = off / largest <= worst ? worst : off / largest;
    }
    record_free(got);
    record_free(want);
    return worst;
}

static int log_has(const struct files *f, const char *line)
{
    size_t size;
    char *text = slurp(f->log, &size);
    int has = strstr(text, line) != NULL;
    free(text);
    return has;
}

/* ---- the same run ---- */

/* Momentum, averages, state and counters too: they are the checkpoint's tensors. */
static void test_as_on_the_cpu(void **state)
{
    (void)state;
    for (int how = 0; how < 8; how++) {
        struct files cpu, cuda;
        struct training_options a = on("cpu", &cpu, "cpu"), b = on("cuda", &cuda, "cuda");
        host_control.no_capture = how & 1;
        host_control.copies_at_once = how >> 1 & 1;
        a.ema = b.ema = how & 4 ? 0 : 0.9;
        a.optimizer = b.optimizer = how & 4 ? (struct optimizer_options){0.8, 0.02, 0, 0, 3, 0, 0, 0}
                                            : (struct optimizer_options){0.9, 5e-4, 1, 1, 1, 0, 0, 0};
        ASSERT_OK(run_float(a));
        ASSERT_OK(run_float(b));
        double model = records_apart(cuda.last, cpu.last),
               checkpoint = records_apart(cuda.checkpoint, cpu.checkpoint);
        if (!(model < 1e-3 && checkpoint < 2e-3))
            fail_msg("case %d: models %g, checkpoints %g apart", how, model, checkpoint);
        unlink(cpu.checkpoint);
        unlink(cuda.checkpoint);
    }
}

/* Images of several labels: their shares reach the loss, here as there. */
static void test_mixed_images(void **state)
{
    (void)state;
    struct files plain, cpu, cuda;
    write_stream(path_of("mixed"), &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5, .mixed = 2});
    struct training_options a = on("cpu", &plain, "plain");
    ASSERT_OK(run_float(a));
    a = on("cpu", &cpu, "mixed-cpu");
    a.input = path_of("mixed");
    ASSERT_OK(run_float(a));
    a = on("cuda", &cuda, "mixed-cuda");
    a.input = path_of("mixed");
    ASSERT_OK(run_float(a));
    assert_true(records_apart(cpu.last, plain.last) > 1e-2);
    assert_true(records_apart(cuda.last, cpu.last) < 1e-3);
}

/* Two shards and a last mini-batch of less than one, captured or not; the CPU adds its shards in the same tree. */
static void test_in_shards(void **state)
{
    (void)state;
    enum { IMAGES = 90, LARGE = 40 };
    struct files cpu, cuda, queued;
    write_stream(path_of("large"),
                 &(struct stream_spec){.epochs = EPOCHS, .total = IMAGES, .batch = 15, .mixed = 2});
    struct training_options a = on("cpu", &cpu, "large-cpu"), b = on("cuda", &cuda, "large-cuda");
    a.input = b.input = path_of("large");
    a.batch = b.batch = LARGE;
    b.shard = 32;
    ASSERT_OK(run_float(a));
    ASSERT_OK(run_float(b));
    assert_true(records_apart(cuda.last, cpu.last) < 1e-3);
    assert_true(log_has(&cuda, "# shard: 32\n"));
    host_control.no_capture = 1;
    struct training_options c = on("cuda", &queued, "large-queued");
    c.input = b.input, c.batch = b.batch, c.shard = b.shard;
    ASSERT_OK(run_float(c));
    assert_same_file(queued.last, cuda.last);
}

static double last_loss(const struct files *f)
{
    size_t size;
    char *text = slurp(f->log, &size), *line = strrchr(text, '\n');
    double loss = 0;
    *line = 0;
    line = strrchr(text, '\n') + 1;
    assert_int_equal(sscanf(line, "%*d\t%*d\t%*f\t%lf", &loss), 1);
    free(text);
    return loss;
}

static void test_16_bits(void **state)
{
    (void)state;
    struct files want, got;
    ASSERT_OK(run_float(on("cpu", &want, "fp32")));
    const char *const precisions[] = {"fp16", "bf16"};
    for (int i = 0; i < 2; i++) {
        struct training_options o = on("cuda", &got, precisions[i]);
        o.precision = precisions[i];
        ASSERT_OK(run_float(o));
        ASSERT_NEAR(last_loss(&got), last_loss(&want), 0.05);
        double apart = records_apart(got.last, want.last);
        if (!(apart > 1e-5 && apart < (i ? 0.2 : 0.05)))
            fail_msg("%s: models %g apart", precisions[i], apart);
        assert_true(log_has(&got, i ? "# precision: bf16\n" : "# precision: fp16\n"));
        assert_false(log_has(&got, "# skipped"));
    }
}

/* Captured for each size of mini-batch (8 and 6 of 22) when it comes the second time, then launched. */
static void test_captured_once(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = on("cuda", &f, "captured");
    ASSERT_OK(run_float(o));
    int64_t evaluations = EPOCHS;
    assert_int_equal(host_record.launches, EPOCHS * STEPS - 2 + evaluations);
}

static void test_what_it_does_not_do_is_refused_by_name(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = on("cuda", &f, "clipped");
    o.optimizer.clip_norm = 1;
    ASSERT_FAILS(run_float(o), STATUS_UNSUPPORTED,
                 "gradients cannot be clipped (--clip-norm) on device cuda: take the CPU");
    o.optimizer.clip_norm = 0;
    o.optimizer.layer_rates = 1;
    ASSERT_FAILS(run_float(o), STATUS_UNSUPPORTED,
                 "layers have no rates of their own (--rates layer) on device cuda: take the CPU");
}

/* ---- stopped and gone on with ---- */

/* After each number of epochs on one device, the rest on the other. */
static void test_from_one_to_the_other(void **state)
{
    (void)state;
    struct files whole, part;
    ASSERT_OK(run_float(on("cpu", &whole, "whole")));
    for (int way = 0; way < 2; way++) {
        const char *first = way ? "cuda" : "cpu", *second = way ? "cpu" : "cuda";
        struct training_options o = on(first, &part, way ? "there" : "back");
        int64_t after = 1;
        o.say = stop_after_lines;
        o.say_context = &after;
        o.stop = &stop;
        o.resume = 1;
        stop = 0;
        talk_lines = 0;
        ASSERT_FAILS(run_float(o), STATUS_INTERRUPTED, "interrupted after step 3");
        struct record *r;
        ASSERT_OK(record_load(&r, part.checkpoint, &m));
        assert_string_equal(record_get(r, "device"), first);
        record_free(r);
        stop = 0;
        o.stop = NULL;
        o.device = second;
        ASSERT_OK(run_float(o));
        assert_true(records_apart(part.last, whole.last) < 1e-3);
        assert_true(records_apart(part.checkpoint, whole.checkpoint) < 2e-3);
        char line[128];
        snprintf(line, sizeof line, "# resumed: after step 3 on %s in fp32; before that on %s in fp32\n", second,
                 first);
        assert_true(log_has(&part, line));
    }
}

/* Stopped and gone on with on the device alone: the same bytes, in fp16 with the loss' scale. */
static void test_resumed_on_the_device(void **state)
{
    (void)state;
    struct files whole, part;
    const char *const precisions[] = {"fp32", "fp16"};
    for (int i = 0; i < 2; i++) {
        struct training_options o = on("cuda", &whole, "unbroken");
        o.precision = precisions[i];
        host_control.overflows = 2;
        ASSERT_OK(run_float(o));
        o = on("cuda", &part, "broken");
        o.precision = precisions[i];
        host_control.overflows = 2;
        run_broken(o);
        assert_same_file(whole.last, part.last);
        assert_same_log(whole.log, part.log);
        unlink(whole.checkpoint);
        unlink(part.checkpoint);
    }
}

/* ---- loss scaling ---- */

static double scale_of(const struct files *f)
{
    struct record *r;
    ASSERT_OK(record_load(&r, f->checkpoint, &m));
    double scale = atof(record_get(r, "loss-scale"));
    record_free(r);
    return scale;
}

static void test_overflows_are_skipped(void **state)
{
    (void)state;
    struct files f, all;
    struct training_options o = on("cuda", &f, "skipped");
    o.precision = "fp16";
    host_control.overflows = 4; /* the first epoch's three steps, and one of the second's */
    ASSERT_OK(run_float(o));
    assert_true(scale_of(&f) == 65536 / 16);
    assert_true(log_has(&f, "# skipped: epoch 1: 3 steps, loss scale 8192\n1\t"));
    assert_true(log_has(&f, "# skipped: epoch 2: 1 steps, loss scale 4096\n2\t"));
    assert_false(log_has(&f, "# skipped: epoch 3"));
    o = on("cuda", &all, "all-skipped"); /* nothing moves but what forward moves */
    o.precision = "fp16";
    host_control.overflows = 1000;
    ASSERT_OK(run_float(o));
    struct model start, last;
    struct graph g = {0};
    ASSERT_OK(graph_parse(&g, network, &m));
    ASSERT_OK(model_initialise(&start, &g, 3, &m));
    ASSERT_OK(model_load(&last, all.last, &m));
    const char *const same[] = {"c.weight", "b.weight", "f.weight", "f.bias"};
    for (int i = 0; i < 4; i++) {
        const struct tensor *a = record_find(start.record, same[i]), *b = record_find(last.record, same[i]);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    model_free(&start);
    model_free(&last);
}

static void test_a_hundred_in_a_row(void **state)
{
    (void)state;
    struct files f;
    write_stream(path_of("long"), &(struct stream_spec){.epochs = 40, .total = TOTAL, .batch = 22});
    struct training_options o = on("cuda", &f, "hopeless");
    o.input = path_of("long");
    o.epochs = 40;
    o.precision = "fp16";
    o.checkpoint = NULL;
    host_control.overflows = 99; /* in a row, then one that is not: it goes on */
    ASSERT_OK(run_float(o));
    unlink(f.output);
    host_control.overflows = 100;
    ASSERT_FAILS(run_float(o), STATUS_RANGE, "epoch 34, step 100, learning rate ");
    assert_non_null(strstr(m.text, ": the gradients of 100 steps in a row overflowed fp16"));
    assert_int_not_equal(access(f.output, F_OK), 0);
}

/* ---- failures ---- */

static void test_divergence(void **state)
{
    (void)state;
    struct files f;
    struct training_options o = on("cuda", &f, "divergent");
    o.schedule.rate = 1e30;
    o.schedule.kind = SCHEDULE_CONSTANT;
    ASSERT_FAILS(run_float(o), STATUS_RANGE, ", learning rate 1e+30: loss is ");
    assert_non_null(strstr(m.text, "epoch 1, step 2, "));
    assert_int_not_equal(access(f.output, F_OK), 0);
}

/* Whichever call fails: one line, no output, and a checkpoint that is whole or not there. */
static void test_every_call_may_fail(void **state)
{
    (void)state;
    struct files f, whole;
    ASSERT_OK(run_float(on("cuda", &whole, "sound")));
    int failures = 0, status = -1;
    for (int64_t n = 1; status < 0; n += n < 150 ? 1 : 7) {
        struct training_options o = on("cuda", &f, "failing");
        devices_close();
        host_forget();
        host_control.fail_call = n;
        unlink(f.output);
        unlink(f.last);
        unlink(f.checkpoint);
        status = run_float(o);
        nothing_held();
        if (status >= 0)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(m.text, "the device failed, as it was told to"));
        assert_null(strchr(m.text, '\n'));
        assert_int_not_equal(access(f.output, F_OK), 0);
        assert_int_not_equal(access(f.last, F_OK), 0);
        failures++;
        host_control.fail_call = 0;
        if (access(f.checkpoint, F_OK) != 0 || failures % 5)
            continue;
        o.resume = 1; /* what it left is whole */
        ASSERT_OK(run_float(o));
        assert_same_file(f.last, whole.last);
    }
    assert_true(failures > 150);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_as_on_the_cpu),
        TEST(test_16_bits),
        TEST(test_captured_once),
        TEST(test_what_it_does_not_do_is_refused_by_name),
        TEST(test_from_one_to_the_other),
        TEST(test_resumed_on_the_device),
        TEST(test_overflows_are_skipped),
        TEST(test_a_hundred_in_a_row),
        TEST(test_divergence),
        TEST(test_every_call_may_fail),
        TEST(test_mixed_images),
        TEST(test_in_shards),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
