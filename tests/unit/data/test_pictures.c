/* Data sets from ImageFolders: what is a picture of the set, in which order and class, and what is left out. */
#include "loaded.h"
#include "base/memory.h"
#include "data/class_table.h"
#include "data/picture.h"
#include "record/digest.h"
#include "record/file.h"
#include <math.h>

static int image_difference(const uint8_t *image, int which)
{
    uint8_t want[IMAGE_BYTES];
    int largest = 0;
    image_make(want, which);
    for (int i = 0; i < IMAGE_BYTES; i++)
        largest = abs(image[i] - want[i]) > largest ? abs(image[i] - want[i]) : largest;
    return largest;
}

static void test_image_folder(void **state)
{
    (void)state;
    picture_write("pets/train/dog/10.png", 4);
    picture_write("pets/train/dog/9.png", 3);
    picture_write("pets/train/cat/10.jpg", 2);
    picture_write("pets/train/cat/2.jpeg", 1);
    picture_write("pets/train/ant/010.PNG.png", 5);
    picture_write("pets/test/cat/1.png", 6);
    picture_write("pets/valid/cat/1.png", 7); /* other splits, hidden files and what is no class folder */
    file_write("pets/train/cat/.DS_Store", "x", 1);
    file_write("pets/train/list.txt", "x", 1);
    file_write("pets/readme.txt", "x", 1);
    ASSERT_OK(load(temporary_path("pets"), "train"));
    assert_int_equal(d.count, 5);
    assert_int_equal(d.class_count, 3);
    assert_string_equal(d.classes[0], "ant");
    assert_string_equal(d.classes[2], "dog");
    assert_string_equal(d.name, "pets");
    const int which[5] = {1, 3, 5, 2, 4}, labels[5] = {1, 2, 0, 1, 2}; /* names in natural order, then classes */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(d.labels[i], labels[i]);
        assert_true(image_difference(d.images + i * IMAGE_BYTES, which[i]) <= (labels[i] == 1 ? 16 : 0));
    }
    ASSERT_OK(load(temporary_path("pets"), "test"));
    assert_int_equal(d.count, 1);
    assert_int_equal(d.labels[0], 1);
    assert_int_equal(image_difference(d.images, 6), 0);
}

/* Names that begin with their class: the first images are of all classes nevertheless, as after a test split was held
 * out. */
static void test_classes_take_turns(void **state)
{
    (void)state;
    static const char *const names[] = {"train/ant/ant-1.png", "train/ant/ant-2.png", "train/ant/ant-10.png",
                                        "train/bee/bee-1.png", "train/bee/bee-2.png", "train/cow/cow-7.png"};
    const int which[6] = {1, 4, 6, 2, 5, 3}, labels[6] = {0, 1, 2, 0, 1, 0};
    char path[64];
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "turns/%s", names[i]);
        picture_write(path, i + 1);
    }
    picture_write("turns/test/ant/ant-1.png", 7);
    ASSERT_OK(load(temporary_path("turns"), "train"));
    assert_int_equal(d.count, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(d.labels[i], labels[i]);
        assert_int_equal(image_difference(d.images + i * IMAGE_BYTES, which[i]), 0);
    }
}

/* What is left out is counted, in one line. */
static void test_what_is_left_out_is_said(void **state)
{
    (void)state;
    struct message warning;
    picture_write("mixed/train/cat/1.png", 1);
    picture_write("mixed/train/cat/more/1.png", 2); /* a folder below a class is the class's */
    picture_write("mixed/test/cat/1.png", 3);
    mkdir(temporary_path("mixed/train/bird"), 0777);
    picture_write("mixed/val/dog/1.png", 4);
    picture_write("mixed/old/train/cow/1.png", 5);
    file_write("mixed/old/train/cow/2.bmp", "BM", 2); /* of another set, so it matters to none */
    picture_write("mixed/train/2.png", 6);
    file_write("mixed/train/cat/notes.txt", "x", 1);
    file_write("mixed/labels.txt", "x", 1);
    file_write("mixed/train/cat/Thumbs.db", "x", 1);
    file_write("mixed/train/cat/@eaDir/1.png/thumb.jpg", "x", 1);
    file_write("mixed/.git/config", "x", 1);
    dataset_free(&d);
    ASSERT_OK(dataset_load(&d, temporary_path("mixed"), "train", &warning, &m));
    assert_int_equal(d.count, 2);
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[0], "bird");
    assert_int_equal(d.labels[0], 1);
    assert_non_null(strstr(
        warning.text,
        "/mixed: class 'bird' has no pictures; left out 1 picture in val/, 2 pictures of other sets (such "
        "as old), 1 picture outside SPLIT/CLASS/ (such as train/2.png), 2 other files (such as labels.txt), 3 "
        "hidden or system files (such as .git/config)"));
    assert_null(strchr(warning.text, '\n'));
}

