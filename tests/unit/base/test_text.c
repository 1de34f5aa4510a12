#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/utf8.h"

static void test_text_grows(void **state)
{
    (void)state;
    struct message m;
    struct text t = {0};
    for (int i = 0; i < 5000; i++)
        assert_int_equal(text_add(&t, &m, "%d,", i % 10), 0);
    assert_int_equal(t.length, 10000);
    assert_memory_equal(t.data, "0,1,2,3,4,5,6,7,8,9,0,", 22);
    assert_int_equal(t.data[10000], 0);
    text_clear(&t);
    assert_int_equal(text_add_bytes(&t, "a\0b", 3, &m), 0);
    assert_memory_equal(t.data, "a\0b\0", 4);
    assert_int_equal(text_add_bytes(&t, "", SIZE_MAX, &m), STATUS_NOMEM);
    text_free(&t);
    text_clear(&t);
    assert_null(t.data);
}

static void integer_refused(const char *s, int64_t low, int64_t high, const char *text)
{
    struct message m = {{0}};
    int64_t v = 77;
    assert_int_equal(parse_integer(s, low, high, "epochs", &v, &m), STATUS_RANGE);
    assert_string_equal(m.text, text);
    assert_true(v == 77);
}

static void test_integers(void **state)
{
    (void)state;
    struct message m;
    int64_t v;
    assert_int_equal(parse_integer("-12", -20, 20, "x", &v, &m), 0);
    assert_true(v == -12);
    assert_int_equal(parse_integer("9223372036854775807", INT64_MIN, INT64_MAX, "x", &v, &m), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(parse_integer("-9223372036854775808", INT64_MIN, INT64_MAX, "x", &v, &m), 0);
    assert_true(v == INT64_MIN);
    integer_refused("", 0, 9, "epochs: '' is not an integer");
    integer_refused("12abc", 0, 99, "epochs: '12abc' is not an integer");
    integer_refused(" 1", 0, 9, "epochs: ' 1' is not an integer");
    integer_refused("+1", 0, 9, "epochs: '+1' is not an integer");
    integer_refused("0x10", 0, 99, "epochs: '0x10' is not an integer");
    integer_refused("-", 0, 9, "epochs: '-' is not an integer");
    integer_refused("1.0", 0, 9, "epochs: '1.0' is not an integer");
    integer_refused("0", 1, 9, "epochs: '0' is not in 1..9");
    integer_refused("10", 1, 9, "epochs: '10' is not in 1..9");
    integer_refused("9223372036854775808", 0, INT64_MAX,
                    "epochs: '9223372036854775808' is not in 0..9223372036854775807");
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-1.5", ".5", "5.", "1e-5", "1E+5", "00.1", "123456789"};
    static const double values[] = {0, -1.5, .5, 5., 1e-5, 1e5, .1, 123456789};
    static const char *const bad[] = {"",    "-",  ".",  "e5",    "1e", "1e+", "inf",  "nan", "-nan",     "0x1p3",
                                      "1,5", "1 ", " 1", "1.2.3", "+1", "--1", "1e5x", "1_0", "infinity", "1e9999"};
    struct message m;
    double v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(parse_number(good[i], -1e9, 1e9, "x", &v, &m), 0);
        assert_true(v == values[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse_number(bad[i], -DBL_MAX, DBL_MAX, "x", &v, &m), STATUS_RANGE);
    assert_int_equal(parse_number("1.5", 0, 1, "momentum", &v, &m), STATUS_RANGE);
    assert_string_equal(m.text, "momentum: '1.5' is not in 0..1");
}

static void format_is(double value, const char *want)
{
    char s[32];
    format_number(s, value);
    assert_string_equal(s, want);
}

static void test_format_is_short_and_exact(void **state)
{
    (void)state;
    format_is(0.1, "0.1");
    format_is(1.0 / 3, "0.3333333333333333");
    format_is(100000, "100000");
    format_is(-0.0, "-0");
    format_is(1e-5, "1e-05");
    format_is(1e300, "1e+300");
    format_is(INFINITY, "inf");
    format_is(-INFINITY, "-inf");
    format_is(NAN, "nan");
    char s[32];
    format_number_f32(s, 0.1f);
    assert_string_equal(s, "0.1");
    struct random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)random_u32(&r) << 32 | random_u32(&r);
        uint32_t word = random_u32(&r);
        double d;
        float f;
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &word, sizeof f);
        if (!isfinite(d) || !isfinite(f))
            continue;
        format_number(s, d);
        assert_true(strlen(s) < 32 && strtod(s, NULL) == d);
        format_number_f32(s, f);
        assert_true(strlen(s) < 17 && strtof(s, NULL) == f);
    }
}

/* Compiles a locale with a decimal comma (a plain system has none) and switches to it. */
static int comma_locale_set(void)
{
    static const char source[] =
        "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n";
    char folder[] = "/tmp/resq-locale-XXXXXX", command[256], path[64];
    if (!mkdtemp(folder))
        return 0;
    snprintf(path, sizeof path, "%s/source", folder);
    FILE *f = fopen(path, "w");
    if (!f)
        return 0;
    fputs(source, f);
    fclose(f);
    snprintf(command, sizeof command, "localedef -c -i %s %s/xx_XX >/dev/null 2>&1", path, folder);
    int ignored = system(command); /* warns of the categories left out, with status 1 */
    setenv("LOCPATH", folder, 1);
    int found = setlocale(LC_NUMERIC, "xx_XX") && strcmp(localeconv()->decimal_point, ",") == 0;
    snprintf(command, sizeof command, "rm -r %s", folder);
    ignored = system(command);
    (void)ignored;
    return found;
}

static void test_decimal_comma_changes_nothing(void **state)
{
    (void)state;
    if (!comma_locale_set())
        skip();
    char probe[16];
    snprintf(probe, sizeof probe, "%.1f", 1.5);
    assert_string_equal(probe, "1,5"); /* the locale is really on */
    struct message m;
    struct text t = {0};
    double v;
    assert_int_equal(parse_number("1.5", 0, 2, "x", &v, &m), 0);
    assert_true(v == 1.5);
    assert_int_equal(parse_number("1,5", 0, 2, "x", &v, &m), STATUS_RANGE);
    format_is(1.5, "1.5");
    assert_true(round_decimals(0.26, 1) == 0.3);
    assert_int_equal(text_add(&t, &m, "%.2f", 1.5), 0);
    assert_string_equal(t.data, "1.50");
    text_free(&t);
    message_set(&m, 0, "%.1f", 2.5);
    assert_string_equal(m.text, "2.5");
    char *s = memory_printf(&m, "%g", 0.25);
    assert_string_equal(s, "0.25");
    memory_free(s);
    setlocale(LC_ALL, "C");
}

/* As printed, halves by the double's own value: 0.125 is one, 1.005 is less than it says. */
static void test_round_decimals(void **state)
{
    (void)state;
    assert_true(round_decimals(250.0 / 3, 3) == 83.333);
    assert_true(round_decimals(-250.0 / 3, 0) == -83);
    assert_true(round_decimals(0.125, 2) == 0.12 && round_decimals(1.005, 2) == 1);
    assert_true(round_decimals(0.1 + 0.2, 4) == 0.3);
    assert_true(round_decimals(1e300, 2) == 1e300 && isnan(round_decimals((double)NAN, 1)));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "\xc3\xa9", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "a\xe2\x82",
                                      "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_is_utf8(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_format_is_short_and_exact),
        cmocka_unit_test(test_round_decimals),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_decimal_comma_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
