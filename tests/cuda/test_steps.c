/* The network as a whole: the device's logits and gradients beside the CPU's, integers bit for bit, and a run of
 * training steps in every precision beside the CPU's in float32. On the emulated GPU everything is smaller. */
#include "tests/unit/exec/nets.h"
#include "exec/device/choose.h"
#include "exec/train/gradient.h"
#include "graph/resnet.h"
#include "quant/affine.h"
#include "train/loss.h"
#include "train/optimizer.h"

enum { CLASSES = 10, MAX_NODES = 96, PIXELS = 32 * 32 * 3 };

static int is_emulated(void)
{
    return getenv("RESQ_CUDA_EMULATED") != NULL;
}

static int width(void)
{
    return is_emulated() ? 2 : 16;
}

static int batch(void)
{
    return is_emulated() ? 4 : 64;
}

static struct model network(void)
{
    struct message m;
    struct model model;
    struct graph g = {0};
    ASSERT_OK(resnet18_build(&g, width(), CLASSES, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 1, &m), m);
    return model;
}

/* Pictures that can be told apart: a class is a pattern, and noise. */
static void pictures(uint64_t seed, int count, uint8_t *images, uint16_t *labels)
{
    struct random_stream r = random_open(seed, RANDOM_TEST, 1, 1);
    for (int i = 0; i < count; i++) {
        labels[i] = (uint16_t)random_below(&r, CLASSES);
        for (int p = 0; p < PIXELS; p++) {
            double wave = sin((double)(p / 3 % 32) * (0.2 + 0.13 * labels[i]) + (double)(p / 96) * 0.1 * labels[i]);
            double v = 128 + 40 * wave + 30 * random_normal(&r);
            images[i * PIXELS + p] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
}

static struct gradient *open_gradient(const struct model *model, struct gradient_options options,
                                      const char *device, const char *precision)
{
    struct message m = {{0}};
    struct gradient *g;
    options.device = device, options.precision = precision, options.batch = batch();
    options.threads = is_emulated() ? 1 : 16;
    ASSERT_OK(gradient_open(&g, model, &options, &m), m);
    return g;
}

/* The root of the squared differences, in parts of the root of the squares. */
static double apart(const float *got, const float *want, size_t count)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        off += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(off / all);
}

/* ---- one pass ---- */

struct pass_result {
    float logits[64 * CLASSES], *gradients;
    size_t parameters;
};

static struct pass_result one_pass(const struct model *model, struct gradient_options options, const char *device,
                                   const char *precision)
{
    struct message m = {{0}};
    struct pass_result r;
    struct loss_sums sums = {0, 0, 0};
    float dlogits[64 * CLASSES];
    uint8_t *images = malloc((size_t)batch() * PIXELS);
    uint16_t labels[64];
    struct gradient *g = open_gradient(model, options, device, precision);
    pictures(3, batch(), images, labels);
    ASSERT_OK(gradient_forward(g, images, batch(), r.logits, &m), m);
    ASSERT_OK(loss_cross_entropy(r.logits, labels, batch(), CLASSES, 0.1, dlogits, &sums, &m), m);
    ASSERT_OK(gradient_backward(g, dlogits, &m), m);
    r.parameters = gradient_parameter_count(g);
    r.gradients = malloc(r.parameters * sizeof *r.gradients);
    memcpy(r.gradients, gradient_gradients(g), r.parameters * sizeof *r.gradients);
    gradient_close(g);
    free(images);
    return r;
}

static void test_one_pass(void **state)
{
    (void)state;
    static const struct {
        const char *precision;
        double logits, gradients;
    } kinds[] = {{"fp32", 1e-4, 1e-3}, {"fp16", 0.02, 0.2}, {"bf16", 0.15, 0.8}};
    struct model model = network();
    struct pass_result cpu = one_pass(&model, (struct gradient_options){0}, "cpu", "fp32");
    for (int i = 0; i < 3; i++) {
        struct pass_result r = one_pass(&model, (struct gradient_options){0}, "cuda", kinds[i].precision);
        double logits = apart(r.logits, cpu.logits, (size_t)(batch() * CLASSES));
        double gradients = apart(r.gradients, cpu.gradients, cpu.parameters);
        print_message("# %s: logits %.2g, gradients %.2g apart from the CPU's\n", kinds[i].precision, logits,
                      gradients);
        assert_true(logits < kinds[i].logits);
        assert_true(gradients < kinds[i].gradients);
        free(r.gradients);
    }
    free(cpu.gradients);
    model_free(&model);
}

/* ---- integers ---- */

/* A map for every value, wide enough for a few codes to clip. */
static void maps_make(const struct model *model, struct affine maps[MAX_NODES])
{
    struct message m;
    memset(maps, 0, MAX_NODES * sizeof *maps);
    for (int i = 1; i < model->graph.count - 1; i++)
        ASSERT_OK(affine_from_range(i % 3 ? -1.7 : 0, 2.3, 8, &maps[i], &m), m);
}

#define NET_INTEGERS                                              \
    "x = input u8[32,32,3]\n"                                     \
    "norm = normalize x mean=0.49,0.48,0.45 std=0.25,0.24,0.26\n" \
    "c1 = conv2d norm out=16 kernel=3 pad=1 bias relu\n"          \
    "c2 = conv2d c1 out=16 kernel=3 pad=1 bias add=c1 relu\n"     \
    "c3 = conv2d c2 out=32 kernel=3 stride=2 pad=1 bias relu\n"   \
    "s3 = conv2d c2 out=32 kernel=1 stride=2 bias\n"              \
    "c4 = conv2d c3 out=32 kernel=3 pad=1 bias add=s3 relu\n"     \
    "c5 = conv2d c4 out=12 kernel=3 stride=2 pad=1 bias relu\n"   \
    "pool = avgpool c5\n"                                         \
    "fc = linear pool out=10 bias\n"

static void test_integers(void **state)
{
    (void)state;
    struct model model;
    struct affine maps[MAX_NODES];
    random_model(&model, NET_INTEGERS, 51);
    maps_make(&model, maps);
    for (int ranges = RANGE_FIXED; ranges <= RANGE_LEARNED; ranges++) {
        struct gradient_options o = {.quantized = 1,
                                     .activations = maps,
                                     .weight_bits = 8,
                                     .activation_bits = 8,
                                     .ranges = (enum range_mode)ranges};
        struct pass_result cpu = one_pass(&model, o, "cpu", "fp32"), gpu = one_pass(&model, o, "cuda", "fp32");
        int differing = 0;
        for (int i = 0; i < batch() * CLASSES; i++)
            differing += memcmp(&cpu.logits[i], &gpu.logits[i], sizeof(float)) != 0;
        double gradients = apart(gpu.gradients, cpu.gradients, cpu.parameters);
        print_message("# integers, ranges %d: %d of %d logits differ, gradients %.2g apart\n", ranges, differing,
                      batch() * CLASSES, gradients);
        assert_int_equal(differing, 0);
        assert_true(gradients < 1e-3);
        free(cpu.gradients), free(gpu.gradients);
    }
    model_free(&model);
}

/* ---- many steps ---- */

enum { STEPS = 200, EMULATED_STEPS = 6, LAST = 50 };
static const double rate = 0.02, momentum = 0.9, decay = 5e-4, smoothing = 0.1;

static int steps(void)
{
    return is_emulated() ? EMULATED_STEPS : STEPS;
}

static void step_pictures(int step, uint8_t *images, uint16_t *labels)
{
    pictures(100 + (uint64_t)(step % 20), batch(), images, labels);
}

static void train_on_cpu(const struct model *model, double *losses)
{
    struct message m = {{0}};
    struct optimizer o;
    const struct slice *slices;
    struct gradient *g = open_gradient(model, (struct gradient_options){0}, "cpu", "fp32");
    struct optimizer_options options = {momentum, decay, 1, 0, 0, 0, 0, 0};
    uint8_t *images = malloc((size_t)batch() * PIXELS);
    uint16_t labels[64];
    int count = gradient_slices(g, &slices);
    ASSERT_OK(optimizer_open(&o, &options, slices, count, gradient_parameter_count(g), &m), m);
    for (int step = 0; step < steps(); step++) {
        float logits[64 * CLASSES], dlogits[64 * CLASSES];
        struct loss_sums sums = {0, 0, 0};
        step_pictures(step, images, labels);
        ASSERT_OK(gradient_forward(g, images, batch(), logits, &m), m);
        ASSERT_OK(loss_cross_entropy(logits, labels, batch(), CLASSES, smoothing, dlogits, &sums, &m), m);
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        optimizer_step(&o, gradient_parameters(g), gradient_gradients(g), rate);
        losses[step] = loss_mean(&sums);
    }
    optimizer_close(&o), gradient_close(g), free(images);
}

/* Decay for weights, and for nothing else. */
static unsigned char *flags_new(const struct gradient *g)
{
    const struct slice *slices;
    unsigned char *flags = calloc(gradient_parameter_count(g) / GRADIENT_FLAG_FLOATS + 1, 1);
    int count = gradient_slices(g, &slices);
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].count; k += GRADIENT_FLAG_FLOATS)
            if (slices[i].role == SLICE_WEIGHT)
                flags[(slices[i].offset + k) / GRADIENT_FLAG_FLOATS] = GRADIENT_DECAY;
    return flags;
}

