/* Whole runs on a tiny network: the same bytes however they are stopped, cut and threaded; and quantized training,
 * whose forward pass is the int8 model. */
#include "common.h"
#include <jansson.h>
#include <stdatomic.h>
#include "base/memory.h"
#include "exec/exec.h"
#include "pass/pass.h"
#include "train/checkpoint.h"
#include "train/float_training.h"
#include "train/held_out.h"
#include "train/loss.h"
#include "train/quantized_training.h"

static const char network[] = "x = input u8[32,32,3]\n"
                              "n = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                              "c = conv2d n out=4 kernel=3 stride=4 pad=1\n"
                              "b = batchnorm c\n"
                              "r = relu b\n"
                              "d = conv2d r out=4 kernel=3 pad=1\n"
                              "e = batchnorm d\n"
                              "s = add e r\n"
                              "t = relu s\n"
                              "p = avgpool t\n"
                              "f = linear p out=10 bias\n";

enum { TOTAL = 22, BATCH = 8, EPOCHS = 3, STEPS = 3 };

static int setup(void **state)
{
    if (folder_make(state))
        return -1;
    FILE *f = fopen(path_of("graph"), "w");
    fputs(network, f);
    fclose(f);
    write_stream(path_of("train"), &(struct stream_spec){.epochs = EPOCHS, .total = TOTAL, .batch = 5});
    write_stream(path_of("train-from-1"),
                 &(struct stream_spec){.epochs = EPOCHS, .from = 1, .total = TOTAL, .batch = 7});
    write_stream(path_of("held-out"),
                 &(struct stream_spec){.epochs = 1, .total = 20, .batch = 6, .part = "held-out"});
    return 0;
}

/* Every file of a run under a name of its own. */
struct files {
    char output[128], last[128], log[128], checkpoint[128];
};

static struct training_options options_for(struct files *f, const char *name)
{
    snprintf(f->output, sizeof f->output, "%s/%s.best", folder, name);
    snprintf(f->last, sizeof f->last, "%s/%s.last", folder, name);
    snprintf(f->log, sizeof f->log, "%s/%s.log", folder, name);
    snprintf(f->checkpoint, sizeof f->checkpoint, "%s/%s.checkpoint", folder, name);
    return (struct training_options){.tool = "train-test",
                                     .epochs = EPOCHS,
                                     .batch = BATCH,
                                     .schedule = {.kind = SCHEDULE_ONE_CYCLE, .rate = 0.2, .peak = 0.3},
                                     .optimizer = {0.9, 5e-4, 1, 1, 1},
                                     .label_smoothing = 0.1,
                                     .ema = 0.9,
                                     .input = path_of("train"),
                                     .output = f->output,
                                     .last = f->last,
                                     .log = f->log,
                                     .checkpoint = f->checkpoint,
                                     .threads = 1};
}

static int run_float(struct training_options o)
{
    struct float_training t = {.graph = path_of("graph"), .seed = 3};
    const struct training_kind kind = float_training_kind();
    struct lineage l = {.message = &m};
    static char held_out[128];
    snprintf(held_out, sizeof held_out, "%s/held-out", folder);
    o.validate = held_out;
    lineage_add_number(&l, "learning-rate", o.schedule.rate);
    lineage_add_number(&l, "ema", o.ema);
    int status = training_run(&o, &kind, &t, &l, &m);
    lineage_free(&l);
    return status;
}

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

/* The columns that repeat. */
static char *log_without_times(const char *path)
{
    size_t size;
    char *text = slurp(path, &size), *out = calloc(size + 1, 1), *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *end = line;
        for (int tabs = 0; *end && (tabs += *end == '\t') < 6; end++)
            ;
        strncat(out, line, (size_t)(end - line));
        strcat(out, "\n");
    }
    free(text);
    return out;
}

static volatile sig_atomic_t stop;
static int64_t talk_lines;

static void stop_after_lines(void *context, int verbose, const char *line)
{
    (void)verbose;
    if (strncmp(line, "epoch", 5) == 0 && ++talk_lines >= *(const int64_t *)context)
        stop = 1;
}

