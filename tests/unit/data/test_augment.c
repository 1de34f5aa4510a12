/* The augmentations: bytes against torchvision's PIL path, and what each draw depends on. */
#include "sets.h"
#include "base/memory.h"
#include "data/augment.h"
#include "record/digest.h"
#include "record/stream.h"
#include <math.h>

/* ---- against tests/reference/augment.py ---- */

static struct record *fixture;

static int fixture_load(void **state)
{
    (void)state;
    return record_load(&fixture, "tests/reference/augment.safetensors", &m);
}

static int fixture_free(void **state)
{
    (void)state;
    record_free(fixture);
    return 0;
}

/* What turns an input into an output by row p's parameters. */
typedef void operation(const double *parameters, const uint8_t *in, uint8_t *out);

static void check(const char *name, operation *apply)
{
    char key[64];
    struct tensor *images = record_find(fixture, "images");
    snprintf(key, sizeof key, "%s.parameters", name);
    struct tensor *parameters = record_find(fixture, key);
    snprintf(key, sizeof key, "%s.images", name);
    struct tensor *want = record_find(fixture, key);
    assert_true(images && parameters && want && parameters->shape[0] > 0);
    for (int64_t p = 0; p < parameters->shape[0]; p++) {
        uint8_t out[IMAGE_BYTES];
        const uint8_t *in = (uint8_t *)images->data + p % images->shape[0] * IMAGE_BYTES;
        apply((double *)parameters->data + p * parameters->shape[1], in, out);
        int differing = 0;
        for (int i = 0; i < IMAGE_BYTES; i++)
            differing += out[i] != ((uint8_t *)want->data)[p * IMAGE_BYTES + i];
        if (differing)
            print_error("%s: row %d: %d bytes differ\n", name, (int)p, differing);
        assert_int_equal(differing, 0);
    }
}

static void augment_one(const struct augment_options *o, uint32_t epoch, uint64_t index, const uint8_t *in,
                        uint8_t *out)
{
    uint8_t scratch[IMAGE_BYTES];
    ASSERT_OK(augment_image(o, IMAGE_CIFAR, epoch, index, in, out, scratch, &m));
}

#define IN_PLACE(name)                                                                  \
    static void apply_##name(const double *parameters, const uint8_t *in, uint8_t *out) \
    {                                                                                   \
        memcpy(out, in, IMAGE_BYTES);                                                   \
        image_##name(IMAGE_CIFAR, out, parameters[0]);                                  \
    }
IN_PLACE(brightness)
IN_PLACE(contrast)
IN_PLACE(saturation)
IN_PLACE(hue)

static void apply_rotate(const double *parameters, const uint8_t *in, uint8_t *out)
{
    image_rotate(IMAGE_CIFAR, in, out, parameters[0]);
}

static void apply_crop_zero(const double *p, const uint8_t *in, uint8_t *out)
{
    image_crop(IMAGE_CIFAR, in, out, (int)p[0], PAD_ZERO, (int)p[1], (int)p[2]);
}

static void apply_crop_reflect(const double *p, const uint8_t *in, uint8_t *out)
{
    image_crop(IMAGE_CIFAR, in, out, (int)p[0], PAD_REFLECT, (int)p[1], (int)p[2]);
}

static void apply_flip(const double *p, const uint8_t *in, uint8_t *out)
{
    (void)p;
    memcpy(out, in, IMAGE_BYTES);
    image_flip(IMAGE_CIFAR, out);
}

static void apply_jitter(const double *p, const uint8_t *in, uint8_t *out)
{
    static void (*const operations[])(struct image_shape, uint8_t *, double) = {image_brightness, image_contrast,
                                                                                image_saturation, image_hue};
    memcpy(out, in, IMAGE_BYTES);
    for (int divisor = 1000; divisor > 0; divisor /= 10) {
        int which = (int)p[0] / divisor % 10;
        operations[which](IMAGE_CIFAR, out, p[1 + which]);
    }
}

