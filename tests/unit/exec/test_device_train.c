/* Training lowered onto a device, here one in ordinary memory: forward and backward give what the CPU's engine
 * gives - within a tolerance for floats, bit for bit for codes -, and every way it can fail. */
#include "exec/device/choose.h"
#include "exec/train/gradient.h"
#include "graph/resnet.h"
#include "integers.h"
#include "kernel/device/host/host.h"

enum { IMAGES = 5, MOST_IMAGES = 70 /* 3 shards, the last of 6 */, CLASSES = 5, MAX_NODES = 96 };

static int setup(void **state)
{
    (void)state;
    device_backend_test = host_backend();
    host_control = (struct host_control){0};
    host_forget();
    return 0;
}

static int nothing_held(void)
{
    devices_close();
    assert_int_equal(host_record.held, 0);
    assert_int_equal(host_record.plans_held, 0);
    assert_int_equal(host_record.events_held, 0);
    assert_int_equal(host_record.graphs_held, 0);
    assert_int_equal(host_record.open, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nothing_held();
    device_backend_test = NULL;
    return 0;
}

static struct gradient *open_gradient(const struct model *model, struct gradient_options options,
                                      const char *device)
{
    struct message m = {{0}};
    struct gradient *g;
    options.device = device;
    ASSERT_OK(gradient_open(&g, model, &options, &m), m);
    return g;
}

/* The largest difference in parts of the largest magnitude among the values, or of `least`. */
static double apart(const float *got, const float *want, size_t count, double least)
{
    double off = 0, largest = least;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        off = d <= off ? off : d; /* a NaN stays */
        largest = fmax(largest, fabs((double)want[i]));
    }
    return off / largest;
}

static double slices_apart(const struct slice *slices, int count, const float *got, const float *want)
{
    double worst = 0, largest = 1e-30;
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].count; k++)
            largest = fmax(largest, fabs((double)want[slices[i].offset + k]));
    for (int i = 0; i < count; i++) { /* a bias before a batch norm has a gradient of nothing but rounding */
        double off = apart(got + slices[i].offset, want + slices[i].offset, slices[i].count, 1e-2 * largest);
        worst = off <= worst ? worst : off;
    }
    return worst;
}

struct differences {
    double logits, gradients, state, parameters;
};

/* Two passes, the second on fewer images (in shards: on one shard less) and from the state that the first left. */
static struct differences compare(const struct model *model, const struct gradient_options *options,
                                  const char *cpu_precision)
{
    struct message m = {{0}};
    struct gradient_options on_cpu = *options;
    struct differences d = {0, 0, 0, 0};
    const struct slice *slices, *states;
    int most = options->batch, fewer = options->shard ? options->shard + 6 : 2;
    on_cpu.precision = cpu_precision;
    on_cpu.shard = 0;
    struct gradient *cpu = open_gradient(model, on_cpu, "cpu"), *g = open_gradient(model, *options, "cuda");
    int slice_count = gradient_slices(g, &slices), state_count = gradient_state_slices(g, &states);
    uint8_t *images = random_images(model, most, 5);
    for (int count = most; count >= most - fewer; count -= fewer) {
        float want[MOST_IMAGES * CLASSES], got[MOST_IMAGES * CLASSES], dlogits[MOST_IMAGES * CLASSES];
        struct random_stream r = random_open(9, RANDOM_TEST, 1, 1);
        for (int i = 0; i < count * CLASSES; i++)
            dlogits[i] = (float)random_normal(&r) / 64;
        ASSERT_OK(gradient_forward(cpu, images, count, want, &m), m);
        ASSERT_OK(gradient_forward(g, images, count, got, &m), m);
        ASSERT_OK(gradient_backward(cpu, dlogits, &m), m);
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        d.logits = fmax(d.logits, apart(got, want, (size_t)(count * CLASSES), 1e-30));
        d.gradients =
            fmax(d.gradients, slices_apart(slices, slice_count, gradient_gradients(g), gradient_gradients(cpu)));
        d.state = fmax(d.state, slices_apart(states, state_count, gradient_state(g), gradient_state(cpu)));
        d.parameters =
            fmax(d.parameters, slices_apart(slices, slice_count, gradient_parameters(g), gradient_parameters(cpu)));
        for (size_t i = 0; i < gradient_parameter_count(g); i++)
            assert_true(isfinite(gradient_gradients(g)[i]));
    }
    assert_string_equal(gradient_engine(g), "device");
    assert_string_equal(gradient_isa(g), "host memory");
    free(images);
    gradient_close(cpu);
    gradient_close(g);
    return d;
}

