/* What a path is to a data set, and that a folder and an archive of the same files are the same set. */
#include "sets.h"
#include "data/member.h"

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int is_folder;
        enum member_kind kind;
        const char *root;
        int folder;
        const char *class_name, *name;
    } cases[] = {
        {"train/cat/1.png", 0, MEMBER_PICTURE, "", FOLDER_TRAIN, "cat", "1.png"},
        {"pets/test/cat/1.JPEG", 0, MEMBER_PICTURE, "pets", FOLDER_TEST, "cat", "1.JPEG"},
        {"a/b/val/x y/sub/1.jpg", 0, MEMBER_PICTURE, "a/b", FOLDER_VAL, "x y", "sub/1.jpg"},
        {".pets/valid/cat/1.jpe", 0, MEMBER_PICTURE, ".pets", FOLDER_VALID, "cat", "1.jpe"},
        {"validation/cat/1.jfif", 0, MEMBER_PICTURE, "", FOLDER_VALIDATION, "cat", "1.jfif"},
        {"train/pets/train/cat/1.png", 0, MEMBER_PICTURE, "train/pets", FOLDER_TRAIN, "cat", "1.png"},
        {"train/test/1.png", 0, MEMBER_PICTURE, "", FOLDER_TRAIN, "test", "1.png"}, /* a class of that name */
        {"train/cat/1.webp", 0, MEMBER_PICTURE, "", FOLDER_TRAIN, "cat", "1.webp"},
        {"train/1.png", 0, MEMBER_STRAY, "", 0, "", NULL},
        {"1.png", 0, MEMBER_STRAY, "", 0, "", NULL},
        {"eval/cat/1.gif", 0, MEMBER_STRAY, "", 0, "", NULL},
        {"Train/cat/1.png", 0, MEMBER_STRAY, "", 0, "", NULL},
        {"train/cat/.1.png", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"train/.cat/1.png", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"train/cat/@eaDir/1.png", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"__MACOSX/train/cat/1.png", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"train/cat/thumbs.DB", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {".DS_Store", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"train/cat/notes.txt", 0, MEMBER_OTHER, "", 0, "", NULL},
        {"train/cat/1.png~", 0, MEMBER_OTHER, "", 0, "", NULL},
        {"train/cat/.png", 0, MEMBER_HIDDEN, "", 0, "", NULL},
        {"x/data_batch_3.bin", 0, MEMBER_FILE, "x", 0, "", NULL},
        {".x/test_batch.bin", 0, MEMBER_FILE, ".x", 0, "", NULL},
        {"data_batch_03.bin", 0, MEMBER_OTHER, "", 0, "", NULL},
        {"x/batches.meta.txt", 0, MEMBER_NOTE, "x", 0, "", NULL},
        {"train/cat", 1, MEMBER_CLASS, "", FOLDER_TRAIN, "cat", NULL},
        {"pets/test/dog", 1, MEMBER_CLASS, "pets", FOLDER_TEST, "dog", NULL},
        {"train/cat/sub", 1, MEMBER_OTHER, "", 0, "", NULL},
        {"train", 1, MEMBER_OTHER, "", 0, "", NULL},
        {"train/.git", 1, MEMBER_HIDDEN, "", 0, "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct member_path p;
        ASSERT_OK(member_parse(cases[i].path, cases[i].is_folder, &p, &m));
        if (p.kind != cases[i].kind)
            print_error("%s: %d\n", cases[i].path, p.kind);
        assert_int_equal(p.kind, cases[i].kind);
        if (p.kind == MEMBER_PICTURE || p.kind == MEMBER_CLASS || p.kind == MEMBER_FILE || p.kind == MEMBER_NOTE) {
            assert_int_equal(p.root, strlen(cases[i].root));
            assert_int_equal(strncmp(cases[i].path, cases[i].root, p.root), 0);
        }
        if (p.kind != MEMBER_PICTURE && p.kind != MEMBER_CLASS)
            continue;
        assert_int_equal(p.folder, cases[i].folder);
        assert_string_equal(p.class_name, cases[i].class_name);
        if (cases[i].name)
            assert_string_equal(p.name, cases[i].name);
        assert_int_equal(p.is_read, p.kind == MEMBER_PICTURE && !strstr(cases[i].path, ".webp"));
    }
    struct member_path p;
    ASSERT_FAILS(member_parse("train/a\nb/1.png", 0, &p, &m), STATUS_FORMAT, "control character");
    ASSERT_FAILS(member_parse("train/a\xff/1.png", 0, &p, &m), STATUS_FORMAT, "not UTF-8");
}

static void test_tidy_paths(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"./train//cat/./1.png", "train/cat/1.png"},
                                           {"a", "a"},
                                           {"./", ""},
                                           {"a/", "a"},
                                           {"..a/.b", "..a/.b"},
                                           {"", ""}};
    char path[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        strcpy(path, cases[i][0]);
        member_tidy(path);
        assert_string_equal(path, cases[i][1]);
    }
}

