/* How things are written in C: names, texts from elsewhere, numbers. */
#include "base/memory.h"
#include "emit/emit_state.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 118 };

void emit_fail(struct emit *e, int status)
{
    if (e->status >= 0 && status < 0)
        e->status = status;
}

static void put_text(struct emit *e, struct text *t, const char *bytes, size_t count)
{
    if (e->status >= 0)
        e->status = text_add_bytes(t, bytes, count, e->m);
}

void put(struct emit *e, struct text *t, const char *format, ...)
{
    va_list arguments;
    if (e->status < 0)
        return;
    va_start(arguments, format);
    char *s = memory_vprintf(e->m, format, arguments);
    va_end(arguments);
    if (s)
        put_text(e, t, s, strlen(s));
    else
        e->status = STATUS_NOMEM;
    memory_free(s);
}

/* ---- texts ---- */

/* Three octal digits always, so that what follows is no part of the number. No two question marks side by side, which
 * may begin a trigraph. */
void put_string(struct emit *e, struct text *t, const char *s)
{
    put(e, t, "\"");
    for (char last = 0; *s; last = *s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\' || (c == '?' && last == '?'))
            put(e, t, "\\%c", c);
        else if (c < ' ' || c > '~')
            put(e, t, "\\%03o", c);
        else
            put(e, t, "%c", c);
    }
    put(e, t, "\"");
}

/* A slash beside a star, and a question mark beside another, are kept apart; bytes outside of ASCII, of which some
 * change what a reader sees, stand as \xHH. */
void put_comment(struct emit *e, struct text *t, const char *indent, const char *lines)
{
    for (char last = '\n'; *lines; last = *lines++) {
        unsigned char c = (unsigned char)*lines;
        if (last == '\n')
            put(e, t, " * %s", indent);
        if ((c == '/' && last == '*') || (c == '*' && last == '/') || (c == '?' && last == '?'))
            put(e, t, " ");
        if (c == '\n' || (c >= ' ' && c <= '~'))
            put(e, t, "%c", c);
        else
            put(e, t, "\\x%02x", c);
    }
    put(e, t, "\n");
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What the caller chose ends in a letter (NAME_run), these in a digit: the two never meet. */
void identifier(char out[IDENTIFIER_SIZE], const char *name, const char *what, int place)
{
    snprintf(out, IDENTIFIER_SIZE, "%s%.*s%s_%d", is_letter(*name) ? "" : "n", NODE_NAME_SIZE - 1, name, what,
             place);
    for (char *c = out; *c; c++)
        if (*c == '.')
            *c = '_';
}

void name_upper(const char *name, char out[EMIT_NAME_MAX + 1])
{
    int i = 0;
    for (; name[i] && i < EMIT_NAME_MAX; i++)
        out[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    out[i] = '\0';
}

/* ---- numbers ---- */

/* One more of a list, behind a comma, in lines that end before they are too long. */
static void put_item(struct emit *e, struct text *t, const char *item, int *column)
{
    int length = (int)strlen(item);
    if (*column + length + 2 > LINE) {
        put_text(e, t, ",\n    ", 6);
        *column = 4;
    } else if (*column > 4) {
        put_text(e, t, ", ", 2);
        *column += 2;
    }
    put_text(e, t, item, (size_t)length);
    *column += length;
}

static void list_begin(struct emit *e, struct text *t, int *column)
{
    put_text(e, t, "    ", 4);
    *column = 4;
}

void put_bytes(struct emit *e, struct text *t, const uint8_t *v, size_t count)
{
    char item[8];
    int column;
    list_begin(e, t, &column);
    for (size_t i = 0; i < count && e->status >= 0; i++) {
        snprintf(item, sizeof item, "%d", v[i]);
        put_item(e, t, item, &column);
    }
}

void put_signed_bytes(struct emit *e, struct text *t, const int8_t *v, size_t count)
{
    char item[8];
    int column;
    list_begin(e, t, &column);
    for (size_t i = 0; i < count && e->status >= 0; i++) {
        snprintf(item, sizeof item, "%d", v[i]);
        put_item(e, t, item, &column);
    }
}

void float_word(char out[FLOAT_WORD], float x)
{
    char digits[32];
    format_number_f32(digits, x);
    snprintf(out, FLOAT_WORD, "%s%sf", digits, strpbrk(digits, ".e") ? "" : ".0");
}

void put_floats(struct emit *e, struct text *t, const float *v, size_t count)
{
    char item[FLOAT_WORD];
    int column;
    list_begin(e, t, &column);
    for (size_t i = 0; i < count && e->status >= 0; i++) {
        float_word(item, v[i]);
        put_item(e, t, item, &column);
    }
}

void put_real(struct emit *e, struct text *t, float x)
{
    int exponent = 0;
    double fraction = frexp((double)x, &exponent);
    if (x == 0)
        put(e, t, "{0, 0}");
    else
        put(e, t, "{%ld, %d}", lrint(ldexp(fraction, 24)), exponent - 24);
}

void constant_name(const struct emit *e, int i, const char *what, char out[IDENTIFIER_SIZE])
{
    int node = e->steps.at[i].node;
    identifier(out, e->model->graph.nodes[node].name, what, node);
}
