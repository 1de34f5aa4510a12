/* utf8.h: whether bytes are text, and what of them a terminal may show. Strings are NUL-terminated; the caller's. */
#ifndef RESQ_BASE_UTF8_H
#define RESQ_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence (Unicode's table 3-7: no overlong form, no surrogate) that s begins with,
 * of `count` bytes available: 1..4, or 0 where there is none. */
size_t utf8_sequence(const char *s, size_t count);
int text_is_utf8(const char *s); /* 1 where the whole string is well-formed */
/* Replaces control characters (C0, DEL, C1) and bytes that are not UTF-8 by '?', so that a terminal may show s.
 * Line feeds and tabs stay where keep_lines is not 0. */
void text_sanitise(char *s, int keep_lines);

/* Writes s to out, which holds 4 * strlen(s) + 1 bytes: control characters become '?', and a byte that is not UTF-8
 * stands as \xHH, so that a name in another encoding can be told. */
void text_escape(const char *s, char *out);

#endif
