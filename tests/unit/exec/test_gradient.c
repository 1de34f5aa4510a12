/* Float training: forward and every gradient against central differences of the double interpreter. */
#include "exec/train/gradient.h"
#include "graph/resnet.h"
#include "nets.h"

enum { IMAGES = 3, CLASSES = 5 };

static struct gradient *open_gradient(const struct model *model, struct gradient_options options)
{
    struct message m = {{0}};
    struct gradient *g = NULL;
    int status = gradient_open(&g, model, &options, &m);
    if (status == STATUS_UNSUPPORTED && options.isa)
        return NULL;
    if (status < 0)
        fail_msg("gradient_open: %s", m.text);
    return g;
}

/* The loss: logits weighted with fixed numbers, so that dlogits are those. */
static void fixed_dlogits(float *dlogits, int count)
{
    struct random_stream r = random_open(9, RANDOM_TEST, 1, 1);
    for (int i = 0; i < count; i++)
        dlogits[i] = (float)random_normal(&r);
}

static double loss(struct net *net, const uint8_t *images, const float *dlogits)
{
    const double *logits = net_run(net, images);
    double sum = 0;
    for (int i = 0; i < IMAGES * CLASSES; i++)
        sum += logits[i] * (double)dlogits[i];
    return sum;
}

static double difference(struct net *net, const uint8_t *images, const float *dlogits, double *parameter,
                         double step)
{
    double keep = *parameter;
    *parameter = keep + step;
    double up = loss(net, images, dlogits);
    *parameter = keep - step;
    double down = loss(net, images, dlogits);
    *parameter = keep;
    return (up - down) / (2 * step);
}

enum { EACH = 10 }; /* elements of a tensor that are compared */

/* Returns how many were. Where a relu's kink lies within a step, two steps disagree and nothing can be said. */
static int compare_slice(struct net *net, const uint8_t *images, const float *dlogits, const struct slice *s,
                         const float *gradients)
{
    const struct tensor *t = record_find(net->model->record, s->name);
    double *values = net->tensors[t - net->model->record->tensors], norm = 0;
    int compared = 0;
    assert_int_equal(t->count, s->count);
    for (size_t i = 0; i < s->count; i++)
        norm = fmax(norm, fabs((double)gradients[s->offset + i]));
    for (size_t i = 0; i < s->count; i += s->count / EACH + 1) {
        double got = (double)gradients[s->offset + i];
        double want = difference(net, images, dlogits, &values[i], 1e-6);
        if (fabs(got - want) <= 1e-4 * norm + 1e-4 * fabs(want) + 1e-5)
            compared++;
        else if (fabs(want - difference(net, images, dlogits, &values[i], 2e-6)) < 1e-6 * (1 + fabs(want)))
            fail_msg("%s[%zu]: gradient %g, central difference %g", s->name, i, got, want);
    }
    return compared;
}

