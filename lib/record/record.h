/* record.h: a record = named tensors + string metadata. See lib/FORMATS.md for the bytes and the kinds. */
#ifndef RESQ_RECORD_RECORD_H
#define RESQ_RECORD_RECORD_H

#include "base/memory.h"
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 8, RECORD_MAX_HEADER = 16 << 20 };

enum dtype {
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_U16,
    DTYPE_I16,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_U32,
    DTYPE_I32,
    DTYPE_F32,
    DTYPE_U64,
    DTYPE_I64,
    DTYPE_F64,
    DTYPE_COUNT
};

const char *dtype_name(enum dtype d); /* safetensors' spelling: "F32", "U8" ... */
size_t dtype_size(enum dtype d);      /* bytes an element */
int dtype_parse(const char *name);    /* enum dtype, or -1 */

struct tensor {
    char *name;
    enum dtype dtype;
    int rank; /* 0: a scalar with one element */
    int64_t shape[TENSOR_MAX_RANK];
    size_t count, bytes; /* elements; count * dtype_size */
    void *data;          /* 64-byte aligned (what is borrowed: as the caller made it); belongs to the record */
    int borrowed;        /* data points into the record's storage or the caller's memory, not to be freed alone */
};

struct metadata {
    char *key, *value;
};

/* A record owns its tensors and metadata. Tensors keep the order in which they were added or read (by offset). */
struct record {
    struct tensor *tensors;
    size_t tensor_count, tensor_capacity;
    struct metadata *metadata;
    size_t metadata_count, metadata_capacity;
    void *storage; /* one block behind all tensors that were read; NULL otherwise */
    size_t storage_bytes;
};

struct record *record_new(struct message *m) RESQ_USE_RESULT;
void record_free(struct record *r); /* NULL is fine */

/* Adds a zeroed tensor; a duplicate name, rank > 8, a negative dimension or overflow is STATUS_MISMATCH/RANGE.
 * *out (may be NULL) is valid until the next add or remove: tensors move, their data does not. */
int record_add(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
               struct tensor **out, struct message *m) RESQ_USE_RESULT;
/* The same from existing memory, copied. */
int record_add_copy(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                    const void *data, struct message *m) RESQ_USE_RESULT;
/* The same, borrowing: data must outlive r. */
int record_add_borrowed(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                        void *data, struct message *m) RESQ_USE_RESULT;
void record_remove(struct record *r, const char *name);               /* absent is fine */
struct tensor *record_find(const struct record *r, const char *name); /* NULL where absent */
/* Finds and checks type and shape (a dimension of -1 accepts any): failure names the tensor and says
 * `got F32[64,3,7,7], want F32[64,3,3,3]` or `missing tensor`. */
int record_require(const struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape,
                   struct tensor **out, struct message *m) RESQ_USE_RESULT;
/* Writes "F32[64,3,3,3]" into out, which holds at least 192 bytes. */
void tensor_describe(const struct tensor *t, char *out);

const char *record_get(const struct record *r, const char *key); /* metadata value or NULL */
int record_set(struct record *r, const char *key, const char *value, struct message *m) RESQ_USE_RESULT;
int record_setf(struct record *r, const char *key, struct message *m, const char *format, ...)
    RESQ_PRINTF(4, 5) RESQ_USE_RESULT;
void record_unset(struct record *r, const char *key);
/* Copies every metadata entry of `from` that `to` does not have yet, except kind and crc32. */
int record_inherit(struct record *to, const struct record *from, struct message *m) RESQ_USE_RESULT;
/* A deep copy. */
struct record *record_copy(const struct record *r, struct message *m) RESQ_USE_RESULT;

/* "model", "batch" ...; "" where the metadata has none (a file from elsewhere). */
const char *record_kind(const struct record *r);
/* 0, or STATUS_MISMATCH `is a ranges record, want a model record`. A record without kind passes as a model. */
int record_require_kind(const struct record *r, const char *kind, struct message *m) RESQ_USE_RESULT;

#endif
