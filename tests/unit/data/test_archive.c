/* Archives: the same set whatever it is packed in, and everything hostile or broken refused by name. */
#include "sets.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/file.h"
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

static struct dataset d;

static int load(const char *path, const char *split)
{
    dataset_free(&d);
    return dataset_load(&d, path, split, NULL, &m);
}

/* ---- making archives ---- */

struct member {
    const char *name;
    const void *bytes;
    size_t size;
    int type;         /* AE_IF..; 0: a regular file */
    const char *link; /* of a symbolic link; of a regular file: a hard link */
    int64_t lie;      /* size to announce instead; of the first only */
};

enum { PLAIN_TAR, GZIP_TAR, XZ_TAR, BZIP2_TAR, ZIP, PAX_TAR, PACKINGS };

static void packing_set(struct archive *a, int packing)
{
    if (packing == ZIP)
        assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    else if (packing == PAX_TAR)
        assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
    else
        assert_int_equal(archive_write_set_format_gnutar(a), ARCHIVE_OK);
    if (packing == GZIP_TAR)
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    if (packing == XZ_TAR)
        assert_int_equal(archive_write_add_filter_xz(a), ARCHIVE_OK);
    if (packing == BZIP2_TAR)
        assert_int_equal(archive_write_add_filter_bzip2(a), ARCHIVE_OK);
}

static void member_put(struct archive *a, const struct member *p)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, p->name);
    archive_entry_set_filetype(e, p->type ? (unsigned)p->type : AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (int64_t)p->size);
    if (p->link && p->type == AE_IFLNK)
        archive_entry_set_symlink(e, p->link);
    else if (p->link)
        archive_entry_set_hardlink(e, p->link);
    assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
    if (p->size)
        assert_int_equal(archive_write_data(a, p->bytes, p->size), p->size);
    archive_entry_free(e);
}

/* Rewrites the size in the header of a tar's first member. */
static void size_forge(const char *path, int64_t size)
{
    char header[512];
    unsigned sum = 0;
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fread(header, 1, sizeof header, f), sizeof header);
    snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < sizeof header; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    rewind(f);
    assert_int_equal(fwrite(header, 1, sizeof header, f), sizeof header);
    assert_int_equal(fclose(f), 0);
}

/* Members until one without a name. */
static const char *pack(const char *name, int packing, const struct member *members)
{
    const char *path = temporary_path(name);
    struct archive *a = archive_write_new();
    packing_set(a, packing);
    assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    int64_t lie = members->lie;
    for (; members->name; members++)
        member_put(a, members);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    if (lie)
        size_forge(path, lie);
    return path;
}

static uint8_t *train, *test;
enum { RECORDS = 20 };

static int samples_make(void **state)
{
    (void)state;
    train = records_make(RECORDS, 10, 1);
    test = records_make(RECORDS, 10, 2);
    return 0;
}

static int samples_free(void **state)
{
    free(train);
    free(test);
    dataset_free(&d);
    return temporary_folder_remove(state);
}

#define BYTES (RECORDS * CIFAR_RECORD_BYTES)

/* ---- what works ---- */

static void test_every_packing_is_the_same_set(void **state)
{
    (void)state;
    const struct member members[] = {{"set/", NULL, 0, AE_IFDIR, NULL, 0},
                                     {"set/readme.html", "hello", 5, 0, NULL, 0},
                                     {"set/test_batch.bin", test, BYTES, 0, NULL, 0},
                                     {"set/data_batch_2.bin", test, BYTES, 0, NULL, 0},
                                     {"set/data_batch_1.bin", train, BYTES, 0, NULL, 0},
                                     {0}};
    static const char *const names[PACKINGS] = {"my.set.tar",     "my.set.tar.gz", "my.set.txz",
                                                "my.set.tar.bz2", "my.set.zip",    "my.set.TGZ"};
    char digest[72] = "";
    file_write("folder/data_batch_1.bin", train, BYTES);
    file_write("folder/data_batch_2.bin", test, BYTES);
    file_write("folder/test_batch.bin", test, BYTES);
    ASSERT_OK(load(temporary_path("folder"), "train"));
    strcpy(digest, d.digest);
    for (int packing = 0; packing < PACKINGS; packing++) {
        ASSERT_OK(load(pack(names[packing], packing, members), "train"));
        assert_int_equal(d.count, 2 * RECORDS);
        assert_int_equal(d.images[0], train[1]);
        assert_int_equal(d.images[RECORDS * IMAGE_BYTES], test[1]);
        assert_string_equal(d.digest, digest);
        assert_string_equal(d.name, "my.set");
    }
}