static double accuracy_of(const char *path, double *loss)
{
    struct held_out h;
    struct model model;
    struct loss_sums sums;
    ASSERT_OK(model_load(&model, path, &m));
    ASSERT_OK(held_out_open(&h, path_of("held-out"), NULL, NULL, &m));
    ASSERT_OK(held_out_evaluate(&h, &model, 1, NULL, NULL, &sums, &m));
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
    char *a = log_without_times(whole.log), *b = log_without_times(part.log);
    assert_string_equal(a, b);
    free(a);
    free(b);
    o.input = path_of("train-from-1"); /* finished already: nothing is left to do, the same comes out */
    ASSERT_OK(run_float(o));
    assert_same_file(whole.output, part.output);
}

/* A stream that breaks off after each number of batches stops the run anywhere; checkpoint_every keeps every step.
 */
static void test_resumed_after_any_break(void **state)
{
    (void)state;
    struct files whole, part;
    struct training_options o = options_for(&whole, "unbroken");
    ASSERT_OK(run_float(o));
    size_t size;
    char *bytes = slurp(path_of("train"), &size);
    o = options_for(&part, "broken");
    o.checkpoint_every = 1;
    o.resume = 1;
    for (int cut = 1; cut < 12; cut++) {
        FILE *f = fopen(path_of("cut"), "wb");
        fwrite(bytes, 1, size * (size_t)cut / 12, f);
        fclose(f);
        o.input = path_of("cut");
        assert_int_equal(run_float(o), STATUS_TRUNCATED);
    }
    free(bytes);
    o.input = path_of("train");
    ASSERT_OK(run_float(o));
    assert_same_file(whole.output, part.output);
    assert_same_file(whole.last, part.last);
    char *a = log_without_times(whole.log), *b = log_without_times(part.log);
    assert_string_equal(a, b);
    free(a);
    free(b);
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
    o.precision = "bf16";
    ASSERT_FAILS(run_float(o), STATUS_UNSUPPORTED, "bf16");
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
static void test_memory_runs_out(void **state)
{
    (void)state;
    struct files f, whole;
    ASSERT_OK(run_float(options_for(&whole, "plenty")));
    struct training_options o = options_for(&f, "scarce");
    int status = STATUS_NOMEM, failures = 0;
    json_set_alloc_funcs(malloc, free); /* jansson 2.14 asserts where memory runs out within an escaped string */
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

/* ---- quantized ---- */

struct recorder {
    struct ranges *ranges;
    const struct graph *graph;
};

static int record_range(void *context, int node, const float *values, size_t count, struct message *why)
{
    struct recorder *r = context;
    int at = ranges_find(r->ranges, r->graph->nodes[node].name);
    return histogram_add(&r->ranges->histograms[at], values, count, why);
}

/* A fused model, with batch norm's constants drawn at random, and its ranges. */
static void make_fused(struct model *model, struct ranges *ranges, const uint8_t *images, int count)
{
    struct graph g = {0};
    ASSERT_OK(graph_parse(&g, network, &m));
    ASSERT_OK(model_initialise(model, &g, 5, &m));
    struct random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < model->record->tensor_count; i++) {
        struct tensor *t = &model->record->tensors[i];
        if (t->dtype == DTYPE_F32 && strstr(t->name, "running_mean"))
            for (size_t k = 0; k < t->count; k++)
                ((float *)t->data)[k] = (float)(random_uniform(&r) - 0.5);
    }
    ASSERT_OK(pass_fold_batchnorm(model, NULL, &m));
    ASSERT_OK(pass_fuse_epilogue(model, NULL, &m));
    int observed = 0;
    for (int i = 0; i < model->graph.count; i++)
        observed += node_is_observed(&model->graph, i);
    ASSERT_OK(ranges_new(ranges, observed, &m));
    for (int i = 0, at = 0; i < model->graph.count; i++) {
        if (node_is_observed(&model->graph, i))
            snprintf(ranges->names[at++], 64, "%s", model->graph.nodes[i].name);
    }
    struct exec *e;
    struct recorder recorder = {ranges, &model->graph};
    for (int i = 0; i < ranges->count; i++)
        histogram_clear(&ranges->histograms[i]);
    ASSERT_OK(exec_open(&e, model, &(struct exec_options){.keep_activations = 1}, &m));
    ASSERT_OK(exec_observe(e, images, count, record_range, &recorder, &m));
    exec_close(e);
}

static void logits_of(const struct model *model, const uint8_t *images, int count, float *logits)
{
    struct exec *e;
    ASSERT_OK(exec_open(&e, model, &(struct exec_options){.threads = 1}, &m));
    ASSERT_OK(exec_run(e, images, count, logits, &m));
    exec_close(e);
}

/* At the start and after some steps, the training forward pass gives the logits of the lowered model, bit for bit.
 */
static void check_forward_is_int8(const struct model *fused, const struct ranges *ranges, const uint8_t *images,
                                  int count, int bits, int per_tensor, enum range_mode mode)
{
    const struct lower_options lower = {"mse", NAN, bits, bits, per_tensor, NULL};
    struct affine *maps = calloc((size_t)fused->graph.count, sizeof *maps);
    const struct slice *slices;
    struct gradient *g;
    struct optimizer o;
    float got[16 * 10], want[16 * 10], dlogits[16 * 10];
    uint8_t labels[16];
    for (int i = 0; i < count; i++)
        labels[i] = (uint8_t)(i % 10);
    ASSERT_OK(lower_choose_activations(fused, ranges, &lower, maps, &m));
    struct gradient_options options = {.threads = 2,
                                       .batch = 16,
                                       .quantized = 1,
                                       .activations = maps,
                                       .weight_bits = bits,
                                       .activation_bits = bits,
                                       .per_tensor = per_tensor,
                                       .ranges = mode};
    ASSERT_OK(gradient_open(&g, fused, &options, &m));
    int slice_count = gradient_slices(g, &slices);
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 1e-4, 1, 1, 1}, slices, slice_count,
                             gradient_parameter_count(g), &m));
    for (int step = 0; step < 4; step++) {
        struct model lowered;
        struct loss_sums sums = {0};
        ASSERT_OK(model_copy(&lowered, fused, &m));
        ASSERT_OK(gradient_store(g, NULL, &lowered, &m));
        ASSERT_OK(gradient_activations(g, NULL, maps, &m));
        if (step == 0)
            ASSERT_OK(pass_lower_int8(&lowered, ranges, &lower, NULL, &m));
        else
            ASSERT_OK(pass_lower_int8_with(&lowered, maps, &lower, NULL, &m));
        logits_of(&lowered, images, count, want);
        model_free(&lowered);
        ASSERT_OK(gradient_forward(g, images, count, got, &m));
        assert_memory_equal(got, want, (size_t)count * 10 * sizeof(float));
        ASSERT_OK(loss_cross_entropy(got, labels, count, 10, 0, dlogits, &sums, &m));
        ASSERT_OK(gradient_backward(g, dlogits, &m));
        optimizer_step(&o, gradient_parameters(g), gradient_gradients(g), 0.01);
    }
    optimizer_close(&o);
    gradient_close(g);
    free(maps);
}

