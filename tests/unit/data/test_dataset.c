/* Data sets from .bin files and from ImageFolders: what is read, in which order, under which name and digest. */
#include "sets.h"
#include "base/memory.h"
#include "data/class_table.h"
#include "data/picture.h"
#include "record/digest.h"
#include "record/file.h"
#include <math.h>

static struct dataset d;

static int set_free(void **state)
{
    (void)state;
    dataset_free(&d);
    return 0;
}

static int load(const char *path, const char *split)
{
    dataset_free(&d);
    return dataset_load(&d, path, split, NULL, &m);
}

static void records_write(const char *name, int count, int classes, int seed)
{
    uint8_t *bytes = records_make(count, classes, seed);
    file_write(name, bytes, (size_t)count * CIFAR_RECORD_BYTES);
    free(bytes);
}

static void picture_write(const char *name, int which)
{
    uint8_t bytes[8192];
    size_t size = strstr(name, ".png") ? png_make(bytes, IMAGE_SIDE, which) : jpeg_make(bytes, IMAGE_SIDE, which);
    file_write(name, bytes, size);
}

/* ---- .bin files ---- */

static void test_planes_become_pixels(void **state)
{
    (void)state;
    uint8_t record[CIFAR_RECORD_BYTES] = {3};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 1024; i++)
            record[1 + 1024 * c + i] = (uint8_t)(i % 80 + 80 * c);
    ASSERT_OK(load(file_write("one.bin", record, sizeof record), "train"));
    assert_int_equal(d.count, 1);
    assert_int_equal(d.labels[0], 3);
    for (int i = 0; i < 1024; i++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(d.images[3 * i + c], i % 80 + 80 * c);
    assert_string_equal(d.name, "one");
    assert_string_equal(d.split, "train");
    assert_int_equal(d.class_count, 10);
    assert_string_equal(d.classes[0], "airplane");
}

static void test_a_lone_file_serves_either_split(void **state)
{
    (void)state;
    records_write("some.bin", 25, 10, 1);
    ASSERT_OK(load(temporary_path("some.bin"), "test"));
    assert_int_equal(d.count, 25);
    assert_string_equal(d.split, "test");
    char hex[DIGEST_HEX], digest[72];
    ASSERT_OK(digest_file(temporary_path("some.bin"), hex, &m));
    snprintf(digest, sizeof digest, "sha256:%s", hex);
    assert_string_equal(d.digest, digest);
}

static void test_cut_files(void **state)
{
    (void)state;
    uint8_t *bytes = records_make(10000, 10, 1);
    const size_t whole = 30730000;
    ASSERT_FAILS(load(file_write("cut.bin", bytes, whole - 1), "train"), STATUS_TRUNCATED,
                 "cut.bin: 30729999 bytes is not a multiple of 3073: record 9999 at offset 30726927 is cut");
    bytes = realloc(bytes, whole + 1);
    bytes[whole] = 0;
    ASSERT_FAILS(load(file_write("cut.bin", bytes, whole + 1), "train"), STATUS_TRUNCATED,
                 "cut.bin: 30730001 bytes is not a multiple of 3073: record 10000 at offset 30730000 is cut");
    file_write("cut-folder/data_batch_1.bin", bytes, 3 * CIFAR_RECORD_BYTES - 7);
    ASSERT_FAILS(load(temporary_path("cut-folder"), "train"), STATUS_TRUNCATED, "data_batch_1.bin: 9212 bytes");
    ASSERT_FAILS(load(file_write("empty.bin", "", 0), "train"), STATUS_TRUNCATED, "empty.bin: empty input");
    file_write("empty-file/data_batch_1.bin", "", 0);
    ASSERT_FAILS(load(temporary_path("empty-file"), "train"), STATUS_TRUNCATED, "data_batch_1.bin: empty input");
    free(bytes);
}