static void test_other_names_of_test(void **state)
{
    (void)state;
    static const char *const names[] = {"val", "valid", "validation"};
    struct message warning;
    char path[64], want[64];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "named-%s/train/cat/1.png", names[i]);
        picture_write(path, 1);
        snprintf(path, sizeof path, "named-%s/%s/cat/1.png", names[i], names[i]);
        picture_write(path, 2);
        snprintf(path, sizeof path, "named-%s", names[i]);
        dataset_free(&d);
        ASSERT_OK(dataset_load(&d, temporary_path(path), "test", &warning, &m));
        assert_int_equal(d.count, 1);
        assert_string_equal(d.split, "test");
        assert_int_equal(image_difference(d.images, 2), 0);
        snprintf(want, sizeof want, "%s/ is taken for the test split", names[i]);
        assert_non_null(strstr(warning.text, want));
    }
    picture_write("named-val/valid/cat/1.png", 3);
    ASSERT_FAILS(load(temporary_path("named-val"), "train"), STATUS_FORMAT,
                 "named-val: has no test/, but both val/ and valid/: call one of them test");
    picture_write("testing/train/cat/1.png", 1);
    picture_write("testing/Test/cat/1.png", 1);
    ASSERT_FAILS(load(temporary_path("testing"), "test"), STATUS_MISMATCH,
                 "testing: has no test images; it has the folders: Test, train");
    picture_write("flat/cat/1.png", 1);
    ASSERT_FAILS(load(temporary_path("flat"), "train"), STATUS_FORMAT,
                 "flat: none of its 1 picture (such as cat/1.png) is in train/CLASS/ or test/CLASS/");
}

/* A link back up is not followed for ever. */
static void test_folder_loops_end(void **state)
{
    (void)state;
    picture_write("loop/train/cat/1.png", 1);
    assert_int_equal(symlink("..", temporary_path("loop/train/cat/up")), 0);
    assert_int_equal(symlink(".", temporary_path("loop/self")), 0);
    ASSERT_OK(load(temporary_path("loop"), "train"));
    assert_int_equal(d.count, 1);
}

/* Four inks, stored as what they leave of the light: 255 - ink, as Adobe has it. */
static void test_cmyk_pictures(void **state)
{
    (void)state;
    static const uint8_t inks[3][4] = {{255, 255, 255, 255}, {200, 100, 50, 128}, {0, 255, 0, 255}};
    static const uint8_t want[3][3] = {{255, 255, 255}, {100, 50, 25}, {0, 255, 0}}; /* Pillow's convert("RGB") */
    uint8_t bytes[8192];
    struct decoded image;
    for (int i = 0; i < 3; i++) {
        size_t size = cmyk_make(bytes, inks[i]);
        ASSERT_OK(picture_decode(bytes, size, &image, &m));
        for (int p = 0; p < IMAGE_BYTES; p++)
            assert_true(abs(image.pixels[p] - want[i][p % 3]) <= 1);
        decoded_free(&image);
    }
}

static void test_foreign_data(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t count;
        const char *reason;
    } cases[] = {
        {"cifar-10-batches-py/data_batch_1", "\x80\x04x", 3, "take the binary version, cifar-10-binary.tar.gz"},
        {"x.npz", "PK\3\4", 4, "NumPy's .npy and .npz are not read"},
        {"x.parquet", "PAR1", 4, "Parquet"},
        {"x.tfrecord", "abcdefgh", 8, "TFRecord"},
        {"x.mat", "MATLAB 5.0 MAT-file", 19, "Matlab"},
        {"train-images-idx3-ubyte", "\0\0\x08\3\0\0", 6, "one IDX file; name the folder"},
        {"cifar-100-python/train", "\x80\x02x", 3, "take the binary version, cifar-100-binary.tar.gz"},
        {"x.tar.gz", "version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer"},
        {"x.bin", "version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer"},
        {"x.tar.xz", "<!DOCTYPE html>", 15, "a web page"},
        {"x.7z", "7z\xbc\xaf\x27\x1c", 6, "packed in a way that is not read"},
        {"x.png", "\x89PNG\r\n\x1a\n", 8, "one picture"},
    };
    char want[256], path[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(path, sizeof path, "%s", file_write(cases[i].name, cases[i].bytes, cases[i].count));
        snprintf(want, sizeof want, "%s: %s", strrchr(path, '/') + 1, "");
        int status = load(path, "train");
        assert_true(status < 0);
        ASSERT_FAILS(status, status, cases[i].reason);
        assert_non_null(strstr(m.text, want));
    }
    ASSERT_FAILS(load(temporary_path("cifar-10-batches-py"), "train"), STATUS_FORMAT, "take the binary version");
    file_write("lfs/train/a/1.png", "version https://git-lfs.github.com/spec/v1\n", 43);
    ASSERT_FAILS(load(temporary_path("lfs"), "train"), STATUS_FORMAT, "train/a/1.png: a Git LFS pointer");
    file_write("lfs-bin/data_batch_1.bin", "version https://git-lfs.github.com/spec/v1\n", 43);
    ASSERT_FAILS(load(temporary_path("lfs-bin"), "train"), STATUS_FORMAT, "data_batch_1.bin: a Git LFS pointer");
}

