/* Quantized training: its forward pass is the int8 model, and it starts from what lowering gives. */
#include "runs.h"
#include "exec/infer/exec.h"
#include "pass/pass.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/quantized_training.h"

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
    const struct lower_options lower = {.observer = "mse",
                                        .observer_parameter = NAN,
                                        .weight_bits = bits,
                                        .activation_bits = bits,
                                        .per_tensor = per_tensor};
    struct affine *maps = calloc((size_t)fused->graph.count, sizeof *maps);
    const struct slice *slices;
    struct gradient *g;
    struct optimizer o;
    float got[16 * 10], want[16 * 10], dlogits[16 * 10];
    uint16_t labels[16];
    for (int i = 0; i < count; i++)
        labels[i] = (uint16_t)(i % 10);
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
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 1e-4, 1, 1, 1, 0, 0, 0}, slices, slice_count,
                             gradient_parameter_count(g), &m));
    for (int step = 0; step < 4; step++) {
        struct model lowered;
        struct loss_sums sums = {0};
        ASSERT_OK(model_copy(&lowered, fused, &m));
        ASSERT_OK(gradient_store(g, NULL, NULL, &lowered, &m));
        ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m));
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

static struct quantized_training low; /* what the runs of few bits have besides */

static int run_quantized(struct training_options o, enum range_mode mode)
{
    struct quantized_training q = low;
    q.model = path_of("fused");
    q.ranges = path_of("ranges");
    q.lower.observer = "mse";
    q.lower.observer_parameter = NAN;
    q.lower.weight_bits = low.lower.weight_bits ? low.lower.weight_bits : 8;
    q.lower.activation_bits = low.lower.activation_bits ? low.lower.activation_bits : 8;
    q.range_mode = mode;
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
    ASSERT_OK(pass_lower_int8(
        &fused, &ranges,
        &(struct lower_options){
            .observer = "mse", .observer_parameter = NAN, .weight_bits = 8, .activation_bits = 8, .per_tensor = 0},
        NULL, &m));
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

/* ---- few bits: learned scales, a start from codes, freezing, a teacher ---- */

static void make_files(struct model *fused, struct ranges *ranges)
{
    uint8_t *images = malloc(16 * IMAGE_BYTES);
    for (int i = 0; i < 16; i++)
        draw_image(images + (size_t)i * IMAGE_BYTES, i % 10, 0, i);
    make_fused(fused, ranges, images, 16);
    ASSERT_OK(model_store(fused, &m));
    save_fused(fused, ranges);
    free(images);
}

/* Of 3 bits, its scales and biases moved as matching moves them. */
static void save_matched(const struct model *fused, const struct ranges *ranges, const struct lower_options *how)
{
    struct model matched;
    ASSERT_OK(model_copy(&matched, fused, &m));
    ASSERT_OK(pass_lower_int8(&matched, ranges, how, NULL, &m));
    for (size_t i = 0; i < matched.record->tensor_count; i++) {
        struct tensor *t = &matched.record->tensors[i];
        for (size_t k = 0; k < t->count && strstr(t->name, ".weight_scale"); k++)
            ((float *)t->data)[k] *= 1.1f + 0.02f * (float)k;
        for (size_t k = 0; k < t->count && strstr(t->name, ".bias"); k++)
            ((int32_t *)t->data)[k] += (int32_t)k - 2;
    }
    ASSERT_OK(record_save(matched.record, path_of("init"), &m));
    model_free(&matched);
}

static void few_bits(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/init", folder);
    low = (struct quantized_training){.init = path, .learn_weight_scales = 1, .ewgs = 0.1};
    low.lower = (struct lower_options){.observer = "mse",
                                       .observer_parameter = NAN,
                                       .weight_bits = 3,
                                       .activation_bits = 4,
                                       .end_bits = 8,
                                       .weight_observer = WEIGHT_BY_BITS};
}

static void assert_same_oscillation(const char *a, const char *b)
{
    static const char *const names[] = {"oscillation.frequency", "oscillation.mean", "oscillation.code",
                                        "oscillation.direction"};
    struct record *r[2];
    ASSERT_OK(record_load(&r[0], a, &m));
    ASSERT_OK(record_load(&r[1], b, &m));
    for (int i = 0; i < 4; i++) {
        const struct tensor *x = record_find(r[0], names[i]), *y = record_find(r[1], names[i]);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    record_free(r[0]);
    record_free(r[1]);
}

static void test_few_bits(void **state)
{
    (void)state;
    struct model fused, made;
    struct record *matched, *checkpoint;
    struct ranges ranges;
    struct files f, g;
    int64_t after = 3;
    make_files(&fused, &ranges);
    few_bits();
    save_matched(&fused, &ranges, &low.lower);
    struct training_options o = options_for(&f, "few");
    char floats[2][128], fused_path[128];
    snprintf(floats[0], sizeof floats[0], "%s/few.floats", folder);
    snprintf(floats[1], sizeof floats[1], "%s/few-stopped.floats", folder);
    snprintf(fused_path, sizeof fused_path, "%s/fused", folder);
    o.epochs = 0; /* the start is what was given, tensor by tensor */
    ASSERT_OK(run_quantized(o, RANGE_LEARNED));
    ASSERT_OK(record_load(&matched, path_of("init"), &m));
    ASSERT_OK(model_load(&made, f.output, &m));
    for (size_t i = 0; i < matched->tensor_count; i++) {
        const struct tensor *x = &matched->tensors[i], *y = record_find(made.record, x->name);
        if (!strstr(x->name, "accumulator_bound"))
            assert_true(y && x->bytes == y->bytes && memcmp(x->data, y->data, x->bytes) == 0);
    }
    model_free(&made);
    o.epochs = EPOCHS;
    o.freeze = 0.01;
    o.teacher = (struct teacher_options){fused_path, {0.5, 2}};
    o.floats = floats[0];
    ASSERT_OK(run_quantized(o, RANGE_LEARNED));
    o = options_for(&g, "few-stopped");
    o.freeze = 0.01;
    o.teacher = (struct teacher_options){fused_path, {0.5, 2}};
    o.floats = floats[1];
    o.resume = 1;
    o.threads = 2;
    o.say = stop_after_lines;
    o.say_context = &after;
    o.stop = &stop;
    stop = 0;
    talk_lines = 0;
    ASSERT_FAILS(run_quantized(o, RANGE_LEARNED), STATUS_INTERRUPTED, "interrupted");
    ASSERT_OK(record_load(&checkpoint, g.checkpoint, &m));
    const struct tensor *codes = record_find(checkpoint, "oscillation.code"),
                        *w = record_find(checkpoint, "d.weight");
    const float *scale = record_find(checkpoint, "d.weight_scale")->data;
    assert_true(codes && codes->count == w->count); /* of 3 bits is d alone */
    for (size_t k = 0; k < w->count; k++)
        assert_int_equal(((const int8_t *)codes->data)[k],
                         weight_code(((const float *)w->data)[k], scale[k / 36], 3));
    assert_non_null(record_find(checkpoint, "momentum.d.weight_scale"));
    assert_non_null(record_find(checkpoint, "d.weight_scale"));
    record_free(checkpoint);
    o.stop = NULL;
    ASSERT_OK(run_quantized(o, RANGE_LEARNED));
    assert_same_file(f.output, g.output);
    assert_same_file(f.last, g.last);
    assert_same_file(floats[0], floats[1]);
    assert_same_oscillation(f.checkpoint, g.checkpoint);
    assert_same_log(f.log, g.log);
    ASSERT_OK(model_load(&made, f.last, &m)); /* scales moved, activations' and weights' */
    assert_true(moved_scales(made.record, matched) > 0);
    assert_true(memcmp(record_find(made.record, "d.weight_scale")->data,
                       record_find(matched, "d.weight_scale")->data, 16) != 0);
    assert_non_null(strstr(record_get(made.record, "quantization"), " weight-scales=learned"));
    model_free(&made);
    ASSERT_OK(model_load(&made, floats[0], &m));
    assert_int_equal(graph_stage(&made.graph), STAGE_FUSED);
    model_free(&made);
    low = (struct quantized_training){.init = NULL};
    record_free(matched);
    ranges_free(&ranges);
    model_free(&fused);
}

static void test_init_that_does_not_fit(void **state)
{
    (void)state;
    struct model fused;
    struct ranges ranges;
    struct files f;
    make_files(&fused, &ranges);
    few_bits();
    save_matched(&fused, &ranges, &low.lower);
    struct training_options o = options_for(&f, "refused");
    char train[128];
    snprintf(train, sizeof train, "%s/train", folder);
    o.input = train;
    low.lower.weight_bits = 2;
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH,
                 "init: d: weights of 3 bits, want 2 (--weight-bits, --ends)");
    low.lower.weight_bits = 3;
    low.lower.activation_bits = 3;
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH, "codes 0..15, want those of 3 bits");
    low.lower.activation_bits = 4;
    low.lower.per_tensor = 1;
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH,
                 "a scale a channel, want one a layer (--per-tensor)");
    low.lower.per_tensor = 0;
    char path[128];
    snprintf(path, sizeof path, "%s/fused", folder);
    low.init = path;
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH, "is at stage fused, want int8");
    low = (struct quantized_training){.init = NULL};
    ranges_free(&ranges);
    model_free(&fused);
}

