#include "record/record.h"
#include "record/header.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_BOOL] = {"BOOL", 1}, [DTYPE_U8] = {"U8", 1},   [DTYPE_I8] = {"I8", 1},     [DTYPE_U16] = {"U16", 2},
    [DTYPE_I16] = {"I16", 2},   [DTYPE_F16] = {"F16", 2}, [DTYPE_BF16] = {"BF16", 2}, [DTYPE_U32] = {"U32", 4},
    [DTYPE_I32] = {"I32", 4},   [DTYPE_F32] = {"F32", 4}, [DTYPE_U64] = {"U64", 8},   [DTYPE_I64] = {"I64", 8},
    [DTYPE_F64] = {"F64", 8},
};

const char *dtype_name(enum dtype d)
{
    return dtypes[d].name;
}

size_t dtype_size(enum dtype d)
{
    return dtypes[d].size;
}

int dtype_parse(const char *name)
{
    for (int d = 0; d < DTYPE_COUNT; d++)
        if (strcmp(dtypes[d].name, name) == 0)
            return d;
    return -1;
}

struct record *record_new(struct message *m)
{
    return memory_new(1, sizeof(struct record), m);
}

static void tensor_release(struct tensor *t)
{
    if (!t->borrowed)
        memory_free(t->data);
    memory_free(t->name);
}

void record_free(struct record *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->tensor_count; i++)
        tensor_release(&r->tensors[i]);
    for (size_t i = 0; i < r->metadata_count; i++) {
        memory_free(r->metadata[i].key);
        memory_free(r->metadata[i].value);
    }
    memory_free(r->tensors);
    memory_free(r->metadata);
    memory_free(r->storage);
    memory_free(r);
}

int shape_size(const char *name, enum dtype dtype, int rank, const int64_t *shape, size_t *count, size_t *bytes,
               struct message *m)
{
    size_t elements = 1;
    int empty = 0;
    if (rank < 0 || rank > TENSOR_MAX_RANK)
        return message_set(m, STATUS_RANGE, "%s: rank %d is not in 0..%d", name, rank, (int)TENSOR_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return message_set(m, STATUS_RANGE, "%s: dimension %lld is negative", name, (long long)shape[i]);
        empty |= shape[i] == 0;
        if (shape[i] > 0 && size_multiply(elements, (size_t)shape[i], &elements))
            return message_set(m, STATUS_RANGE, "%s: shape overflows", name);
    }
    if (size_multiply(elements, dtype_size(dtype), bytes) || *bytes > INT64_MAX)
        return message_set(m, STATUS_RANGE, "%s: shape overflows", name);
    *count = empty ? 0 : elements;
    *bytes = empty ? 0 : *bytes;
    return STATUS_OK;
}

int record_reserve_tensor(struct record *r, struct message *m)
{
    if (r->tensor_count == r->tensor_capacity) {
        size_t capacity = r->tensor_capacity ? 2 * r->tensor_capacity : 16;
        void *p = memory_resize(r->tensors, r->tensor_count * sizeof *r->tensors, capacity, sizeof *r->tensors, m);
        if (!p)
            return STATUS_NOMEM;
        r->tensors = p;
        r->tensor_capacity = capacity;
    }
    r->tensors[r->tensor_count] = (struct tensor){0};
    return STATUS_OK;
}

/* Checks name and shape and prepares a tensor without data behind the last one, not yet counted. */
static int tensor_prepare(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                          struct tensor **out, struct message *m)
{
    if (!*name || strcmp(name, "__metadata__") == 0 || !text_is_utf8(name))
        return message_set(m, STATUS_MISMATCH, "'%s' cannot name a tensor", name);
    if (record_find(r, name))
        return message_set(m, STATUS_MISMATCH, "%s: tensor exists already", name);
    size_t count, bytes;
    TRY(shape_size(name, dtype, rank, shape, &count, &bytes, m));
    TRY(record_reserve_tensor(r, m));
    struct tensor *t = &r->tensors[r->tensor_count];
    t->name = memory_strdup(name, m);
    if (!t->name)
        return STATUS_NOMEM;
    t->dtype = dtype;
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->shape[i] = shape[i];
    t->count = count;
    t->bytes = bytes;
    *out = t;
    return STATUS_OK;
}

static int tensor_finish(struct record *r, struct tensor *t)
{
    if (!t->data) {
        memory_free(t->name);
        return STATUS_NOMEM;
    }
    r->tensor_count++;
    return STATUS_OK;
}

int record_add(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
               struct tensor **out, struct message *m)
{
    struct tensor *t;
    TRY(tensor_prepare(r, name, dtype, rank, shape, &t, m));
    t->data = memory_new(t->bytes, 1, m);
    TRY(tensor_finish(r, t));
    if (out)
        *out = t;
    return STATUS_OK;
}

int record_add_copy(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                    const void *data, struct message *m)
{
    struct tensor *t;
    TRY(tensor_prepare(r, name, dtype, rank, shape, &t, m));
    t->data = memory_new_raw(t->bytes, 1, m);
    if (t->data && t->bytes)
        memcpy(t->data, data, t->bytes);
    return tensor_finish(r, t);
}

int record_add_borrowed(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                        void *data, struct message *m)
{
    struct tensor *t;
    TRY(tensor_prepare(r, name, dtype, rank, shape, &t, m));
    t->data = data;
    t->borrowed = 1;
    r->tensor_count++;
    return STATUS_OK;
}

void record_remove(struct record *r, const char *name)
{
    struct tensor *t = record_find(r, name);
    if (!t)
        return;
    tensor_release(t);
    size_t after = r->tensor_count - (size_t)(t - r->tensors) - 1;
    memmove(t, t + 1, after * sizeof *t);
    r->tensor_count--;
}

