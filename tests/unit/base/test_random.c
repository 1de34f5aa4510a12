/* Philox4x32-10 against the known answers that its authors publish (Random123, kat_vectors), and draws. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "base/random.h"

static void test_known_answers(void **state)
{
    (void)state;
    static const uint32_t vectors[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32(vectors[i], vectors[i] + 4, out);
        for (int j = 0; j < 4; j++)
            assert_int_equal(out[j], vectors[i][6 + j]);
    }
}

/* Reproducibility: these first draws are part of every result ever published and never change. */
static void test_streams_are_pinned(void **state)
{
    (void)state;
    struct random_stream r = random_open(0x0123456789abcdef, RANDOM_CROP, 3, 0x100000002);
    uint32_t key[2] = {0x89abcdef, 0x01234567}, name[4] = {RANDOM_CROP, 3, 2, 1}, derived[4], want[4];
    philox4x32(name, key, derived);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t counter[4] = {block, 0, derived[2], derived[3]};
        philox4x32(counter, derived, want);
        for (int i = 0; i < 4; i++)
            assert_int_equal(random_u32(&r), want[i]);
    }
}

static void test_streams_differ_by_every_name(void **state)
{
    (void)state;
    struct random_stream s[] = {random_open(1, 1, 1, 1),
                                random_open(2, 1, 1, 1),
                                random_open(1, 2, 1, 1),
                                random_open(1, 1, 2, 1),
                                random_open(1, 1, 1, 2),
                                random_open(1, 1, 1, (uint64_t)1 << 32 | 1),
                                random_open((uint64_t)1 << 32 | 1, 1, 1, 1)};
    uint64_t first[7];
    for (int i = 0; i < 7; i++) {
        first[i] = (uint64_t)random_u32(&s[i]) << 32 | random_u32(&s[i]);
        for (int j = 0; j < i; j++)
            assert_true(first[i] != first[j]);
    }
}

static void test_block_counter_carries(void **state)
{
    (void)state;
    struct random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    r.counter[0] = 0xffffffff;
    for (int i = 0; i < 5; i++)
        (void)random_u32(&r);
    assert_int_equal(r.counter[0], 1);
    assert_int_equal(r.counter[1], 1);
}

static void test_below_is_uniform_and_bounded(void **state)
{
    (void)state;
    struct random_stream r = random_open(7, RANDOM_TEST, 0, 0);
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[random_below(&r, 7)]++;
    double chi = 0;
    for (int i = 0; i < 7; i++)
        chi += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000;
    assert_true(chi < 22.5); /* 6 degrees of freedom, p = 0.001 */
    for (int i = 0; i < 100; i++)
        assert_int_equal(random_below(&r, 1), 0);
    /* at 3/4 of the range a plain multiply or remainder favours one third twofold */
    uint32_t bound = 0xC0000000u;
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += random_below(&r, bound) % 3 == 0;
    assert_true(abs(low - 10000) < 350);
}

static void test_uniform_and_normal_moments(void **state)
{
    (void)state;
    struct random_stream r = random_open(8, RANDOM_TEST, 0, 0);
    enum { N = 200000 };
    double sum = 0, square = 0, normal = 0, normal_square = 0, fourth = 0;
    for (int i = 0; i < N; i++) {
        double u = random_uniform(&r), z = random_normal(&r);
        assert_true(u >= 0 && u < 1 && isfinite(z));
        sum += u;
        square += u * u;
        normal += z;
        normal_square += z * z;
        fourth += z * z * z * z;
    }
    assert_true(fabs(sum / N - 0.5) < 0.003);
    assert_true(fabs(square / N - 1.0 / 3) < 0.003);
    assert_true(fabs(normal / N) < 0.01);
    assert_true(fabs(normal_square / N - 1) < 0.015);
    assert_true(fabs(fourth / N - 3) < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_streams_are_pinned),
        cmocka_unit_test(test_streams_differ_by_every_name),
        cmocka_unit_test(test_block_counter_carries),
        cmocka_unit_test(test_below_is_uniform_and_bounded),
        cmocka_unit_test(test_uniform_and_normal_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