static void expect(const struct model *model, const struct gradient_options *options, double tolerance)
{
    struct differences d = compare(model, options, "fp32");
    if (!(d.logits < tolerance && d.gradients < tolerance && d.state < tolerance && d.parameters == 0))
        fail_msg("logits %g, gradients %g, state %g, parameters %g apart", d.logits, d.gradients, d.state,
                 d.parameters);
}

/* ---- floats ---- */

/* Gradients that meet in one node from every kind of step, in any order. */
#define NET_MEETING                                           \
    "x = input u8[9,8,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "c1 = conv2d norm out=6 kernel=3 pad=1 bias relu\n"       \
    "b1 = batchnorm c1\n"                                     \
    "r1 = relu c1\n"                                          \
    "a1 = add b1 r1\n"                                        \
    "c2 = conv2d c1 out=6 kernel=3 pad=1 bias add=r1\n"       \
    "b2 = batchnorm c2\n"                                     \
    "a2 = add b2 a1\n"                                        \
    "r2 = relu a2\n"                                          \
    "b3 = batchnorm a1\n"                                     \
    "a3 = add r2 b3\n"                                        \
    "a4 = add a3 c1\n"                                        \
    "pool = avgpool a4\n"                                     \
    "fc = linear pool out=5 bias\n"

static void test_floats(void **state)
{
    (void)state;
    const char *const texts[] = {NET_FLOAT, NET_FUSED, NET_MEETING};
    for (int i = 0; i < 3; i++)
        for (int how = 0; how < 2; how++) {
            struct model model;
            host_control.copies_at_once = how;
            random_model(&model, texts[i], 51);
            expect(&model, &(struct gradient_options){.batch = IMAGES}, 2e-4);
            model_free(&model);
        }
}

static void test_resnet(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct graph g = {0};
    ASSERT_OK(resnet18_build(&g, 2, CLASSES, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 1, &m), m);
    expect(&model, &(struct gradient_options){.batch = IMAGES}, 1e-3);
    model_free(&model);
}

/* 16 bits: near, but not the same; bfloat16 further away than half precision. */
static void test_16_bits(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_FLOAT, 51);
    struct differences half =
        compare(&model, &(struct gradient_options){.batch = IMAGES, .precision = "fp16"}, "fp32");
    struct differences brain =
        compare(&model, &(struct gradient_options){.batch = IMAGES, .precision = "bf16"}, "fp32");
    assert_true(half.gradients > 1e-4 && half.gradients < 0.1);
    assert_true(half.logits > 1e-5 && half.logits < 0.01);
    assert_true(brain.logits > half.logits && brain.logits < 0.1);
    model_free(&model);
}

/* ---- codes ---- */

/* Maps that clip a part of what a float pass shows. */
static void choose_maps(const struct model *model, int bits, struct affine maps[MAX_NODES])
{
    struct message m;
    struct net net;
    uint8_t *images = random_images(model, IMAGES, 5);
    net_open(&net, model, IMAGES, 0);
    net_run(&net, images);
    memset(maps, 0, MAX_NODES * sizeof *maps);
    for (int i = 1; i < model->graph.count - 1; i++) {
        double low = 0, high = 0;
        for (size_t k = 0; k < IMAGES * node_count(&model->graph.nodes[i]); k++) {
            low = fmin(low, net.values[i][k]);
            high = fmax(high, net.values[i][k]);
        }
        ASSERT_OK(affine_from_range(0.6 * low, 0.6 * high, bits, &maps[i], &m), m);
    }
    maps[2].zero_point = 3; /* a relu behind a zero point above its smallest code */
    net_close(&net);
    free(images);
}

