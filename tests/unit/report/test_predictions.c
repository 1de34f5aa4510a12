#include "check.h"
#include "report/metrics_table.h"
#include "report/predictions.h"

/* n images of 3 classes, all with label i % 3; right where i is not in wrong[]. */
static void make(struct predictions *p, int n, const int *wrong, int wrong_count)
{
    struct message m;
    memset(p, 0, sizeof *p);
    p->metadata = record_new(&m);
    ASSERT_OK(record_set(p->metadata, "dataset-digest", "sha256:aa", &m), m);
    for (int i = 0; i < n; i++) { /* one at a time, so that growing is tested */
        ASSERT_OK(predictions_reserve(p, 1, 3, &m), m);
        p->indices[i] = 10 * i;
        p->labels[i] = (uint16_t)(i % 3);
        int answer = i % 3;
        for (int k = 0; k < wrong_count; k++)
            answer = wrong[k] == i ? (i + 1) % 3 : answer;
        for (int c = 0; c < 3; c++)
            p->logits[3 * i + c] = c == answer ? 4 : (float)c / 8;
        p->count++;
    }
}

static void test_round_trip_through_a_record(void **state)
{
    (void)state;
    struct message m;
    struct predictions p, back;
    struct record *r = record_new(&m);
    make(&p, 100, NULL, 0);
    ASSERT_OK(predictions_to_record(&p, r, &m), m);
    ASSERT_OK(predictions_from_record(&back, r, &m), m);
    assert_int_equal(back.count, 100);
    assert_int_equal(back.classes, 3);
    assert_memory_equal(back.logits, p.logits, 300 * sizeof(float));
    assert_memory_equal(back.indices, p.indices, 100 * sizeof(int64_t));
    ASSERT_OK(predictions_same_images(&p, &back, &m), m); /* what one lacks is not compared */
    predictions_free(&back);
    ((float *)record_find(r, "logits")->data)[7] = NAN;
    assert_int_equal(predictions_from_record(&back, r, &m), STATUS_RANGE);
    assert_string_equal(m.text, "logits: image 2: class 1 is not finite");
    ((float *)record_find(r, "logits")->data)[7] = 0;
    ((uint8_t *)record_find(r, "labels")->data)[5] = 3;
    assert_int_equal(predictions_from_record(&back, r, &m), STATUS_RANGE);
    assert_string_equal(m.text, "labels: image 5: label 3 of 3 classes");
    record_free(r);
    predictions_free(&p);
}

static void test_wrong_shapes_and_kinds_are_refused(void **state)
{
    (void)state;
    struct message m;
    struct predictions p, back;
    struct record *r = record_new(&m);
    make(&p, 4, NULL, 0);
    ASSERT_OK(predictions_to_record(&p, r, &m), m);
    record_remove(r, "labels");
    assert_true(predictions_from_record(&back, r, &m) < 0);
    assert_non_null(strstr(m.text, "labels"));
    ASSERT_OK(record_add(r, "labels", DTYPE_U8, 1, (const int64_t[]){5}, NULL, &m), m);
    assert_true(predictions_from_record(&back, r, &m) < 0);
    assert_non_null(strstr(m.text, "labels"));
    ASSERT_OK(record_set(r, "kind", "ranges", &m), m);
    assert_int_equal(predictions_from_record(&back, r, &m), STATUS_MISMATCH);
    record_free(r);
    predictions_free(&p);
}