static void test_export_of_an_archive_is_the_same_set(void **state)
{
    (void)state;
    const struct member members[] = {{"data_batch_1.bin", train, BYTES, 0, NULL, 0}, {0}};
    char command[2048];
    ASSERT_OK(load(pack("one.tar", PLAIN_TAR, members), "train"));
    char digest[72];
    strcpy(digest, d.digest);
    ASSERT_OK(dataset_export(temporary_path("one.tar"), NULL, temporary_path("exported"), NULL, &m));
    snprintf(command, sizeof command, "cd '%s' && tar czf again.tar.gz exported", temporary_folder());
    assert_int_equal(system(command), 0);
    ASSERT_OK(load(temporary_path("exported"), "train"));
    assert_string_equal(d.digest, digest);
    ASSERT_OK(load(temporary_path("again.tar.gz"), "train"));
    assert_string_equal(d.digest, digest);
    assert_string_equal(d.name, "one"); /* dataset.tsv went along */
}

static void test_pictures_stand_as_in_a_folder(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    static uint8_t png[COUNT][8192];
    static char names[COUNT][64];
    struct member members[COUNT + 1] = {{0}};
    for (int i = 0; i < COUNT; i++) { /* in an order that is no order */
        int which = i * 5 % COUNT;
        snprintf(names[i], sizeof names[i], "top/%s/%s/%d.png", which % 4 ? "train" : "test",
                 which % 3 ? "yes" : "no", which);
        size_t size = png_make(png[i], IMAGE_SIDE, which);
        members[i] = (struct member){names[i], png[i], size, 0, NULL, 0};
        file_write(names[i], png[i], size);
    }
    for (int split = 0; split < 2; split++) {
        ASSERT_OK(load(temporary_path("top"), split ? "test" : "train"));
        struct dataset folder = d;
        d = (struct dataset){0};
        ASSERT_OK(load(pack("pictures.zip", ZIP, members), split ? "test" : "train"));
        assert_int_equal(d.count, split ? 3 : 9);
        assert_string_equal(d.digest, folder.digest);
        assert_memory_equal(d.images, folder.images, (size_t)d.count * IMAGE_BYTES);
        assert_memory_equal(d.labels, folder.labels, (size_t)d.count * sizeof *d.labels);
        assert_string_equal(d.classes[0], "no");
        dataset_free(&folder);
    }
}

/* ---- what is refused ---- */

