/* Data sets from .bin files and exported ones: what is read, under which name and digest; parts, order, statistics. */
#include "loaded.h"
#include "base/memory.h"
#include "record/digest.h"
#include "record/file.h"
#include <math.h>

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

/* Pictures of 64x64 are no records of 3073 bytes: dataset.tsv says what they are,
 * wherever it stands among the files. */
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
