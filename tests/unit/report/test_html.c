#include "check.h"
#include "base/memory.h"
#include "report/html.h"

/* What html_put makes of s in a form. */
static void escaped(enum html_form form, const char *s, const char *want)
{
    struct message m;
    struct html h = {.form = form, .m = &m};
    html_put(&h, "<%s>", s);
    ASSERT_OK(h.status, m);
    h.text.data[h.text.length - 1] = '\0';
    assert_string_equal(h.text.data + 1, want);
    html_free(&h);
}

#define FFFD "\xEF\xBF\xBD"

static void test_text_and_attributes(void **state)
{
    (void)state;
    escaped(HTML_PAGE, "<script>alert(\"1\")</script>", "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    escaped(HTML_PAGE, "' onload='x", "&#39; onload=&#39;x");
    escaped(HTML_PAGE, "&lt; &amp; &", "&amp;lt; &amp;amp; &amp;");
    escaped(HTML_PAGE, "]]></svg>", "]]&gt;&lt;/svg&gt;");
    escaped(HTML_PAGE, "a\tb\r\nc", "a b  c");
    escaped(HTML_PAGE, "M\xC3\xBCller \xE7\x8C\xAB \xF0\x9F\x90\x88",
            "M\xC3\xBCller \xE7\x8C\xAB \xF0\x9F\x90\x88");
    escaped(HTML_PAGE, "", "");
}

static void test_what_is_no_text_is_replaced(void **state)
{
    (void)state;
    escaped(HTML_PAGE, "\x01\x1b[31m\x7f", FFFD FFFD "[31m" FFFD);
    escaped(HTML_PAGE, "\xC2\x85", FFFD);                                 /* C1 */
    escaped(HTML_PAGE, "\xE2\x80\xAEgnp", FFFD "gnp");                    /* right-to-left override */
    escaped(HTML_PAGE, "\xE2\x80\xA8\xE2\x81\xA6", FFFD FFFD);            /* line separator, isolate */
    escaped(HTML_PAGE, "\xEF\xBF\xBE\xEF\xB7\x90", FFFD FFFD);            /* no characters */
    escaped(HTML_PAGE, "\xC0\xBC\xFF\xE2\x82", FFFD FFFD FFFD FFFD FFFD); /* overlong '<', bytes, a cut sequence */
}

/* No byte, whatever stands around it, comes out as markup. */
static void test_every_byte(void **state)
{
    (void)state;
    static const enum html_form forms[] = {HTML_PAGE, HTML_MARKDOWN};
    for (int f = 0; f < 2; f++)
        for (int byte = 1; byte < 256; byte++) {
            struct message m;
            struct html h = {.form = forms[f], .m = &m};
            char s[] = {'x', (char)byte, '<', '\0'};
            html_put(&h, "%s", s);
            ASSERT_OK(h.status, m);
            assert_null(strpbrk(h.text.data, "<>"));
            for (const char *c = h.text.data; *c; c++)
                assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
            html_free(&h);
        }
}

static void test_markdown_and_yaml(void **state)
{
    (void)state;
    escaped(HTML_MARKDOWN, "a|b `c` *d* [e](f) <g> h\\\ni", "a\\|b \\`c\\` \\*d\\* \\[e\\](f) &lt;g&gt; h\\\\ i");
    escaped(HTML_YAML, "a\"b\\c\nd\te<f>&'", "a\\\"b\\\\c\\nd\\te<f>&'");
    escaped(HTML_YAML, "\x01---", FFFD "---");
}

static void test_lengths(void **state)
{
    (void)state;
    struct message m;
    struct html h = {.m = &m};
    html_put(&h, "%.3s|%.3s|%.3s|%.1s|%s", "abc", "abcd", "\xE7\x8C\xAB<&>", "<<", "");
    ASSERT_OK(h.status, m);
    assert_string_equal(h.text.data, "abc|ab\xE2\x80\xA6|\xE7\x8C\xAB&lt;\xE2\x80\xA6|\xE2\x80\xA6|");
    html_free(&h);
}

static void test_numbers(void **state)
{
    (void)state;
    struct message m;
    struct html h = {.m = &m};
    html_put(&h, "%d %lld %zu %+.2f %.3g %c %% %f", -7, 1LL << 40, (size_t)9, 0.125, 1e-9, 'q', 1e300);
    ASSERT_OK(h.status, m);
    char want[512];
    snprintf(want, sizeof want, "-7 1099511627776 9 +0.12 1e-09 q %% %f", 1e300);
    assert_string_equal(h.text.data, want);
    html_free(&h);
}

static void test_data(void **state)
{
    (void)state;
    static const char *const want[] = {"data:x/y;base64,",
                                       "data:x/y;base64,AA==", "data:x/y;base64,AP8=", "data:x/y;base64,AP9h",
                                       "data:x/y;base64,AP9hPA=="};
    static const unsigned char bytes[] = {0, 255, 'a', '<'};
    for (size_t count = 0; count <= sizeof bytes; count++) {
        struct message m;
        struct html h = {.m = &m};
        html_data(&h, "x/y", bytes, count);
        ASSERT_OK(h.status, m);
        assert_string_equal(h.text.data, want[count]);
        html_free(&h);
    }
}

static int is_out(size_t bytes)
{
    return bytes > 1000;
}

/* The first failure stays, nothing is written after it, and it is said once. */
static void test_a_failure_stays(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct html h = {.m = &m};
    html_put(&h, "%s", "short");
    memory_test_hook = is_out;
    for (int i = 0; i < 1000; i++)
        html_put(&h, "<td>%s</td>", "& more");
    memory_test_hook = NULL;
    assert_int_equal(h.status, STATUS_NOMEM);
    size_t length = h.text.length;
    html_put(&h, "%d %s", 1, "x");
    html_raw(&h, "x");
    html_base64(&h, "abc", 3);
    assert_int_equal(h.text.length, length);
    assert_non_null(strstr(m.text, "memory exhausted"));
    html_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_attributes),
        cmocka_unit_test(test_what_is_no_text_is_replaced),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_markdown_and_yaml),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_a_failure_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
