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
    const struct lower_options lower = {"mse", NAN, bits, bits, per_tensor, NULL};
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
    ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 1e-4, 1, 1, 1}, slices, slice_count,
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
        cmocka_unit_test(test_quantized_forward_is_int8),
        cmocka_unit_test(test_quantized_runs),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
