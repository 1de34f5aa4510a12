#include "base/utf8.h"
#include <string.h>

size_t utf8_sequence(const char *s, size_t count)
{
    const unsigned char *u = (const unsigned char *)s;
    if (count == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    size_t n = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : 2;
    if (u[0] < 0xC2 || u[0] > 0xF4 || count < n)
        return 0;
    /* the second byte's range shuts out overlong forms, surrogates and what is past U+10FFFF */
    unsigned low = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;
    if (u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (u[i] < 0x80 || u[i] > 0xBF)
            return 0;
    return n;
}

int text_is_utf8(const char *s)
{
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = utf8_sequence(s, left);
        if (n == 0)
            return 0;
        s += n;
        left -= n;
    }
    return 1;
}

void text_sanitise(char *s, int keep_lines)
{
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = utf8_sequence(s, left);
        unsigned char first = (unsigned char)s[0];
        int is_c1 = n == 2 && first == 0xC2 && (unsigned char)s[1] < 0xA0;
        int is_control = first < 0x20 || first == 0x7F;
        if (keep_lines && (first == '\n' || first == '\t'))
            is_control = 0;
        if (n == 0 || is_c1 || is_control)
            s[0] = '?';
        if (is_c1)
            s[1] = '?';
        n = n == 0 ? 1 : n;
        s += n;
        left -= n;
    }
}

void text_escape(const char *s, char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = utf8_sequence(s, left);
        if (n == 0) {
            unsigned char byte = (unsigned char)*s;
            const char escaped[] = {'\\', 'x', hex[byte >> 4], hex[byte & 15], '\0'};
            strcpy(out, escaped);
            n = 1;
            out += 4;
        } else {
            memcpy(out, s, n);
            out[n] = '\0';
            text_sanitise(out, 0);
            out += n;
        }
        s += n;
        left -= n;
    }
    *out = '\0';
}