static void test_hostile_members(void **state)
{
    (void)state;
    const struct {
        struct member members[4];
        const char *reason;
    } cases[] = {
        {{{"../../x", "a", 1, 0, NULL, 0}}, "../../x: path with '..'"},
        {{{"set/..", NULL, 0, AE_IFDIR, NULL, 0}}, "path with '..'"},
        {{{"/etc/passwd", "a", 1, 0, NULL, 0}}, "/etc/passwd: absolute path"},
        {{{"/x/data_batch_1.bin", train, BYTES, 0, NULL, 0}}, "/x/data_batch_1.bin: absolute path"},
        {{{"data_batch_1.bin", NULL, 0, AE_IFLNK, "/etc/passwd", 0}}, "data_batch_1.bin: symbolic link"},
        {{{"data_batch_1.bin", train, BYTES, 0, NULL, 0}, {"other", NULL, 0, 0, "data_batch_1.bin", 0}},
         "other: hard link"},
        {{{"null", NULL, 0, AE_IFCHR, NULL, 0}}, "null: neither a regular file nor a folder"},
        {{{"fifo", NULL, 0, AE_IFIFO, NULL, 0}}, "fifo: neither a regular file nor a folder"},
        {{{"a/data_batch_1.bin", train, BYTES, 0, NULL, 0}, {"a/data_batch_1.bin", train, BYTES, 0, NULL, 0}},
         "a/data_batch_1.bin: duplicate member"},
        {{{"a/data_batch_1.bin", train, BYTES, 0, NULL, 0}, {"a/b/data_batch_2.bin", train, BYTES, 0, NULL, 0}},
         "holds several sets of .bin files, in 'a' and 'a/b': name one"},
        {{{"a/dataset.tsv", "x", 1, 0, NULL, 0}, {"a/dataset.tsv", "x", 1, 0, NULL, 0}},
         "dataset.tsv: duplicate member"},
        {{{"data_batch_1.bin", NULL, 0, 0, NULL, (8LL << 30) - 1}},
         "data_batch_1.bin: 8589934591 bytes exceeds limit 30730000"},
        {{{"data_batch_1.bin", NULL, 0, 0, NULL, 30730001}}, "30730001 bytes exceeds limit 30730000"},
        {{{"readme.txt", NULL, 0, 0, NULL, (8LL << 30) - 1}}, "readme.txt: 8589934591 bytes exceeds limit"},
        {{{"train/a/1.png", NULL, 0, 0, NULL, 40 << 20}}, "train/a/1.png: 41943040 bytes exceeds limit 33554432"},
        {{{"data_batch_1.bin", train, BYTES - 1, 0, NULL, 0}},
         "data_batch_1.bin: 61459 bytes is not a multiple of 3073"},
        {{{"data_batch_1.bin", train, 0, 0, NULL, 0}}, "data_batch_1.bin: empty input"},
        {{{"data_batch_2.bin", train, BYTES, 0, NULL, 0}}, "data_batch_1.bin is missing"},
        {{{"train/a/1.gif", "GIF89a", 6, 0, NULL, 0}}, "train/a/1.gif: not a .png"},
        {{{"train/a/1.png", "GIF89a", 6, 0, NULL, 0}}, "train/a/1.png: neither a JPEG nor a PNG"},
        {{{"train/\a/1.png", "GIF89a", 6, 0, NULL, 0}}, "control character in the class name"},
        {{{"readme.txt", "hello", 5, 0, NULL, 0}}, "holds neither"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = load(pack("hostile.tar", PLAIN_TAR, cases[i].members), "train");
        assert_true(status < 0);
        ASSERT_FAILS(status, status, cases[i].reason);
        assert_non_null(strstr(m.text, "hostile.tar: "));
    }
}

static void test_duplicate_and_mixed_pictures(void **state)
{
    (void)state;
    uint8_t png[8192];
    size_t size = png_make(png, IMAGE_SIDE, 1);
    const struct member twice[] = {
        {"x/train/a/1.png", png, size, 0, NULL, 0}, {"./x//train/a/./1.png", png, size, 0, NULL, 0}, {0}};
    ASSERT_FAILS(load(pack("twice.tar", PLAIN_TAR, twice), "train"), STATUS_FORMAT,
                 "twice.tar: train/a/1.png: duplicate member");
    const struct member two[] = {
        {"b/train/a/1.png", png, size, 0, NULL, 0}, {"a/train/a/2.png", png, size, 0, NULL, 0}, {0}};
    ASSERT_FAILS(load(pack("two.tar", PLAIN_TAR, two), "train"), STATUS_FORMAT,
                 "two.tar: holds several sets of pictures, in 'a' and 'b': name one");
    const struct member mixed[] = {
        {"train/a/1.png", png, size, 0, NULL, 0}, {"data_batch_1.bin", train, BYTES, 0, NULL, 0}, {0}};
    ASSERT_FAILS(load(pack("mixed.tar", PLAIN_TAR, mixed), "train"), STATUS_FORMAT, "both .bin files and pictures");
}

static void test_every_cut_archive_is_noticed(void **state)
{
    (void)state;
    const struct member members[] = {{"data_batch_1.bin", train, 2 * CIFAR_RECORD_BYTES, 0, NULL, 0},
                                     {"data_batch_2.bin", test, CIFAR_RECORD_BYTES, 0, NULL, 0},
                                     {0}};
    static const size_t end_mark[PACKINGS] = {1024, 0, 0, 0, 0, 1024}; /* half of a tar's may be missing */
    for (int packing = 0; packing < PACKINGS; packing++) {
        struct text t = {0};
        ASSERT_OK(file_read(pack("whole", packing, members), 1 << 20, &t, &m));
        size_t last = t.length - (end_mark[packing] ? end_mark[packing] - 511 : 1);
        for (size_t cut = 0; cut <= last; cut += cut + 61 <= last || cut == last ? 61 : last - cut) {
            int status = load(file_write("cut", t.data, cut), "train");
            if (status >= 0)
                print_error("packing %d cut at %zu of %zu passed\n", packing, cut, t.length);
            assert_true(status < 0);
        }
        for (size_t cut = 512; packing == PLAIN_TAR && cut <= last; cut += 512) /* between blocks and members too */
            assert_true(load(file_write("cut", t.data, cut), "train") < 0);
        text_free(&t);
    }
}

static void test_damaged_archives(void **state)
{
    (void)state;
    const struct member members[] = {{"data_batch_1.bin", train, 2 * CIFAR_RECORD_BYTES, 0, NULL, 0}, {0}};
    for (int packing = GZIP_TAR; packing <= ZIP; packing++) { /* those have checksums */
        struct text t = {0};
        ASSERT_OK(file_read(pack("whole", packing, members), 1 << 20, &t, &m));
        t.data[t.length / 2] ^= 0x10;
        int status = load(file_write("damaged", t.data, t.length), "train");
        if (status >= 0)
            print_error("packing %d passed\n", packing);
        assert_true(status < 0);
        text_free(&t);
    }
    ASSERT_FAILS(load(file_write("cifar-10-binary.tar.gz", "\x1f\x8b", 2), "train"), STATUS_FORMAT,
                 " (the file's sha256 is ee98dc6af27a9f1c8cc4aaa2fd05b5f6e7c98f51390253a5263b0d096c3510fe, want "
                 "c4a38c50a1bc5f3a1c5537f2155ab9d6");
    ASSERT_FAILS(load(file_write("rubbish", "this is no archive at all\n", 26), "train"), STATUS_FORMAT,
                 "rubbish: ");
}

static int allocations_left;

static int allocation_fails(size_t bytes)
{
    (void)bytes;
    return allocations_left-- == 0;
}

/* The n-th allocation fails, for every n until none does: a status and a reason, and (as sanitizers see) nothing
 * lost. */
static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    uint8_t png[8192];
    size_t size = png_make(png, IMAGE_SIDE, 1);
    const struct member pictures[] = {
        {"train/a/1.png", png, size, 0, NULL, 0}, {"test/b/1.png", png, size, 0, NULL, 0}, {0}};
    const char *archive = pack("memory.tar.gz", GZIP_TAR, pictures);
    ASSERT_OK(dataset_export(archive, NULL, temporary_path("memory-set"), NULL, &m));
    const char *const paths[] = {archive, temporary_path("memory-set")};
    for (int i = 0; i < 2; i++) {
        int status = STATUS_NOMEM, n;
        for (n = 0; status < 0; n++) {
            dataset_free(&d);
            m.text[0] = '\0';
            allocations_left = n;
            memory_test_hook = allocation_fails;
            status = dataset_load(&d, paths[i], "train", NULL, &m);
            memory_test_hook = NULL;
            if (status < 0)
                ASSERT_FAILS(status, STATUS_NOMEM, "memory exhausted");
        }
        assert_true(n > 8);
    }
}

