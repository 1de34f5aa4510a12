/* header.c: from JSON to tensors without data. jansson vouches for syntax, UTF-8, no NUL, no duplicate key. */
#include "record/header.h"
#include "record/json.h"
#include <stdlib.h>
#include <string.h>

void header_free(struct header *h)
{
    record_free(h->record);
    memory_free(h->spans);
    *h = (struct header){0};
}

/* A tensor as the header has it; what is sorted. */
struct entry {
    struct tensor tensor;
    struct span span;
    size_t index;
};

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->span.begin != y->span.begin)
        return x->span.begin < y->span.begin ? -1 : 1;
    if (x->span.end != y->span.end)
        return x->span.end < y->span.end ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int dtype_unknown(const char *name, const char *got, struct message *m)
{
    struct text known = {0};
    for (int d = 0; d < DTYPE_COUNT; d++)
        TRY(text_add(&known, m, " %s", dtype_name((enum dtype)d)));
    message_set(m, STATUS_FORMAT, "%s: unknown type '%s', supported are%s", name, got, known.data);
    text_free(&known);
    return STATUS_FORMAT;
}

static int shape_read(struct tensor *t, const char *name, const json_t *shape, struct message *m)
{
    if (!json_is_array(shape))
        return message_set(m, STATUS_FORMAT, "%s: shape is not a list", name);
    size_t rank = json_array_size(shape);
    if (rank > TENSOR_MAX_RANK)
        return message_set(m, STATUS_FORMAT, "%s: rank %zu exceeds limit %d", name, rank, (int)TENSOR_MAX_RANK);
    t->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dimension = json_array_get(shape, i);
        if (!json_is_integer(dimension) || json_integer_value(dimension) < 0)
            return message_set(m, STATUS_FORMAT, "%s: dimension %zu is not a whole number from 0", name, i);
        t->shape[i] = json_integer_value(dimension);
    }
    int status = shape_size(name, t->dtype, t->rank, t->shape, &t->count, &t->bytes, m);
    return status == STATUS_RANGE ? STATUS_FORMAT : status;
}

static int span_read(struct span *span, const char *name, const json_t *offsets, struct message *m)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return message_set(m, STATUS_FORMAT, "%s: data_offsets are not [begin, end] with 0 <= begin <= end", name);
    span->begin = (uint64_t)json_integer_value(begin);
    span->end = (uint64_t)json_integer_value(end);
    return STATUS_OK;
}

static int entry_check_size(const struct entry *e, const char *name, struct message *m)
{
    uint64_t got = e->span.end - e->span.begin;
    if (got == e->tensor.bytes)
        return STATUS_OK;
    char shape[192];
    tensor_describe(&e->tensor, shape);
    return message_set(m, STATUS_FORMAT, "%s: data_offsets [%llu,%llu] hold %llu bytes, %s needs %zu", name,
                       (unsigned long long)e->span.begin, (unsigned long long)e->span.end, (unsigned long long)got,
                       shape, e->tensor.bytes);
}

static int entry_read(struct entry *e, const char *name, json_t *value, struct message *m)
{
    if (!*name)
        return message_set(m, STATUS_FORMAT, "a tensor's name is empty");
    if (!json_is_object(value))
        return message_set(m, STATUS_FORMAT, "%s: is not an object", name);
    const char *key;
    json_t *field;
    json_object_foreach(
        value, key, field) if (strcmp(key, "dtype") && strcmp(key, "shape") &&
                               strcmp(key, "data_offsets")) return message_set(m, STATUS_FORMAT,
                                                                               "%s: unknown field '%s'", name, key);
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (!dtype)
        return message_set(m, STATUS_FORMAT, "%s: dtype is missing or not a string", name);
    int parsed = dtype_parse(dtype);
    if (parsed < 0)
        return dtype_unknown(name, dtype, m);
    e->tensor.dtype = (enum dtype)parsed;
    TRY(shape_read(&e->tensor, name, json_object_get(value, "shape"), m));
    TRY(span_read(&e->span, name, json_object_get(value, "data_offsets"), m));
    TRY(entry_check_size(e, name, m));
    e->tensor.borrowed = 1; /* data will lie in the record's storage */
    e->tensor.name = memory_strdup(name, m);
    return e->tensor.name ? STATUS_OK : STATUS_NOMEM;
}

/* Sorted tensors must stand back to back from 0. */
static int entries_check_cover(const struct entry *entries, size_t count, uint64_t *data_bytes, struct message *m)
{
    uint64_t expected = 0;
    const char *before = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = entries[i].tensor.name;
        unsigned long long begin = entries[i].span.begin, want = expected;
        if (begin > want && !before)
            return message_set(m, STATUS_FORMAT, "%s: hole of %llu bytes before it, at offset 0 of the data", name,
                               begin);
        if (begin > want)
            return message_set(m, STATUS_FORMAT,
                               "%s and %s: hole of %llu bytes between them, at offset %llu of the data", before,
                               name, begin - want, want);
        if (begin < want)
            return message_set(m, STATUS_FORMAT, "%s and %s overlap at offset %llu of the data", before, name,
                               begin);
        expected = entries[i].span.end;
        before = name;
    }
    *data_bytes = expected;
    return STATUS_OK;
}

/* Fills entries in the header's order, then sorts them. *count is how many hold a name, also on failure. */
static int entries_read(struct entry *entries, size_t *count, json_t *root, uint64_t *data_bytes, struct message *m)
{
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct entry *e = &entries[*count];
        e->index = *count;
        TRY(entry_read(e, name, value, m));
        ++*count;
    }
    if (*count > 0)
        qsort(entries, *count, sizeof *entries, entry_compare);
    return entries_check_cover(entries, *count, data_bytes, m);
}

