/* What is sent to gnuplot; the pictures themselves are tested with the tool. */
#include "check.h"
#include "report/chart.h"

static void load(struct table *t, const char *text)
{
    struct message m;
    FILE *f = fopen(scratch("chart.tsv"), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    ASSERT_OK(table_load(t, scratch("chart.tsv"), &m), m);
}

#define LOG "epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n"

static void test_text_from_outside_stays_text(void **state)
{
    (void)state;
    struct message m;
    struct chart c;
    ASSERT_OK(chart_open(&c, "plots", CHART_PNG, &m), m);
    text_clear(&c.text);
    ASSERT_OK(chart_string(&c, "plots", "it's `rm -rf` @x \"q\" \\\n", &m), m);
    assert_string_equal(c.text.data, "plots = 'it'.\"'\".'s `rm -rf` @x \"q\" \\?'\n");
    text_clear(&c.text);
    ASSERT_OK(chart_texts(&c, "tics", (const char *const[]){"5 %d"}, 1,
                          (struct chart_setting){FONT_PLAIN, 9, CHART_TIC}, &m),
              m);
    assert_ptr_equal(strstr(c.text.data, "array tics[1]\ntics[1] = '5 %%d'\ntics_em = "), c.text.data);
    text_clear(&c.text);
    ASSERT_OK(
        chart_text(&c, "x", "{/Symbol a}_b^c & ~d \xFF", (struct chart_setting){FONT_PLAIN, 99, CHART_LABEL}, &m),
        m);
    assert_ptr_equal(strstr(c.text.data, "x = '{/Symbol a}_b^c & ~d ?'\nx_em = "), c.text.data);
    chart_free(&c);
}

static void test_format_is_the_names_end(void **state)
{
    (void)state;
    struct message m;
    enum chart_format f;
    ASSERT_OK(chart_format_of("a/b.c.png", &f, &m), m);
    assert_int_equal(f, CHART_PNG);
    ASSERT_OK(chart_format_of("x.svg", &f, &m), m);
    assert_int_equal(f, CHART_SVG);
    assert_int_equal(chart_format_of("png", &f, &m), STATUS_RANGE);
    assert_int_equal(chart_format_of("x.pdf", &f, &m), STATUS_RANGE);
}

static void test_curves(void **state)
{
    (void)state;
    struct message m;
    struct chart c;
    struct table logs[2];
    const char *const labels[] = {"float", "it's QAT"};
    load(&logs[0],
         "# dataset: CIFAR-10\n# dataset-digest: sha256:0123456789abcdef\n" LOG "1\t8\t0.1\t2.5\t20\t25\t9\t9\n"
         "2\t16\t0\t1.5\t40\t-\t9\t9\n");
    load(&logs[1], LOG "0\t0\t-\t-\t-\t41\t-\t1\n");
    ASSERT_OK(chart_open(&c, "plots", CHART_PNG, &m), m);
    ASSERT_OK(chart_curves(&c, logs, labels, 2, 1, &m), m);
    assert_non_null(strstr(
        c.text.data, "$runs << END_OF_DATA\n1\t2.5\t20\t25\t0.1\n2\t1.5\t40\tNaN\t0\n\n\n0\tNaN\tNaN\t41\tNaN\n"));
    assert_non_null(strstr(c.text.data, "labels[2] = 'it'.\"'\".'s QAT'\n"));
    assert_non_null(strstr(c.text.data, "first_epoch = 0\nlast_epoch = 2\n"));
    assert_non_null(strstr(c.text.data, "lowest_rate = 0.1\nhighest_rate = 0.1\n"));
    assert_non_null(strstr(c.text.data, "subtitle = 'CIFAR-10, sha256:0123456789ab'\n"));
    chart_free(&c);
    ASSERT_OK(chart_open(&c, "plots", CHART_PNG, &m), m);
    assert_int_equal(chart_curves(&c, logs + 1, labels, 1, 0, &m), STATUS_FORMAT); /* no loss in it */
    chart_free(&c);
    table_free(&logs[0]);
    table_free(&logs[1]);
}

static void test_curves_of_other_data_or_without_columns(void **state)
{
    (void)state;
    struct message m;
    struct chart c;
    struct table logs[2];
    const char *const labels[] = {"a", "b"};
    load(&logs[0], "# dataset-digest: sha256:01\n" LOG "1\t8\t0.1\t2.5\t20\t25\t9\t9\n");
    load(&logs[1], "# dataset-digest: sha256:02\n" LOG "1\t8\t0.1\t2.5\t20\t25\t9\t9\n");
    ASSERT_OK(chart_open(&c, "plots", CHART_PNG, &m), m);
    assert_int_equal(chart_curves(&c, logs, labels, 2, 0, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "b: dataset-digest: sha256:02, want sha256:01");
    table_free(&logs[1]);
    load(&logs[1], "epoch\tloss\n1\t2\n");
    assert_int_equal(chart_curves(&c, logs, labels, 2, 0, &m), STATUS_FORMAT);
    assert_string_equal(m.text, "b: no column 'accuracy_train'");
    table_free(&logs[1]);
    load(&logs[1], LOG "1\t8\t0.1\tx\t20\t25\t9\t9\n");
    assert_int_equal(chart_curves(&c, logs, labels, 2, 0, &m), STATUS_RANGE);
    assert_non_null(strstr(m.text, "b: row 1: loss: 'x' is not"));
    chart_free(&c);
    table_free(&logs[0]);
    table_free(&logs[1]);
}

static void test_confusion(void **state)
{
    (void)state;
    struct message m;
    struct chart c;
    struct table t;
    load(&t,
         "metric\tclass\tpredicted\tvalue\tlow\thigh\naccuracy\t-\t-\t75\t30\t95.4\nconfusion\tcat\tcat\t3\t-\t-\n"
         "confusion\tcat\tdog\t1\t-\t-\nconfusion\tdog\tcat\t0\t-\t-\nconfusion\tdog\tdog\t0\t-\t-\n");
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_confusion(&c, &t, &m), m);
    assert_non_null(strstr(c.text.data, "0\t0\t3\t75.000000\n1\t0\t1\t25.000000\n0\t1\t0\t0.000000\n"));
    assert_non_null(strstr(c.text.data, "subtitle = 'accuracy 75.00 % (30.00 to 95.40)'\n"));
    assert_non_null(strstr(c.text.data, "classes[2] = 'dog'\n"));
    chart_free(&c);
    table_free(&t);
    load(&t, "metric\tclass\tpredicted\tvalue\nimages\t-\t-\t9\n");
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    assert_int_equal(chart_confusion(&c, &t, &m), STATUS_FORMAT);
    chart_free(&c);
    table_free(&t);
}

static double axis_start(const char *rows)
{
    struct message m;
    struct chart c;
    struct table t;
    char text[512];
    snprintf(text, sizeof text, "model\taccuracy\taccuracy_low\taccuracy_high\n%s", rows);
    load(&t, text);
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_compare(&c, &t, BARS_ACCURACY, &m), m);
    const char *at = strstr(c.text.data, "axis_start = ");
    assert_non_null(at);
    double start = strtod(at + strlen("axis_start = "), NULL);
    chart_free(&c);
    table_free(&t);
    return start;
}