/* A zip says of its names that they are UTF-8, and libarchive then wants a locale that can spell them. */
static void test_names_in_utf_8_need_no_locale(void **state)
{
    (void)state;
    uint8_t png[8192];
    size_t size = png_make(png, IMAGE_SIDE, 1);
    const struct member members[] = {{"gr\xc3\xb6\xc3\x9f"
                                      "e/train/\xe7\x8c\xab/1.png",
                                      png, size, 0, NULL, 0},
                                     {"gr\xc3\xb6\xc3\x9f"
                                      "e/train/\xe7\x8c\xab/\xc3\xa9.png",
                                      png, size, 0, NULL, 0},
                                     {0}};
    static const int packings[] = {ZIP, PLAIN_TAR, PAX_TAR};
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    assert_non_null(utf8);
    for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++) {
        uselocale(utf8); /* in which libarchive marks the names */
        const char *path = pack("names", packings[i], members);
        uselocale(LC_GLOBAL_LOCALE);
        ASSERT_OK(load(path, "train"));
        assert_int_equal(d.count, 2);
        assert_string_equal(d.classes[0], "\xe7\x8c\xab");
        if (packings[i] != ZIP)
            continue;
        struct text t = {0}; /* the mark stays, the name is Latin-1's */
        ASSERT_OK(file_read(path, 1 << 20, &t, &m));
        for (char *p = t.data; p + 1 < t.data + t.length; p++)
            if (memcmp(p, "\xc3\xb6", 2) == 0)
                memcpy(p, "\xf6\xf6", 2);
        ASSERT_FAILS(load(file_write("marked.zip", t.data, t.length), "train"), STATUS_FORMAT,
                     "marked.zip: member 1: its name cannot be read as UTF-8");
        text_free(&t);
    }
    freelocale(utf8);
    const struct member latin[] = {{"train/gr\xf6sse/1.png", png, size, 0, NULL, 0}, {0}};
    ASSERT_FAILS(load(pack("latin.tar", PLAIN_TAR, latin), "train"), STATUS_FORMAT,
                 "latin.tar: train/gr\\xf6sse/1.png: the class name is not UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_packing_is_the_same_set),
        cmocka_unit_test(test_export_of_an_archive_is_the_same_set),
        cmocka_unit_test(test_pictures_stand_as_in_a_folder),
        cmocka_unit_test(test_hostile_members),
        cmocka_unit_test(test_duplicate_and_mixed_pictures),
        cmocka_unit_test(test_every_cut_archive_is_noticed),
        cmocka_unit_test(test_damaged_archives),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_names_in_utf_8_need_no_locale),
    };
    return cmocka_run_group_tests_name("archive", tests, samples_make, samples_free);
}
