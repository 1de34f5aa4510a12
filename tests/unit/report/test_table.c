#include "check.h"
#include "report/table.h"

static void write_file(const char *path, const char *bytes, size_t count)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static int load_text(struct table *t, const char *text, struct message *m)
{
    write_file(scratch("table.tsv"), text, strlen(text));
    m->text[0] = '\0';
    return table_load(t, scratch("table.tsv"), m);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct message m;
    struct table t = {0}, back;
    struct text a = {0}, b = {0};
    ASSERT_OK(table_note(&t, "dataset", "CIFAR-10 (JPEG q75): all", &m), m);
    ASSERT_OK(table_columns(&t, "metric class value", &m), m);
    for (int i = 0; i < 500; i++)
        ASSERT_OK(table_rowf(&t, &m, "row\tclass %d\t%.3f", i, i / 7.0), m);
    ASSERT_OK(table_rowf(&t, &m, "\t\t"), m);
    ASSERT_OK(table_save(&t, scratch("table.tsv"), &m), m);
    ASSERT_OK(table_load(&back, scratch("table.tsv"), &m), m);
    ASSERT_OK(table_print(&t, &a, &m), m);
    ASSERT_OK(table_print(&back, &b, &m), m);
    assert_string_equal(a.data, b.data);
    assert_int_equal(back.rows, 501);
    assert_string_equal(table_cell(&back, 499, table_column(&back, "class")), "class 499");
    assert_string_equal(table_get_note(&back, "dataset"), "CIFAR-10 (JPEG q75): all");
    assert_null(table_get_note(&back, "digest"));
    assert_int_equal(table_column(&back, "none"), -1);
    text_free(&a);
    text_free(&b);
    table_free(&t);
    table_free(&back);
}

static void test_a_long_row_is_whole(void **state)
{
    (void)state;
    struct message m;
    struct table t = {0};
    char name[3000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ASSERT_OK(table_columns(&t, "a b", &m), m);
    ASSERT_OK(table_rowf(&t, &m, "%s\t1", name), m);
    assert_string_equal(table_cell(&t, 0, 0), name);
    table_free(&t);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct message m;
    struct table t = {0};
    ASSERT_OK(table_columns(&t, "a b", &m), m);
    assert_int_equal(table_rowf(&t, &m, "1"), STATUS_FORMAT);
    assert_string_equal(m.text, "row 1: 1 fields, want 2");
    assert_int_equal(table_rowf(&t, &m, "1\t2\t3"), STATUS_FORMAT);
    assert_int_equal(table_rowf(&t, &m, "1\t2\n"), STATUS_RANGE);
    assert_int_equal(table_note(&t, "key: x", "value", &m), STATUS_RANGE);
    assert_int_equal(table_note(&t, "key", "two\nlines", &m), STATUS_RANGE);
    assert_int_equal(t.rows, 0);
    table_free(&t);
    assert_int_equal(table_columns(&t, "a b a", &m), STATUS_FORMAT);
    table_free(&t);
}

static void test_reading_names_the_line(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    const char *const bad[][2] = {
        {"", "empty input"},
        {"# only: notes\n", "no header line"},
        {"a\tb\n1\t2\n3\n", "line 3: 1 fields, want 2"},
        {"# note: x\na\tb\n1\t2\t3\n", "line 3: 3 fields, want 2"},
        {"a\tb\n\n", "line 2: 1 fields, want 2"},
        {"a\ta\n", "line 1: column 'a' stands twice"},
        {"a\t\n", "line 1: column 2 has no name"},
        {"a\tb\r\n1\t2\r\n", "line 1: a carriage return: lines of a table end in a line feed alone"},
        {"# x: y\na\tb\n1\t2\r\n", "line 3: a carriage return: lines of a table end in a line feed alone"},
        {"\xEF\xBB\xBF"
         "a\tb\n",
         "a byte order mark stands before the table"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(load_text(&t, bad[i][0], &m), STATUS_FORMAT);
        assert_non_null(strstr(m.text, "table.tsv: "));
        assert_string_equal(strstr(m.text, "table.tsv: ") + strlen("table.tsv: "), bad[i][1]);
        assert_int_equal(t.columns, 0);
    }
    write_file(scratch("table.tsv"), "a\tb\n1\0\t2\n", 9);
    assert_int_equal(table_load(&t, scratch("table.tsv"), &m), STATUS_FORMAT);
    assert_non_null(strstr(m.text, "offset 5: a zero byte in a table"));
    assert_int_equal(table_load(&t, scratch("absent.tsv"), &m), STATUS_IO);
}

/* A file of line ends costs a byte a row: what the table would cost is bounded too. */
static void test_a_table_without_end_is_refused(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    enum { LINES = (1 << 21) + 3 };
    char *bytes = malloc(LINES);
    assert_non_null(bytes);
    memset(bytes, '\n', LINES);
    bytes[0] = 'a';
    write_file(scratch("table.tsv"), bytes, LINES);
    assert_int_equal(table_load(&t, scratch("table.tsv"), &m), STATUS_FORMAT);
    assert_non_null(strstr(m.text, "line 2097154: more than 2097152 cells"));
    free(bytes);
    assert_int_equal(remove(scratch("table.tsv")), 0);
}

static void test_a_line_of_ten_megabytes(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    enum { LONG = 10 << 20 };
    char *bytes = malloc(LONG + 9);
    assert_non_null(bytes);
    memset(bytes, 'x', LONG);
    memcpy(bytes, "a\tb\n", 4);
    memcpy(bytes + LONG, "\t1\n", 4);
    ASSERT_OK(load_text(&t, bytes, &m), m);
    assert_int_equal(strlen(table_cell(&t, 0, 0)), LONG - 4);
    table_free(&t);
    memset(bytes, '\t', LONG);
    assert_int_equal(load_text(&t, bytes, &m), STATUS_FORMAT);
    assert_non_null(strstr(m.text, "line 1: 10485762 columns exceed the limit 1024"));
    free(bytes);
}

static void test_reading_is_as_free_as_the_format(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    ASSERT_OK(load_text(&t, "#a: 1\n# no key here\n# empty:\n#   b :c: d\nx\ty\n#1\t\n3\t4", &m), m);
    assert_int_equal(t.rows, 2);
    assert_string_equal(table_get_note(&t, "a"), "1");
    assert_string_equal(table_get_note(&t, "empty"), "");
    assert_string_equal(table_cell(&t, 0, 0), "#1"); /* notes stand before the header only */
    assert_string_equal(table_cell(&t, 0, 1), "");
    assert_string_equal(table_cell(&t, 1, 1), "4"); /* without a final line end */
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_a_long_row_is_whole),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_reading_names_the_line),
        cmocka_unit_test(test_a_table_without_end_is_refused),
        cmocka_unit_test(test_a_line_of_ten_megabytes),
        cmocka_unit_test(test_reading_is_as_free_as_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