static void test_other_images_are_named(void **state)
{
    (void)state;
    struct message m;
    struct predictions a, b;
    make(&a, 9, NULL, 0);
    make(&b, 9, NULL, 0);
    ASSERT_OK(predictions_same_images(&a, &b, &m), m);
    b.indices[4] = 41;
    assert_int_equal(predictions_same_images(&a, &b, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "indices: place 4 has image 41, want 40");
    b.indices[4] = 40;
    b.labels[8] = 0;
    assert_int_equal(predictions_same_images(&a, &b, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "labels: place 8 has label 0, want 2");
    b.count = 8;
    assert_int_equal(predictions_same_images(&a, &b, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "indices: 8 images, want 9");
    ASSERT_OK(record_set(b.metadata, "dataset-digest", "sha256:bb", &m), m);
    assert_int_equal(predictions_same_images(&a, &b, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "dataset-digest: sha256:bb, want sha256:aa");
    predictions_free(&a);
    predictions_free(&b);
}

static const char *pair_value(const struct table *t, const char *metric, const char *class)
{
    for (int i = 0; i < t->rows; i++)
        if (strcmp(table_cell(t, i, 0), metric) == 0 && strcmp(table_cell(t, i, 1), class) == 0)
            return table_cell(t, i, 2);
    return "absent";
}

static void test_pair_counts_flips(void **state)
{
    (void)state;
    struct message m;
    struct predictions a, b;
    struct pair_metrics x;
    struct table t = {0};
    char *classes[] = {(char[]){"cat"}, (char[]){"dog\tor wolf"}, (char[]){"frog"}};
    make(&a, 30, (const int[]){0, 1, 2}, 3);           /* wrong: one of each class */
    make(&b, 30, (const int[]){0, 3, 6, 9, 12, 4}, 6); /* wrong: five cats and a dog */
    b.logits[2] = 9;                                   /* image 0: both wrong, but not alike */
    ASSERT_OK(pair_compute(&x, &a, &b, &m), m);
    assert_int_equal(x.both_wrong, 1);
    assert_int_equal(x.only_first, 5);
    assert_int_equal(x.only_second, 2);
    assert_int_equal(x.both_right, 22);
    assert_int_equal(x.agree, 22);
    assert_near(x.mcnemar_p, 0.453125, 1e-12); /* 2 * (1 + 7 + 21) / 128 */
    ASSERT_OK(pair_to_table(&t, &x, classes, &m), m);
    assert_string_equal(pair_value(&t, "images", "-"), "30");
    assert_string_equal(pair_value(&t, "agreement", "-"), "73.3333");
    assert_string_equal(pair_value(&t, "mcnemar_p", "-"), "0.453125");
    assert_string_equal(pair_value(&t, "first_right", "cat"), "9");
    assert_string_equal(pair_value(&t, "second_right", "cat"), "5");
    assert_string_equal(pair_value(&t, "difference", "cat"), "-4");
    assert_string_equal(pair_value(&t, "difference", "dog?or wolf"), "0");
    assert_string_equal(pair_value(&t, "difference", "frog"), "1");
    table_free(&t);
    pair_free(&x);
    predictions_free(&a);
    predictions_free(&b);
}

static void test_metrics_table(void **state)
{
    (void)state;
    struct message m;
    struct predictions p;
    struct metrics x;
    struct table t = {0};
    char *classes[] = {(char[]){"cat"}, (char[]){"dog"}, (char[]){"frog"}};
    make(&p, 9, (const int[]){3}, 1);
    ASSERT_OK(metrics_compute(&x, p.logits, p.labels, p.count, 3, &m), m);
    ASSERT_OK(metrics_to_table(&t, &x, classes, &m), m);
    assert_int_equal(t.columns, 6);
    assert_int_equal(t.rows, 5 + 3 * 3 + 9);
    assert_string_equal(table_cell(&t, 1, 0), "accuracy");
    assert_string_equal(table_cell(&t, 1, 3), "88.8889");
    assert_string_equal(table_cell(&t, 1, 4), "56.5000"); /* statsmodels: 0.56500029 0.98010911 */
    assert_string_equal(table_cell(&t, 1, 5), "98.0109");
    table_free(&t);
    metrics_free(&x);
    predictions_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_through_a_record),
        cmocka_unit_test(test_wrong_shapes_and_kinds_are_refused),
        cmocka_unit_test(test_other_images_are_named),
        cmocka_unit_test(test_pair_counts_flips),
        cmocka_unit_test(test_metrics_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