static void test_bytes_are_those_of_torchvision(void **state)
{
    (void)state;
    check("brightness", apply_brightness);
    check("contrast", apply_contrast);
    check("saturation", apply_saturation);
    check("hue", apply_hue);
    check("rotate", apply_rotate);
    check("crop_zero", apply_crop_zero);
    check("crop_reflect", apply_crop_reflect);
    check("flip", apply_flip);
    check("jitter", apply_jitter);
}

static void test_rotation_is_counter_clockwise(void **state)
{
    (void)state;
    uint8_t in[IMAGE_BYTES] = {0}, out[IMAGE_BYTES];
    in[3 * (4 * IMAGE_SIDE + 16)] = 255;
    image_rotate(IMAGE_CIFAR, in, out, 15);
    assert_int_equal(out[3 * (4 * IMAGE_SIDE + 13)], 255);
}

static void test_cutout_covers_a_square_and_no_more(void **state)
{
    (void)state;
    const struct {
        int side, row, column, covered;
    } cases[] = {{8, 16, 16, 64}, {8, 0, 0, 16}, {7, 31, 16, 28}, {32, 16, 16, 1024}, {1, 5, 31, 1}, {2, 0, 31, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t image[IMAGE_BYTES] = {0};
        int covered = 0;
        image_cutout(IMAGE_CIFAR, image, cases[i].side, cases[i].row, cases[i].column);
        for (int p = 0; p < IMAGE_BYTES; p++) {
            covered += image[p] == 128;
            assert_true(image[p] == 128 || image[p] == 0);
        }
        assert_int_equal(covered, 3 * cases[i].covered);
        assert_int_equal(image[3 * (cases[i].row * IMAGE_SIDE + cases[i].column)], 128);
    }
}

/* ---- draws ---- */

static const struct augment_options everything = {.seed = 7,
                                                  .crop = 4,
                                                  .pad = PAD_REFLECT,
                                                  .flip = 0.5,
                                                  .brightness = 0.4,
                                                  .contrast = 0.4,
                                                  .saturation = 0.4,
                                                  .hue = 0.3,
                                                  .rotation = 30,
                                                  .cutout = 8};

static void noise_make(uint8_t *image, unsigned seed)
{
    for (int i = 0; i < IMAGE_BYTES; i++)
        image[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
}

static void test_nothing_asked_is_nothing_done(void **state)
{
    (void)state;
    const struct augment_options none = {.seed = 3};
    uint8_t in[IMAGE_BYTES], out[IMAGE_BYTES];
    noise_make(in, 1);
    augment_one(&none, 2, 3, in, out);
    assert_memory_equal(in, out, IMAGE_BYTES);
}

/* All at once is the same as one after the other, each alone: none takes its draws from another's. */
static void test_operations_draw_alone(void **state)
{
    (void)state;
    struct augment_options alone[5] = {{.crop = everything.crop, .pad = everything.pad},
                                       {.flip = everything.flip},
                                       {.brightness = everything.brightness,
                                        .contrast = everything.contrast,
                                        .saturation = everything.saturation,
                                        .hue = everything.hue},
                                       {.rotation = everything.rotation},
                                       {.cutout = everything.cutout}};
    for (int skipped = -1; skipped < 5; skipped++) { /* -1: none is switched off */
        struct augment_options o = everything;
        o.crop = skipped == 0 ? 0 : o.crop;
        o.flip = skipped == 1 ? 0 : o.flip;
        if (skipped == 2)
            o.brightness = o.contrast = o.saturation = o.hue = 0;
        o.rotation = skipped == 3 ? 0 : o.rotation;
        o.cutout = skipped == 4 ? 0 : o.cutout;
        for (unsigned index = 0; index < 50; index++) {
            uint8_t a[IMAGE_BYTES], b[IMAGE_BYTES], whole[IMAGE_BYTES];
            noise_make(a, index);
            augment_one(&o, index % 3, index, a, whole);
            for (int i = 0; i < 5; i++) {
                if (i == skipped)
                    continue;
                alone[i].seed = o.seed;
                augment_one(&alone[i], index % 3, index, a, b);
                memcpy(a, b, IMAGE_BYTES);
            }
            assert_memory_equal(a, whole, IMAGE_BYTES);
        }
    }
}

/* Within the jitter too: the four in their order are the four alone in one of the 24 orders, and the order varies.
 */
static void test_jitters_draw_alone(void **state)
{
    (void)state;
    struct augment_options all = {.seed = 5, .brightness = 0.5, .contrast = 0.5, .saturation = 0.5, .hue = 0.2};
    struct augment_options alone[4] = {{.seed = 5, .brightness = 0.5},
                                       {.seed = 5, .contrast = 0.5},
                                       {.seed = 5, .saturation = 0.5},
                                       {.seed = 5, .hue = 0.2}};
    int seen[256] = {0}, orders = 0;
    for (unsigned index = 0; index < 200; index++) {
        uint8_t in[IMAGE_BYTES], whole[IMAGE_BYTES], a[IMAGE_BYTES], b[IMAGE_BYTES];
        int found = 0;
        noise_make(in, index);
        augment_one(&all, 0, index, in, whole);
        for (int order = 0; order < 256 && !found; order++) {
            int used = 0;
            for (int i = 0; i < 4; i++)
                used |= 1 << (order >> 2 * i & 3);
            if (used != 15)
                continue;
            memcpy(a, in, IMAGE_BYTES);
            for (int i = 0; i < 4; i++) {
                augment_one(&alone[order >> 2 * i & 3], 0, index, a, b);
                memcpy(a, b, IMAGE_BYTES);
            }
            found = memcmp(a, whole, IMAGE_BYTES) == 0;
            if (found)
                orders += seen[order]++ == 0;
        }
        assert_true(found);
    }
    assert_int_equal(orders, 24);
}

static void test_draws_depend_on_seed_epoch_and_index(void **state)
{
    (void)state;
    struct augment_options other = everything;
    uint8_t in[IMAGE_BYTES], first[IMAGE_BYTES], out[IMAGE_BYTES];
    other.seed++;
    noise_make(in, 1);
    augment_one(&everything, 4, 5, in, first);
    augment_one(&everything, 4, 5, in, out);
    assert_memory_equal(first, out, IMAGE_BYTES);
    augment_one(&everything, 5, 5, in, out);
    assert_memory_not_equal(first, out, IMAGE_BYTES);
    augment_one(&everything, 4, 6, in, out);
    assert_memory_not_equal(first, out, IMAGE_BYTES);
    augment_one(&other, 4, 5, in, out);
    assert_memory_not_equal(first, out, IMAGE_BYTES);
}

/* Which draws an image gets is part of what a seed means: models made with one are to be made again. */
static void test_draws_never_change(void **state)
{
    (void)state;
    uint32_t crc = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint8_t in[IMAGE_BYTES], out[IMAGE_BYTES];
        noise_make(in, i);
        augment_one(&everything, i / 10, i * 1000003ull, in, out);
        crc = digest_crc32(crc, out, IMAGE_BYTES);
    }
    assert_int_equal(crc, 0x770766aa);
}

static void test_distributions(void **state)
{
    (void)state;
    const struct augment_options flip = {.seed = 1, .flip = 0.25}, crop = {.seed = 1, .crop = 2};
    uint8_t in[IMAGE_BYTES], out[IMAGE_BYTES];
    int flips = 0, places[5][5] = {{0}};
    enum { TRIALS = 10000 };
    for (int i = 0; i < IMAGE_BYTES; i++)
        in[i] = (uint8_t)(1 + (i % 3 == 0 ? i / 3 % IMAGE_SIDE : i / 3 / IMAGE_SIDE));
    for (uint64_t i = 0; i < TRIALS; i++) {
        augment_one(&flip, 0, i, in, out);
        flips += out[0] != in[0];
        augment_one(&crop, 0, i, in, out);
        const uint8_t *centre = out + 3 * (16 * IMAGE_SIDE + 16);
        places[centre[1] - 15][centre[0] - 15]++;
    }
    assert_in_range(flips, 2500 - 173, 2500 + 173); /* 4 deviations */
    for (int i = 0; i < 25; i++)
        assert_in_range(places[i / 5][i % 5], 400 - 79, 400 + 79);
}

/* Both sides of every image in any two epochs in a row; the share of the first epoch is the probability. */
static void test_flips_alternate(void **state)
{
    (void)state;
    const struct augment_options o = {.seed = 2, .flip = 0.25, .is_flip_alternate = 1};
    uint8_t in[IMAGE_BYTES], mirrored[IMAGE_BYTES], out[IMAGE_BYTES];
    enum { IMAGES = 2000 };
    int flips = 0;
    noise_make(in, 3);
    memcpy(mirrored, in, IMAGE_BYTES);
    image_flip(IMAGE_CIFAR, mirrored);
    for (uint64_t i = 0; i < IMAGES; i++) {
        augment_one(&o, 0, i, in, out);
        int is_first = memcmp(out, mirrored, IMAGE_BYTES) == 0;
        flips += is_first;
        for (uint32_t epoch = 0; epoch < 5; epoch++) {
            augment_one(&o, epoch, i, in, out);
            assert_memory_equal(out, is_first == (epoch % 2 == 0) ? mirrored : in, IMAGE_BYTES);
        }
    }
    assert_in_range(flips, 500 - 78, 500 + 78); /* 4 deviations */
}

static void test_batches_are_the_same_for_any_threads(void **state)
{
    (void)state;
    enum { COUNT = 77 };
    struct batch first;
    ASSERT_OK(batch_new(&first, IMAGE_CIFAR, 10, COUNT, &m));
    for (int i = 0; i < COUNT; i++) {
        first.indices[i] = 1000 - 7 * i;
        noise_make(first.images + i * IMAGE_BYTES, (unsigned)i);
    }
    first.epoch = 3;
    uint8_t *images = malloc(COUNT * IMAGE_BYTES), want[IMAGE_BYTES];
    memcpy(images, first.images, COUNT * IMAGE_BYTES);
    ASSERT_OK(augment_batch(&everything, NULL, &first, &m));
    augment_one(&everything, 3, 1000 - 7 * 76, images + 76 * IMAGE_BYTES, want);
    assert_memory_equal(first.images + 76 * IMAGE_BYTES, want, IMAGE_BYTES);
    for (int threads = 1; threads <= 3; threads++) {
        struct threads *pool;
        struct batch again;
        ASSERT_OK(batch_new(&again, IMAGE_CIFAR, 10, COUNT, &m));
        memcpy(again.images, images, COUNT * IMAGE_BYTES);
        memcpy(again.indices, first.indices, COUNT * sizeof *first.indices);
        again.epoch = 3;
        ASSERT_OK(threads_open(&pool, threads, &m));
        ASSERT_OK(augment_batch(&everything, pool, &again, &m));
        threads_close(pool);
        assert_memory_equal(first.images, again.images, COUNT * IMAGE_BYTES);
        batch_free(&again);
    }
    batch_free(&first);
    free(images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_are_those_of_torchvision, fixture_load, fixture_free),
        cmocka_unit_test(test_rotation_is_counter_clockwise),
        cmocka_unit_test(test_cutout_covers_a_square_and_no_more),
        cmocka_unit_test(test_nothing_asked_is_nothing_done),
        cmocka_unit_test(test_operations_draw_alone),
        cmocka_unit_test(test_jitters_draw_alone),
        cmocka_unit_test(test_draws_depend_on_seed_epoch_and_index),
        cmocka_unit_test(test_draws_never_change),
        cmocka_unit_test(test_flips_alternate),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_batches_are_the_same_for_any_threads),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
