/* layout.c: from a record to its canonical header. */
#include "record/header.h"
#include "record/digest.h"
#include "record/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct placed {
    const struct tensor *tensor;
    size_t index;
};

static int placed_compare(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    size_t sx = dtype_size(x->tensor->dtype), sy = dtype_size(y->tensor->dtype);
    if (sx != sy)
        return sx > sy ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int order_make(struct layout *l, const struct record *r, struct message *m)
{
    l->order = memory_new(r->tensor_count, sizeof *l->order, m);
    struct placed *placed = memory_new(r->tensor_count, sizeof *placed, m);
    if (!l->order || !placed) {
        memory_free(placed);
        return STATUS_NOMEM;
    }
    for (size_t i = 0; i < r->tensor_count; i++)
        placed[i] = (struct placed){&r->tensors[i], i};
    qsort(placed, r->tensor_count, sizeof *placed, placed_compare);
    for (size_t i = 0; i < r->tensor_count; i++)
        l->order[i] = placed[i].tensor;
    memory_free(placed);
    return STATUS_OK;
}

static int key_compare(const void *a, const void *b)
{
    const struct metadata *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* Names are UTF-8 and unique already, so what is left is memory. */
static int json_failed(struct message *m)
{
    return message_set(m, STATUS_NOMEM, "memory exhausted: building the header");
}

static int metadata_build(json_t *root, const struct record *r, int with_crc, struct message *m)
{
    struct metadata *sorted = memory_new_raw(r->metadata_count + 2, sizeof *sorted, m);
    if (!sorted)
        return STATUS_NOMEM;
    static char format_key[] = "format", format_value[] = RECORD_FORMAT, crc_key[] = "crc32", zeros[] = "00000000";
    size_t count = 0;
    sorted[count++] = (struct metadata){format_key, format_value};
    if (with_crc)
        sorted[count++] = (struct metadata){crc_key, zeros};
    for (size_t i = 0; i < r->metadata_count; i++)
        if (strcmp(r->metadata[i].key, "format") && strcmp(r->metadata[i].key, "crc32"))
            sorted[count++] = r->metadata[i];
    qsort(sorted, count, sizeof *sorted, key_compare);
    json_t *metadata = json_object();
    int failed = !metadata;
    for (size_t i = 0; !failed && i < count; i++)
        failed = json_object_set_new(metadata, sorted[i].key, json_string(sorted[i].value));
    memory_free(sorted);
    /* set_new owns its value also when it fails */
    if (failed || json_object_set(root, "__metadata__", metadata)) {
        json_decref(metadata);
        return json_failed(m);
    }
    json_decref(metadata);
    return STATUS_OK;
}

static json_t *shape_build(const struct tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; shape && i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i]))) {
            json_decref(shape);
            return NULL;
        }
    return shape;
}

static int tensors_build(json_t *root, const struct layout *l, size_t count, struct message *m)
{
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = l->order[i];
        json_t *shape = shape_build(t);
        json_t *entry = shape ? json_pack("{s:s,s:o,s:[I,I]}", "dtype", dtype_name(t->dtype), "shape", shape,
                                          "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes))
                              : NULL;
        if (json_object_set_new(root, t->name, entry))
            return json_failed(m);
        at += t->bytes;
        if (at > INT64_MAX)
            return message_set(m, STATUS_RANGE, "record is too large");
    }
    return STATUS_OK;
}

struct dump {
    struct text *text;
    struct message *message;
    int status; /* of the text; a dump that fails otherwise leaves it */
};

/* jansson goes on behind a key that could not be added: the first failure stays. */
static int dump_add(const char *bytes, size_t count, void *data)
{
    struct dump *d = data;
    if (d->status >= 0)
        d->status = text_add_bytes(d->text, bytes, count, d->message);
    return d->status;
}

/* Length bytes, JSON, spaces up to the alignment. */
static int header_print(struct layout *l, const json_t *root, struct message *m)
{
    static const char spaces[] = "                                                                ";
    struct dump dump = {&l->header, m, STATUS_OK};
    TRY(text_add_bytes(&l->header, "\0\0\0\0\0\0\0", LENGTH_BYTES, m));
    int failed = json_dump_callback(root, dump_add, &dump, JSON_COMPACT);
    TRY(dump.status);
    if (failed || json_exhausted())
        return json_failed(m);
    size_t padding = (RECORD_ALIGNMENT - l->header.length % RECORD_ALIGNMENT) % RECORD_ALIGNMENT;
    TRY(text_add_bytes(&l->header, spaces, padding, m));
    uint64_t length = l->header.length - LENGTH_BYTES;
    if (length > RECORD_MAX_HEADER)
        return message_set(m, STATUS_RANGE, "header length %llu exceeds limit %d", (unsigned long long)length,
                           (int)RECORD_MAX_HEADER);
    for (int i = 0; i < LENGTH_BYTES; i++)
        l->header.data[i] = (char)(unsigned char)(length >> (8 * i));
    return STATUS_OK;
}

/* The key is the only place with these bytes: a quote inside a string would stand behind a backslash. */
static void crc_locate(struct layout *l)
{
    static const char key[] = "\"crc32\":\"";
    const char *json = l->header.data + LENGTH_BYTES;
    const char *found = memmem(json, l->header.length - LENGTH_BYTES, key, sizeof key - 1);
    l->crc_at = found ? (size_t)(found - l->header.data) + sizeof key - 1 : 0;
}

static int header_build(struct layout *l, const struct record *r, int with_crc, struct message *m)
{
    json_watch();
    json_t *root = json_object();
    if (!root)
        return json_failed(m);
    int status = metadata_build(root, r, with_crc, m);
    if (status == STATUS_OK)
        status = tensors_build(root, l, r->tensor_count, m);
    if (status == STATUS_OK)
        status = header_print(l, root, m);
    if (status == STATUS_OK && with_crc)
        crc_locate(l);
    json_decref(root);
    return status;
}

int layout_make(struct layout *l, const struct record *r, int with_crc, struct message *m)
{
    *l = (struct layout){0};
    int status = order_make(l, r, m);
    if (status == STATUS_OK)
        status = header_build(l, r, with_crc, m);
    if (status < 0)
        layout_free(l);
    return status;
}

void layout_seal(struct layout *l, const struct record *r)
{
    char digits[CRC_DIGITS + 1];
    uint32_t crc = digest_crc32(0, l->header.data, l->header.length);
    for (size_t i = 0; i < r->tensor_count; i++)
        crc = digest_crc32(crc, l->order[i]->data, l->order[i]->bytes);
    snprintf(digits, sizeof digits, "%08x", (unsigned)crc);
    memcpy(l->header.data + l->crc_at, digits, CRC_DIGITS);
}

void layout_free(struct layout *l)
{
    text_free(&l->header);
    memory_free(l->order);
    *l = (struct layout){0};
}