struct tensor *record_find(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->tensor_count; i++)
        if (strcmp(r->tensors[i].name, name) == 0)
            return &r->tensors[i];
    return NULL;
}

/* "F32[64,3,-1,3]", a dimension of -1 as "N". At most 5 + 8 * 20 + 2 bytes. */
static void shape_describe(enum dtype dtype, int rank, const int64_t *shape, char *out)
{
    int n = sprintf(out, "%s[", dtype_name(dtype));
    for (int i = 0; i < rank; i++)
        n += shape[i] == -1 ? sprintf(out + n, i ? ",N" : "N")
                            : sprintf(out + n, i ? ",%lld" : "%lld", (long long)shape[i]);
    sprintf(out + n, "]");
}

void tensor_describe(const struct tensor *t, char *out)
{
    shape_describe(t->dtype, t->rank, t->shape, out);
}

int record_require(const struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                   struct tensor **out, struct message *m)
{
    struct tensor *t = record_find(r, name);
    if (!t)
        return message_set(m, STATUS_MISMATCH, "%s: missing tensor", name);
    int same = t->dtype == dtype && t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = shape[i] == -1 || t->shape[i] == shape[i];
    if (!same) {
        char got[192], want[192];
        tensor_describe(t, got);
        shape_describe(dtype, rank, shape, want);
        return message_set(m, STATUS_MISMATCH, "%s: got %s, want %s", name, got, want);
    }
    if (out)
        *out = t;
    return STATUS_OK;
}

static struct metadata *metadata_find(const struct record *r, const char *key)
{
    for (size_t i = 0; i < r->metadata_count; i++)
        if (strcmp(r->metadata[i].key, key) == 0)
            return &r->metadata[i];
    return NULL;
}

const char *record_get(const struct record *r, const char *key)
{
    const struct metadata *found = metadata_find(r, key);
    return found ? found->value : NULL;
}

int record_append_metadata(struct record *r, const char *key, const char *value, struct message *m)
{
    if (r->metadata_count == r->metadata_capacity) {
        size_t capacity = r->metadata_capacity ? 2 * r->metadata_capacity : 16;
        size_t bytes = r->metadata_count * sizeof *r->metadata;
        void *p = memory_resize(r->metadata, bytes, capacity, sizeof *r->metadata, m);
        if (!p)
            return STATUS_NOMEM;
        r->metadata = p;
        r->metadata_capacity = capacity;
    }
    struct metadata new = {.key = memory_strdup(key, m)};
    new.value = new.key ? memory_strdup(value, m) : NULL;
    if (!new.value) {
        memory_free(new.key);
        return STATUS_NOMEM;
    }
    r->metadata[r->metadata_count++] = new;
    return STATUS_OK;
}

int record_set(struct record *r, const char *key, const char *value, struct message *m)
{
    if (!text_is_utf8(key) || !text_is_utf8(value))
        return message_set(m, STATUS_MISMATCH, "metadata %s: '%s' is not UTF-8", key, value);
    struct metadata *found = metadata_find(r, key);
    if (!found)
        return record_append_metadata(r, key, value, m);
    char *copy = memory_strdup(value, m);
    if (!copy)
        return STATUS_NOMEM;
    memory_free(found->value);
    found->value = copy;
    return STATUS_OK;
}

int record_setf(struct record *r, const char *key, struct message *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *value = memory_vprintf(m, format, arguments);
    va_end(arguments);
    if (!value)
        return STATUS_NOMEM;
    int status = record_set(r, key, value, m);
    memory_free(value);
    return status;
}

void record_unset(struct record *r, const char *key)
{
    struct metadata *found = metadata_find(r, key);
    if (!found)
        return;
    memory_free(found->key);
    memory_free(found->value);
    size_t after = r->metadata_count - (size_t)(found - r->metadata) - 1;
    memmove(found, found + 1, after * sizeof *found);
    r->metadata_count--;
}

int record_inherit(struct record *to, const struct record *from, struct message *m)
{
    for (size_t i = 0; i < from->metadata_count; i++) {
        const struct metadata *x = &from->metadata[i];
        if (strcmp(x->key, "kind") == 0 || strcmp(x->key, "crc32") == 0 || record_get(to, x->key))
            continue;
        TRY(record_append_metadata(to, x->key, x->value, m));
    }
    return STATUS_OK;
}

struct record *record_copy(const struct record *r, struct message *m)
{
    struct record *copy = record_new(m);
    int status = copy ? STATUS_OK : STATUS_NOMEM;
    for (size_t i = 0; status == STATUS_OK && i < r->metadata_count; i++)
        status = record_append_metadata(copy, r->metadata[i].key, r->metadata[i].value, m);
    for (size_t i = 0; status == STATUS_OK && i < r->tensor_count; i++) {
        const struct tensor *t = &r->tensors[i];
        status = record_add_copy(copy, t->name, t->dtype, t->rank, t->shape, t->data, m);
    }
    if (status == STATUS_OK)
        return copy;
    record_free(copy);
    return NULL;
}

const char *record_kind(const struct record *r)
{
    const char *kind = record_get(r, "kind");
    return kind ? kind : "";
}

int record_require_kind(const struct record *r, const char *kind, struct message *m)
{
    const char *got = record_kind(r);
    if (strcmp(*got ? got : "model", kind) == 0)
        return STATUS_OK;
    const char *an = strchr("aeiou", kind[0]) ? "an" : "a";
    if (!*got)
        return message_set(m, STATUS_MISMATCH, "has no kind and passes as a model record, want %s %s record", an,
                           kind);
    return message_set(m, STATUS_MISMATCH, "is %s %s record, want %s %s record",
                       strchr("aeiou", got[0]) ? "an" : "a", got, an, kind);
}
