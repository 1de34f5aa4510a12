/* One value of a block: what becomes of it in bf16, and in planes of it. */
#include "tests/unit/kernel/blocks.h"

static void test_rounding(void **state)
{
    (void)state;
    for (uint32_t high = 0x0080; high < 0x7f7f; high++) { /* between two neighbours, both normal */
        float low = bf16_to_float((bf16)high), next = bf16_to_float((bf16)(high + 1));
        float half = (float)(((double)low + (double)next) / 2);
        assert_int_equal(bf16_from_float(low), high);
        assert_int_equal(bf16_from_float(half), high % 2 ? high + 1 : high);
        assert_int_equal(bf16_from_float(nextafterf(half, 0)), high);
        assert_int_equal(bf16_from_float(nextafterf(half, next)), high + 1);
        assert_int_equal(bf16_from_float(-nextafterf(half, next)), 0x8000 | (high + 1));
    }
    assert_int_equal(bf16_from_float(FLT_MAX), 0x7f80);
    assert_int_equal(bf16_from_float(FLT_MIN / 2), 0);
    assert_int_equal(bf16_from_float(-FLT_MIN / 2), 0x8000);
    assert_true(isnan(bf16_to_float(bf16_from_float(NAN))));
    uint32_t bits = 0x7f800001; /* the least of them must not become infinity */
    float least;
    memcpy(&least, &bits, sizeof least);
    assert_true(isnan(bf16_to_float(bf16_from_float(least))));
}

static void test_planes_are_exact(void **state)
{
    (void)state;
    float *v = floats_new(5000, 3);
    for (int i = 0; i < 5000; i++) {
        bf16 p[3 * 7];
        float x = ldexpf(v[i], i % 180 - 90);
        planes_store(x, p, 7, 3);
        assert_true(planes_load(p, 7, 3) == x);
        assert_true(bf16_to_float(p[0]) == bf16_to_float(bf16_from_float(x)));
        planes_store(x, p + 1, 7, 1);
        assert_true(planes_load(p + 1, 7, 1) == bf16_to_float(bf16_from_float(x)));
    }
    memory_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_planes_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
