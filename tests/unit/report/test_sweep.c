/* A sweep's means and what its charts show; its page is tested with the recorded one. */
#include "check.h"
#include "report/chart.h"
#include "report/sweep.h"

#define HEADER                                                                 \
    "# dataset: set\n# images: 50\n"                                           \
    "stage\tobserver\tgranularity\tweight_bits\tactivation_bits\tcalibration_" \
    "images\tseed\tranges\timages\taccuracy"                                   \
    "\taccuracy_low\taccuracy_high\tloss\tbytes\n"
#define FLOAT "float\t-\t-\t-\t-\t-\t-\t-\t50\t90\t80\t95\t0.5\t4000\n"
#define PTQ(observer, per, w, a, n, seed, accuracy, loss) \
    "ptq\t" observer "\t" per "\t" w "\t" a "\t" n "\t" seed "\t-\t50\t" accuracy "\t70\t92\t" loss "\t1000\n"

static void open_sweep(struct sweep *s, struct table *t, const char *text)
{
    struct message m;
    FILE *f = fopen(scratch("sweep.tsv"), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    ASSERT_OK(table_load(t, scratch("sweep.tsv"), &m), m);
    ASSERT_OK(sweep_of_table(s, t, &m), m);
}

static const char small[] = HEADER FLOAT PTQ("mse", "channel", "8", "8", "64", "1", "88", "0.6")
    PTQ("mse", "tensor", "8", "8", "128", "1", "70", "0.9") PTQ("mse", "channel", "8", "8", "128", "1", "89", "0.6")
        PTQ("mse", "channel", "8", "8", "128", "2", "90.1", "0.7")
            PTQ("entropy", "channel", "8", "8", "128", "1", "89.55", "0.64")
                PTQ("mse", "channel", "4", "8", "128", "1", "60", "1");

static void test_means(void **state)
{
    (void)state;
    struct sweep s;
    struct table t;
    open_sweep(&s, &t, small);
    assert_int_equal(s.count, 6);
    assert_int_equal(s.seeds, 2);
    assert_int_equal(s.usual, 128);
    assert_int_equal(s.float_row, 0);
    const struct sweep_row *r = &s.rows[3];
    assert_true(r->seeds == 2 && r->accuracy == 89.55 && r->least == 89 && r->most == 90.1 && r->loss == 0.65);
    assert_true(r->low == 70 && r->high == 92 && r->bytes == 1000);
    assert_true(sweep_is_better(&s.rows[4], r) && !sweep_is_better(r, &s.rows[4])); /* as accurate, at less loss */
    assert_true(!sweep_is_usual(&s, &s.rows[1]) && sweep_is_calibration(&s.rows[1]) && sweep_is_usual(&s, r));
    sweep_free(&s);
    table_free(&t);
}

static void test_page(void **state)
{
    (void)state;
    struct message m;
    struct sweep s;
    struct table t;
    struct text page = {0};
    char chart[] = "sweep-bits", *charts[] = {chart};
    open_sweep(&s, &t, small);
    ASSERT_OK(sweep_page(&s, charts, 1, &page, &m), m);
    assert_non_null(strstr(page.data, "| 8 | entropy, per channel | 89.55 (70.00 to 92.00) | - | - | 90.00 |\n"));
    assert_non_null(
        strstr(page.data, "| 4, 8 | mse | channel | 60.00 (70.00 to 92.00) | 60.00, 60.00 | 1.0000 | 1000 |\n"));
    assert_non_null(strstr(page.data, "| mse | 64 | 88.00 (70.00 to 92.00) | 88.00, 88.00 | 0.6000 |\n"
                                      "| mse | 128 | 89.55 (70.00 to 92.00) | 89.00, 90.10 | 0.6500 |\n"));
    assert_non_null(strstr(page.data, "![sweep-bits](charts/sweep-bits.png)\n"));
    text_free(&page);
    sweep_free(&s);
    table_free(&t);
}

static void check_chart(const struct sweep *s, enum chart_sweep_kind kind, int bits, const char *want)
{
    struct message m;
    struct chart c;
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    ASSERT_OK(chart_sweep(&c, s, kind, bits, NULL, &m), m);
    if (!strstr(c.text.data, want))
        fail_msg("kind %d: no '%s' in\n%s", (int)kind, want, c.text.data);
    chart_free(&c);
}

static void test_charts(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct sweep s;
    struct table t;
    struct chart c;
    open_sweep(&s, &t, small);
    check_chart(&s, SWEEP_BITS, 0, "labels[1] = 'PTQ, per tensor'\nlabels[2] = 'PTQ, per channel'\n");
    check_chart(&s, SWEEP_PARTS, 0, "\n4\t60.0000\t70.0000\t92.0000\n8\t89.5500\t");
    check_chart(&s, SWEEP_CALIBRATION, 0, "\n64\t88.0000\t88.0000\t88.0000\n128\t89.5500\t89.0000\t90.1000\n");
    check_chart(&s, SWEEP_OBSERVERS, 8, "places[1] = 'mse'\nplaces[2] = 'entropy'\n");
    ASSERT_OK(chart_open(&c, "plots", CHART_SVG, &m), m);
    assert_int_equal(chart_sweep(&c, &s, SWEEP_OBSERVERS, 3, NULL, &m), STATUS_FORMAT);
    assert_string_equal(m.text, "no row belongs in this chart");
    chart_free(&c);
    sweep_free(&s);
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_charts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
