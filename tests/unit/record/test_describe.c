/* Records as text for people. */
#include "samples.h"
#include <math.h>
#include "record/describe.h"

static void text_is(struct text *t, const char *want)
{
    if (strcmp(t->data ? t->data : "", want))
        print_error("got:\n%s\nwant:\n%s\n", t->data ? t->data : "", want);
    assert_string_equal(t->data ? t->data : "", want);
    text_clear(t);
}

static void value_is(enum dtype dtype, const void *data, size_t i, const char *want)
{
    char out[32];
    uint64_t aligned[4];
    memcpy(aligned, data, dtype_size(dtype) * (i + 1));
    struct tensor t = {.dtype = dtype, .rank = 1, .shape = {4}, .count = 4, .data = aligned};
    tensor_value_print(&t, i, out);
    assert_string_equal(out, want);
}

static void test_values_of_every_type(void **state)
{
    (void)state;
    value_is(DTYPE_BOOL, (uint8_t[]){0, 1}, 1, "1");
    value_is(DTYPE_U8, (uint8_t[]){200}, 0, "200");
    value_is(DTYPE_I8, (int8_t[]){-128}, 0, "-128");
    value_is(DTYPE_U16, (uint16_t[]){65535}, 0, "65535");
    value_is(DTYPE_I16, (int16_t[]){1, -32768}, 1, "-32768");
    value_is(DTYPE_U32, (uint32_t[]){4294967295u}, 0, "4294967295");
    value_is(DTYPE_I32, (int32_t[]){INT32_MIN}, 0, "-2147483648");
    value_is(DTYPE_U64, (uint64_t[]){UINT64_MAX}, 0, "18446744073709551615");
    value_is(DTYPE_I64, (int64_t[]){0, 0, INT64_MIN}, 2, "-9223372036854775808");
    value_is(DTYPE_F32, (float[]){0.1f}, 0, "0.1");
    value_is(DTYPE_F64, (double[]){0.1}, 0, "0.1");
    value_is(DTYPE_F32, (float[]){NAN}, 0, "nan");
    value_is(DTYPE_BF16, (uint16_t[]){0xbfc0}, 0, "-1.5");
    /* IEEE 754 half: one, largest, smallest normal, smallest subnormal, infinity */
    value_is(DTYPE_F16, (uint16_t[]){0x3c00}, 0, "1");
    value_is(DTYPE_F16, (uint16_t[]){0xfbff}, 0, "-65504");
    value_is(DTYPE_F16, (uint16_t[]){0x0400}, 0, "6.1035156e-05");
    value_is(DTYPE_F16, (uint16_t[]){0x0001}, 0, "5.9604645e-08");
    value_is(DTYPE_F16, (uint16_t[]){0xfc00}, 0, "-inf");
    value_is(DTYPE_F16, (uint16_t[]){0x7e00}, 0, "nan");
}

static void test_statistics(void **state)
{
    (void)state;
    float data[6] = {1, 0, -3, NAN, 2, INFINITY};
    struct tensor t = {.dtype = DTYPE_F32, .rank = 1, .shape = {6}, .count = 6, .data = data};
    struct tensor_statistics s;
    tensor_statistics(&t, &s);
    assert_true(s.min == -3 && s.max == 2 && s.mean == 0 && s.zeros == 1 && s.not_finite == 2);
    assert_true(fabs(s.deviation - sqrt(14.0 / 4)) < 1e-15);
    t.count = 0;
    tensor_statistics(&t, &s);
    assert_true(s.min == 0 && s.max == 0 && s.mean == 0 && s.deviation == 0);
}

static void test_values_in_rows(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *r = sample_record();
    size_t at = 0;
    ASSERT_OK(tensor_values_print(record_find(r, "matrix"), &at, &t, &m), m);
    assert_int_equal(at, 6);
    text_is(&t, "0.5\t-1.25\t3e+38\n1e-40\t0\t7\n");
    at = 0;
    ASSERT_OK(tensor_values_print(record_find(r, "scalar"), &at, &t, &m), m);
    text_is(&t, "-3\n");
    at = 0;
    ASSERT_OK(tensor_values_print(record_find(r, "empty"), &at, &t, &m), m);
    text_is(&t, "");
    struct tensor *large;
    ASSERT_OK(record_add(r, "large", DTYPE_U8, 1, (int64_t[]){100000}, &large, &m), m);
    int pieces = 0;
    for (at = 0; at < large->count; pieces++) {
        ASSERT_OK(tensor_values_print(large, &at, &t, &m), m);
        assert_true(t.length <= 70000);
        text_clear(&t);
    }
    assert_int_equal(pieces, 4);
    text_free(&t);
    record_free(r);
}

