/* Inference in bfloat16: the definition, how near it is to floats, what must not change a bit, what is refused. */
#include "integers.h"
#include "kernel/contract/block.h"

static const char *const isas[] = {"ref",        "blas", "avx2", "avx2vnni", "avx512",  "avx512vnni",
                                   "avx512bf16", "amx",  "neon", "neondot",  "neoni8mm"};
enum { ISAS = sizeof isas / sizeof *isas };

/* Channels and maps that take every way of the tiled kernels: rows of 16, images side by side, windows. */
#define NET_WIDE                                                \
    "x = input u8[16,16,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"   \
    "c1 = conv2d norm out=32 kernel=3 pad=1 bias relu\n"        \
    "c2 = conv2d c1 out=32 kernel=3 pad=1 bias relu add=c1\n"   \
    "c3 = conv2d c2 out=64 kernel=3 stride=2 pad=1 bias relu\n" \
    "d = conv2d c2 out=64 kernel=1 stride=2 bias\n"             \
    "c4 = conv2d c3 out=64 kernel=3 pad=1 bias relu add=d\n"    \
    "c5 = conv2d c4 out=96 kernel=3 stride=2 pad=1 bias relu\n" \
    "c6 = conv2d c5 out=96 kernel=3 pad=1 bias relu add=c5\n"   \
    "pool = avgpool c6\n"                                       \
    "fc = linear pool out=10 bias\n"

/* NULL where this machine has no such instructions. */
static struct exec *open_exec(const struct model *model, struct exec_options options)
{
    struct message m = {{0}};
    struct exec *e = NULL;
    int status = exec_open(&e, model, &options, &m);
    if (status == STATUS_UNSUPPORTED && options.isa)
        return NULL;
    if (status < 0)
        fail_msg("exec_open: %s", m.text);
    return e;
}

static float *run(const struct model *model, const uint8_t *images, int count, struct exec_options options)
{
    struct message m;
    struct exec *e = open_exec(model, options);
    if (!e)
        return NULL;
    float *logits = calloc((size_t)count * (size_t)exec_classes(e), sizeof *logits);
    ASSERT_OK(exec_run(e, images, count, logits, &m), m);
    exec_close(e);
    return logits;
}

static double rms_apart(const float *a, const float *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum / count);
}

/* ---- the definition ---- */

static void round_all(double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (double)bf16_to_float(bf16_from_float((float)values[i]));
}

/* A network without batch norms, where every node is a step: everything rounded but biases and logits. */
static const double *define(struct net *net, const uint8_t *images)
{
    const struct graph *g = &net->model->graph;
    for (size_t k = 0; k < net->model->record->tensor_count; k++)
        if (net->model->record->tensors[k].rank > 1)
            round_all(net->tensors[k], net->model->record->tensors[k].count);
    for (size_t k = 0; k < (size_t)net->images * node_count(&g->nodes[0]); k++)
        net->values[0][k] = images[k];
    for (int i = 1; i < g->count; i++) {
        enum graph_op op = g->nodes[i].op;
        if (op == OP_CONV2D || op == OP_LINEAR)
            net_conv(net, i);
        else if (op == OP_AVGPOOL)
            net_pool(net, i);
        else
            net_simple(net, i);
        if (i < g->count - 1)
            round_all(net->values[i], (size_t)net->images * node_count(&g->nodes[i]));
    }
    return net->values[g->count - 1];
}

/* ref sums exactly and so rounds as the definition does. Other sums differ in their last bits: now and then, about
 * one value in ten thousand, rounds to the neighbour, which moves logits by far less than all of the rounding did.
 */
static void compare_with_definition(const char *text, uint64_t seed)
{
    enum { IMAGES = 5 };
    struct model model;
    struct net net;
    random_model(&model, text, seed);
    uint8_t *images = random_images(&model, IMAGES, 1);
    net_open(&net, &model, IMAGES, 0);
    const double *want = define(&net, images);
    int count = IMAGES * model.graph.nodes[model.graph.count - 1].c;
    float *rounded = calloc((size_t)count, sizeof *rounded);
    for (int i = 0; i < count; i++)
        rounded[i] = (float)want[i];
    float *fp32 = run(&model, images, IMAGES, (struct exec_options){.isa = "ref"});
    double all_of_it = rms_apart(rounded, fp32, count);
    assert_true(all_of_it > 1e-4);
    for (int k = 0; k < ISAS; k++) {
        float *got = run(&model, images, IMAGES, (struct exec_options){.isa = isas[k], .precision = "bf16"});
        for (int i = 0; got && k == 0 && i < count; i++)
            ASSERT_NEAR((double)got[i], want[i], 1e-6 * (1 + fabs(want[i])));
        if (got && rms_apart(got, rounded, count) > 0.25 * all_of_it)
            fail_msg("%s: %g, all rounding is %g", isas[k], rms_apart(got, rounded, count), all_of_it);
        free(got);
    }
    free(fp32), free(rounded), free(images);
    net_close(&net);
    model_free(&model);
}