static void test_quantized_forward_is_int8(void **state)
{
    (void)state;
    struct model fused;
    struct ranges ranges;
    uint8_t *images = malloc(16 * IMAGE_BYTES);
    for (int i = 0; i < 16; i++)
        draw_image(images + (size_t)i * IMAGE_BYTES, i % 10, 0, i);
    make_fused(&fused, &ranges, images, 16);
    for (int mode = RANGE_FIXED; mode <= RANGE_LEARNED; mode++) {
        check_forward_is_int8(&fused, &ranges, images, 16, 8, 0, (enum range_mode)mode);
        check_forward_is_int8(&fused, &ranges, images, 13, 4, 1, (enum range_mode)mode);
    }
    ranges_free(&ranges);
    model_free(&fused);
    free(images);
}

static int run_quantized(struct training_options o, enum range_mode mode)
{
    struct quantized_training q = {.model = path_of("fused"),
                                   .ranges = path_of("ranges"),
                                   .lower = {"mse", NAN, 8, 8, 0, NULL},
                                   .range_mode = mode};
    const struct training_kind kind = quantized_training_kind(&q);
    struct lineage l = {.message = &m};
    static char held_out[128];
    snprintf(held_out, sizeof held_out, "%s/held-out", folder);
    o.validate = o.epochs > 0 ? held_out : NULL;
    o.schedule.rate = 0.01;
    lineage_add_number(&l, "range-mode", mode);
    int status = training_run(&o, &kind, &q, &l, &m);
    quantized_training_close(&q);
    lineage_free(&l);
    return status;
}

