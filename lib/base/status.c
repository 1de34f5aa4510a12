/* status.c: one-line reasons. What arrives in a message may come from a hostile file, so nothing that could move a
 * terminal's cursor leaves it. */
#include "base/status.h"
#include "base/locale.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A reason stands at the end of a message, so what does not fit is left out of the middle. */
static void middle_join(char *out, size_t size, const char *whole, size_t length)
{
    size_t tail = size / 2, head = size - tail - 3;
    memcpy(out, whole, head);
    memcpy(out + head, "...", 3);
    memcpy(out + head + 3, whole + length + 1 - tail, tail);
}

static void middle_cut(char *out, size_t size, size_t length, const char *format, va_list arguments)
{
    char *whole = malloc(length + 1);
    if (!whole)
        return;
    vsnprintf(whole, length + 1, format, arguments);
    middle_join(out, size, whole, length);
    free(whole);
}

static void message_print(char *out, size_t size, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    locale_t before = uselocale(locale_c());
    int length = vsnprintf(out, size, format, arguments);
    if (length < 0)
        snprintf(out, size, "message cannot be formatted");
    else if ((size_t)length >= size)
        middle_cut(out, size, (size_t)length, format, again);
    uselocale(before);
    va_end(again);
}

int message_set(struct message *m, int code, const char *format, ...)
{
    if (!m)
        return code;
    char scratch[MESSAGE_SIZE], escaped[4 * MESSAGE_SIZE]; /* the arguments may point into m->text */
    va_list arguments;
    va_start(arguments, format);
    message_print(scratch, sizeof scratch, format, arguments);
    va_end(arguments);
    text_escape(scratch, escaped);
    size_t length = strlen(escaped);
    if (length < sizeof m->text) {
        memcpy(m->text, escaped, length + 1);
        return code;
    }
    middle_join(m->text, sizeof m->text, escaped, length);
    text_sanitise(m->text, 0); /* where the cut went through a character */
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
    message_set(m, code, "%s: %s", what, words);
    errno = saved;
    return code;
}

int message_prefix(struct message *m, int code, const char *format, ...)
{
    if (!m)
        return code;
    char prefix[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    message_print(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    return message_set(m, code, "%s: %s", prefix, m->text);
}
