#include "record/describe.h"
#include "base/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Text from a file goes to a terminal: control characters do not. */
static int text_add_clean(struct text *out, const char *s, struct message *m)
{
    size_t before = out->length;
    TRY(text_add(out, m, "%s", s));
    text_sanitise(out->data + before, 0);
    return STATUS_OK;
}

static int number_add(struct text *out, const char *label, double value, struct message *m)
{
    return text_add(out, m, " %s %.6g", label, value);
}

int tensor_show(const struct tensor *t, struct text *out, struct message *m)
{
    char type[192];
    struct tensor_statistics s;
    tensor_describe(t, type);
    tensor_statistics(t, &s);
    TRY(text_add_clean(out, t->name, m));
    TRY(text_add(out, m, " %s:", type));
    TRY(number_add(out, "min", s.min, m));
    TRY(number_add(out, "max", s.max, m));
    TRY(number_add(out, "mean", s.mean, m));
    TRY(number_add(out, "deviation", s.deviation, m));
    TRY(text_add(out, m, " zeros %zu", s.zeros));
    if (s.not_finite)
        TRY(text_add(out, m, " not-finite %zu", s.not_finite));
    return text_add(out, m, "\n");
}

static int metadata_compare(const void *a, const void *b)
{
    return strcmp((*(const struct metadata *const *)a)->key, (*(const struct metadata *const *)b)->key);
}

static size_t lines_of(const char *s)
{
    size_t lines = *s != 0;
    for (; *s; s++)
        lines += *s == '\n' && s[1];
    return lines;
}

static int metadata_line(const struct metadata *x, struct text *out, struct message *m)
{
    TRY(text_add_clean(out, x->key, m));
    if (strchr(x->value, '\n') || strcmp(x->key, "graph") == 0 || strcmp(x->key, "made-by") == 0)
        return text_add(out, m, ": %zu line%s\n", lines_of(x->value), lines_of(x->value) == 1 ? "" : "s");
    TRY(text_add(out, m, ": "));
    TRY(text_add_clean(out, x->value, m));
    return text_add(out, m, "\n");
}

static int metadata_show(const struct record *r, struct text *out, struct message *m)
{
    const struct metadata **sorted = memory_new(r->metadata_count, sizeof *sorted, m);
    if (!sorted)
        return STATUS_NOMEM;
    for (size_t i = 0; i < r->metadata_count; i++)
        sorted[i] = &r->metadata[i];
    qsort(sorted, r->metadata_count, sizeof *sorted, metadata_compare);
    int status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < r->metadata_count; i++)
        status = metadata_line(sorted[i], out, m);
    memory_free(sorted);
    return status;
}

/* Width of a name as a terminal shows it: characters, not bytes. */
static int name_width(const char *s)
{
    int width = 0;
    for (; *s; s++)
        width += ((unsigned char)*s & 0xC0) != 0x80;
    return width;
}

static int tensors_show(const struct record *r, struct text *out, struct message *m)
{
    int widest = 0;
    size_t elements = 0, bytes = 0;
    for (size_t i = 0; i < r->tensor_count; i++) {
        int width = name_width(r->tensors[i].name);
        widest = width > widest ? width : widest;
        elements += r->tensors[i].count;
        bytes += r->tensors[i].bytes;
    }
    widest = widest < 60 ? widest : 60;
    for (size_t i = 0; i < r->tensor_count; i++) {
        char type[192];
        int padding = widest - name_width(r->tensors[i].name);
        tensor_describe(&r->tensors[i], type);
        TRY(text_add_clean(out, r->tensors[i].name, m));
        TRY(text_add(out, m, "%*s  %-20s  %zu bytes\n", padding > 0 ? padding : 0, "", type, r->tensors[i].bytes));
    }
    return text_add(out, m, "%zu tensors, %zu elements, %zu bytes\n", r->tensor_count, elements, bytes);
}

static int bound_show(const char *name, int length, int64_t bound, struct text *out, struct message *m)
{
    const double limit = 2147483648.0;
    char *layer = memory_printf(m, "%.*s", length, name);
    if (!layer)
        return STATUS_NOMEM;
    int status = text_add_clean(out, layer, m);
    memory_free(layer);
    TRY(status);
    if (bound <= 0)
        return text_add(out, m, ": accumulator bound %lld\n", (long long)bound);
    double margin = limit / (double)bound;
    return text_add(out, m, ": accumulator bound %lld, margin %.4g (%.2f bits)%s\n", (long long)bound, margin,
                    log2(margin), (double)bound >= limit ? ": OVERFLOWS" : "");
}

static int bounds_show(const struct record *r, struct text *out, struct message *m)
{
    static const char suffix[] = ".accumulator_bound";
    for (size_t i = 0; i < r->tensor_count; i++) {
        const struct tensor *t = &r->tensors[i];
        size_t length = strlen(t->name), cut = sizeof suffix - 1;
        if (length <= cut || strcmp(t->name + length - cut, suffix) || t->dtype != DTYPE_I64 || t->count != 1)
            continue;
        TRY(bound_show(t->name, (int)(length - cut), *(const int64_t *)t->data, out, m));
    }
    return STATUS_OK;
}

int record_show(const struct record *r, struct text *out, struct message *m)
{
    TRY(metadata_show(r, out, m));
    TRY(tensors_show(r, out, m));
    return bounds_show(r, out, m);
}

int record_show_lines(const struct record *r, const char *key, struct text *out, struct message *m)
{
    const char *lines = record_get(r, key);
    if (!lines)
        return message_set(m, STATUS_MISMATCH, "has no %s", key);
    size_t before = out->length;
    TRY(text_add(out, m, "%s", lines));
    if (out->length > before && out->data[out->length - 1] != '\n')
        TRY(text_add(out, m, "\n"));
    text_sanitise(out->data + before, 1);
    return STATUS_OK;
}

int file_show(const struct file_summary *s, struct text *out, struct message *m)
{
    TRY(record_show(s->first, out, m));
    if (s->images == 0)
        return STATUS_OK;
    return text_add(out, m, "the first of %llu batches, %lld images\n", (unsigned long long)s->records,
                    (long long)s->images);
}