static void test_show(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *r = sample_record();
    int64_t bound = 1 << 20, over = (int64_t)1 << 31, none = 0;
    ASSERT_OK(record_set(r, "note", "escape \033[2J", &m), m);
    ASSERT_OK(record_set(r, "made-by", "a\nb\nc", &m), m);
    ASSERT_OK(record_set(r, "graph", "x = input\n", &m), m);
    ASSERT_OK(record_add_copy(r, "conv1.accumulator_bound", DTYPE_I64, 0, NULL, &bound, &m), m);
    ASSERT_OK(record_add_copy(r, "fc.accumulator_bound", DTYPE_I64, 0, NULL, &over, &m), m);
    ASSERT_OK(record_add_copy(r, "dead.accumulator_bound", DTYPE_I64, 0, NULL, &none, &m), m);
    ASSERT_OK(record_show(r, &t, &m), m);
    text_is(&t, "graph: 1 line\n"
                "kind: model\n"
                "made-by: 3 lines\n"
                "note: escape ?[2J\n"
                "bytes                    U8[5]                 5 bytes\n"
                "matrix                   F32[2,3]              24 bytes\n"
                "empty                    F32[0,3]              0 bytes\n"
                "scalar                   I64[]                 8 bytes\n"
                "conv1.accumulator_bound  I64[]                 8 bytes\n"
                "fc.accumulator_bound     I64[]                 8 bytes\n"
                "dead.accumulator_bound   I64[]                 8 bytes\n"
                "7 tensors, 15 elements, 61 bytes\n"
                "conv1: accumulator bound 1048576, margin 2048 (11.00 bits)\n"
                "fc: accumulator bound 2147483648, margin 1 (0.00 bits): OVERFLOWS\n"
                "dead: accumulator bound 0\n");
    ASSERT_OK(record_show_lines(r, "made-by", &t, &m), m);
    text_is(&t, "a\nb\nc\n");
    ASSERT_OK(record_show_lines(r, "graph", &t, &m), m);
    text_is(&t, "x = input\n");
    assert_int_equal(record_show_lines(r, "absent", &t, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "has no absent");
    text_free(&t);
    record_free(r);
}

static void test_show_tensor(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *r = sample_record();
    ASSERT_OK(tensor_show(record_find(r, "bytes"), &t, &m), m);
    text_is(&t, "bytes U8[5]: min 1 max 5 mean 3 deviation 1.41421 zeros 0\n");
    ((float *)record_find(r, "matrix")->data)[1] = NAN;
    ASSERT_OK(tensor_show(record_find(r, "matrix"), &t, &m), m);
    assert_non_null(strstr(t.data, " zeros 1 not-finite 1\n"));
    text_free(&t);
    record_free(r);
}

/* A stream of two batches with `labels` labels each, then an end record that says `said`. */
static void stream_save(const char *path, int64_t labels, const char *said)
{
    struct message m;
    struct record_writer *w;
    struct record *batch = record_new(&m), *end = record_new(&m);
    ASSERT_OK(record_set(batch, "kind", "batch", &m), m);
    ASSERT_OK(record_add(batch, "labels", DTYPE_U8, 1, &labels, NULL, &m), m);
    ASSERT_OK(record_set(end, "kind", "end", &m), m);
    ASSERT_OK(record_set(end, "images", said, &m), m);
    ASSERT_OK(writer_open(&w, path, &m), m);
    ASSERT_OK(writer_put(w, batch, &m), m);
    ASSERT_OK(writer_put(w, batch, &m), m);
    ASSERT_OK(writer_put(w, end, &m), m);
    ASSERT_OK(writer_commit(w, &m), m);
    record_free(batch);
    record_free(end);
}

static void test_check(void **state)
{
    (void)state;
    struct message m;
    struct file_summary s;
    struct text t = {0};
    const char *path = temporary_path("stream");
    stream_save(path, 3, "6");
    ASSERT_OK(record_check(path, &s, &m), m);
    assert_true(s.records == 2 && s.images == 6);
    ASSERT_OK(file_show(&s, &t, &m), m);
    assert_non_null(strstr(t.data, "the first of 2 batches, 6 images\n"));
    record_free(s.first);
    stream_save(path, 3, "7");
    assert_int_equal(record_check(path, &s, &m), STATUS_MISMATCH);
    assert_non_null(strstr(m.text, "record 3: field images: end record says 7, the stream held 6"));
    assert_null(s.first);
    stream_save(path, 3, "many");
    assert_int_equal(record_check(path, &s, &m), STATUS_RANGE);
    struct record *r = sample_record();
    ASSERT_OK(record_save(r, path, &m), m);
    ASSERT_OK(record_check(path, &s, &m), m);
    assert_true(s.records == 1 && s.images == 0);
    assert_same_content(r, s.first);
    record_free(s.first);
    record_free(r);
    text_free(&t);
}

static void test_compare_same(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *a = sample_record(), *b = record_copy(a, &m);
    ASSERT_OK(record_set(b, "crc32", "01234567", &m), m);
    ((float *)record_find(a, "matrix")->data)[0] = NAN;
    ((float *)record_find(b, "matrix")->data)[0] = NAN;
    assert_int_equal(record_compare(a, b, &t, &m), 1);
    text_is(&t, "");
    text_free(&t);
    record_free(a);
    record_free(b);
}

#define COMPARE_HEADER "what\tname\ta\tb\tmax_difference\tmean_difference\tsqnr_db\n"

static void test_compare_different(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *a = record_new(&m), *b = record_new(&m);
    float x[4] = {1, 2, 3, 4}, y[4] = {1, 2, 3, 4.5f};
    ASSERT_OK(record_add_copy(a, "w", DTYPE_F32, 1, (int64_t[]){4}, x, &m), m);
    ASSERT_OK(record_add_copy(b, "w", DTYPE_F32, 1, (int64_t[]){4}, y, &m), m);
    ASSERT_OK(record_add_copy(a, "s", DTYPE_F32, 1, (int64_t[]){4}, x, &m), m);
    ASSERT_OK(record_add_copy(b, "s", DTYPE_F32, 2, (int64_t[]){2, 2}, x, &m), m);
    ASSERT_OK(record_add_copy(a, "only-a", DTYPE_F32, 1, (int64_t[]){4}, x, &m), m);
    ASSERT_OK(record_add_copy(b, "only-b", DTYPE_U8, 0, NULL, "x", &m), m);
    ASSERT_OK(record_set(a, "made-by", "t 0.1.0 a=1\nq 0.1.0 abcdefghijklmnopqrstuvwxyz=7 b=1\nz", &m), m);
    ASSERT_OK(record_set(b, "made-by", "t 0.1.0 a=1\nq 0.1.0 abcdefghijklmnopqrstuvwxyz=8 b=1\nz", &m), m);
    ASSERT_OK(record_set(a, "stage", "float", &m), m);
    ASSERT_OK(record_set(b, "extra", "new", &m), m);
    assert_int_equal(record_compare(a, b, &t, &m), 0);
    text_is(&t, COMPARE_HEADER
            "metadata\tmade-by\t...hijklmnopqrstuvwxyz=7 b=1\t...hijklmnopqrstuvwxyz=8 b=1\t-\t-\t-\n"
            "metadata\tstage\tfloat\t-\t-\t-\t-\n"
            "metadata\textra\t-\tnew\t-\t-\t-\n"
            "tensor\tw\tF32[4]\tF32[4]\t0.5\t0.125\t20.79\n" /* 10 log10(30 / 0.25) */
            "tensor\ts\tF32[4]\tF32[2,2]\t-\t-\t-\n"
            "tensor\tonly-a\tF32[4]\t-\t-\t-\t-\n"
            "tensor\tonly-b\t-\tU8[]\t-\t-\t-\n");
    text_free(&t);
    record_free(a);
    record_free(b);
}

/* int8 weights count as what they stand for: scale of their output channel times code. */
static void test_compare_quantized(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    struct record *a = record_new(&m), *b = record_new(&m);
    float w[4] = {10, -20, 1.5f, 2};
    int8_t q[4] = {100, -127, 3, 4};
    float scale[2] = {0.1f, 0.5f};
    ASSERT_OK(record_add_copy(a, "c.weight", DTYPE_F32, 2, (int64_t[]){2, 2}, w, &m), m);
    ASSERT_OK(record_add_copy(b, "c.weight", DTYPE_I8, 2, (int64_t[]){2, 2}, q, &m), m);
    ASSERT_OK(record_add_copy(b, "c.weight_scale", DTYPE_F32, 1, (int64_t[]){2}, scale, &m), m);
    assert_int_equal(record_compare(a, b, &t, &m), 0);
    text_is(&t, COMPARE_HEADER "tensor\tc.weight\tF32[2,2]\tI8[2,2]\t7.3\t1.825\t9.78\n"
                               "tensor\tc.weight_scale\t-\tF32[2]\t-\t-\t-\n");
    text_free(&t);
    record_free(a);
    record_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_type), cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_values_in_rows),       cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_tensor),          cmocka_unit_test(test_check),
        cmocka_unit_test(test_compare_same),         cmocka_unit_test(test_compare_different),
        cmocka_unit_test(test_compare_quantized),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}
