/* Pictures of any shape: bytes against Pillow (tests/reference/pictures.py), shapes as text. */
#include "sets.h"
#include "data/augment.h"
#include "data/picture.h"
#include "record/stream.h"

static struct record *fixture;

static int fixture_load(void **state)
{
    (void)state;
    return record_load(&fixture, "tests/reference/pictures.safetensors", &m);
}

static int fixture_free(void **state)
{
    (void)state;
    record_free(fixture);
    return 0;
}

/* NAME.N.PART, or NULL. */
static const struct tensor *part_of(const char *name, int n, const char *part)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%d.%s", name, n, part);
    return record_find(fixture, key);
}

static struct image_shape shape_of(const struct tensor *t)
{
    return (struct image_shape){(int)t->shape[0], (int)t->shape[1], (int)t->shape[2]};
}

static void same_bytes(const char *name, int n, const uint8_t *got, const struct tensor *want, int tolerance)
{
    int differing = 0;
    const uint8_t *wanted = want->data;
    for (size_t i = 0; i < image_shape_bytes(shape_of(want)); i++)
        differing += abs(got[i] - wanted[i]) > tolerance;
    if (differing)
        print_error("%s.%d: %d bytes differ\n", name, n, differing);
    assert_int_equal(differing, 0);
}

static void test_resizing_is_pillows(void **state)
{
    (void)state;
    uint8_t got[64 * 64 * 3];
    const struct tensor *in;
    int n = 0;
    for (; (in = part_of("resize", n, "in")); n++) {
        const struct tensor *out = part_of("resize", n, "out");
        const int64_t *how = part_of("resize", n, "how")->data;
        ASSERT_OK(image_fit(in->data, shape_of(in), (enum image_fit)how[0], (enum image_filter)how[1], got,
                            shape_of(out), &m));
        same_bytes("resize", n, got, out, 0);
    }
    assert_int_equal(n, 8 * 3 * 3);
}

/* One operation on every input of its name. */
static int each_of(const char *name,
                   void (*apply)(const double *p, struct image_shape s, const uint8_t *in, uint8_t *out))
{
    uint8_t got[64 * 64 * 3];
    const struct tensor *in;
    int n = 0;
    for (; (in = part_of(name, n, "in")); n++) {
        apply(part_of(name, n, "parameters")->data, shape_of(in), in->data, got);
        same_bytes(name, n, got, part_of(name, n, "out"), 0);
    }
    return n;
}

static void rotate(const double *p, struct image_shape s, const uint8_t *in, uint8_t *out)
{
    image_rotate(s, in, out, p[0]);
}

static void resized_crop(const double *p, struct image_shape s, const uint8_t *in, uint8_t *out)
{
    const int box[4] = {(int)p[0], (int)p[1], (int)p[2], (int)p[3]};
    ASSERT_OK(image_resized_crop(s, in, out, box, &m));
}

#define IN_PLACE(name)                                                                       \
    static void name(const double *p, struct image_shape s, const uint8_t *in, uint8_t *out) \
    {                                                                                        \
        memcpy(out, in, image_shape_bytes(s));                                               \
        image_##name(s, out, p[0]);                                                          \
    }
IN_PLACE(contrast)
IN_PLACE(saturation)
IN_PLACE(hue)

static void test_augmentations_of_any_shape_are_pillows(void **state)
{
    (void)state;
    assert_int_equal(each_of("rotate", rotate), 12);
    assert_int_equal(each_of("contrast", contrast), 4);
    assert_int_equal(each_of("saturation", saturation), 4);
    assert_int_equal(each_of("hue", hue), 4);
    assert_int_equal(each_of("resized_crop", resized_crop), 6);
}