static void save_fused(const struct model *fused, const struct ranges *ranges)
{
    struct record *r = record_new(&m);
    ASSERT_OK(record_set(r, "kind", "ranges", &m));
    ASSERT_OK(ranges_to_record(ranges, r, &m));
    ASSERT_OK(record_save(r, path_of("ranges"), &m));
    ASSERT_OK(record_save(fused->record, path_of("fused"), &m));
    record_free(r);
}

static void assert_same_tensors(const struct record *a, const struct record *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (size_t i = 0; i < a->tensor_count; i++) {
        const struct tensor *x = &a->tensors[i], *y = record_find(b, x->name);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

/* Activation scales that differ. */
static int moved_scales(const struct record *a, const struct record *b)
{
    int moved = 0;
    for (size_t i = 0; i < a->tensor_count; i++) {
        const char *name = a->tensors[i].name, *dot = strrchr(name, '.');
        if (dot && strcmp(dot, ".scale") == 0)
            moved += memcmp(a->tensors[i].data, record_find(b, name)->data, sizeof(float)) != 0;
    }
    return moved;
}

static void test_quantized_runs(void **state)
{
    (void)state;
    struct model fused, made;
    struct ranges ranges;
    struct files f, g;
    uint8_t *images = malloc(16 * IMAGE_BYTES);
    for (int i = 0; i < 16; i++)
        draw_image(images + (size_t)i * IMAGE_BYTES, i % 10, 0, i);
    make_fused(&fused, &ranges, images, 16);
    ASSERT_OK(model_store(&fused, &m));
    save_fused(&fused, &ranges);
    struct training_options o = options_for(&f, "untrained");
    o.epochs = 0;
    ASSERT_OK(run_quantized(o, RANGE_FIXED));
    ASSERT_OK(model_load(&made, f.output, &m));
    ASSERT_OK(pass_lower_int8(&fused, &ranges, &(struct lower_options){"mse", NAN, 8, 8, 0, NULL}, NULL, &m));
    assert_same_tensors(made.record, fused.record);
    model_free(&made);
    for (int mode = RANGE_FIXED; mode <= RANGE_LEARNED; mode++) {
        int64_t after = 3; /* the second epoch's line: the start has one too */
        o = options_for(&f, "straight");
        ASSERT_OK(run_quantized(o, (enum range_mode)mode));
        o = options_for(&g, "stopped");
        o.resume = 1;
        o.threads = 2;
        o.say = stop_after_lines;
        o.say_context = &after;
        o.stop = &stop;
        stop = 0;
        talk_lines = 0;
        unlink(g.checkpoint);
        ASSERT_FAILS(run_quantized(o, (enum range_mode)mode), STATUS_INTERRUPTED, "interrupted");
        o.stop = NULL;
        ASSERT_OK(run_quantized(o, (enum range_mode)mode));
        assert_same_file(f.output, g.output);
        assert_same_file(f.last, g.last);
        char *a = log_without_times(f.log), *b = log_without_times(g.log);
        assert_string_equal(a, b);
        assert_non_null(strstr(a, "\n0\t0\t-\t-\t-\t"));
        free(a);
        free(b);
        ASSERT_OK(model_load(&made, f.output, &m));
        assert_int_equal(graph_stage(&made.graph), STAGE_INT8);
        assert_int_equal(moved_scales(made.record, fused.record) > 0, mode != RANGE_FIXED);
        model_free(&made);
    }
    ranges_free(&ranges);
    model_free(&fused);
    free(images);
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
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_quantized_forward_is_int8),
        cmocka_unit_test(test_quantized_runs),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
