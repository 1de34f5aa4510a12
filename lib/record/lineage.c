#include "record/lineage.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void lineage_fail(struct lineage *l, int status)
{
    if (l->status == STATUS_OK)
        l->status = status;
}

/* "key=value" with every white space as %20, so that a line splits at its spaces. */
static int option_print(struct text *t, const char *key, const char *value, struct message *m)
{
    TRY(text_add(t, m, "%s=", key));
    for (; *value; value++)
        TRY(strchr(" \t\n\v\f\r", *value) ? text_add(t, m, "%%20") : text_add_bytes(t, value, 1, m));
    return STATUS_OK;
}

static void option_add(struct lineage *l, const char *key, const char *value)
{
    if (l->count == LINEAGE_MAX_OPTIONS) {
        lineage_fail(
            l, message_set(l->message, STATUS_RANGE, "lineage: more than %d options", (int)LINEAGE_MAX_OPTIONS));
        return;
    }
    struct text t = {0};
    int status = option_print(&t, key, value, l->message);
    if (status < 0) {
        text_free(&t);
        lineage_fail(l, status);
        return;
    }
    l->options[l->count++] = t.data;
}

void lineage_add(struct lineage *l, const char *key, const char *format, ...)
{
    if (l->status < 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    char *value = memory_vprintf(l->message, format, arguments);
    va_end(arguments);
    if (!value) {
        lineage_fail(l, STATUS_NOMEM);
        return;
    }
    option_add(l, key, value);
    memory_free(value);
}

void lineage_add_number(struct lineage *l, const char *key, double value)
{
    char number[32];
    format_number(number, value);
    lineage_add(l, key, "%s", number);
}

void lineage_free(struct lineage *l)
{
    for (int i = 0; i < l->count; i++)
        memory_free(l->options[i]);
    *l = (struct lineage){0};
}

/* By key alone: the '=' after it would sort a-b before a. */
static int option_compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t nx = strcspn(x, "="), ny = strcspn(y, "=");
    int order = memcmp(x, y, nx < ny ? nx : ny);
    return order ? order : nx < ny ? -1 : nx > ny;
}

static int line_print(struct text *t, const char *tool, const struct lineage *l, struct message *m)
{
    const char *sorted[LINEAGE_MAX_OPTIONS];
    memcpy(sorted, l->options, sizeof sorted);
    qsort(sorted, (size_t)l->count, sizeof *sorted, option_compare);
    TRY(text_add(t, m, "%s%s %s", t->length ? "\n" : "", tool, RESQ_VERSION));
    for (int i = 0; i < l->count; i++)
        TRY(text_add(t, m, " %s", sorted[i]));
    return STATUS_OK;
}

static int side_print(struct text *t, const struct record *side, struct message *m)
{
    const char *line = record_get(side, "made-by");
    while (line && *line) {
        int length = (int)strcspn(line, "\n");
        if (length > 0)
            TRY(text_add(t, m, "\n  %.*s", length, line));
        line += length;
        line += *line == '\n';
    }
    return STATUS_OK;
}

static int lineage_print(struct text *t, const struct record *main_input, const char *tool, const struct lineage *l,
                         const struct record *const *sides, int side_count, struct message *m)
{
    const char *before = main_input ? record_get(main_input, "made-by") : NULL;
    if (before && *before)
        TRY(text_add(t, m, "%s", before));
    TRY(line_print(t, tool, l, m));
    for (int i = 0; i < side_count; i++)
        TRY(side_print(t, sides[i], m));
    return STATUS_OK;
}

int lineage_apply(struct record *to, const struct record *main_input, const char *tool, const struct lineage *l,
                  const struct record *const *sides, int side_count, struct message *m)
{
    if (l->status < 0) {
        if (l->message && m != l->message)
            return message_set(m, l->status, "%s", l->message->text);
        return l->message ? l->status : message_set(m, l->status, "lineage: an option could not be kept");
    }
    struct text t = {0};
    int status = lineage_print(&t, main_input, tool, l, sides, side_count, m);
    if (status == STATUS_OK)
        status = record_set(to, "made-by", t.data, m);
    text_free(&t);
    return status;
}