static void test_wrong_labels(void **state)
{
    (void)state;
    uint8_t *bytes = records_make(20, 10, 1);
    bytes[17 * CIFAR_RECORD_BYTES] = 10;
    ASSERT_FAILS(load(file_write("label.bin", bytes, 20 * CIFAR_RECORD_BYTES), "train"), STATUS_FORMAT,
                 "label.bin: record 17 at offset 52241: label 10, want 0..9");
    file_write("labels/test_batch.bin", bytes, 20 * CIFAR_RECORD_BYTES);
    records_write("labels/data_batch_1.bin", 10, 10, 1);
    ASSERT_FAILS(load(temporary_path("labels"), "train"), STATUS_FORMAT, "labels: test_batch.bin: record 17");
    free(bytes);
}

static void test_folders_of_files(void **state)
{
    (void)state;
    records_write("three/data_batch_1.bin", 5, 3, 1);
    records_write("three/data_batch_2.bin", 7, 3, 2);
    records_write("three/test_batch.bin", 4, 3, 3);
    file_write("three/batches.meta.txt", "red\ngreen\r\nblue\n\n", 17);
    ASSERT_OK(load(temporary_path("three/"), "train"));
    assert_int_equal(d.count, 12);
    assert_int_equal(d.class_count, 3);
    assert_string_equal(d.classes[1], "green");
    assert_string_equal(d.name, "three");
    assert_int_equal(d.images[5 * IMAGE_BYTES], 2);
    char digest[72];
    strcpy(digest, d.digest);
    ASSERT_OK(load(temporary_path("three"), "test"));
    assert_int_equal(d.count, 4);
    assert_string_equal(d.digest, digest); /* of both splits, whichever is read */
    records_write("latin/data_batch_1.bin", 4, 2, 1);
    file_write("latin/batches.meta.txt", "gr\xf6sse\nb\n", 9);
    ASSERT_FAILS(load(temporary_path("latin"), "train"), STATUS_FORMAT,
                 "latin: batches.meta.txt: class 'gr\\xf6sse' is not UTF-8");
    records_write("parent/cifar-10-batches-bin/test_batch.bin", 4, 3, 3);
    ASSERT_OK(load(temporary_path("parent"), "test"));
    assert_int_equal(d.count, 4);
    ASSERT_FAILS(load(temporary_path("parent"), "train"), STATUS_MISMATCH, "parent: has no train images");
    records_write("gap/data_batch_1.bin", 1, 1, 1);
    records_write("gap/data_batch_3.bin", 1, 1, 1);
    ASSERT_FAILS(load(temporary_path("gap"), "train"), STATUS_FORMAT, "gap: data_batch_2.bin is missing");
    mkdir(temporary_path("nothing"), 0777);
    ASSERT_FAILS(load(temporary_path("nothing"), "train"), STATUS_FORMAT, "nothing: holds neither");
    ASSERT_FAILS(load(temporary_path("absent"), "train"), STATUS_IO, "absent: cannot open: No such file");
    mkfifo(temporary_path("pipe"), 0666);
    ASSERT_FAILS(load(temporary_path("pipe"), "train"), STATUS_FORMAT, "neither a folder nor a regular file");
    mkdir(temporary_path("pipes"), 0777);
    mkfifo(temporary_path("pipes/data_batch_1.bin"), 0666);
    ASSERT_FAILS(load(temporary_path("pipes"), "train"), STATUS_FORMAT, "not a regular file");
}

/* ---- pictures ---- */

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

/* ---- export ---- */

