/* Records in memory: tensors, metadata, kinds. */
#include "samples.h"

static void test_types(void **state)
{
    (void)state;
    static const char *const names[] = {"BOOL", "U8",  "I8",  "U16", "I16", "F16", "BF16",
                                        "U32",  "I32", "F32", "U64", "I64", "F64"};
    static const size_t sizes[] = {1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8};
    for (int d = 0; d < DTYPE_COUNT; d++) {
        assert_string_equal(dtype_name((enum dtype)d), names[d]);
        assert_int_equal(dtype_size((enum dtype)d), sizes[d]);
        assert_int_equal(dtype_parse(names[d]), d);
    }
    assert_int_equal(dtype_parse("f32"), -1);
    assert_int_equal(dtype_parse(""), -1);
}

static void test_add_find_remove(void **state)
{
    (void)state;
    struct message m;
    struct record *r = sample_record();
    struct tensor *t;
    ASSERT_OK(record_add(r, "new", DTYPE_F64, 3, (int64_t[]){2, 1, 4}, &t, &m), m);
    assert_int_equal(t->count, 8);
    assert_int_equal(t->bytes, 64);
    for (int i = 0; i < 8; i++)
        assert_true(((double *)t->data)[i] == 0);
    for (size_t i = 0; i < r->tensor_count; i++)
        assert_int_equal((uintptr_t)r->tensors[i].data % 64, 0);
    void *data = record_find(r, "new")->data;
    record_remove(r, "bytes");
    record_remove(r, "bytes");
    assert_null(record_find(r, "bytes"));
    assert_ptr_equal(record_find(r, "new")->data, data); /* entries move, data does not */
    assert_int_equal(r->tensor_count, 4);
    record_free(r);
    record_free(NULL);
}

static void add_refused(struct record *r, const char *name, int rank, const int64_t *shape, int status,
                        const char *text)
{
    struct message m = {{0}};
    size_t before = r->tensor_count;
    assert_int_equal(record_add(r, name, DTYPE_F32, rank, shape, NULL, &m), status);
    assert_string_equal(m.text, text);
    assert_int_equal(r->tensor_count, before);
}

static void test_bad_tensors_are_refused(void **state)
{
    (void)state;
    struct record *r = sample_record();
    int64_t ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    add_refused(r, "bytes", 1, ones, STATUS_MISMATCH, "bytes: tensor exists already");
    add_refused(r, "x", 9, ones, STATUS_RANGE, "x: rank 9 is not in 0..8");
    add_refused(r, "x", -1, ones, STATUS_RANGE, "x: rank -1 is not in 0..8");
    add_refused(r, "x", 1, (int64_t[]){-2}, STATUS_RANGE, "x: dimension -2 is negative");
    add_refused(r, "x", 3, (int64_t[]){1 << 30, 1 << 30, 1 << 30}, STATUS_RANGE, "x: shape overflows");
    add_refused(r, "x", 3, (int64_t[]){INT64_MAX, INT64_MAX, 0}, STATUS_RANGE, "x: shape overflows");
    add_refused(r, "x", 1, (int64_t[]){INT64_MAX / 2}, STATUS_RANGE, "x: shape overflows");
    add_refused(r, "", 1, ones, STATUS_MISMATCH, "'' cannot name a tensor");
    add_refused(r, "__metadata__", 1, ones, STATUS_MISMATCH, "'__metadata__' cannot name a tensor");
    add_refused(r, "a\xff", 1, ones, STATUS_MISMATCH, "'a\\xff' cannot name a tensor");
    record_free(r);
}

static void test_borrowed_memory_stays_the_callers(void **state)
{
    (void)state;
    struct message m;
    float mine[4] = {1, 2, 3, 4};
    struct record *r = record_new(&m), *copy;
    ASSERT_OK(record_add_borrowed(r, "w", DTYPE_F32, 1, (int64_t[]){4}, mine, &m), m);
    assert_ptr_equal(record_find(r, "w")->data, mine);
    copy = record_copy(r, &m);
    record_free(r);
    mine[0] = 9;
    assert_true(((float *)record_find(copy, "w")->data)[0] == 1);
    record_free(copy);
}