static int tensors_read(struct header *h, json_t *root, struct message *m)
{
    size_t size = json_object_size(root), count = 0;
    struct entry *entries = memory_new(size, sizeof *entries, m);
    if (!entries)
        return STATUS_NOMEM;
    int status = entries_read(entries, &count, root, &h->data_bytes, m);
    if (status == STATUS_OK) {
        h->record->tensors = memory_new(count, sizeof *h->record->tensors, m);
        h->spans = memory_new(count, sizeof *h->spans, m);
        if (!h->record->tensors || !h->spans)
            status = STATUS_NOMEM;
    }
    if (status == STATUS_OK) {
        h->record->tensor_capacity = h->record->tensor_count = count;
        for (size_t i = 0; i < count; i++) {
            h->record->tensors[i] = entries[i].tensor;
            h->spans[i] = entries[i].span;
        }
    } else {
        for (size_t i = 0; i < count; i++)
            memory_free(entries[i].tensor.name);
    }
    memory_free(entries);
    return status;
}

/* The end quote of the JSON string whose first quote is at i. The JSON has been parsed: it ends. */
static size_t string_end(const char *json, size_t i)
{
    for (i++; json[i] != '"'; i++)
        i += json[i] == '\\';
    return i;
}

static int string_is(const char *json, size_t begin, size_t end, const char *want)
{
    return end - begin - 1 == strlen(want) && memcmp(json + begin + 1, want, end - begin - 1) == 0;
}

static int is_key(const char *json, size_t length, size_t end)
{
    size_t i = end + 1;
    while (i < length && strchr(" \t\r\n", json[i]))
        i++;
    return i < length && json[i] == ':';
}

/* Where the CRC's digits stand in the text of a header that parses, 0 where the text hides them behind escapes. */
static size_t crc_find(const char *json, size_t length)
{
    int depth = 0, in_metadata = 0, is_crc = 0;
    for (size_t i = 0; i < length; i++) {
        if (json[i] == '"') {
            size_t end = string_end(json, i);
            int key = is_key(json, length, end);
            if (key && depth == 1)
                in_metadata = string_is(json, i, end, "__metadata__");
            else if (key && depth == 2)
                is_crc = in_metadata && string_is(json, i, end, "crc32");
            else if (is_crc && depth == 2 && end - i - 1 == CRC_DIGITS)
                return i + 1;
            i = end;
        } else if (json[i] == '{' || json[i] == '[') {
            depth++;
        } else if (json[i] == '}' || json[i] == ']') {
            depth--;
        }
    }
    return 0;
}

/* One flipped bit in the key itself would switch the check off; no key of ours is that close to it. */
static int key_is_damaged_crc(const char *key)
{
    static const char want[] = "crc32";
    unsigned bits = 0;
    if (strlen(key) != sizeof want - 1)
        return 0;
    for (size_t i = 0; i < sizeof want - 1; i++)
        bits += (unsigned)__builtin_popcount((unsigned char)key[i] ^ (unsigned)want[i]);
    return bits == 1;
}

static int crc_read(struct header *h, const char *json, size_t length, struct message *m)
{
    const char *digits = record_get(h->record, "crc32");
    if (!digits)
        return STATUS_OK;
    if (strlen(digits) != CRC_DIGITS || strspn(digits, "0123456789abcdef") != CRC_DIGITS)
        return message_set(m, STATUS_FORMAT, "metadata crc32: '%s' is not 8 lower-case hex digits", digits);
    h->crc_at = crc_find(json, length);
    if (h->crc_at == 0 || memcmp(json + h->crc_at, digits, CRC_DIGITS))
        return message_set(m, STATUS_FORMAT, "metadata crc32: is written with escapes");
    h->crc = (uint32_t)strtoul(digits, NULL, 16);
    h->has_crc = 1;
    return STATUS_OK;
}

static int metadata_read(struct header *h, const json_t *metadata, struct message *m)
{
    if (!metadata)
        return STATUS_OK;
    if (!json_is_object(metadata))
        return message_set(m, STATUS_FORMAT, "__metadata__ is not an object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return message_set(m, STATUS_FORMAT, "metadata %s: is not a string", key);
        if (key_is_damaged_crc(key))
            return message_set(m, STATUS_FORMAT, "metadata %s: looks like a damaged 'crc32'", key);
        TRY(record_append_metadata(h->record, key, json_string_value(value), m));
    }
    const char *format = record_get(h->record, "format");
    if (format && strncmp(format, "resq", 4) == 0 && strcmp(format, RECORD_FORMAT) != 0)
        return message_set(m, STATUS_UNSUPPORTED, "metadata format: '%s' is not supported, want '%s'", format,
                           RECORD_FORMAT);
    return STATUS_OK;
}

static int json_fail(const json_error_t *error, struct message *m)
{
    if (json_exhausted())
        return message_set(m, STATUS_NOMEM, "memory exhausted: parsing the header");
    return message_set(m, STATUS_FORMAT, "header is not valid JSON: %s (byte %d of the header)", error->text,
                       error->position);
}

int header_parse(struct header *h, const char *json, size_t length, struct message *m)
{
    json_error_t error;
    *h = (struct header){0};
    json_t *root = json_parse(json, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return json_fail(&error, m);
    int status = STATUS_OK;
    h->record = record_new(m);
    if (!h->record)
        status = STATUS_NOMEM;
    else if (!json_is_object(root))
        status = message_set(m, STATUS_FORMAT, "header is not a JSON object");
    if (status == STATUS_OK)
        status = metadata_read(h, json_object_get(root, "__metadata__"), m);
    if (status == STATUS_OK)
        status = crc_read(h, json, length, m);
    if (status == STATUS_OK)
        status = tensors_read(h, root, m);
    json_decref(root);
    if (status < 0)
        header_free(h);
    return status;
}
