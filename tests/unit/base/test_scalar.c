/* Scalars: what a value becomes as a code. */
#include "base/scalar.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_codes_are_rounded_to_even_and_clamped(void **state)
{
    (void)state;
    static const struct {
        float v;
        uint8_t zero_point, low, high, want;
    } cases[] = {
        {0.5f, 10, 0, 255, 10},     {1.5f, 10, 0, 255, 12},
        {2.5f, 10, 0, 255, 12},     {-0.5f, 10, 0, 255, 10},
        {-1.5f, 10, 0, 255, 8},     {-2.5f, 10, 0, 255, 8},
        {0.5f, 1, 0, 255, 1},       {0.49999997f, 1, 0, 255, 1},
        {3e38f, 128, 0, 255, 255},  {-3e38f, 128, 0, 255, 0},
        {INFINITY, 0, 0, 255, 255}, {-INFINITY, 255, 0, 255, 0},
        {NAN, 7, 3, 255, 3},        {-1.0f, 77, 77, 255, 77},
        {200.0f, 0, 0, 15, 15},     {1073741824.0f, 0, 0, 255, 255},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(code_round(cases[i].v, cases[i].zero_point, cases[i].low, cases[i].high), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_rounded_to_even_and_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