static void test_require_says_got_and_want(void **state)
{
    (void)state;
    struct message m;
    struct record *r = sample_record();
    struct tensor *t = NULL;
    char text[192];
    ASSERT_OK(record_require(r, "matrix", DTYPE_F32, 2, (int64_t[]){-1, 3}, &t, &m), m);
    assert_ptr_equal(t, record_find(r, "matrix"));
    ASSERT_OK(record_require(r, "scalar", DTYPE_I64, 0, NULL, NULL, &m), m);
    assert_int_equal(record_require(r, "matrix", DTYPE_F32, 2, (int64_t[]){3, -1}, &t, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "matrix: got F32[2,3], want F32[3,N]");
    assert_int_equal(record_require(r, "matrix", DTYPE_I8, 1, (int64_t[]){6}, &t, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "matrix: got F32[2,3], want I8[6]");
    assert_int_equal(record_require(r, "none", DTYPE_F32, 0, NULL, &t, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "none: missing tensor");
    tensor_describe(record_find(r, "scalar"), text);
    assert_string_equal(text, "I64[]");
    struct tensor widest = {.dtype = DTYPE_BF16, .rank = 8};
    for (int i = 0; i < 8; i++)
        widest.shape[i] = INT64_MAX;
    tensor_describe(&widest, text);
    assert_true(strlen(text) < sizeof text);
    record_free(r);
}

static void test_metadata(void **state)
{
    (void)state;
    struct message m;
    struct record *a = sample_record(), *b = record_new(&m);
    assert_null(record_get(a, "absent"));
    ASSERT_OK(record_set(a, "note", "short", &m), m);
    assert_string_equal(record_get(a, "note"), "short");
    ASSERT_OK(record_setf(a, "long", &m, "%0300d", 7), m);
    assert_int_equal(strlen(record_get(a, "long")), 300);
    assert_int_equal(record_set(a, "note", "\xc3", &m), STATUS_MISMATCH);
    assert_int_equal(record_set(a, "\xc3", "x", &m), STATUS_MISMATCH);
    ASSERT_OK(record_set(a, "crc32", "01234567", &m), m);
    ASSERT_OK(record_set(b, "note", "kept", &m), m);
    ASSERT_OK(record_inherit(b, a, &m), m);
    assert_string_equal(record_get(b, "note"), "kept");
    assert_non_null(record_get(b, "long"));
    assert_null(record_get(b, "kind"));
    assert_null(record_get(b, "crc32"));
    record_unset(a, "long");
    record_unset(a, "long");
    assert_null(record_get(a, "long"));
    record_free(a);
    record_free(b);
}

static void test_kinds(void **state)
{
    (void)state;
    struct message m;
    struct record *r = record_new(&m);
    assert_string_equal(record_kind(r), "");
    assert_int_equal(record_require_kind(r, "model", &m), 0); /* a file from elsewhere is taken as a model */
    assert_int_equal(record_require_kind(r, "ranges", &m), STATUS_MISMATCH);
    ASSERT_OK(record_set(r, "kind", "ranges", &m), m);
    assert_int_equal(record_require_kind(r, "ranges", &m), 0);
    assert_int_equal(record_require_kind(r, "model", &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "is a ranges record, want a model record");
    assert_int_equal(record_require_kind(r, "end", &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "is a ranges record, want an end record");
    record_free(r);
}

static void test_copy_is_deep(void **state)
{
    (void)state;
    struct message m;
    struct record *a = sample_record(), *b = record_copy(a, &m);
    assert_non_null(b);
    assert_same_content(a, b);
    assert_string_equal(record_get(b, "note"), record_get(a, "note"));
    ((uint8_t *)record_find(a, "bytes")->data)[0] = 99;
    assert_int_equal(((uint8_t *)record_find(b, "bytes")->data)[0], 1);
    record_free(a);
    record_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_add_find_remove),
        cmocka_unit_test(test_bad_tensors_are_refused),
        cmocka_unit_test(test_borrowed_memory_stays_the_callers),
        cmocka_unit_test(test_require_says_got_and_want),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_copy_is_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
