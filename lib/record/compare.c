#include "record/describe.h"
#include "base/utf8.h"
#include <math.h>
#include <string.h>

/* A tensor's values as they are meant: int8 weights times their output channel's scale. */
struct view {
    const struct tensor *tensor;
    const float *scales; /* NULL: as they are */
    size_t per_output;
};

static struct view view_of(const struct record *r, const struct tensor *t)
{
    struct view v = {.tensor = t};
    char name[512];
    if (t->dtype != DTYPE_I8 || t->rank < 1 || t->shape[0] < 1 || strlen(t->name) > sizeof name - 8)
        return v;
    size_t length = strlen(t->name);
    memcpy(name, t->name, length);
    memcpy(name + length, "_scale", sizeof "_scale");
    const struct tensor *scale = record_find(r, name);
    if (!scale || scale->dtype != DTYPE_F32 || scale->rank != 1 || scale->shape[0] != t->shape[0])
        return v;
    v.scales = scale->data;
    v.per_output = t->count / (size_t)t->shape[0];
    return v;
}

static double view_value(const struct view *v, size_t i)
{
    double x = tensor_value(v->tensor, i);
    return v->scales ? x * (double)v->scales[i / v->per_output] : x;
}

struct difference {
    double max, mean, sqnr; /* NaN where a value is not finite */
};

static struct difference values_differ(const struct view *a, const struct view *b)
{
    struct difference d = {0};
    double signal = 0, noise = 0, sum = 0;
    for (size_t i = 0; i < a->tensor->count; i++) {
        double x = view_value(a, i), e = fabs(x - view_value(b, i));
        d.max = e > d.max || isnan(e) ? e : d.max;
        sum += e;
        signal += x * x;
        noise += e * e;
    }
    d.mean = a->tensor->count > 0 ? sum / (double)a->tensor->count : 0;
    d.sqnr = noise == 0 ? (double)INFINITY : 10 * log10(signal / noise);
    return d;
}

static int row_start(struct text *out, struct message *m)
{
    if (out->length > 0)
        return STATUS_OK;
    return text_add(out, m, "what\tname\ta\tb\tmax_difference\tmean_difference\tsqnr_db\n");
}

static int cell_add(struct text *out, const char *s, int length, struct message *m)
{
    size_t before = out->length;
    TRY(text_add(out, m, "%.*s", length, s));
    text_sanitise(out->data + before, 0);
    return STATUS_OK;
}

/* What is shown of a long value: its first differing line, from shortly before the difference. */
static int excerpt_add(struct text *out, const char *value, size_t line, size_t from, struct message *m)
{
    enum { SHOWN = 60 };
    if (!value)
        return text_add(out, m, "-");
    value += line;
    while (from > 0 && ((unsigned char)value[from] & 0xC0) == 0x80) /* not into a character */
        from--;
    size_t length = strcspn(value + from, "\n"), shown = length < SHOWN ? length : SHOWN;
    while (shown < length && ((unsigned char)value[from + shown] & 0xC0) == 0x80)
        shown++;
    TRY(text_add(out, m, "%s", from > 0 ? "..." : ""));
    TRY(cell_add(out, value + from, (int)shown, m));
    return text_add(out, m, "%s", shown < length ? "..." : "");
}

static int metadata_row(const char *key, const char *a, const char *b, struct text *out, struct message *m)
{
    size_t same = 0, line = 0;
    if (a && b)
        for (; a[same] && a[same] == b[same]; same++)
            line = a[same] == '\n' ? same + 1 : line;
    size_t before = same - line, from = before > 20 ? before - 20 : 0;
    TRY(row_start(out, m));
    TRY(text_add(out, m, "metadata\t"));
    TRY(cell_add(out, key, (int)strlen(key), m));
    TRY(text_add(out, m, "\t"));
    TRY(excerpt_add(out, a, line, from, m));
    TRY(text_add(out, m, "\t"));
    TRY(excerpt_add(out, b, line, from, m));
    return text_add(out, m, "\t-\t-\t-\n");
}

/* Entries of `from` whose value in `other` differs, or is absent; swapped: from is b and only absence counts. */
static int metadata_rows(const struct record *from, const struct record *other, int swapped, struct text *out,
                         struct message *m)
{
    for (size_t i = 0; i < from->metadata_count; i++) {
        const struct metadata *x = &from->metadata[i];
        const char *there = record_get(other, x->key);
        if (strcmp(x->key, "crc32") == 0 || (there && (swapped || strcmp(there, x->value) == 0)))
            continue;
        if (swapped)
            TRY(metadata_row(x->key, NULL, x->value, out, m));
        else
            TRY(metadata_row(x->key, x->value, there, out, m));
    }
    return STATUS_OK;
}

static int type_add(struct text *out, const struct tensor *t, struct message *m)
{
    char type[192];
    if (!t)
        return text_add(out, m, "-");
    tensor_describe(t, type);
    return text_add(out, m, "%s", type);
}

static int numbers_add(struct text *out, const struct difference *d, struct message *m)
{
    return text_add(out, m, "\t%.6g\t%.6g\t%.2f\n", d->max, d->mean, d->sqnr);
}

static int same_shape(const struct tensor *x, const struct tensor *y)
{
    if (x->rank != y->rank)
        return 0;
    for (int i = 0; i < x->rank; i++)
        if (x->shape[i] != y->shape[i])
            return 0;
    return 1;
}

static int tensor_row(const struct record *a, const struct tensor *x, const struct record *b,
                      const struct tensor *y, struct text *out, struct message *m)
{
    const char *name = x ? x->name : y->name;
    TRY(row_start(out, m));
    TRY(text_add(out, m, "tensor\t"));
    TRY(cell_add(out, name, (int)strlen(name), m));
    TRY(text_add(out, m, "\t"));
    TRY(type_add(out, x, m));
    TRY(text_add(out, m, "\t"));
    TRY(type_add(out, y, m));
    if (!x || !y || !same_shape(x, y))
        return text_add(out, m, "\t-\t-\t-\n");
    struct view va = view_of(a, x), vb = view_of(b, y);
    struct difference d = values_differ(&va, &vb);
    return numbers_add(out, &d, m);
}

static int tensor_same(const struct tensor *x, const struct tensor *y)
{
    return x->dtype == y->dtype && same_shape(x, y) && (x->bytes == 0 || memcmp(x->data, y->data, x->bytes) == 0);
}

static int tensor_rows(const struct record *a, const struct record *b, struct text *out, struct message *m)
{
    for (size_t i = 0; i < a->tensor_count; i++) {
        const struct tensor *y = record_find(b, a->tensors[i].name);
        if (!y || !tensor_same(&a->tensors[i], y))
            TRY(tensor_row(a, &a->tensors[i], b, y, out, m));
    }
    for (size_t i = 0; i < b->tensor_count; i++)
        if (!record_find(a, b->tensors[i].name))
            TRY(tensor_row(a, NULL, b, &b->tensors[i], out, m));
    return STATUS_OK;
}

int record_compare(const struct record *a, const struct record *b, struct text *out, struct message *m)
{
    text_clear(out);
    TRY(metadata_rows(a, b, 0, out, m));
    TRY(metadata_rows(b, a, 1, out, m));
    TRY(tensor_rows(a, b, out, m));
    return out->length == 0;
}