static int64_t train_on_device(const struct model *model, const char *precision, double *losses)
{
    struct message m = {{0}};
    struct gradient *g = open_gradient(model, (struct gradient_options){0}, "cuda", precision);
    assert_true(gradient_makes_steps(g));
    unsigned char *flags = flags_new(g);
    float *velocity = calloc(gradient_parameter_count(g), sizeof *velocity);
    struct gradient_rule rule = {momentum, decay, smoothing, 1, flags, velocity, NULL};
    struct gradient_done done = {0};
    uint8_t *images = malloc((size_t)batch() * PIXELS);
    uint16_t labels[64];
    int64_t skipped = 0;
    ASSERT_OK(gradient_step_begin(g, &rule, &m), m);
    for (int step = 0; step < steps(); step++) {
        step_pictures(step, images, labels);
        memset(&done, 0, sizeof done);
        ASSERT_OK(gradient_step(g, images, &(struct targets){.labels = labels}, batch(), rate, rate, 1, &done, &m),
                  m);
        ASSERT_OK(gradient_settle(g, &done, &m), m);
        losses[step] = done.loss / (double)(done.images ? done.images : 1);
        skipped += done.skipped;
    }
    gradient_close(g), free(images), free(flags), free(velocity);
    return skipped;
}

static double mean_of_last(const double *losses, int count)
{
    double sum = 0;
    for (int i = steps() - count; i < steps(); i++)
        sum += losses[i];
    return sum / count;
}

