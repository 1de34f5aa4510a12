/* Messages: one line, whatever is put into them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/status.h"

static void test_set_formats_and_returns_code(void **state)
{
    (void)state;
    struct message m = {{0}};
    assert_int_equal(message_set(&m, STATUS_FORMAT, "%s: %d", "a.bin", 7), STATUS_FORMAT);
    assert_string_equal(m.text, "a.bin: 7");
    assert_int_equal(message_set(NULL, STATUS_RANGE, "unseen"), STATUS_RANGE);
    message_set(&m, STATUS_RANGE, "again %s", m.text); /* arguments may lie in the message itself */
    assert_string_equal(m.text, "again a.bin: 7");
}

static void test_control_characters_become_question_marks(void **state)
{
    (void)state;
    struct message m;
    message_set(&m, 0, "%s", "a\033[31m\nb\tc\x7f");
    assert_string_equal(m.text, "a?[31m?b?c?");
    message_set(&m, 0, "%s",
                "\xc2\x9b"
                "31m \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"); /* C1 CSI; then text */
    assert_string_equal(m.text, "??31m \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    message_set(&m, 0, "%s",
                "\xff"
                "a\xc0\x80"
                "b\xed\xa0\x80"
                "c\xe2\x82"); /* not UTF-8 */
    assert_string_equal(m.text, "\\xffa\\xc0\\x80b\\xed\\xa0\\x80c\\xe2\\x82");
    message_prefix(&m, 0, "gr\xf6sse"); /* what is escaped stays so */
    assert_string_equal(m.text, "gr\\xf6sse: \\xffa\\xc0\\x80b\\xed\\xa0\\x80c\\xe2\\x82");
    char latin[MESSAGE_SIZE];
    memset(latin, 0xe9, sizeof latin);
    memcpy(latin + sizeof latin - 8, ": cause", 8);
    message_set(&m, 0, "%s", latin); /* four times as long: still a beginning, an end and one line */
    assert_int_equal(strlen(m.text), MESSAGE_SIZE - 1);
    assert_int_equal(strncmp(m.text, "\\xe9\\xe9", 8), 0);
    assert_non_null(strstr(m.text, "..."));
    assert_string_equal(m.text + MESSAGE_SIZE - 8, ": cause");
}

static void test_long_text_loses_its_middle(void **state)
{
    (void)state;
    struct message m;
    char s[100000];
    memset(s, 'x', sizeof s);
    s[sizeof s - 1] = 0;
    for (int at = 505; at < 515; at++) { /* a character cut in two at the seam */
        s[at] = '\xc3';
        s[at + 1] = '\xa9';
        message_set(&m, 0, "a.bin: %s: bad shape", s);
        assert_int_equal(strlen(m.text), MESSAGE_SIZE - 1);
        assert_memory_equal(m.text, "a.bin: xxx", 10);
        assert_non_null(strstr(m.text, "...xxx"));
        assert_string_equal(m.text + MESSAGE_SIZE - 1 - 14, "xxx: bad shape");
        assert_null(strstr(m.text, "\xc3."));
    }
    message_prefix(&m, 0, "%s", "b.bin");
    assert_memory_equal(m.text, "b.bin: a.bin: xxx", 17);
    assert_string_equal(m.text + MESSAGE_SIZE - 1 - 14, "xxx: bad shape");
}

static void test_errno_appends_the_reason(void **state)
{
    (void)state;
    struct message m;
    errno = ENOSPC;
    assert_int_equal(message_errno(&m, "%s: write error", "out"), STATUS_IO);
    assert_string_equal(m.text, "out: write error: No space left on device");
    errno = EPIPE;
    assert_int_equal(message_errno(&m, "stdout"), STATUS_PIPE);
    char name[3000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    errno = ENOENT;
    message_errno(&m, "%s", name);
    assert_non_null(strstr(m.text, ": No such file or directory")); /* survives a name of any length */
}

static void test_prefix_stands_before(void **state)
{
    (void)state;
    struct message m;
    message_set(&m, STATUS_FORMAT, "bad");
    assert_int_equal(message_prefix(&m, STATUS_FORMAT, "%s", "file"), STATUS_FORMAT);
    assert_string_equal(m.text, "file: bad");
    assert_int_equal(message_prefix(NULL, STATUS_RANGE, "x"), STATUS_RANGE);
}

static int forward(int status)
{
    TRY(status);
    return 5;
}

static void test_try_forwards_failures_only(void **state)
{
    (void)state;
    assert_int_equal(forward(0), 5);
    assert_int_equal(forward(1), 5);
    assert_int_equal(forward(STATUS_RANGE), STATUS_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_formats_and_returns_code),
        cmocka_unit_test(test_control_characters_become_question_marks),
        cmocka_unit_test(test_long_text_loses_its_middle),
        cmocka_unit_test(test_errno_appends_the_reason),
        cmocka_unit_test(test_prefix_stands_before),
        cmocka_unit_test(test_try_forwards_failures_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