static void test_export_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        char name[64];
        snprintf(name, sizeof name, "shapes/%s/%s/%d.png", i % 5 ? "train" : "test", i % 2 ? "round" : "a \"b\"",
                 i);
        picture_write(name, i);
    }
    ASSERT_OK(load(temporary_path("shapes"), "train"));
    struct dataset first = d;
    d = (struct dataset){0};
    ASSERT_OK(dataset_export(temporary_path("shapes"), NULL, temporary_path("shapes-bin/"), NULL, &m));
    ASSERT_OK(load(temporary_path("shapes-bin"), "train"));
    assert_string_equal(d.name, "shapes");
    assert_string_equal(d.digest, first.digest);
    assert_int_equal(d.count, first.count);
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[0], "a \"b\"");
    assert_memory_equal(d.images, first.images, (size_t)d.count * IMAGE_BYTES);
    assert_memory_equal(d.labels, first.labels, (size_t)d.count * sizeof *d.labels);
    dataset_free(&first);
    ASSERT_OK(load(temporary_path("shapes-bin"), "test"));
    assert_int_equal(d.count, 6);
    ASSERT_FAILS(dataset_export(temporary_path("shapes"), NULL, temporary_path("shapes-bin"), NULL, &m), STATUS_IO,
                 "shapes-bin: exists and is not an empty folder");
    mkdir(temporary_path("room"), 0777);
    ASSERT_OK(dataset_export(temporary_path("shapes-bin"), NULL, temporary_path("room"), NULL, &m));
    ASSERT_FAILS(dataset_export(temporary_path("shapes"), NULL, temporary_path("no/where"), NULL, &m), STATUS_IO,
                 "no/where: cannot create: No such file");
    ASSERT_FAILS(dataset_export(temporary_path("absent"), NULL, temporary_path("left"), NULL, &m), STATUS_IO,
                 "absent");
    char command[1200];
    snprintf(command, sizeof command, "test -z \"$(ls -d '%s'/*.part.* 2>&-)\"", temporary_folder());
    assert_int_equal(system(command), 0); /* nothing left of what failed */
}

