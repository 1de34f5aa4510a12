/* CIFAR-100, IDX and STL-10: what becomes of their files, and what is said of those that are wrong. */
#include "sets.h"
#include "base/memory.h"
#include "data/raw.h"
#include <zlib.h>

static struct dataset d;

static int load_wish(const char *name, const char *split, const struct dataset_wish *wish)
{
    dataset_free(&d);
    TRY(dataset_open(&d, temporary_path(name), split, wish, NULL, NULL, NULL, &m));
    return dataset_read(&d, NULL, 0, &m);
}

static int load(const char *name, const char *split)
{
    return load_wish(name, split, NULL);
}

/* ---- IDX ---- */

/* The header of `rank` dimensions and a byte pattern. Returns its bytes. */
static size_t idx_make(uint8_t *out, int rank, const int *dims)
{
    size_t at = 4, count = 1;
    memcpy(out, (const uint8_t[]){0, 0, 8, (uint8_t)rank}, 4);
    for (int i = 0; i < rank; i++, at += 4) {
        memcpy(out + at, (const uint8_t[]){0, 0, (uint8_t)(dims[i] >> 8), (uint8_t)dims[i]}, 4);
        count *= (size_t)dims[i];
    }
    for (size_t i = 0; i < count; i++)
        out[at + i] = rank == 1 ? (uint8_t)(i % 3 * 2) : (uint8_t)(i * 7 + i / 100);
    return at + count;
}

static void packed_write(const char *name, const void *bytes, size_t count)
{
    file_write(name, "", 0);
    gzFile f = gzopen(temporary_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)count), (int)count);
    gzclose(f);
}

static void test_idx_plain_and_packed(void **state)
{
    (void)state;
    uint8_t images[8192], labels[64];
    size_t image_bytes = idx_make(images, 3, (const int[]){7, 28, 20}),
           label_bytes = idx_make(labels, 1, (const int[]){7});
    file_write("idx/train-images-idx3-ubyte", images, image_bytes);
    file_write("idx/train-labels.idx1-ubyte", labels, label_bytes);
    packed_write("idx/t10k-images-idx3-ubyte.gz", images, image_bytes);
    packed_write("idx/t10k-labels-idx1-ubyte.gz", labels, label_bytes);
    for (int test = 0; test < 2; test++) {
        ASSERT_OK(load("idx", test ? "test" : "train"));
        assert_true(image_shape_is(d.shape, (struct image_shape){28, 20, 1}));
        assert_int_equal(d.count, 7);
        assert_int_equal(d.class_count, 5); /* labels 0, 2, 4 */
        assert_string_equal(d.classes[4], "4");
        assert_memory_equal(d.images, images + 16, 7 * 28 * 20);
        for (int i = 0; i < 7; i++)
            assert_int_equal(d.labels[i], i % 3 * 2);
    }
    const struct dataset_wish wish = {.image = {.height = 14, .width = 10, .channels = 3}};
    ASSERT_OK(load_wish("idx", "train", &wish));
    assert_true(image_shape_is(d.shape, (struct image_shape){14, 10, 3}));
    uint8_t want[14 * 10 * 3];
    ASSERT_OK(image_convert(images + 16, (struct image_shape){28, 20, 1}, &wish.image, want, d.shape, &m));
    assert_memory_equal(d.images, want, sizeof want);
    file_write("letters/emnist-letters-train-images-idx3-ubyte", images, image_bytes);
    file_write("letters/emnist-letters-train-labels-idx1-ubyte", labels, label_bytes);
    ASSERT_OK(load("letters", "train"));
    ASSERT_FAILS(load("letters", "test"), STATUS_MISMATCH, "has no test images");
    file_write("letters/emnist-digits-train-images-idx3-ubyte", images, image_bytes);
    ASSERT_FAILS(load("letters", "train"), STATUS_FORMAT, "of another set than '");
}

static void test_wrong_idx(void **state)
{
    (void)state;
    uint8_t images[8192], labels[64], packed[64] = {0x1f, 0x8b, 8, 0};
    size_t image_bytes = idx_make(images, 3, (const int[]){7, 28, 20}),
           label_bytes = idx_make(labels, 1, (const int[]){6});
    file_write("bad-idx/train-images-idx3-ubyte", images, image_bytes);
    ASSERT_FAILS(load("bad-idx", "train"), STATUS_FORMAT, "train labels: no IDX file");
    file_write("bad-idx/train-labels-idx1-ubyte", labels, label_bytes);
    ASSERT_FAILS(load("bad-idx", "train"), STATUS_MISMATCH, "train: 7 images, but 6 labels");
    file_write("bad-idx/train-images-idx3-ubyte", images, image_bytes - 1);
    ASSERT_FAILS(load("bad-idx", "train"), STATUS_TRUNCATED, "IDX file of 3935 bytes, want 3936");
    idx_make(images, 3, (const int[]){1, 7, 28});
    file_write("bad-idx/train-images-idx3-ubyte", images, 16 + 7 * 28);
    ASSERT_FAILS(load("bad-idx", "train"), STATUS_RANGE, "train images of 7x28, want sides of 8 to 512");
    memset(images + 4, 0xff, 12);
    file_write("bad-idx/train-images-idx3-ubyte", images, 100);
    ASSERT_FAILS(load("bad-idx", "train"), STATUS_TRUNCATED, "IDX file of 100 bytes");
    unlink(temporary_path("bad-idx/train-images-idx3-ubyte"));
    file_write("bad-idx/train-images-idx3-ubyte.gz", packed, sizeof packed);
    assert_true(load("bad-idx", "train") < 0);
    assert_non_null(strstr(m.text, "train-images-idx3-ubyte.gz: gzip: "));
}

