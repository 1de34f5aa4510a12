#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "page/run.h"
#include "page/svg.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[4096];

static int folder_new(void **state)
{
    (void)state;
    const char *scratch = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/run-XXXXXX", scratch ? scratch : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
    char path[sizeof folder + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void write_metrics(const char *name, const char *stage, const char *digest, int right, int wrong)
{
    char text[2048];
    snprintf(text, sizeof text,
             "# stage: %s\n# model-digest: %s\n# dataset: d\nmetric\tclass\tpredicted\tvalue\tlow\thigh\n"
             "loss\t-\t-\t0.5\t-\t-\ncalibration_error\t-\t-\t2\t-\t-\ntop2\t-\t-\t100\t-\t-\n"
             "recall\ta\t-\t1\t-\t-\nrecall\tb\t-\t1\t-\t-\n"
             "confusion\ta\ta\t%d\t-\t-\nconfusion\ta\tb\t%d\t-\t-\nconfusion\tb\ta\t0\t-\t-\nconfusion\tb\tb\t7\t-"
             "\t-\n",
             stage, digest, right, wrong);
    write_file(name, text);
}

static void test_what_belongs_together(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct run r;
    write_metrics("zz.metrics.tsv", "float", "sha256:f", 8, 2);
    write_metrics("ptq.metrics.tsv", "int8", "sha256:p", 6, 4);
    write_metrics("qat.metrics.tsv", "int8", "sha256:q", 9, 1);
    write_metrics("a.metrics.tsv", "int8", "sha256:a", 9, 1);
    write_file("pair.tsv",
               "# first-model: sha256:f\n# second-model: sha256:p\nmetric\tclass\tvalue\nimages\t-\t17\n"
               "agreement\t-\t50\nboth_right\t-\t10\nboth_wrong\t-\t1\nonly_first_right\t-\t5\n"
               "only_second_right\t-\t1\nmcnemar_p\t-\t0.9\n");
    write_file("time.tsv", "what\tmodel\tthreads\tbatch\tms_median\ninfer\tptq\t2\t1\t9\ninfer\tptq\t1\t1\t0.25\n"
                           "infer\tfused_model\t1\t1\t1\n");
    write_file("notes.txt", "neither table nor record");
    if (run_load(&r, folder, &m) < 0)
        fail_msg("%s", m.text);
    static const char *const order[] = {"zz", "ptq", "qat", "a"};
    assert_int_equal(r.answer_count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(r.answers[i].name, order[i]);
    assert_ptr_equal(run_float(&r), &r.answers[0]);
    assert_int_equal(r.answers[0].metrics.images, 17);
    assert_int_equal(r.answers[0].metrics.correct, 15);
    assert_string_equal(run_class(&r, 1), "b");
    assert_string_equal(run_class(&r, 2), "?");
    assert_string_equal(run_note(&r, "dataset"), "d");
    assert_int_equal(r.answers[1].timing, 1);
    assert_int_equal(r.answers[0].timing, 2);
    assert_int_equal(r.answers[2].timing, -1);
    struct pair_metrics pair;
    assert_int_equal(run_pair(&r, &r.answers[0], &r.answers[1], &pair, &m), 1);
    assert_int_equal(pair.only_first, 5);
    assert_true(fabs(pair.mcnemar_p - mcnemar_exact(5, 1)) <
                1e-12); /* from the counts, not from what a file says */
    assert_int_equal(run_pair(&r, &r.answers[0], &r.answers[2], &pair, &m), 0);
    run_free(&r);
}

static void test_names_are_told_apart(void **state)
{
    (void)state;
    static struct run runs[4];
    static const char *const names[] = {"a", "b", "a", "a"}, *const want[] = {"a", "b", "a (2)", "a (3)"};
    for (int i = 0; i < 4; i++)
        snprintf(runs[i].name, sizeof runs[i].name, "%s", names[i]);
    runs_tell_apart(runs, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(runs[i].name, want[i]);
}

/* Values come to lie in order within the frame, on every scale, from ranges of any width. */
static void test_scales_keep_order(void **state)
{
    (void)state;
    static const double values[][3] = {{1, 2, 3}, {91.98, 92.04, 92.11}, {10, 60, 92},
                                       {5, 5, 5}, {1e-3, 1, 99.999},     {99, 100, 100}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (int scale = SVG_LINEAR; scale <= SVG_ERROR; scale++) {
            struct svg s = {.x = {0, 1, SVG_LINEAR, ""}, .y = {INFINITY, -INFINITY, (enum svg_scale)scale, ""}};
            for (int k = 0; k < 3; k++)
                svg_include(&s.y, values[i][k]);
            svg_include(&s.y, NAN);
            assert_int_equal(svg_settle(&s.y), 1);
            double low = svg_y(&s, values[i][0]), middle = svg_y(&s, values[i][1]), high = svg_y(&s, values[i][2]);
            assert_true(low >= middle && middle >= high && low < SVG_HEIGHT && high > 0);
            assert_true(values[i][0] == values[i][2] || low > high);
        }
    struct svg_axis none = {INFINITY, -INFINITY, SVG_LOG, ""};
    svg_include(&none, 0);
    assert_int_equal(svg_settle(&none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_belongs_together, folder_new),
        cmocka_unit_test(test_names_are_told_apart),
        cmocka_unit_test(test_scales_keep_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
