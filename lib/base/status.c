/* status.c: one-line reasons. What arrives in a message may come from a hostile file, so nothing that could move a
 * terminal's cursor leaves it. */
#include "base/status.h"
#include "base/locale.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Replaces control characters (C0, DEL, C1) and bytes that are not UTF-8 by '?'. */
static void text_sanitise(char *s)
{
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = utf8_sequence(s, left);
        unsigned char first = (unsigned char)s[0];
        int is_c1 = n == 2 && first == 0xC2 && (unsigned char)s[1] < 0xA0;
        if (n == 0 || is_c1 || (n == 1 && (first < 0x20 || first == 0x7F))) {
            s[0] = '?';
            if (is_c1)
                s[1] = '?';
            n = n == 0 ? 1 : n;
        }
        s += n;
        left -= n;
    }
}

static void message_print(char *out, size_t size, const char *format, va_list arguments)
{
    locale_t before = uselocale(locale_c());
    if (vsnprintf(out, size, format, arguments) < 0)
        snprintf(out, size, "message cannot be formatted");
    uselocale(before);
}

int message_set(struct message *m, int code, const char *format, ...)
{
    if (!m)
        return code;
    char scratch[MESSAGE_SIZE]; /* the arguments may point into m->text */
    va_list arguments;
    va_start(arguments, format);
    message_print(scratch, sizeof scratch, format, arguments);
    va_end(arguments);
    text_sanitise(scratch);
    memcpy(m->text, scratch, sizeof scratch);
    return code;
}

int message_errno(struct message *m, const char *format, ...)
{
    int saved = errno;
    int code = saved == EPIPE ? STATUS_PIPE : STATUS_IO;
    if (!m)
        return code;
    char what[MESSAGE_SIZE], reason[128];
    va_list arguments;
    va_start(arguments, format);
    message_print(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *words = strerror_r(saved, reason, sizeof reason);
    what[MESSAGE_SIZE - 1 - (int)sizeof reason] = '\0'; /* the reason matters more than the end of a long name */
    message_set(m, code, "%s: %s", what, words);
    errno = saved;
    return code;
}

int message_prefix(struct message *m, int code, const char *format, ...)
{
    if (!m)
        return code;
    char prefix[MESSAGE_SIZE], whole[2 * MESSAGE_SIZE + 2];
    va_list arguments;
    va_start(arguments, format);
    message_print(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "%s: %s", prefix, m->text);
    return message_set(m, code, "%s", whole);
}
