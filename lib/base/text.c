#include "base/text.h"
#include "base/locale.h"
#include "base/memory.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and a NUL. */
static int text_reserve(struct text *t, size_t more, struct message *m)
{
    if (more > SIZE_MAX / 4 || t->length > SIZE_MAX / 4)
        return message_set(m, STATUS_NOMEM, "memory exhausted: %zu bytes", more);
    size_t need = t->length + more + 1;
    if (need <= t->capacity)
        return STATUS_OK;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    char *data = memory_resize(t->data, t->length, capacity, 1, m);
    if (!data)
        return STATUS_NOMEM;
    t->data = data;
    t->capacity = capacity;
    return STATUS_OK;
}

int text_add_bytes(struct text *t, const void *bytes, size_t count, struct message *m)
{
    TRY(text_reserve(t, count, m));
    if (count)
        memcpy(t->data + t->length, bytes, count);
    t->length += count;
    t->data[t->length] = '\0';
    return STATUS_OK;
}

static int text_add_v(struct text *t, struct message *m, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    int status = STATUS_OK;
    if (length < 0)
        status = message_set(m, STATUS_RANGE, "text cannot be formatted");
    else
        status = text_reserve(t, (size_t)length, m);
    if (status == STATUS_OK) {
        vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
        t->length += (size_t)length;
    }
    va_end(again);
    return status;
}

int text_add(struct text *t, struct message *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    locale_t before = uselocale(locale_c());
    int status = text_add_v(t, m, format, arguments);
    uselocale(before);
    va_end(arguments);
    return status;
}

void text_clear(struct text *t)
{
    t->length = 0;
    if (t->data)
        t->data[0] = '\0';
}

void text_free(struct text *t)
{
    memory_free(t->data);
    *t = (struct text){0};
}

static const char *digits_skip(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

int parse_integer(const char *s, int64_t low, int64_t high, const char *what, int64_t *value, struct message *m)
{
    const char *digits = *s == '-' ? s + 1 : s;
    const char *end = digits_skip(digits);
    if (end == digits || *end)
        return message_set(m, STATUS_RANGE, "%s: '%s' is not an integer", what, s);
    errno = 0;
    long long v = strtoll(s, NULL, 10);
    if (errno || v < low || v > high)
        return message_set(m, STATUS_RANGE, "%s: '%s' is not in %lld..%lld", what, s, (long long)low,
                           (long long)high);
    *value = v;
    return STATUS_OK;
}

/* [-]digits[.digits][e[+-]digits] with a digit before or after the point. */
static int number_is_plain(const char *s)
{
    if (*s == '-')
        s++;
    const char *end = digits_skip(s);
    int seen = end != s;
    if (*end == '.') {
        const char *fraction = end + 1;
        end = digits_skip(fraction);
        seen |= end != fraction;
    }
    if (seen && (*end == 'e' || *end == 'E')) {
        const char *exponent = end + 1;
        if (*exponent == '+' || *exponent == '-')
            exponent++;
        end = digits_skip(exponent);
        seen = end != exponent;
    }
    return seen && !*end;
}

int parse_number(const char *s, double low, double high, const char *what, double *value, struct message *m)
{
    if (!number_is_plain(s))
        return message_set(m, STATUS_RANGE, "%s: '%s' is not a number", what, s);
    locale_t before = uselocale(locale_c());
    double v = strtod(s, NULL);
    uselocale(before);
    if (!isfinite(v))
        return message_set(m, STATUS_RANGE, "%s: '%s' is not finite", what, s);
    if (!(v >= low && v <= high)) {
        char a[32], b[32];
        format_number(a, low);
        format_number(b, high);
        return message_set(m, STATUS_RANGE, "%s: '%s' is not in %s..%s", what, s, a, b);
    }
    *value = v;
    return STATUS_OK;
}

double round_decimals(double v, int decimals)
{
    char number[400]; /* a double before the point has at most 309 digits */
    locale_t before = uselocale(locale_c());
    snprintf(number, sizeof number, "%.*f", decimals, v);
    double rounded = strtod(number, NULL);
    uselocale(before);
    return rounded;
}

/* Whole numbers of moderate size stay readable: 100000, not 1e+05. */
static int number_is_whole(double value)
{
    return fabs(value) < 1e15 && value == floor(value);
}

static void format_shortest(char out[32], double value, int is_f32)
{
    locale_t before = uselocale(locale_c());
    if (!isfinite(value)) {
        snprintf(out, 32, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    } else if (number_is_whole(value)) {
        snprintf(out, 32, "%.0f", value);
    } else {
        for (int precision = 1; precision <= 17; precision++) {
            snprintf(out, 32, "%.*g", precision, value);
            if (is_f32 ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value)
                break;
        }
    }
    uselocale(before);
}

void format_number(char out[32], double value)
{
    format_shortest(out, value, 0);
}

void format_number_f32(char out[32], float value)
{
    format_shortest(out, (double)value, 1);
}