/* ---- CIFAR-100 ---- */

static void test_cifar_100_fine_and_coarse(void **state)
{
    (void)state;
    enum { RECORD = 2 + IMAGE_BYTES };
    uint8_t *bytes = malloc(5 * RECORD);
    for (int i = 0; i < 5 * RECORD; i++)
        bytes[i] = (uint8_t)(i * 3 + i / 500);
    for (int i = 0; i < 5; i++) {
        bytes[i * RECORD] = (uint8_t)(i % 2);
        bytes[i * RECORD + 1] = (uint8_t)i;
    }
    file_write("c100/train.bin", bytes, 5 * RECORD);
    file_write("c100/test.bin", bytes, 2 * RECORD);
    ASSERT_FAILS(load("c100", "train"), STATUS_FORMAT, "names of the classes are missing: fine_label_names.txt");
    file_write("c100/fine_label_names.txt", "a\nb\nc\nd\ne\n", 10);
    file_write("c100/coarse_label_names.txt", "x\ny\n", 4);
    ASSERT_OK(load("c100", "train"));
    assert_int_equal(d.class_count, 5);
    assert_string_equal(d.classes[3], "d");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(d.labels[i], i);
        for (int p = 0; p < 1024; p++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(d.images[i * IMAGE_BYTES + 3 * p + c], bytes[i * RECORD + 2 + c * 1024 + p]);
    }
    ASSERT_OK(load_wish("c100", "test", &(struct dataset_wish){.coarse = 1}));
    assert_int_equal(d.count, 2);
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[1], "y");
    assert_int_equal(d.labels[1], 1);
    file_write("c100/train.bin", bytes, RECORD + 1);
    ASSERT_FAILS(load("c100", "train"), STATUS_TRUNCATED, "train.bin: 3075 bytes is not a multiple of 3074");
    free(bytes);
}

/* ---- STL-10 ---- */

static void test_stl_10_stores_columns(void **state)
{
    (void)state;
    enum { SIDE = 96, PLANE = SIDE * SIDE };
    uint8_t *bytes = malloc(2 * 3 * PLANE);
    for (int i = 0; i < 2 * 3 * PLANE; i++)
        bytes[i] = (uint8_t)(i * 5 + i / 1000);
    file_write("stl/test_X.bin", bytes, 2 * 3 * PLANE);
    file_write("stl/test_y.bin", "\3\1", 2);
    file_write("stl/class_names.txt", "airplane\nbird\ncar\n", 18);
    ASSERT_OK(load("stl", "test"));
    assert_true(image_shape_is(d.shape, (struct image_shape){SIDE, SIDE, 3}));
    assert_int_equal(d.labels[0], 2);
    assert_int_equal(d.labels[1], 0);
    for (int y = 0; y < SIDE; y += 5)
        for (int x = 0; x < SIDE; x += 7)
            for (int c = 0; c < 3; c++)
                assert_int_equal(d.images[3 * PLANE + (y * SIDE + x) * 3 + c],
                                 bytes[(3 + c) * PLANE + x * SIDE + y]);
    file_write("stl/test_y.bin", "\3\0", 2);
    ASSERT_FAILS(load("stl", "test"), STATUS_FORMAT, "label 255, want 0..2");
    file_write("stl/test_y.bin", "\3", 1);
    ASSERT_FAILS(load("stl", "test"), STATUS_MISMATCH, "test: 2 images, but 1 labels");
    free(bytes);
}

/* A file that happens to be called so is no matter where pictures are the set. */
static void test_pictures_go_first(void **state)
{
    (void)state;
    uint8_t png[8192];
    size_t size = png_make(png, 32, 1);
    file_write("both/train/a/1.png", png, size);
    file_write("both/x/train.bin", "abc", 3);
    file_write("both/y/train.bin", "abc", 3);
    ASSERT_OK(load("both", "train"));
    assert_int_equal(d.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_plain_and_packed),      cmocka_unit_test(test_wrong_idx),
        cmocka_unit_test(test_cifar_100_fine_and_coarse), cmocka_unit_test(test_stl_10_stores_columns),
        cmocka_unit_test(test_pictures_go_first),
    };
    int failed = cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
    dataset_free(&d);
    return failed;
}