static void compare_codes(int bits, int per_tensor, enum range_mode ranges, int shard)
{
    struct model model;
    struct affine maps[MAX_NODES];
    random_model(&model, NET_FUSED, 51);
    choose_maps(&model, bits, maps);
    struct gradient_options o = {.batch = shard ? MOST_IMAGES : IMAGES,
                                 .shard = shard,
                                 .quantized = 1,
                                 .activations = maps,
                                 .weight_bits = bits,
                                 .activation_bits = bits,
                                 .per_tensor = per_tensor,
                                 .ranges = ranges,
                                 .range_averaging = 0.25};
    struct differences d = compare(&model, &o, "fp32");
    if (!(d.logits == 0 && d.gradients < 1e-4 && d.state == 0 && d.parameters == 0))
        fail_msg("logits %g, gradients %g, state %g, parameters %g apart", d.logits, d.gradients, d.state,
                 d.parameters);
    model_free(&model);
}

static void test_codes(void **state)
{
    (void)state;
    compare_codes(8, 0, RANGE_FIXED, 0);
    compare_codes(8, 1, RANGE_FIXED, 0);
    compare_codes(4, 0, RANGE_AVERAGE, 0);
    compare_codes(8, 0, RANGE_AVERAGE, 0);
    compare_codes(8, 0, RANGE_LEARNED, 0);
    compare_codes(3, 1, RANGE_LEARNED, 0);
}

/* ---- in shards ---- */

static void test_shards(void **state)
{
    (void)state;
    const char *const texts[] = {NET_FLOAT, NET_FUSED, NET_MEETING};
    for (int i = 0; i < 3; i++) {
        struct model model;
        host_control.copies_at_once = i & 1;
        random_model(&model, texts[i], 51);
        expect(&model, &(struct gradient_options){.batch = MOST_IMAGES, .shard = 32}, 2e-4);
        model_free(&model);
    }
    compare_codes(8, 0, RANGE_FIXED, 32);
    compare_codes(4, 0, RANGE_AVERAGE, 32);
    compare_codes(8, 0, RANGE_LEARNED, 32);
}

/* A bias whose code would not fit raises its weights' scale, alone or for all outputs. */
static void test_bias_too_large(void **state)
{
    (void)state;
    for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
        struct model model;
        struct affine maps[MAX_NODES];
        random_model(&model, NET_FUSED, 51);
        choose_maps(&model, 8, maps);
        float *w = model_tensor(&model, 3, "weight")->data;
        for (size_t i = 0; i < model_tensor(&model, 3, "weight")->count; i++)
            w[i] *= 1e-6f;
        ((float *)model_tensor(&model, 3, "bias")->data)[2] = 900;
        struct gradient_options o = {.batch = IMAGES,
                                     .quantized = 1,
                                     .activations = maps,
                                     .weight_bits = 8,
                                     .activation_bits = 8,
                                     .per_tensor = per_tensor};
        struct differences d = compare(&model, &o, "fp32");
        assert_true(d.logits == 0 && d.gradients < 1e-4);
        model_free(&model);
    }
}

/* A learned scale that fell to nothing is raised, as on the CPU; one that is not finite is said. */
static void test_scales(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct model model;
    struct affine maps[MAX_NODES];
    float logits[2][IMAGES * CLASSES];
    struct gradient *both[2];
    random_model(&model, NET_FUSED, 51);
    choose_maps(&model, 8, maps);
    struct gradient_options o = {.batch = IMAGES,
                                 .quantized = 1,
                                 .activations = maps,
                                 .weight_bits = 8,
                                 .activation_bits = 8,
                                 .ranges = RANGE_LEARNED};
    uint8_t *images = random_images(&model, IMAGES, 5);
    for (int i = 0; i < 2; i++) {
        const struct slice *s;
        both[i] = open_gradient(&model, o, i ? "cuda" : "cpu");
        int count = gradient_slices(both[i], &s), scale = 0;
        while (scale < count && strcmp(s[scale].name, "c2.scale") != 0)
            scale++;
        assert_true(scale < count);
        float *value = gradient_parameters(both[i]) + s[scale].offset;
        *value = -1;
        ASSERT_OK(gradient_forward(both[i], images, IMAGES, logits[i], &m), m);
        assert_true(*value == ZERO_SCALE);
        *value = INFINITY;
        assert_int_equal(gradient_forward(both[i], images, IMAGES, logits[i], &m), STATUS_RANGE);
        assert_non_null(strstr(m.text, "c2"));
        gradient_close(both[i]);
    }
    free(images);
    model_free(&model);
}

/* ---- failures ---- */

