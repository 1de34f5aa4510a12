/* An ablation's means, differences and what chance makes, and its page. */
#include "check.h"
#include "report/ablation.h"
#include "report/chart.h"

#define HEADER "variant\tseed\tchange\taccuracy_held_out\taccuracy_train\tseconds\n"
#define ROW(variant, seed, accuracy) variant "\t" seed "\tx\t" accuracy "\t50\t10\n"
/* Differences 2, 3, -1 of a and -11, -14 of b; c has no seed of the base. */
static const char rows[] = HEADER "base\t1\tx\t80\t50\t10\nbase\t2\tx\t81\t50\t10\nbase\t3\tx\t85\t50\t10\n"
                                  "a\t1\tx\t82\t50\t10\na\t2\tx\t84\t50\t10\na\t3\tx\t84\t50\t10\n"
                                  "b\t2\tx\t70\t50\t10\nb\t3\tx\t71\t50\t10\nc\t9\tx\t60\t50\t10\n";

static void load(struct table *t, const char *text)
{
    struct message m;
    FILE *f = fopen(scratch("ablation.tsv"), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    ASSERT_OK(table_load(t, scratch("ablation.tsv"), &m), m);
}

static void test_figures_by_hand(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    struct ablation a;
    load(&t, rows);
    ASSERT_OK(ablation_of_table(&a, &t, &m), m);
    assert_int_equal(a.count, 4);
    assert_string_equal(a.rows[1].variant, "a");
    assert_true(a.rows[0].held_out == 82 && isnan(a.rows[0].difference) && isnan(a.rows[0].chance));
    assert_true(a.rows[1].held_out == 83.333 && a.rows[1].difference == 1.333 && a.rows[1].pairs == 3);
    assert_true(a.rows[2].held_out == 70.5 && a.rows[2].difference == -12.5 && a.rows[2].pairs == 2);
    assert_true(isnan(a.rows[3].difference) && a.rows[3].pairs == 0);
    /* Squares around the means 26 / 3 + 9 / 2, 3 degrees of freedom; Student's t from a table. */
    double s = 3.182446 * sqrt((26.0 / 3 + 9.0 / 2) / 3);
    assert_near(a.rows[1].chance, s / sqrt(3), 6e-4);
    assert_near(a.rows[2].chance, s / sqrt(2), 6e-4);
    ablation_free(&a);
    table_free(&t);
}

/* One degree of freedom, where series for t are far off: 12.7062. */
static void test_two_seeds(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    struct ablation a;
    load(&t, HEADER ROW("base", "1", "80") ROW("base", "2", "80") ROW("a", "1", "81") ROW("a", "2", "83"));
    ASSERT_OK(ablation_of_table(&a, &t, &m), m);
    assert_near(a.rows[1].chance, 12.7062 * sqrt(2) / sqrt(2), 1e-3);
    ablation_free(&a);
    table_free(&t);
}

static void test_refused(void **state)
{
    (void)state;
    const struct {
        const char *text, *want;
    } cases[] = {
        {"variant\tseed\n", "no column 'change'"},
        {HEADER, "0 rows, want 1 to 10000"},
        {HEADER "a\t1\tx\tnan\t1\t1\n", "row 1: accuracy_held_out: 'nan' is not"},
        {HEADER ROW("a", "1", "100.5"), "row 1: accuracy_held_out: '100.5' is not in 0..100"},
        {HEADER ROW("a", "1", "1") ROW("a", "1", "2"), "row 2: variant 'a' has seed 1 twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message m = {{0}};
        struct table t;
        struct ablation a;
        load(&t, cases[i].text);
        assert_true(ablation_of_table(&a, &t, &m) < 0);
        if (!strstr(m.text, cases[i].want))
            fail_msg("case %zu: '%s', want '%s'", i, m.text, cases[i].want);
        ablation_free(&a);
        table_free(&t);
    }
}

static void test_chart(void **state)
{
    (void)state;
    struct message m;
    struct table t;
    struct ablation a;
    struct chart c;
    load(&t, rows);
    ASSERT_OK(table_note(&t, "dataset", "set", &m), m);
    ASSERT_OK(table_note(&t, "held-out", "40", &m), m);
    ASSERT_OK(table_note(&t, "size", "small", &m), m);
    ASSERT_OK(table_note(&t, "images", "9", &m), m);
    ASSERT_OK(ablation_of_table(&a, &t, &m), m);
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_ablation(&c, &a, &m), m);
    /* The best last, at the top; without the base and what has no pair. */
    const char *b = strstr(c.text.data, "-12.500\t1\t"), *best = strstr(c.text.data, "1.333\t2\t");
    assert_true(b && best && b < best);
    assert_non_null(strstr(c.text.data, "variants = 2\n"));
    assert_non_null(strstr(c.text.data, "subtitle = 'set, 40 held-out images; small, 9 training images'\n"));
    chart_free(&c);
    ablation_free(&a);
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_by_hand),
        cmocka_unit_test(test_two_seeds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_chart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
