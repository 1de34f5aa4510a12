/* header.h: the JSON header of a record, both ways. The layer's own. */
#ifndef RESQ_RECORD_HEADER_H
#define RESQ_RECORD_HEADER_H

#include "record/record.h"
#include "base/text.h"

#define RECORD_FORMAT "resq 1"

enum { RECORD_ALIGNMENT = 64, LENGTH_BYTES = 8, CRC_DIGITS = 8 };

/* How a record is written: header text and the order of its tensors. */
struct layout {
    struct text header;          /* LENGTH_BYTES length bytes and the padded JSON */
    const struct tensor **order; /* by element size, largest first, otherwise as in the record */
    size_t crc_at;               /* where in header.data the zeros stand that the CRC replaces; 0 without */
};

/* with_crc 0 leaves out crc32: the form that is digested. */
int layout_make(struct layout *l, const struct record *r, int with_crc, struct message *m) RESQ_USE_RESULT;
/* Computes the CRC over header and data and puts it into the header. */
void layout_seal(struct layout *l, const struct record *r);
void layout_free(struct layout *l);

/* What a header says of one tensor's place, before there is memory for it. */
struct span {
    uint64_t begin, end; /* in the data */
};

struct header {
    struct record *record; /* metadata, and tensors without data, in the order of their offsets; owned */
    struct span *spans;    /* of record->tensors */
    uint64_t data_bytes;
    int has_crc;
    uint32_t crc;  /* as written */
    size_t crc_at; /* of its digits in the JSON */
};

/* Parses and checks everything that can be checked without data. Failure frees. */
int header_parse(struct header *h, const char *json, size_t length, struct message *m) RESQ_USE_RESULT;
void header_free(struct header *h);

/* Element count and bytes of a shape; STATUS_RANGE where they overflow or rank or a dimension is out of range. */
int shape_size(const char *name, enum dtype dtype, int rank, const int64_t *shape, size_t *count, size_t *bytes,
               struct message *m) RESQ_USE_RESULT;
/* Room for one more; the new tensor is zeroed and counted once the caller increments tensor_count. */
int record_reserve_tensor(struct record *r, struct message *m) RESQ_USE_RESULT;
/* Appends without looking for duplicates. */
int record_append_metadata(struct record *r, const char *key, const char *value, struct message *m) RESQ_USE_RESULT;

#endif