static int pass(const struct model *model, const struct gradient_options *options, const uint8_t *images,
                struct message *m)
{
    struct gradient *g;
    float logits[IMAGES * CLASSES];
    int status = gradient_open(&g, model, options, m);
    if (status >= 0)
        status = gradient_forward(g, images, IMAGES, logits, m);
    if (status >= 0)
        status = gradient_backward(g, logits, m);
    gradient_close(g);
    return status;
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    struct model model;
    int failures = 0;
    random_model(&model, NET_FLOAT, 51);
    uint8_t *images = random_images(&model, IMAGES, 5);
    for (int64_t n = 1;; n++) {
        struct message m = {{0}};
        host_forget();
        host_control.fail_call = n;
        int status = pass(&model, &(struct gradient_options){.batch = IMAGES, .device = "cuda"}, images, &m);
        nothing_held();
        if (status >= 0)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(m.text, "the device failed, as it was told to"));
        assert_null(strchr(m.text, '\n'));
        failures++;
    }
    assert_true(failures > 80);
    free(images);
    model_free(&model);
}

static void test_too_little_memory(void **state)
{
    (void)state;
    struct model model;
    struct message m = {{0}};
    random_model(&model, NET_FLOAT, 51);
    uint8_t *images = random_images(&model, IMAGES, 5);
    struct gradient_options o = {.batch = IMAGES, .device = "cuda"};
    int refused = 0;
    for (size_t bytes = 1000; pass(&model, &o, images, &m) < 0 || !refused; bytes += bytes / 4) {
        host_control.memory = bytes;
        if (refused)
            assert_non_null(strstr(m.text, "out of memory: "));
        nothing_held();
        refused = 1;
    }
    free(images);
    model_free(&model);
}

static void test_refusals(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct model model;
    struct gradient *g;
    random_model(&model, NET_FLOAT, 51);
    assert_int_equal(
        gradient_open(&g, &model, &(struct gradient_options){.batch = 1, .device = "cpu", .precision = "fp16"}, &m),
        STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "precision fp16 needs a GPU: a CPU trains in fp32 or bf16");
    host_control.no_f16 = 1;
    assert_int_equal(gradient_open(&g, &model,
                                   &(struct gradient_options){.batch = 1, .device = "cuda", .precision = "fp16"},
                                   &m),
                     STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "precision fp16: host memory has none");
    model_free(&model);
}

/* Batch norm over one value a channel has no variance: refused by node by either engine, before anything changes. */
static void test_one_value_a_channel(void **state)
{
    (void)state;
    static const char text[] = "x = input u8[4,4,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                               "c1 = conv2d n out=4 kernel=2 stride=2\nb1 = batchnorm c1\nr1 = relu b1\n"
                               "c2 = conv2d r1 out=4 kernel=2\nb2 = batchnorm c2\np = avgpool b2\n"
                               "fc = linear p out=5 bias\n";
    static const uint8_t images[2 * 48] = {1, 2, 3, 255};
    static const char *const devices[] = {"cpu", "cuda"};
    struct message m = {{0}};
    struct model model;
    float logits[2 * 5], before[512];
    random_model(&model, text, 52);
    for (int d = 0; d < 2; d++) {
        struct gradient *g = open_gradient(&model, (struct gradient_options){.batch = 2}, devices[d]);
        size_t bytes = gradient_state_count(g) * sizeof(float);
        assert_true(bytes <= sizeof before);
        memcpy(before, gradient_state(g), bytes);
        assert_int_equal(gradient_check_count(g, 1, &m), STATUS_RANGE);
        m = (struct message){{0}};
        assert_int_equal(gradient_forward(g, images, 1, logits, &m), STATUS_RANGE);
        assert_non_null(strstr(m.text, "b2: batch norm wants more than 1 value a channel"));
        assert_memory_equal(gradient_state(g), before, bytes);
        ASSERT_OK(gradient_check_count(g, 2, &m), m);
        ASSERT_OK(gradient_forward(g, images, 2, logits, &m), m);
        gradient_close(g);
    }
    model_free(&model);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_floats),
                                       TEST(test_resnet),
                                       TEST(test_16_bits),
                                       TEST(test_codes),
                                       TEST(test_shards),
                                       TEST(test_bias_too_large),
                                       TEST(test_scales),
                                       TEST(test_refusals),
                                       TEST(test_one_value_a_channel),
                                       TEST(test_too_little_memory),
                                       TEST(test_every_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