static void test_wrong_pictures(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    struct decoded image;
    size_t size = png_make(bytes, 64, 0);
    file_write("bad/train/a/1.png", bytes, size);
    size = jpeg_make(bytes, 16, 0); /* content, not name, says what it is */
    file_write("bad/train/b/1.png", bytes, size);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT,
                 "train/b/1.png: picture is 16x16 pixels, but train/a/1.png is 64x64: --size HxW makes them one");
    unlink(temporary_path("bad/train/b/1.png"));
    rmdir(temporary_path("bad/train/b"));
    size = png_make(bytes, 7, 0);
    file_write("bad/train/a/1.png", bytes, size);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT,
                 "picture is 7x7 pixels, want sides of 8 to 512: --size HxW makes them so");
    size = jpeg_make(bytes, 32, 9);
    for (size_t cut = 0; cut < size; cut++) /* a decoder would fill what is missing with grey */
        assert_int_equal(picture_decode(bytes, cut, &image, &m), STATUS_FORMAT);
    size = png_make(bytes, 32, 9);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(picture_decode(bytes, cut, &image, &m), STATUS_FORMAT);
    bytes[size / 2] ^= 4; /* PNG has checksums */
    file_write("bad/train/a/1.png", bytes, size);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT, "1.png: ");
    file_write("bad/train/a/1.png", "GIF89a", 6);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT, "1.png: neither a JPEG nor a PNG picture");
    file_write("bad/train/a/1.png", "", 0);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT, "1.png: empty input");
    unlink(temporary_path("bad/train/a/1.png"));
    file_write("bad/train/a/1.bmp", "BM", 2);
    ASSERT_FAILS(load(temporary_path("bad"), "train"), STATUS_FORMAT, "1.bmp: not a .png, .jpg or .jpeg file");
}

/* Flipped bits give a picture or a failure, never more. */
static void test_flipped_bits_in_pictures(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    struct decoded image;
    for (int kind = 0; kind < 2; kind++) {
        size_t size = kind ? png_make(bytes, 32, 3) : jpeg_make(bytes, 32, 3);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int status = picture_decode(bytes, size, &image, &m);
            assert_true(status == 0 || status == STATUS_FORMAT);
            decoded_free(&image);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void test_many_classes(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    size_t size = png_make(bytes, 32, 0);
    char name[64];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "many/train/c%03d/1.png", i);
        file_write(name, bytes, size);
    }
    ASSERT_OK(load(temporary_path("many"), "train"));
    assert_int_equal(d.class_count, 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(d.labels[i], i);
    struct dataset first = d;
    d = (struct dataset){0};
    ASSERT_OK(dataset_export(temporary_path("many"), NULL, temporary_path("many-bin"), NULL, &m));
    ASSERT_OK(load(temporary_path("many-bin"), "train"));
    assert_string_equal(d.digest, first.digest);
    assert_int_equal(d.class_count, 300);
    assert_string_equal(d.classes[299], "c299");
    assert_memory_equal(d.labels, first.labels, 300 * sizeof *d.labels);
    dataset_free(&first);
}

static void test_class_table(void **state)
{
    (void)state;
    struct class_table t = {0};
    char name[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < DATASET_MAX_CLASSES; i++) {
            snprintf(name, sizeof name, "%d", i);
            assert_int_equal(class_table_find(&t, 0, name, &m), i);
        }
    assert_int_equal(class_table_find(&t, 1, "7", &m), DATASET_MAX_CLASSES); /* another root's */
    ASSERT_FAILS(class_table_find(&t, 0, "one more", &m), STATUS_RANGE, "more than 65535 classes");
    class_table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_folder),
        cmocka_unit_test(test_classes_take_turns),
        cmocka_unit_test(test_what_is_left_out_is_said),
        cmocka_unit_test(test_other_names_of_test),
        cmocka_unit_test(test_folder_loops_end),
        cmocka_unit_test(test_cmyk_pictures),
        cmocka_unit_test(test_foreign_data),
        cmocka_unit_test(test_wrong_pictures),
        cmocka_unit_test(test_flipped_bits_in_pictures),
        cmocka_unit_test(test_many_classes),
        cmocka_unit_test(test_class_table),
    };
    set_free(NULL);
    int failed = cmocka_run_group_tests_name("pictures", tests, NULL, temporary_folder_remove);
    set_free(NULL);
    return failed;
}