static void test_definition(void **state)
{
    (void)state;
    compare_with_definition(NET_FUSED, 2);
    compare_with_definition(NET_WIDE, 3);
}

/* ---- batch norms, sums and relus of their own ---- */

/* A rounding moves a value by at most 2^-9 of itself; nine steps of them, which add up as random numbers do, and
 * batch norms that double some: about 1 % of the logits. */
static void test_near_floats(void **state)
{
    (void)state;
    enum { IMAGES = 7, CLASSES = 5, COUNT = IMAGES * CLASSES };
    static const float zeros[COUNT] = {0};
    struct model model;
    random_model(&model, NET_FLOAT, 1);
    uint8_t *images = random_images(&model, IMAGES, 1);
    float *want = run(&model, images, IMAGES, (struct exec_options){.isa = "ref"});
    float *ref = run(&model, images, IMAGES, (struct exec_options){.isa = "ref", .precision = "bf16"});
    double scale = rms_apart(want, zeros, COUNT), all_of_it = rms_apart(ref, want, COUNT);
    assert_true(all_of_it > 1e-4 * scale && all_of_it < 2e-2 * scale);
    for (int k = 0; k < ISAS; k++) {
        float *got = run(&model, images, IMAGES, (struct exec_options){.isa = isas[k], .precision = "bf16"});
        if (got && rms_apart(got, ref, COUNT) > 0.25 * all_of_it)
            fail_msg("%s: %g, all rounding is %g", isas[k], rms_apart(got, ref, COUNT), all_of_it);
        free(got);
    }
    free(want), free(ref), free(images);
    model_free(&model);
}

/* ---- bits ---- */

static void same_bits(const char *text, const char *isa)
{
    enum { IMAGES = 43 };
    static const int counts[] = {1, 3, 16, 27, IMAGES}, batches[] = {1, 8, 16, 40};
    struct model model;
    random_model(&model, text, 3);
    uint8_t *images = random_images(&model, IMAGES, 2);
    float *want = run(&model, images, IMAGES, (struct exec_options){.isa = isa, .precision = "bf16"});
    size_t row = (size_t)model.graph.nodes[model.graph.count - 1].c;
    for (int threads = 1; want && threads <= 3; threads++)
        for (int i = 0; i < 20; i++) {
            const struct exec_options how = {
                .isa = isa, .precision = "bf16", .threads = threads, .batch = batches[i / 5]};
            float *got = run(&model, images, counts[i % 5], how);
            assert_memory_equal(got, want, (size_t)counts[i % 5] * row * sizeof *got);
            free(got);
        }
    free(want), free(images);
    model_free(&model);
}

static void test_same_bits_however_cut(void **state)
{
    (void)state;
    same_bits(NET_WIDE, "amx");
    same_bits(NET_WIDE, "avx2");
    for (int k = 0; k < ISAS; k++)
        same_bits(NET_FLOAT, isas[k]);
}

/* ---- what it says of itself, and refusals ---- */

static void test_names(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_FUSED, 1);
    for (int k = 0; k < ISAS; k++) {
        struct exec *e = open_exec(&model, (struct exec_options){.isa = isas[k], .precision = "bf16"});
        if (!e)
            continue;
        const char *algorithm = k == 0 || strcmp(isas[k], "amx") == 0 ? "direct" : "widened";
        assert_string_equal(exec_precision(e), "bf16");
        assert_string_equal(exec_layer_at(e, 1).name, "c1");
        assert_string_equal(exec_layer_at(e, 1).algorithm, algorithm);
        exec_close(e);
    }
    struct exec *e = open_exec(&model, (struct exec_options){.precision = "fp32"});
    assert_string_equal(exec_precision(e), "f32");
    exec_close(e);
    model_free(&model);
}

static void refuse(const char *text, struct exec_options options, const char *why)
{
    struct message m;
    struct model model;
    struct exec *e;
    random_model(&model, text, 1);
    assert_int_equal(exec_open(&e, &model, &options, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, why);
    assert_null(e);
    model_free(&model);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(NET_INTEGER, (struct exec_options){.precision = "bf16"},
           "precision bf16: the model has integer layers, which have their own");
    refuse(NET_FUSED, (struct exec_options){.precision = "fp16"},
           "precision fp16: a CPU computes float layers in fp32 or bf16");
    refuse(NET_FUSED, (struct exec_options){.precision = "bf16", .keep_activations = 1},
           "precision bf16: activations are observed in fp32 alone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_definition), cmocka_unit_test(test_near_floats),
                                       cmocka_unit_test(test_same_bits_however_cut), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
