#include "samples.h"
#include "record/digest.h"
#include "record/lineage.h"

static void test_line_is_sorted_and_splits_at_spaces(void **state)
{
    (void)state;
    struct message m;
    struct lineage l = {.message = &m};
    struct record *r = record_new(&m);
    lineage_add(&l, "seed", "%d", 7);
    lineage_add(&l, "batch-size", "%s", "128");
    lineage_add(&l, "batch", "%s", "a b\tc\n%");
    lineage_add_number(&l, "rate", 0.1);
    lineage_add(&l, "empty", "%s", "");
    ASSERT_OK(lineage_apply(r, NULL, "train-fp32", &l, NULL, 0, &m), m);
    assert_string_equal(record_get(r, "made-by"),
                        "train-fp32 " RESQ_VERSION " batch=a%20b%20c%20% batch-size=128 empty= rate=0.1 seed=7");
    lineage_free(&l);
    record_free(r);
}

static void test_history_and_side_inputs(void **state)
{
    (void)state;
    struct message m;
    struct lineage l = {.message = &m};
    struct record *in = record_new(&m), *side = record_new(&m), *bare = record_new(&m), *out = record_new(&m);
    ASSERT_OK(record_set(in, "made-by", "cifar-load 0.1.0 seed=1\naugment 0.1.0 crop=4", &m), m);
    ASSERT_OK(record_set(side, "made-by", "train-fp32 0.1.0 a=b\n  cifar-load 0.1.0\nfuse 0.1.0", &m), m);
    lineage_add(&l, "x", "1");
    const struct record *sides[] = {side, bare};
    ASSERT_OK(lineage_apply(out, in, "calibrate", &l, sides, 2, &m), m);
    const char *want = "cifar-load 0.1.0 seed=1\naugment 0.1.0 crop=4\ncalibrate " RESQ_VERSION " x=1\n"
                       "  train-fp32 0.1.0 a=b\n    cifar-load 0.1.0\n  fuse 0.1.0";
    assert_string_equal(record_get(out, "made-by"), want);
    ASSERT_OK(lineage_apply(in, in, "calibrate", &l, sides, 2, &m), m); /* in place */
    assert_string_equal(record_get(in, "made-by"), want);
    lineage_free(&l);
    record_free(in);
    record_free(side);
    record_free(bare);
    record_free(out);
}

static int fail_always(size_t bytes)
{
    (void)bytes;
    return 1;
}

static void test_failure_sticks(void **state)
{
    (void)state;
    struct message m, other;
    struct lineage l = {.message = &m};
    struct record *r = record_new(&m);
    for (int i = 0; i < 70; i++)
        lineage_add(&l, "k", "%d", i);
    assert_int_equal(lineage_apply(r, NULL, "t", &l, NULL, 0, &other), STATUS_RANGE);
    assert_string_equal(other.text, "lineage: more than 64 options");
    assert_null(record_get(r, "made-by"));
    lineage_free(&l);
    l.message = &m;
    memory_test_hook = fail_always;
    lineage_add(&l, "a", "b");
    memory_test_hook = NULL;
    lineage_add(&l, "c", "d");
    assert_int_equal(lineage_apply(r, NULL, "t", &l, NULL, 0, &other), STATUS_NOMEM);
    lineage_free(&l);
    record_free(r);
}

/* FIPS 180-4's example and the CRC catalogue's check value. */
static void test_digests_are_the_standard_ones(void **state)
{
    (void)state;
    struct message m;
    char hex[DIGEST_HEX];
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    digest_bytes("abc", 3, hex);
    assert_string_equal(hex, abc);
    struct digest *d = digest_new(&m);
    digest_add(d, "a", 1);
    digest_add(d, NULL, 0);
    digest_add(d, "bc", 2);
    digest_finish(d, hex);
    assert_string_equal(hex, abc);
    file_write(temporary_path("abc"), "abc", 3);
    ASSERT_OK(digest_file(temporary_path("abc"), hex, &m), m);
    assert_string_equal(hex, abc);
    assert_int_equal(digest_file(temporary_path("absent"), hex, &m), STATUS_IO);
    assert_true(digest_crc32(0, "123456789", 9) == 0xCBF43926u);
    assert_true(digest_crc32(digest_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926u);
    assert_true(digest_crc32(5, NULL, 0) == 5);
}

static void test_record_digest_sees_everything_but_the_crc(void **state)
{
    (void)state;
    struct message m;
    struct record *r = sample_record();
    char before[DIGEST_HEX], after[DIGEST_HEX];
    ASSERT_OK(digest_record(r, before, &m), m);
    ASSERT_OK(record_set(r, "crc32", "12345678", &m), m);
    ASSERT_OK(record_set(r, "format", "pt", &m), m); /* writing sets ours */
    ASSERT_OK(digest_record(r, after, &m), m);
    assert_string_equal(before, after);
    ASSERT_OK(record_set(r, "note", "else", &m), m);
    ASSERT_OK(digest_record(r, after, &m), m);
    assert_string_not_equal(before, after);
    record_free(r);
    r = sample_record();
    ((uint8_t *)record_find(r, "bytes")->data)[4] ^= 1;
    ASSERT_OK(digest_record(r, after, &m), m);
    assert_string_not_equal(before, after);
    record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_is_sorted_and_splits_at_spaces),
        cmocka_unit_test(test_history_and_side_inputs),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_digests_are_the_standard_ones),
        cmocka_unit_test(test_record_digest_sees_everything_but_the_crc),
    };
    return cmocka_run_group_tests(tests, NULL, temporary_folder_remove);
}
