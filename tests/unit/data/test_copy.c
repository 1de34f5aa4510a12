/* Decoded copies: the same images with and without one, however it is damaged, and none is ever needed. */
#include "sets.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/file.h"
#include <dirent.h>
#include <fcntl.h>

enum { PICTURES = 600 }; /* more than two blocks */

static struct message said, warning;
static struct dataset plain; /* what the archive holds */

static const char *cache(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/cache/deeper", temporary_folder());
    return path;
}

static const char *archive(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/pets.tar", temporary_folder());
    return path;
}

static int archive_make(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    char name[64], command[1024];
    for (int i = 0; i < PICTURES; i++) {
        snprintf(name, sizeof name, "pets/%s/%s/%d.png", i % 6 ? "train" : "val", i % 2 ? "cat" : "dog", i);
        size_t size = i % 3 ? png_make(bytes, IMAGE_SIDE, i) : jpeg_make(bytes, IMAGE_SIDE, i);
        file_write(name, bytes, size);
    }
    file_write("pets/notes.txt", "x", 1);
    mkdir(temporary_path("pets/train/bird"), 0777);
    snprintf(command, sizeof command, "cd '%s' && tar cf pets.tar pets", temporary_folder());
    if (system(command) != 0)
        return -1;
    return dataset_load(&plain, archive(), "train", &warning, &m);
}

static int archive_remove(void **state)
{
    dataset_free(&plain);
    return temporary_folder_remove(state);
}

/* The path of the one copy, or NULL. */
static const char *copy_find(void)
{
    static char path[2048];
    const char *found = NULL;
    DIR *folder = opendir(cache());
    for (struct dirent *e; folder && (e = readdir(folder));)
        if (e->d_name[0] != '.') {
            assert_null(found);
            snprintf(path, sizeof path, "%s/%s", cache(), e->d_name);
            found = path;
        }
    if (folder)
        closedir(folder);
    return found;
}

/* Opens with the cache, reads some images of the train split, and holds all of it to what the archive holds. */
static void reads_the_same(void)
{
    static const int64_t some[] = {499, 0, 251, 250, 7};
    struct message told;
    struct dataset d;
    ASSERT_OK(dataset_open(&d, archive(), "train", NULL, cache(), &told, &said, &m));
    assert_string_equal(told.text, warning.text);
    assert_string_equal(d.name, "pets");
    assert_string_equal(d.digest, plain.digest);
    assert_int_equal(d.count, plain.count);
    assert_int_equal(d.class_count, 3);
    for (int k = 0; k < 3; k++)
        assert_string_equal(d.classes[k], plain.classes[k]);
    assert_memory_equal(d.labels, plain.labels, (size_t)d.count * sizeof *d.labels);
    ASSERT_OK(dataset_read(&d, some, 5, &m));
    for (int i = 0; i < 5; i++)
        assert_memory_equal(d.images + some[i] * IMAGE_BYTES, plain.images + some[i] * IMAGE_BYTES, IMAGE_BYTES);
    dataset_free(&d);
}

static void test_a_copy_is_made_and_used(void **state)
{
    (void)state;
    struct dataset d;
    reads_the_same();
    assert_non_null(strstr(said.text, "decoded copy made: "));
    assert_non_null(copy_find());
    reads_the_same();
    assert_int_equal(strncmp(said.text, "decoded copy: ", 14), 0);
    for (int split = 0; split < 2; split++) {
        struct dataset whole;
        ASSERT_OK(dataset_load(&whole, archive(), split ? "test" : "train", NULL, &m));
        ASSERT_OK(dataset_open(&d, archive(), split ? "test" : "train", NULL, cache(), NULL, NULL, &m));
        ASSERT_OK(dataset_read(&d, NULL, 0, &m));
        assert_int_equal(d.count, whole.count);
        assert_memory_equal(d.images, whole.images, (size_t)d.count * IMAGE_BYTES);
        dataset_free(&d);
        dataset_free(&whole);
    }
    rename(archive(), temporary_path("dogs.tar")); /* the name is the path's, not the copy's */
    ASSERT_OK(dataset_open(&d, temporary_path("dogs.tar"), "train", NULL, cache(), NULL, &said, &m));
    assert_int_equal(strncmp(said.text, "decoded copy: ", 14), 0);
    assert_string_equal(d.name, "dogs");
    dataset_free(&d);
    rename(temporary_path("dogs.tar"), archive());
}

