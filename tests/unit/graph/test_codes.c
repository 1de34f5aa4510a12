/* Packed codes: every width, odd counts, against bits taken out one at a time; and what no file may hold. */
#include "samples.h"
#include "graph/codes.h"

/* The code at index i as FORMATS.md says it, bit by bit. */
static int code_by_bits(const uint8_t *packed, size_t i, int field)
{
    int value = 0;
    for (int b = 0; b < field; b++) {
        size_t bit = i * (size_t)field + (size_t)b;
        value |= (packed[bit / 8] >> bit % 8 & 1) << b;
    }
    return value >= 1 << (field - 1) ? value - (1 << field) : value;
}

static void test_round_trips(void **state)
{
    (void)state;
    enum { MOST = 77 };
    for (int bits = 2; bits <= 8; bits++) {
        int top = (1 << (bits - 1)) - 1, field = bits == 2 ? 2 : bits <= 4 ? 4 : 8;
        assert_int_equal(codes_field(bits), field);
        for (size_t count = 1; count <= MOST; count++) {
            int8_t codes[MOST], back[MOST];
            uint8_t packed[MOST + 1];
            for (size_t i = 0; i < count; i++)
                codes[i] = (int8_t)((int)((i * 31 + count * 7) % (size_t)(2 * top + 1)) - top);
            memset(packed, 0xaa, sizeof packed);
            codes_pack(codes, count, bits, packed);
            size_t bytes = codes_bytes(count, bits);
            assert_int_equal(bytes, (count * (size_t)field + 7) / 8);
            assert_int_equal(packed[bytes], 0xaa);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(code_by_bits(packed, i, field), codes[i]);
            for (size_t i = count * (size_t)field; i < 8 * bytes; i++)
                assert_int_equal(packed[i / 8] >> i % 8 & 1, 0);
            codes_unpack(packed, count, bits, back);
            assert_memory_equal(back, codes, count);
        }
    }
}

/* One tensor and how many bits it says. */
static int check(const uint8_t *packed, int64_t bytes, enum dtype dtype, uint8_t bits, int64_t rows,
                 struct message *m)
{
    struct record *r = record_new(m);
    const struct tensor *weight, *wide;
    assert_non_null(r);
    ASSERT_OK(record_add_copy(r, "x.weight", dtype, 1, &bytes, packed, m), *m);
    ASSERT_OK(record_add_copy(r, "x.weight_bits", DTYPE_U8, 0, NULL, &bits, m), *m);
    weight = record_find(r, "x.weight");
    wide = record_find(r, "x.weight_bits");
    int status = codes_check(weight, wide, 2, (const int64_t[]){rows, 3}, m);
    record_free(r);
    return status;
}

static void test_bad_ones_are_refused(void **state)
{
    (void)state;
    struct message m;
    const uint8_t good4[2] = {0x97, 0x01}, good3[2] = {0xd3, 0x00}, good2[1] = {0x0d};
    ASSERT_OK(check(good4, 2, DTYPE_U8, 4, 1, &m), m); /* 7, -7, 1 */
    ASSERT_OK(check(good3, 2, DTYPE_U8, 3, 1, &m), m); /* 3, -3, 0 */
    ASSERT_OK(check(good2, 1, DTYPE_U8, 2, 1, &m), m); /* 1, -1, 0 */
    ASSERT_FAILS(check(good4, 2, DTYPE_U8, 3, 1, &m), STATUS_RANGE, "x.weight: code 7 at index 0, want -3..3", m);
    ASSERT_FAILS(check((const uint8_t[]){0x87, 0x01}, 2, DTYPE_U8, 4, 1, &m), STATUS_RANGE,
                 "x.weight: code -8 at index 1", m);
    ASSERT_FAILS(check((const uint8_t[]){0x0e}, 1, DTYPE_U8, 2, 1, &m), STATUS_RANGE,
                 "x.weight: code -2 at index 0", m);
    ASSERT_FAILS(check((const uint8_t[]){0x97, 0x11}, 2, DTYPE_U8, 4, 1, &m), STATUS_RANGE,
                 "x.weight: bits behind the last code are not 0", m);
    ASSERT_FAILS(check((const uint8_t[]){0x4d}, 1, DTYPE_U8, 2, 1, &m), STATUS_RANGE, "bits behind the last code",
                 m);
    for (int bits = 0; bits < 256; bits++)
        if (bits < 2 || bits > 4)
            ASSERT_FAILS(check(good4, 2, DTYPE_U8, (uint8_t)bits, 1, &m), STATUS_RANGE, "want 2..4", m);
    ASSERT_FAILS(check(good4, 2, DTYPE_U8, 4, 2, &m), STATUS_MISMATCH,
                 "got U8[2], want U8[3] for 6 codes of 4 bits", m);
    ASSERT_FAILS(check(good4, 2, DTYPE_I8, 4, 1, &m), STATUS_MISMATCH, "got I8[2], want U8[2]", m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_bad_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