/* Pictures of 64x64 are no records of 3073 bytes: dataset.tsv says what they are, wherever it stands among the files. */
static void test_export_of_another_shape(void **state)
{
    (void)state;
    static const int sides[] = {64, 9};
    for (int k = 0; k < 2; k++) {
        char folder[32], name[64], command[1200];
        for (int i = 0; i < 6; i++) {
            uint8_t bytes[65536];
            size_t size = png_make(bytes, sides[k], i);
            snprintf(name, sizeof name, "square%d/%s/%c/%d.png", k, i % 3 ? "train" : "test", 'a' + i % 2, i);
            file_write(name, bytes, size);
        }
        snprintf(folder, sizeof folder, "square%d", k);
        ASSERT_OK(load(temporary_path(folder), "train"));
        struct dataset first = d;
        d = (struct dataset){0};
        snprintf(folder, sizeof folder, "square%d-bin", k);
        snprintf(name, sizeof name, "square%d", k);
        ASSERT_OK(dataset_export(strcpy(command, temporary_path(name)), NULL, temporary_path(folder), NULL, &m));
        snprintf(command, sizeof command,
                 "cd '%s' && tar cf files-first.tar %s/data_batch_1.bin %s/test_batch.bin %s/dataset.tsv",
                 temporary_folder(), folder, folder, folder);
        assert_int_equal(system(command), 0);
        for (int packed = 0; packed < 2; packed++) {
            ASSERT_OK(load(temporary_path(packed ? "files-first.tar" : folder), "train"));
            assert_string_equal(d.digest, first.digest);
            assert_true(image_shape_is(d.shape, first.shape));
            assert_int_equal(d.shape.height, sides[k]);
            assert_int_equal(d.count, 4);
            assert_memory_equal(d.images, first.images, 4 * image_shape_bytes(d.shape));
        }
        dataset_free(&first);
    }
    static const struct {
        const char *image, *reason;
    } wrong[] = {
        {"u8[64,64,3]", "data_batch_1.bin: 976 bytes is not a multiple of 12289"},
        {"u8[9,9,4]", "dataset.tsv: "},
        {"u8[7,9,3]", "dataset.tsv: "},
        {"u8[09,9,3]", "dataset.tsv: image: 'u8[09,9,3]', want u8[H,W,C]"},
        {"9x9", "dataset.tsv: image: '9x9', want u8[H,W,C]"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char note[128];
        int length = snprintf(note, sizeof note, "classes\t[\"a\",\"b\"]\nimage\t%s\n", wrong[i].image);
        file_write("square1-bin/dataset.tsv", note, (size_t)length);
        int status = load(temporary_path("square1-bin"), "train");
        ASSERT_FAILS(status, status, wrong[i].reason);
        assert_true(status < 0);
    }
}

static void test_an_altered_export_is_refused(void **state)
{
    (void)state;
    records_write("plain/data_batch_1.bin", 30, 10, 1);
    ASSERT_OK(dataset_export(temporary_path("plain"), NULL, temporary_path("altered"), NULL, &m));
    ASSERT_OK(load(temporary_path("altered"), "train"));
    records_write("altered/data_batch_1.bin", 30, 10, 2);
    ASSERT_FAILS(load(temporary_path("altered"), "train"), STATUS_MISMATCH, "digest of the files is sha256:");
    assert_non_null(strstr(m.text, "dataset.tsv says sha256:"));
    file_write("altered/dataset.tsv", "key\tvalue\nname\tx\n", 17);
    ASSERT_FAILS(load(temporary_path("altered"), "train"), STATUS_FORMAT, "dataset.tsv: no line 'classes'");
}

static void test_another_decoder_is_a_warning(void **state)
{
    (void)state;
    struct message warning;
    static const char note[] = "name\tCIFAR-10 (JPEG q75)\nclasses\t[\"a\",\"b\"]\n";
    records_write("other/data_batch_1.bin", 4, 2, 1);
    file_write("other/dataset.tsv", note, sizeof note - 1);
    dataset_free(&d);
    ASSERT_OK(dataset_load(&d, temporary_path("other"), "train", &warning, &m));
    assert_non_null(strstr(warning.text, d.digest));
    assert_non_null(strstr(warning.text, "want sha256:375bb0d1"));
    dataset_free(&d);
    records_write("plain2/data_batch_1.bin", 30, 10, 1);
    ASSERT_OK(dataset_load(&d, temporary_path("plain2"), "train", &warning, &m));
    assert_string_equal(warning.text, "");
}

/* Without a note the official layout is recognised by its shape, down to the count of each class. */
static void test_official_layout_by_shape(void **state)
{
    (void)state;
    uint8_t *bytes = records_make(10000, 10, 1);
    char name[64];
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, i < 6 ? "cifar/data_batch_%d.bin" : "cifar/test_batch.bin", i);
        bytes[1] = (uint8_t)i;
        file_write(name, bytes, 10000 * CIFAR_RECORD_BYTES);
    }
    ASSERT_OK(load(temporary_path("cifar"), "test"));
    assert_string_equal(d.name, "CIFAR-10");
    char command[2048], want[128] = {0};
    snprintf(command, sizeof command, "cd '%s/cifar' && sha256sum *.bin | sha256sum", temporary_folder());
    FILE *f = popen(command, "r");
    assert_non_null(fgets(want, sizeof want, f));
    pclose(f);
    assert_int_equal(strncmp(d.digest + 7, want, 64), 0); /* what sha256sum says, of what sha256sum says */
    bytes[0] = 9;
    file_write("cifar/test_batch.bin", bytes, 10000 * CIFAR_RECORD_BYTES);
    ASSERT_OK(load(temporary_path("cifar"), "test"));
    assert_string_equal(d.name, "cifar");
    snprintf(command, sizeof command, "rm -r '%s/cifar'", temporary_folder());
    assert_int_equal(system(command), 0);
    free(bytes);
}

/* ---- parts ---- */

static void test_parts(void **state)
{
    (void)state;
    enum { COUNT = 335 };
    records_write("parts.bin", COUNT, 7, 1);
    ASSERT_OK(load(temporary_path("parts.bin"), "train"));
    int64_t train[COUNT], held_out[COUNT], all[COUNT];
    int64_t trains = dataset_part(&d, "train", train), helds = dataset_part(&d, "held-out", held_out);
    assert_int_equal(dataset_part(&d, "all", all), COUNT);
    assert_int_equal(trains + helds, COUNT);
    int64_t t = 0, h = 0;
    int seen[7] = {0};
    for (int64_t i = 0; i < COUNT; i++) {
        assert_int_equal(all[i], i);
        int is_held_out = ++seen[d.labels[i]] % 10 == 0;
        if (is_held_out)
            assert_int_equal(held_out[h++], i);
        else
            assert_int_equal(train[t++], i);
    }
    assert_int_equal(h, helds);
    assert_int_equal(h, 7 * 4);
}