static void test_another_archive_has_another_copy(void **state)
{
    (void)state;
    struct dataset d;
    struct text bytes = {0};
    ASSERT_OK(file_read(archive(), 1 << 24, &bytes, &m));
    file_write("kept.tar", bytes.data, bytes.length);
    char command[1024];
    snprintf(command, sizeof command, "cd '%s' && rm pets/train/cat/1.png && tar cf pets.tar pets",
             temporary_folder());
    assert_int_equal(system(command), 0);
    ASSERT_OK(dataset_open(&d, archive(), "train", NULL, cache(), NULL, &said, &m));
    assert_int_equal(d.count, plain.count - 1);
    unlink(strchr(said.text, '/'));
    dataset_free(&d);
    file_write("pets.tar", bytes.data, bytes.length);
    text_free(&bytes);
}

/* Damage anywhere costs time alone, and the copy is made anew. */
static void test_damage(void **state)
{
    (void)state;
    struct text whole = {0};
    reads_the_same();
    char path[2048];
    snprintf(path, sizeof path, "%s", copy_find());
    ASSERT_OK(file_read(path, 1 << 24, &whole, &m));
    for (size_t at = 0; at < whole.length; at += at < 3000 ? 151 : 200003) {
        int fd = open(path, O_WRONLY);
        char byte = (char)(whole.data[at] ^ 0x20);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        close(fd);
        reads_the_same();
        unlink(path); /* where the damage lies in a block that was not asked for */
        reads_the_same();
    }
    for (size_t cut = 0; cut < whole.length; cut += whole.length / 9) {
        assert_int_equal(truncate(path, (off_t)cut), 0);
        reads_the_same();
        assert_non_null(strstr(said.text, "decoded copy made: "));
    }
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0); /* in its place */
    reads_the_same();
    assert_non_null(strstr(said.text, "no decoded copy: "));
    rmdir(path);
    text_free(&whole);
}

static void test_a_damaged_block_is_noticed_and_removed(void **state)
{
    (void)state;
    struct stat st;
    reads_the_same();
    const char *path = copy_find();
    assert_int_equal(stat(path, &st), 0);
    int fd = open(path, O_RDWR);
    char byte;
    off_t at = st.st_size - PICTURES * CIFAR_RECORD_BYTES + 100; /* in the first record */
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    reads_the_same();
    assert_null(copy_find());
}

static void test_no_folder_no_copy(void **state)
{
    (void)state;
    struct dataset d;
    file_write("file", "x", 1);
    ASSERT_OK(dataset_open(&d, archive(), "train", NULL, temporary_path("file/cache"), NULL, &said, &m));
    assert_non_null(strstr(said.text, "no decoded copy: "));
    ASSERT_OK(dataset_read(&d, NULL, 0, &m));
    assert_memory_equal(d.images, plain.images, (size_t)d.count * IMAGE_BYTES);
    dataset_free(&d);
}

/* Copies that were not used for long make room. */
static void test_the_oldest_makes_room(void **state)
{
    (void)state;
    char path[2][2048];
    reads_the_same();
    unlink(copy_find());
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%064d-1", cache(), i);
        int fd = open(path[i], O_WRONLY | O_CREAT, 0666);
        assert_int_equal(ftruncate(fd, (off_t)3 << 29), 0); /* 1.5 GiB that take no room */
        const struct timespec times[2] = {{1000 - i, 0}, {1000 - i, 0}};
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
    }
    reads_the_same();
    assert_int_equal(access(path[0], F_OK), 0);
    assert_int_equal(access(path[1], F_OK), -1);
    unlink(path[0]);
}

static int allocations_left;

static int allocation_fails(size_t bytes)
{
    (void)bytes;
    return allocations_left-- == 0;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (int with_copy = 0; with_copy < 2; with_copy++) {
        int status = STATUS_NOMEM, n;
        for (n = 0; status < 0 || allocations_left < 0; n += n < 60 ? 1 : 97) {
            struct dataset d;
            const char *copy = copy_find();
            if (copy && !with_copy)
                unlink(copy);
            if (!copy && with_copy)
                reads_the_same();
            allocations_left = n;
            memory_test_hook = allocation_fails;
            status = dataset_open(&d, archive(), "train", NULL, cache(), NULL, &said, &m);
            if (status >= 0) {
                status = dataset_read(&d, (const int64_t[]){3}, 1, &m);
                if (status >= 0)
                    assert_memory_equal(d.images + 3 * IMAGE_BYTES, plain.images + 3 * IMAGE_BYTES, IMAGE_BYTES);
                dataset_free(&d);
            }
            memory_test_hook = NULL;
            assert_true(status >= 0 || status == STATUS_NOMEM);
            if (status >= 0 && allocations_left >= 0)
                break;
        }
        assert_true(n > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_made_and_used),
        cmocka_unit_test(test_another_archive_has_another_copy),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_damaged_block_is_noticed_and_removed),
        cmocka_unit_test(test_no_folder_no_copy),
        cmocka_unit_test(test_the_oldest_makes_room),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("copy", tests, archive_make, archive_remove);
}