static void test_axis_is_cut_only_where_bars_are_tall_and_alike(void **state)
{
    (void)state;
    assert_true(axis_start("a\t40\t38\t42\nb\t12\t10\t14\n") == 0);
    assert_true(axis_start("a\t81.2\t80.4\t82.0\nb\t80.9\t80.1\t81.7\n") == 75);
    assert_true(axis_start("a\t95.2\t94.8\t95.6\nb\t95.1\t94.7\t95.5\n") == 92);
    assert_true(axis_start("a\t95.2\t94.8\t95.6\nb\t60\t59\t61\n") == 0);
}

static void test_histogram_shares_and_clipping(void **state)
{
    (void)state;
    struct message m;
    struct chart c;
    struct table notes = {0};
    uint64_t *bins = calloc(2048, sizeof *bins);
    assert_non_null(bins);
    bins[1024] = 6; /* 0 .. 0.5 */
    bins[1026] = 3; /* 1 .. 1.5 */
    bins[1030] = 1; /* 3 .. 3.5 */
    struct chart_activation a = {
        .node = "conv1", .bins = bins, .exponent = -1, .min = 0, .max = 3.2, .clip_high = 2};
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_histogram(&c, &a, &notes, &m), m);
    assert_non_null(strstr(c.text.data, "$bars << END_OF_DATA\n0\t0.5\t60\n1\t0.5\t30\n3\t0.5\t10\nEND_OF_DATA\n"));
    assert_non_null(strstr(c.text.data, "clipped = 10\n"));
    chart_free(&c);
    bins[0] = bins[2047] = 1; /* the whole width: neighbours are drawn as one */
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_histogram(&c, &a, &notes, &m), m);
    assert_non_null(strstr(c.text.data, "\n0\t4\t83.3333"));
    chart_free(&c);
    memset(bins, 0, 2048 * sizeof *bins);
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    assert_int_equal(chart_histogram(&c, &a, &notes, &m), STATUS_FORMAT);
    chart_free(&c);
    free(bins);
}

static void test_gnuplots_reason_is_one_line(void **state)
{
    (void)state;
    struct message m;
    struct text script = {0}, out = {0};
    ASSERT_OK(text_add(&script, &m, "print 'x'\nplot nonsense(\n"), m);
    if (gnuplot_run(&script, &out, &m) == STATUS_UNSUPPORTED)
        skip();
    assert_int_equal(strncmp(m.text, "gnuplot: ", 9), 0);
    assert_null(strchr(m.text, '\n'));
    text_clear(&script);
    ASSERT_OK(text_add(&script, &m, "set print '-'\nprint 1.5\n"), m);
    ASSERT_OK(gnuplot_run(&script, &out, &m), m);
    assert_string_equal(out.data, "1.5\n");
    text_free(&script);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_from_outside_stays_text),
        cmocka_unit_test(test_format_is_the_names_end),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_curves_of_other_data_or_without_columns),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_axis_is_cut_only_where_bars_are_tall_and_alike),
        cmocka_unit_test(test_histogram_shares_and_clipping),
        cmocka_unit_test(test_gnuplots_reason_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
