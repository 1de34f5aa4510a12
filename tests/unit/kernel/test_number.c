/* 16-bit floats: widening and rounding against their definition, all values of the one and every kind of the other.
 */
#include "kernel/contract/number.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* A half from its definition. */
static double half_value(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits >> 15 ? -v : v;
}

static void test_half_widens(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        float v = half_widen((struct half16){(uint16_t)bits});
        if ((bits & 0x7c00) != 0x7c00) {
            assert_true((double)v == half_value(bits));
            assert_int_equal(signbit(v) != 0, bits >> 15);
        } else if (bits & 0x3ff) {
            assert_true(isnan(v));
        } else {
            assert_true(isinf(v) && (signbit(v) != 0) == (bits >> 15 != 0));
        }
    }
}

/* The way back is exact; a value between two neighbours goes to the nearer, half-way to the even one. */
static void test_half_rounds(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x7bff; bits++) {
        double low = half_value(bits), high = half_value(bits + 1);
        double middle = (low + high) / 2;
        unsigned even = bits & 1 ? bits + 1 : bits;
        for (unsigned sign = 0; sign < 2; sign++) {
            double s = sign ? -1 : 1;
            assert_int_equal(half_round((float)(s * low)).bits, sign << 15 | bits);
            assert_int_equal(half_round((float)(s * middle)).bits, sign << 15 | even);
            assert_int_equal(half_round(nextafterf((float)(s * middle), 0)).bits, sign << 15 | bits);
            assert_int_equal(half_round(nextafterf((float)(s * middle), (float)(s * high))).bits,
                             sign << 15 | (bits + 1));
        }
    }
}

static void test_half_ends(void **state)
{
    (void)state;
    assert_int_equal(half_round(65504).bits, 0x7bff);
    assert_int_equal(half_round(65519.996f).bits, 0x7bff);
    assert_int_equal(half_round(65520).bits, 0x7c00);
    assert_int_equal(half_round(-1e30f).bits, 0xfc00);
    assert_int_equal(half_round(INFINITY).bits, 0x7c00);
    assert_int_equal(half_round(0x1p-25f).bits, 0);
    assert_int_equal(half_round(0x1.8p-25f).bits, 1);
    assert_int_equal(half_round(-1e-30f).bits, 0x8000);
    assert_true(isnan(half_widen(half_round(NAN))));
}

static void test_brain(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        float v = brain_widen((struct brain16){(uint16_t)bits});
        if (isnan(v)) {
            assert_true(isnan(brain_widen(brain_round(v))));
            continue;
        }
        assert_int_equal(brain_round(v).bits, bits);
        if ((bits & 0x7fff) >= 0x7f7f)
            continue;
        /* The float's lower half: half-way to the even neighbour. */
        unsigned upper = bits << 16, even = bits & 1 ? bits + 1 : bits;
        assert_int_equal(brain_round(float_from_bits(upper | 0x7fff)).bits, bits);
        assert_int_equal(brain_round(float_from_bits(upper | 0x8000)).bits, even);
        assert_int_equal(brain_round(float_from_bits(upper | 0x8001)).bits, bits + 1);
    }
    assert_int_equal(brain_round(3.4e38f).bits, 0x7f80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half_widens), cmocka_unit_test(test_half_rounds),
                                       cmocka_unit_test(test_half_ends), cmocka_unit_test(test_brain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
