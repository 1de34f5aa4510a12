/* Quantized training over blocks against the same image by image, on a half-trained network in all three modes of
 * ranges: the same integers forward, so the same bits; and gradients as near as gradient.h says. */
#include "clipping.h"
#include "difference.h"
#include "half_trained.h"
#include "pass/pass.h"

enum { ROUNDS = 2 /* the second from moved weights, scales and ranges */ };

static struct model fused;
static struct affine maps[MAX_NODES];
static struct weight_codes codes[MAX_NODES];
static float *weight_scales[MAX_NODES];
static int learned; /* weight scales too, of 3 bits */
static double ewgs;

static int setup(void **state)
{
    if (half_trained_make(state))
        return -1;
    ASSERT_OK(model_copy(&fused, &half_trained, &m));
    ASSERT_OK(pass_fold_batchnorm(&fused, NULL, &m));
    ASSERT_OK(pass_fuse_epilogue(&fused, NULL, &m));
    assert_true(fused.graph.count <= MAX_NODES);
    ASSERT_OK(clipping_maps(&fused, pictures.images, IMAGES, 8, maps, &m));
    for (int i = 0; i < fused.graph.count; i++) {
        const struct tensor *w = model_tensor(&fused, i, "weight");
        codes[i] = (struct weight_codes){.bits = 3, .observer = WEIGHT_MSE};
        if (!w)
            continue;
        int8_t *unused = malloc(w->count);
        weight_scales[i] = calloc((size_t)w->shape[0], sizeof(float));
        weights_quantize(w->data, (int)w->shape[0], (int)(w->count / (size_t)w->shape[0]), &codes[i], unused,
                         weight_scales[i]);
        codes[i].scale = weight_scales[i];
        free(unused);
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < fused.graph.count; i++)
        free(weight_scales[i]);
    model_free(&fused);
    return half_trained_drop(state);
}

static struct gradient *open_engine(const char *isa, const char *precision, enum range_mode mode)
{
    struct gradient *g;
    const struct gradient_options o = {.threads = 2,
                                       .over_blocks = 1,
                                       .batch = IMAGES,
                                       .isa = isa,
                                       .precision = precision,
                                       .quantized = 1,
                                       .activations = maps,
                                       .weight_bits = 8,
                                       .activation_bits = 8,
                                       .weights = learned ? codes : NULL,
                                       .learn_weight_scales = learned,
                                       .ewgs = ewgs,
                                       .ranges = mode,
                                       .range_averaging = 0.5};
    int status = gradient_open(&g, &fused, &o, &m);
    if (status != STATUS_UNSUPPORTED) /* no such instruction set here */
        ASSERT_OK(status);
    return status < 0 ? NULL : g;
}

static void compare_gradients(const char *who, struct gradient *blocks, struct gradient *images, double tolerance)
{
    struct difference worst = {0}, bias = {0}, scales = {0}, biases = {0};
    const struct slice *slices;
    int count = gradient_slices(images, &slices);
    for (int i = 0; i < count; i++) {
        const enum slice_role role = slices[i].role;
        struct difference own = {0}, *all = role == SLICE_SCALE ? &scales : role == SLICE_BIAS ? &biases : NULL;
        for (size_t k = slices[i].offset; k < slices[i].offset + slices[i].count; k++) {
            double got = (double)gradient_gradients(blocks)[k], want = (double)gradient_gradients(images)[k];
            difference_add(&own, got, want);
            if (all)
                difference_add(all, got, want);
        }
        if (role != SLICE_SCALE)
            keep_worst(role == SLICE_BIAS ? &bias : &worst, &own, slices[i].name);
    }
    /* Scales are one number each, biases a few, sums of which little may be left: all of them together. */
    if (scales.norm > 0)
        keep_worst(&worst, &scales, "all scales");
    keep_worst(&worst, &biases, "all biases");
    expect_near(who, "gradient", &worst, tolerance);
    expect_near(who, "gradient of one layer's biases", &bias, 10 * tolerance);
}

static void step_both(struct gradient *blocks, struct gradient *images, const uint16_t *labels, const char *who,
                      double tolerance)
{
    float logits[2][IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    struct gradient *const both[2] = {images, blocks};
    struct loss_sums sums = {0};
    for (int i = 0; i < 2; i++)
        ASSERT_OK(gradient_forward(both[i], fresh_images, IMAGES, logits[i], &m));
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(gradient_state(images), gradient_state(blocks),
                        gradient_state_count(images) * sizeof(float));
    ASSERT_OK(loss_cross_entropy(logits[0], labels, IMAGES, CLASSES, 0, dlogits, &sums, &m));
    for (int i = 0; i < 2; i++)
        ASSERT_OK(gradient_backward(both[i], dlogits, &m));
    compare_gradients(who, blocks, images, tolerance);
}

static void compare(const char *who, const char *isa, const char *precision, enum range_mode mode, double tolerance)
{
    struct gradient *images = open_engine("blas", NULL, mode), *blocks = open_engine(isa, precision, mode);
    const struct slice *slices;
    struct optimizer o;
    assert_string_equal(gradient_engine(images), "image");
    if (blocks && strcmp(gradient_engine(blocks), "block") == 0) {
        int count = gradient_slices(images, &slices);
        ASSERT_OK(optimizer_open(&o, &(struct optimizer_options){0.9, 0, 1, 1, 1, 0, 0, 0}, slices, count,
                                 gradient_parameter_count(images), &m));
        for (int round = 0; round < ROUNDS; round++) {
            step_both(blocks, images, fresh_labels, who, tolerance);
            optimizer_step(&o, gradient_parameters(images), gradient_gradients(images), 0.01);
            memcpy(gradient_parameters(blocks), gradient_parameters(images),
                   gradient_parameter_count(images) * sizeof(float));
        }
        optimizer_close(&o);
    }
    gradient_close(images);
    gradient_close(blocks);
}

/* Tolerances: gradient.h's. */
static void compare_engines(enum range_mode mode)
{
    const double fp32 = 2e-5, bf16 = 1e-2;
    compare("best fp32", NULL, "fp32", mode, fp32);
    compare("best bf16", NULL, "bf16", mode, bf16);
    compare("avx512bf16 fp32", "avx512bf16", "fp32", mode, fp32);
    compare("avx512bf16 bf16", "avx512bf16", "bf16", mode, bf16);
    compare("avx2 fp32", "avx2", "fp32", mode, fp32);
    compare("avx2 bf16", "avx2", "bf16", mode, bf16);
}

static void test_fixed_ranges(void **state)
{
    (void)state;
    compare_engines(RANGE_FIXED);
}

static void test_moving_ranges(void **state)
{
    (void)state;
    compare_engines(RANGE_AVERAGE);
}

static void test_learned_scales(void **state)
{
    (void)state;
    compare_engines(RANGE_LEARNED);
}

static void test_learned_weight_scales(void **state)
{
    (void)state;
    learned = 1;
    compare_engines(RANGE_LEARNED);
    ewgs = 0.2; /* what passes is rounded to bf16 once more there */
    compare_engines(RANGE_LEARNED);
    compare_engines(RANGE_FIXED);
    learned = 0;
    ewgs = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixed_ranges), cmocka_unit_test(test_moving_ranges),
                                       cmocka_unit_test(test_learned_scales),
                                       cmocka_unit_test(test_learned_weight_scales)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