static void compare_gradients(const char *text, uint64_t seed, const char *isa)
{
    struct message m;
    struct model model;
    struct net net;
    float logits[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    random_model(&model, text, seed);
    struct gradient *g = open_gradient(&model, (struct gradient_options){.batch = 4, .threads = 2, .isa = isa});
    if (g) {
        uint8_t *images = random_images(&model, IMAGES, seed);
        fixed_dlogits(dlogits, IMAGES * CLASSES);
        net_open(&net, &model, IMAGES, 1);
        const double *want = net_run(&net, images);
        ASSERT_OK(gradient_forward(g, images, IMAGES, logits, &m), m);
        for (int i = 0; i < IMAGES * CLASSES; i++)
            ASSERT_NEAR((double)logits[i], want[i], 5e-5 * (1 + fabs(want[i])));
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        const struct slice *slices;
        int count = gradient_slices(g, &slices), compared = 0, elements = 0;
        assert_int_equal(count, model_parameters(&model, NULL));
        for (int i = 0; i < count; i++) {
            compared += compare_slice(&net, images, dlogits, &slices[i], gradient_gradients(g));
            elements += (int)(slices[i].count / (slices[i].count / EACH + 1));
        }
        assert_true(compared > elements * 9 / 10);
        assert_string_equal(gradient_isa(g), isa);
        net_close(&net);
        free(images);
        gradient_close(g);
    }
    model_free(&model);
}

static void test_float_gradients(void **state)
{
    (void)state;
    compare_gradients(NET_FLOAT, 21, "ref");
    compare_gradients(NET_FLOAT, 22, "blas");
    compare_gradients(NET_FLOAT, 23, "avx2");
}

/* Biases, relus and residuals inside convolutions. */
static void test_fused_gradients(void **state)
{
    (void)state;
    compare_gradients(NET_FUSED, 24, "ref");
    compare_gradients(NET_FUSED, 25, "avx2");
}

static void test_other_ops(void **state)
{
    (void)state;
    compare_gradients(NET_OPS, 28, "ref");
    compare_gradients(NET_OPS, 29, "avx2");
    compare_gradients(NET_HEAD, 30, "ref");
    compare_gradients(NET_HEAD, 31, "avx2");
}

/* Operands with several users, an operand that needs no gradient, adding a value to itself, a relu at the pixels.
 */
#define NET_KNOTS                                  \
    "x = input u8[6,6,2]\n"                        \
    "n = normalize x mean=0.5,0.5 std=0.25,0.25\n" \
    "rn = relu n\n"                                \
    "c0 = conv2d rn out=2 kernel=3 pad=1\n"        \
    "a0 = add c0 n\n"                              \
    "c1 = conv2d a0 out=4 kernel=3 pad=1\n"        \
    "t = add c1 c1\n"                              \
    "c2 = conv2d t out=4 kernel=1\n"               \
    "r2 = relu t\n"                                \
    "b2 = batchnorm t\n"                           \
    "b3 = batchnorm c2\n"                          \
    "s3 = add c2 b3\n"                             \
    "a1 = add s3 r2\n"                             \
    "a2 = add a1 b2\n"                             \
    "p1 = avgpool a2\n"                            \
    "pt = avgpool t\n"                             \
    "pr = avgpool r2\n"                            \
    "p2 = add pt pr\n"                             \
    "f1 = linear p1 out=6 bias\n"                  \
    "f2 = linear p2 out=6\n"                       \
    "fs = add f1 f2\n"                             \
    "fr = relu fs\n"                               \
    "fc = linear fr out=5 bias\n"

static void test_knotted_gradients(void **state)
{
    (void)state;
    compare_gradients(NET_KNOTS, 26, "ref");
    compare_gradients(NET_KNOTS, 27, "avx2");
}

static void test_same_bits_for_any_threads(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    random_model(&model, NET_FLOAT, 31);
    uint8_t *images = random_images(&model, IMAGES, 31);
    float logits[2][IMAGES * CLASSES], dlogits[IMAGES * CLASSES], *gradients = NULL, *states = NULL;
    fixed_dlogits(dlogits, IMAGES * CLASSES);
    for (int threads = 1; threads <= 3; threads++) {
        struct gradient *g =
            open_gradient(&model, (struct gradient_options){.batch = IMAGES + threads - 1, .threads = threads});
        size_t bytes = gradient_parameter_count(g) * sizeof(float),
               state_bytes = gradient_state_count(g) * sizeof(float);
        for (int step = 0; step < 2; step++) {
            ASSERT_OK(gradient_forward(g, images, IMAGES, logits[threads > 1], &m), m);
            ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        }
        if (threads == 1) {
            gradients = malloc(bytes);
            states = malloc(state_bytes);
            memcpy(gradients, gradient_gradients(g), bytes);
            memcpy(states, gradient_state(g), state_bytes);
        }
        assert_memory_equal(logits[0], logits[threads > 1], sizeof logits[0]);
        assert_memory_equal(gradients, gradient_gradients(g), bytes);
        assert_memory_equal(states, gradient_state(g), state_bytes);
        gradient_close(g);
    }
    free(gradients);
    free(states);
    free(images);
    model_free(&model);
}

/* Convolutions between batch norms, whose images go through both norms' passes with the convolution's: batch norms
 * with and without what they add, with several users, one whose convolution has a bias. */
#define NET_LINKS                                               \
    "x = input u8[6,6,2]\n"                                     \
    "n = normalize x mean=0.5,0.5 std=0.25,0.25\n"              \
    "c0 = conv2d n out=8 kernel=3 pad=1\n"                      \
    "b0 = batchnorm c0\n"                                       \
    "r0 = clip b0 low=0 high=2\n"                               \
    "c1 = conv2d r0 out=8 kernel=3 pad=1 groups=8\n"            \
    "b1 = batchnorm c1\n"                                       \
    "r1 = relu b1\n"                                            \
    "c2 = conv2d r1 out=8 kernel=1\n"                           \
    "b2 = batchnorm c2\n"                                       \
    "a2 = add b2 r0\n"                                          \
    "c3 = conv2d a2 out=12 kernel=1\n"                          \
    "b3 = batchnorm c3\n"                                       \
    "c4 = conv2d b3 out=12 kernel=3 stride=2 pad=1 groups=12\n" \
    "b4 = batchnorm c4\n"                                       \
    "c5 = conv2d b4 out=6 kernel=1 bias\n"                      \
    "b5 = batchnorm c5\n"                                       \
    "c6 = conv2d b3 out=6 kernel=1 stride=2\n"                  \
    "b6 = batchnorm c6\n"                                       \
    "a6 = add b6 b5\n"                                          \
    "p = avgpool a6\n"                                          \
    "fc = linear p out=5 bias\n"

enum { LINKED = 19 };

/* Two steps of LINKED images; alone: pass by pass, as layers are timed. */
static struct gradient *run_steps(const struct model *model, const uint8_t *images, int alone, int threads,
                                  float *logits)
{
    struct message m;
    struct gradient *g = open_gradient(model, (struct gradient_options){.batch = LINKED, .threads = threads});
    float dlogits[LINKED * CLASSES];
    fixed_dlogits(dlogits, LINKED * CLASSES);
    gradient_profile(g, alone);
    for (int step = 0; step < 2; step++) {
        ASSERT_OK(gradient_forward(g, images, LINKED, logits, &m), m);
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
    }
    return g;
}

static void test_same_bits_image_by_image(void **state)
{
    (void)state;
    struct model model;
    random_model(&model, NET_LINKS, 32);
    uint8_t *images = random_images(&model, LINKED, 32);
    float logits[2][LINKED * CLASSES];
    for (int threads = 1; threads <= 2; threads++) {
        struct gradient *alone = run_steps(&model, images, 1, threads, logits[0]);
        struct gradient *linked = run_steps(&model, images, 0, threads, logits[1]);
        assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
        assert_memory_equal(gradient_gradients(alone), gradient_gradients(linked),
                            gradient_parameter_count(alone) * sizeof(float));
        assert_memory_equal(gradient_state(alone), gradient_state(linked),
                            gradient_state_count(alone) * sizeof(float));
        gradient_close(alone);
        gradient_close(linked);
    }
    free(images);
    model_free(&model);
}

/* Running statistics by hand, and the way back into a model. */
static void test_state_and_store(void **state)
{
    (void)state;
    struct message m;
    struct model model, stored;
    struct net net;
    float logits[IMAGES * CLASSES];
    random_model(&model, NET_FLOAT, 41);
    ASSERT_OK(model_copy(&stored, &model, &m), m);
    uint8_t *images = random_images(&model, IMAGES, 41);
    struct gradient *g = open_gradient(&model, (struct gradient_options){.batch = IMAGES});
    ASSERT_OK(gradient_forward(g, images, IMAGES, logits, &m), m);
    gradient_parameters(g)[0] = 42;
    ASSERT_OK(gradient_store(g, NULL, NULL, &stored, &m), m);
    ASSERT_OK(model_verify(&stored, &m), m);
    net_open(&net, &model, IMAGES, 1);
    net_run(&net, images);
    int c1 = graph_find(&model.graph, "c1"), b1 = graph_find(&model.graph, "b1"), rows = IMAGES * 9 * 8;
    assert_true(((float *)model_tensor(&stored, c1, "weight")->data)[0] == 42);
    for (int c = 0; c < 7; c++) {
        double mean = 0, squares = 0;
        for (int r = 0; r < rows; r++) {
            mean += net.values[c1][r * 7 + c] / rows;
            squares += net.values[c1][r * 7 + c] * net.values[c1][r * 7 + c];
        }
        double unbiased = (squares - rows * mean * mean) / (rows - 1);
        double old_mean = (double)((float *)model_tensor(&model, b1, "running_mean")->data)[c];
        double old_var = (double)((float *)model_tensor(&model, b1, "running_var")->data)[c];
        ASSERT_NEAR((double)((float *)model_tensor(&stored, b1, "running_mean")->data)[c],
                    0.9 * old_mean + 0.1 * mean, 1e-6);
        ASSERT_NEAR((double)((float *)model_tensor(&stored, b1, "running_var")->data)[c],
                    0.9 * old_var + 0.1 * unbiased, 1e-5);
    }
    assert_int_equal(*(int64_t *)model_tensor(&stored, b1, "num_batches_tracked")->data, 1);
    /* a flat copy instead of the current parameters */
    float *copy = calloc(gradient_parameter_count(g), sizeof *copy);
    ASSERT_OK(gradient_store(g, copy, NULL, &stored, &m), m);
    assert_true(((float *)model_tensor(&stored, c1, "weight")->data)[0] == 0);
    struct model other;
    random_model(&other, NET_FUSED, 1);
    assert_int_equal(gradient_store(g, NULL, NULL, &other, &m), STATUS_MISMATCH);
    model_free(&other);
    free(copy);
    net_close(&net);
    free(images);
    gradient_close(g);
    model_free(&stored);
    model_free(&model);
}

static void refuse(const struct model *model, struct gradient_options options, int status, const char *text)
{
    struct message m = {{0}};
    struct gradient *g;
    assert_int_equal(gradient_open(&g, model, &options, &m), status);
    assert_null(g);
    assert_string_equal(m.text, text);
}

static void test_refusals(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    float logits[2 * CLASSES] = {0};
    random_model(&model, NET_FLOAT, 51);
    refuse(&model, (struct gradient_options){0}, STATUS_RANGE, "batch: 0 is not in 1..65536");
    refuse(&model, (struct gradient_options){.batch = 1, .device = "cuda"}, STATUS_UNSUPPORTED,
           "device cuda: there is no resq-cuda.so beside the program (it is built where CUDA is)");
    refuse(&model, (struct gradient_options){.batch = 1, .precision = "fp8"}, STATUS_UNSUPPORTED,
           "precision 'fp8' is not one of fp32, bf16, fp16");
    struct affine none[32] = {{0}};
    struct gradient *g;
    struct gradient_options quantized = {
        .batch = 1, .quantized = 1, .activations = none, .weight_bits = 8, .activation_bits = 8};
    assert_int_equal(gradient_open(&g, &model, &quantized, &m), STATUS_MISMATCH); /* a float stage model */
    g = open_gradient(&model, (struct gradient_options){.batch = 2, .precision = "fp32"});
    uint8_t *images = random_images(&model, 3, 1);
    assert_int_equal(gradient_backward(g, logits, &m), STATUS_MISMATCH);
    assert_int_equal(gradient_forward(g, images, 3, logits, &m), STATUS_RANGE);
    assert_int_equal(gradient_forward(g, images, 0, logits, &m), STATUS_RANGE);
    ASSERT_OK(gradient_forward(g, images, 2, logits, &m), m);
    ASSERT_OK(gradient_backward(g, logits, &m), m);
    assert_int_equal(gradient_backward(g, logits, &m), STATUS_MISMATCH);
    gradient_close(g);
    gradient_close(NULL);
    free(images);
    model_free(&model);
    random_model(&model, NET_FUSED, 52);
    refuse(&model, quantized, STATUS_MISMATCH, "norm: no usable activation map");
    model_free(&model);
}

static int allocations_left;

static int fail_later(size_t bytes)
{
    (void)bytes;
    return allocations_left-- <= 0;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct gradient *g;
    random_model(&model, NET_FLOAT, 61);
    memory_test_hook = fail_later;
    int status = STATUS_NOMEM, attempts = 0;
    for (; status < 0 && attempts < 1000; attempts++) {
        allocations_left = attempts;
        status = gradient_open(&g, &model, &(struct gradient_options){.batch = 2}, &m);
        if (status < 0)
            assert_int_equal(status, STATUS_NOMEM);
    }
    memory_test_hook = NULL;
    ASSERT_OK(status, m);
    assert_true(attempts > 20);
    gradient_close(g);
    model_free(&model);
}

/* ResNet-18 of full width on pictures of 64x64, mini-batches of 128, in fp32: 3 GiB with a trainer's four copies of the
 * parameters. Only one convolution's weights are packed at a time: all of them at once were 0.3 GB more. */
static void test_memory_of_larger_pictures(void **state)
{
    (void)state;
    const int image[3] = {64, 64, 3};
    struct message m = {{0}};
    struct graph graph = {0};
    struct model model;
    size_t bytes;
    assert_int_equal(resnet18_build_for(&graph, image, 64, 10, NULL, NULL, &m), 0);
    assert_int_equal(model_initialise(&model, &graph, 1, &m), 0);
    struct gradient_options options = {.isa = "avx2", .threads = 2, .batch = 128, .precision = "fp32"};
    int status = gradient_plan_bytes(&model, &options, &bytes, &m);
    if (status == STATUS_UNSUPPORTED) {
        model_free(&model);
        skip();
    }
    assert_int_equal(status, 0);
    bytes += 4 * sizeof(float) * (size_t)model_parameter_elements(&model);
    assert_true(bytes <= (size_t)3 << 30);
    model_free(&model);
}

/* Narrow networks are trained image by image where blocks would multiply more padding than they are worth, but for
 * bfloat16, which only blocks have. */
static void test_the_faster_engine(void **state)
{
    (void)state;
    static const struct {
        int width, over_blocks;
        const char *precision, *engine;
    } cases[] = {{8, 0, "fp32", "image"}, {16, 0, "fp32", "block"}, {24, 0, "fp32", "block"},
                 {8, 1, "fp32", "block"}, {8, 0, "bf16", "block"},  {4, 0, "bf16", "block"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph graph;
        struct model model;
        struct message m = {{0}};
        ASSERT_OK(resnet18_build(&graph, cases[i].width, CLASSES, NULL, NULL, &m), m);
        ASSERT_OK(model_initialise(&model, &graph, 1, &m), m);
        struct gradient *g = open_gradient(&model, (struct gradient_options){.batch = 4,
                                                                             .isa = "avx2",
                                                                             .plans_alone = 1,
                                                                             .precision = cases[i].precision,
                                                                             .over_blocks = cases[i].over_blocks});
        if (g)
            assert_string_equal(gradient_engine(g), cases[i].engine);
        if (g)
            gradient_close(g);
        model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_faster_engine),         cmocka_unit_test(test_memory_of_larger_pictures),
        cmocka_unit_test(test_float_gradients),           cmocka_unit_test(test_fused_gradients),
        cmocka_unit_test(test_knotted_gradients),         cmocka_unit_test(test_other_ops),
        cmocka_unit_test(test_same_bits_for_any_threads), cmocka_unit_test(test_same_bits_image_by_image),
        cmocka_unit_test(test_state_and_store),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