static void test_files_of_every_kind_are_read_by_rule(void **state)
{
    (void)state;
    const struct tensor *bytes;
    int n = 0;
    for (; (bytes = part_of("file", n, "bytes")); n++) {
        struct decoded got;
        const struct tensor *want = part_of("file", n, "out");
        ASSERT_OK(picture_decode(bytes->data, (size_t)bytes->shape[0], &got, &m));
        if (!image_shape_is(got.shape, shape_of(want)))
            print_error("file.%d: %dx%dx%d\n", n, got.shape.height, got.shape.width, got.shape.channels);
        assert_true(image_shape_is(got.shape, shape_of(want)));
        same_bytes("file", n, got.pixels, want, *(const int64_t *)part_of("file", n, "is_exact")->data ? 0 : 2);
        decoded_free(&got);
    }
    assert_int_equal(n, 9 + 24);
}

/* Whatever stands in an Exif block, nothing beyond it is read and the orientation is one of eight. */
static void test_damaged_exif_is_no_orientation(void **state)
{
    (void)state;
    static const uint8_t exif[] = {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
    assert_int_equal(exif_orientation(exif, sizeof exif), 6);
    for (size_t count = 0; count < sizeof exif - 2; count++) {
        uint8_t *cut = malloc(count + 1); /* so that a sanitizer sees a read beyond it */
        memcpy(cut, exif, count);
        int got = exif_orientation(cut, count);
        assert_int_equal(got, count < 20 ? 1 : got);
        assert_in_range(got, 1, 8);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * sizeof exif; bit++) {
        uint8_t flipped[sizeof exif];
        memcpy(flipped, exif, sizeof exif);
        flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_in_range(exif_orientation(flipped, sizeof exif), 1, 8);
    }
}

/* torchvision's draw: parts within the image, of 3:4 to 4:3 and of the area asked for, all over it. */
static void test_resized_crop_draws_what_it_says(void **state)
{
    (void)state;
    const struct image_shape s = {60, 90, 3};
    double least = 1, most = 0;
    int left = 90, right = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        int box[4];
        resized_crop_draw(7, 1, i, 0.2, s, box);
        double width = box[2] - box[0], height = box[3] - box[1], area = width * height / (60 * 90);
        assert_true(box[0] >= 0 && box[1] >= 0 && box[2] <= 90 && box[3] <= 60);
        assert_true((width + 0.5) / (height - 0.5) > 0.75 && (width - 0.5) / (height + 0.5) < 4.0 / 3);
        least = area < least ? area : least;
        most = area > most ? area : most;
        left = box[0] < left ? box[0] : left;
        right = box[2] > right ? box[2] : right;
    }
    assert_true(least > 0.19 && least < 0.22 && most > 0.8 && left == 0 && right == 90);
    int box[4];
    resized_crop_draw(7, 1, 0, 1, (struct image_shape){8, 80, 1}, box); /* no draw fits: the middle, 4:3 */
    assert_int_equal(box[0], 34);
    assert_int_equal(box[2], 45);
    assert_int_equal(box[1], 0);
    assert_int_equal(box[3], 8);
}

static void test_shapes_as_text(void **state)
{
    (void)state;
    struct image_shape s = {0};
    ASSERT_OK(image_size_parse("48x64", &s, &m));
    assert_true(s.height == 48 && s.width == 64);
    ASSERT_OK(image_input_parse("224x200x1", &s, &m));
    assert_true(image_shape_is(s, (struct image_shape){224, 200, 1}));
    ASSERT_OK(image_input_parse("64", &s, &m));
    assert_true(image_shape_is(s, (struct image_shape){64, 64, 3}));
    static const char *const bad[] = {"",          "x",    "7x8",    "8x513",
                                      "32x",       "x32",  "32x32x", "32x32x2",
                                      "32x32x3x3", "-8x8", "32 x32", "99999999999999999999x8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ASSERT_FAILS(image_input_parse(bad[i], &s, &m), STATUS_RANGE, "'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resizing_is_pillows),
        cmocka_unit_test(test_augmentations_of_any_shape_are_pillows),
        cmocka_unit_test(test_files_of_every_kind_are_read_by_rule),
        cmocka_unit_test(test_damaged_exif_is_no_orientation),
        cmocka_unit_test(test_resized_crop_draws_what_it_says),
        cmocka_unit_test(test_shapes_as_text),
    };
    return cmocka_run_group_tests(tests, fixture_load, fixture_free);
}