static void test_many_steps(void **state)
{
    (void)state;
    static const char *const precisions[] = {"fp32", "fp16", "bf16"};
    static double losses[4][STEPS];
    struct model model = network();
    int last = is_emulated() ? 1 : LAST;
    int64_t skipped[3];
    train_on_cpu(&model, losses[3]);
    for (int i = 0; i < 3; i++)
        skipped[i] = train_on_device(&model, precisions[i], losses[i]);
    print_message("# step: loss on the CPU; on the GPU in fp32, fp16, bf16\n");
    for (int step = 0; step < steps(); step += step < 10 ? 1 : 10)
        print_message("# %4d: %.5f; %.5f %.5f %.5f\n", step, losses[3][step], losses[0][step], losses[1][step],
                      losses[2][step]);
    double cpu = mean_of_last(losses[3], last);
    for (int i = 0; i < 3; i++) {
        double own = mean_of_last(losses[i], last), share = i == 0 ? 1e-3 : i == 1 ? 0.01 : 0.05;
        print_message("# %s: mean of the last %d losses %.5f, on the CPU %.5f; %d steps skipped\n", precisions[i],
                      last, own, cpu, (int)skipped[i]);
        for (int step = 0; step < 3; step++)
            assert_true(fabs(losses[i][step] - losses[3][step]) < share * losses[3][step]);
        assert_true(fabs(own - cpu) < 0.15 * cpu + 0.05);
        assert_true(own < losses[i][0]);
    }
    model_free(&model);
}

static int finish(void **state)
{
    (void)state;
    devices_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_pass),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_many_steps),
    };
    return cmocka_run_group_tests_name("steps", tests, NULL, finish);
}
