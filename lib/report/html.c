#include "report/html.h"
#include "base/utf8.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */
#define ELLIPSIS "\xE2\x80\xA6"

static void put_bytes(struct html *h, const char *bytes, size_t count)
{
    if (h->status >= 0)
        h->status = text_add_bytes(&h->text, bytes, count, h->m);
}

void html_raw(struct html *h, const char *markup)
{
    put_bytes(h, markup, strlen(markup));
}

void html_free(struct html *h)
{
    text_free(&h->text);
}

/* ---- escaping ---- */

static uint32_t letter_of(const char *s, size_t bytes)
{
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t letter = (unsigned char)s[0] & first[bytes];
    for (size_t i = 1; i < bytes; i++)
        letter = letter << 6 | ((unsigned char)s[i] & 0x3f);
    return letter;
}

/* What has no place in a line of text: controls, marks that reorder what stands around them, no characters. */
static int is_unfit(uint32_t letter)
{
    return letter < 0x20 || (letter >= 0x7f && letter < 0xa0) || (letter >= 0x202a && letter <= 0x202e) ||
           (letter >= 0x2066 && letter <= 0x2069) || letter == 0x2028 || letter == 0x2029 || letter == 0x200e ||
           letter == 0x200f || (letter & 0xfffe) == 0xfffe || (letter >= 0xfdd0 && letter <= 0xfdef);
}

/* What stands for an ASCII character in the form; NULL: itself. */
static const char *escape_of(enum html_form form, char c)
{
    static const char backslashed[][3] = {"\\\\", "\\|", "\\`", "\\*", "\\_", "\\[", "\\]",
                                          "\\#",  "\\!", "\\~", "\\$", "\\{", "\\}"};
    if (form == HTML_YAML)
        return c == '"'    ? "\\\""
               : c == '\\' ? "\\\\"
               : c == '\t' ? "\\t"
               : c == '\n' ? "\\n"
               : c == '\r' ? "\\r"
                           : NULL;
    if (c == '\t' || c == '\n' || c == '\r')
        return " ";
    if (c == '&' || c == '<' || c == '>')
        return c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;";
    if (form == HTML_PAGE)
        return c == '"' ? "&quot;" : c == '\'' ? "&#39;" : NULL;
    for (size_t i = 0; i < sizeof backslashed / sizeof backslashed[0]; i++)
        if (c == backslashed[i][1])
            return backslashed[i];
    return NULL;
}

/* most: letters. */
static void put_escaped(struct html *h, const char *s, size_t most)
{
    size_t left = strlen(s);
    for (size_t letters = 0; left > 0; letters++) {
        size_t bytes = utf8_sequence(s, left);
        const char *escaped = bytes <= 1 ? escape_of(h->form, *s) : NULL;
        if (letters + 1 >= most && left > (bytes ? bytes : 1)) {
            html_raw(h, ELLIPSIS);
            return;
        }
        if (escaped)
            html_raw(h, escaped);
        else if (bytes == 0 || is_unfit(letter_of(s, bytes)))
            html_raw(h, REPLACEMENT);
        else
            put_bytes(h, s, bytes);
        s += bytes ? bytes : 1;
        left -= bytes ? bytes : 1;
    }
}

/* ---- formats ---- */

enum { SPEC_SIZE = 16 };

static void put_number(struct html *h, const char *spec, char kind, va_list *arguments)
{
    char out[512]; /* a double printed by %f has at most 309 digits before the point */
    if (strchr("feg", kind))
        snprintf(out, sizeof out, spec, va_arg(*arguments, double));
    else if (strstr(spec, "ll"))
        snprintf(out, sizeof out, spec, va_arg(*arguments, long long));
    else if (strchr(spec, 'z'))
        snprintf(out, sizeof out, spec, va_arg(*arguments, size_t));
    else
        snprintf(out, sizeof out, spec, va_arg(*arguments, int));
    html_raw(h, out);
}

/* One conversion, that begins behind its '%'; returns what follows it. */
static const char *put_conversion(struct html *h, const char *at, va_list *arguments)
{
    char spec[SPEC_SIZE] = "%";
    size_t length = strspn(at, "+-0123456789.lz");
    if (length + 3 > SPEC_SIZE || !at[length]) {
        h->status = message_set(h->m, STATUS_RANGE, "a format that no page has: '%s'", at);
        return at + strlen(at);
    }
    memcpy(spec + 1, at, length + 1);
    char kind = at[length];
    if (kind == 's') {
        const char *point = memchr(at, '.', length), *s = va_arg(*arguments, const char *);
        size_t most = 0;
        for (const char *digit = point ? point + 1 : ""; *digit >= '0' && *digit <= '9'; digit++)
            most = most * 10 + (size_t)(*digit - '0');
        put_escaped(h, s ? s : "", point ? most : SIZE_MAX);
    } else if (kind == '%') {
        html_raw(h, "%");
    } else {
        put_number(h, spec, kind, arguments);
    }
    return at + length + 1;
}

void html_put(struct html *h, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    while (*format && h->status >= 0) {
        size_t plain = strcspn(format, "%");
        put_bytes(h, format, plain);
        format += plain;
        if (*format == '%')
            format = put_conversion(h, format + 1, &arguments);
    }
    va_end(arguments);
}

/* ---- bytes ---- */

void html_base64(struct html *h, const void *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < count && h->status >= 0; i += 3) {
        uint32_t three = (uint32_t)b[i] << 16 | (i + 1 < count ? (uint32_t)b[i + 1] << 8 : 0) |
                         (i + 2 < count ? (uint32_t)b[i + 2] : 0);
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63],
                        i + 1 < count ? digits[three >> 6 & 63] : '=', i + 2 < count ? digits[three & 63] : '='};
        put_bytes(h, four, sizeof four);
    }
}

void html_data(struct html *h, const char *type, const void *bytes, size_t count)
{
    html_put(h, "data:%s;base64,", type);
    html_base64(h, bytes, count);
}