static void test_selections(void **state)
{
    (void)state;
    int64_t *indices, count;
    records_write("parts.bin", 40, 2, 1);
    ASSERT_OK(load(temporary_path("parts.bin"), "train"));
    ASSERT_OK(dataset_select(&d, "all", 5, 0, &indices, &count, &m));
    assert_int_equal(count, 35);
    assert_int_equal(indices[0], 5);
    memory_free(indices);
    ASSERT_OK(dataset_select(&d, "held-out", 1, 2, &indices, &count, &m));
    assert_int_equal(count, 2);
    assert_int_equal(indices[0], 19);
    assert_int_equal(indices[1], 38);
    memory_free(indices);
    ASSERT_OK(dataset_select(&d, "held-out", 3, 2, &indices, &count, &m)); /* at most */
    assert_int_equal(count, 1);
    assert_int_equal(indices[0], 39);
    memory_free(indices);
    ASSERT_OK(dataset_select(&d, "all", 1, INT64_MAX, &indices, &count, &m));
    assert_int_equal(count, 39);
    memory_free(indices);
    ASSERT_FAILS(dataset_select(&d, "all", 40, 0, &indices, &count, &m), STATUS_RANGE,
                 "parts: nothing is left behind the first 40 images: train/all has 40");
    ASSERT_FAILS(dataset_select(&d, "all", INT64_MAX, INT64_MAX, &indices, &count, &m), STATUS_RANGE, "has 40");
    records_write("few.bin", 27, 3, 1);
    ASSERT_OK(load(temporary_path("few.bin"), "train"));
    ASSERT_FAILS(dataset_select(&d, "held-out", 0, 5, &indices, &count, &m), STATUS_RANGE,
                 "few: no class has 10 train images, so none is held out");
}

static void test_statistics(void **state)
{
    (void)state;
    uint8_t *bytes = records_make(3, 1, 1);
    for (int i = 0; i < 1024; i++) {
        bytes[1 + i] = 51;                     /* of the first record: red constant */
        bytes[1 + 1024 + i] = i % 2 ? 255 : 0; /* green half and half */
        bytes[1 + 2048 + i] = bytes[CIFAR_RECORD_BYTES + 1 + 2048 + i];
    }
    ASSERT_OK(load(file_write("stats.bin", bytes, 3 * CIFAR_RECORD_BYTES), "train"));
    double mean[3], deviation[3];
    dataset_statistics(&d, (int64_t[]){0}, 1, mean, deviation);
    assert_true(fabs(mean[0] - 0.2) < 1e-15 && deviation[0] < 1e-8);
    assert_true(fabs(mean[1] - 0.5) < 1e-15 && fabs(deviation[1] - 0.5) < 1e-15);
    free(bytes);
}

static void test_shuffle_is_a_permutation_keyed_by_epoch(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    int64_t a[COUNT], b[COUNT], seen[COUNT] = {0};
    for (int i = 0; i < COUNT; i++)
        a[i] = b[i] = i;
    indices_shuffle(a, COUNT, 5, 0);
    int fixed = 0;
    for (int i = 0; i < COUNT; i++) {
        seen[a[i]]++;
        fixed += a[i] == i;
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
    assert_true(fixed < 10);
    indices_shuffle(b, COUNT, 5, 0);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < COUNT; i++)
        b[i] = i;
    indices_shuffle(b, COUNT, 5, 1);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planes_become_pixels),
        cmocka_unit_test(test_a_lone_file_serves_either_split),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_wrong_labels),
        cmocka_unit_test(test_folders_of_files),
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
        cmocka_unit_test(test_export_and_back),
        cmocka_unit_test(test_export_of_another_shape),
        cmocka_unit_test(test_an_altered_export_is_refused),
        cmocka_unit_test(test_another_decoder_is_a_warning),
        cmocka_unit_test(test_official_layout_by_shape),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_selections),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_shuffle_is_a_permutation_keyed_by_epoch),
    };
    set_free(NULL);
    int failed = cmocka_run_group_tests_name("dataset", tests, NULL, temporary_folder_remove);
    set_free(NULL);
    return failed;
}