/* ---- folders and archives ---- */

static unsigned long draw(unsigned long *state, unsigned long below)
{
    *state = *state * 6364136223846793005UL + 1442695040888963407UL;
    return (*state >> 33) % below;
}

/* What is said, without the name of what was read. */
static const char *said_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? at + strlen(name) : text;
}

static void tree_make(const char *tree, unsigned long seed)
{
    static const char *const tops[] = {"", "", "", "", "raw/", "pets/", ".cache/", "__MACOSX/", "train/"};
    static const char *const splits[] = {"train/", "train/", "test/", "val/", "valid/", "eval/", ""};
    static const char *const classes[] = {"cat/", "dog/", "test/", "@eaDir/", ""};
    static const char *const names[] = {"1.png",     "2.png",     "sub/1.png", "notes.txt",
                                        "Thumbs.db", ".DS_Store", "sub/x.csv", ".x/1.png"};
    char name[256];
    int files = 3 + (int)draw(&seed, 12);
    for (int i = 0; i < files; i++) {
        snprintf(name, sizeof name, "%s/%s%s%s%s", tree, i < 2 ? "" : tops[draw(&seed, 9)],
                 i < 2 ? "train/" : splits[draw(&seed, 7)], i < 2 ? "cat/" : classes[draw(&seed, 5)],
                 i < 2 ? names[0] : names[draw(&seed, 8)]);
        uint8_t png[8192];
        size_t size = png_make(png, IMAGE_SIDE, i);
        file_write(name, png, size);
    }
    snprintf(name, sizeof name, "%s/test/empty/.keep", tree);
    if (draw(&seed, 3) == 0)
        file_write(name, "", 0);
}

static void test_a_folder_and_its_archive_are_alike(void **state)
{
    (void)state;
    char tree[32], archive[40], command[1024];
    int loaded = 0, refused = 0;
    for (unsigned long seed = 1; seed <= 120; seed++) {
        snprintf(tree, sizeof tree, "tree-%lu", seed);
        snprintf(archive, sizeof archive, "%s.tar", tree);
        tree_make(tree, seed);
        snprintf(command, sizeof command, "cd '%s' && tar cf %s -C %s %s", temporary_folder(), archive, tree,
                 seed % 2 ? "." : "$(ls -A tree-$SEED)");
        char number[32];
        snprintf(number, sizeof number, "%lu", seed);
        setenv("SEED", number, 1);
        assert_int_equal(system(command), 0);
        struct dataset a, b;
        struct message told_a, told_b, failed_a = {{0}}, failed_b = {{0}};
        const char *split = seed % 3 ? "train" : "test";
        int status = dataset_load(&a, temporary_path(tree), split, &told_a, &failed_a);
        assert_int_equal(dataset_load(&b, temporary_path(archive), split, &told_b, &failed_b), status);
        if (status < 0) {
            assert_string_equal(said_of(failed_a.text, tree), said_of(failed_b.text, archive));
            refused++;
            continue;
        }
        loaded++;
        assert_string_equal(said_of(told_a.text, tree), said_of(told_b.text, archive));
        assert_string_equal(a.digest, b.digest);
        assert_string_equal(a.name, b.name);
        assert_int_equal(a.count, b.count);
        assert_int_equal(a.class_count, b.class_count);
        for (int k = 0; k < a.class_count; k++)
            assert_string_equal(a.classes[k], b.classes[k]);
        assert_memory_equal(a.labels, b.labels, (size_t)a.count * sizeof *a.labels);
        dataset_free(&a);
        dataset_free(&b);
    }
    assert_true(loaded > 20 && refused > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_tidy_paths),
        cmocka_unit_test(test_a_folder_and_its_archive_are_alike),
    };
    return cmocka_run_group_tests_name("member", tests, NULL, temporary_folder_remove);
}