static void test_teacher_that_does_not_fit(void **state)
{
    (void)state;
    struct model fused, other = {.record = NULL};
    struct ranges ranges;
    struct files f;
    struct graph g = {0};
    make_files(&fused, &ranges);
    struct training_options o = options_for(&f, "untaught");
    char train[128];
    snprintf(train, sizeof train, "%s/train", folder);
    o.input = train;
    char path[128];
    snprintf(path, sizeof path, "%s/teacher", folder);
    o.teacher = (struct teacher_options){path, {0.5, 2}};
    ASSERT_OK(graph_parse(&g,
                          "x = input u8[32,32,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                          "p = avgpool n\nf = linear p out=7 bias\n",
                          &m));
    ASSERT_OK(model_initialise(&other, &g, 1, &m));
    ASSERT_OK(model_store(&other, &m));
    ASSERT_OK(record_save(other.record, path, &m));
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH,
                 "teacher: classes: the teacher has 7, the network that learns 10");
    ASSERT_OK(record_set(fused.record, "trained-on", "sha256:0 test/all", &m));
    ASSERT_OK(record_save(fused.record, path, &m));
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH,
                 "teacher: trained-on: is test/all, of the test split");
    o.output = path;
    ASSERT_FAILS(run_quantized(o, RANGE_FIXED), STATUS_MISMATCH, "teacher");
    model_free(&other);
    ranges_free(&ranges);
    model_free(&fused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantized_forward_is_int8),
        cmocka_unit_test(test_quantized_runs),
        cmocka_unit_test(test_few_bits),
        cmocka_unit_test(test_init_that_does_not_fit),
        cmocka_unit_test(test_teacher_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
