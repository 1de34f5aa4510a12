/* describe.h: records as text for people: show, statistics, check, compare. */
#ifndef RESQ_RECORD_DESCRIBE_H
#define RESQ_RECORD_DESCRIBE_H

#include "record/record.h"
#include "base/text.h"

/* Element i as a number: exact but for 64-bit integers beyond 2^53. i < count. */
double tensor_value(const struct tensor *t, size_t i);
/* The same as text, always exact. */
void tensor_value_print(const struct tensor *t, size_t i, char out[32]);

struct tensor_statistics {
    double min, max, mean, deviation; /* over the finite elements; 0 where there is none */
    size_t zeros, not_finite;
};
void tensor_statistics(const struct tensor *t, struct tensor_statistics *s);

/* One line: name, type, statistics. */
int tensor_show(const struct tensor *t, struct text *out, struct message *m) RESQ_USE_RESULT;
/* Values from element *at on, one line for each run of the last dimension, tabs between; stops after about 64 KiB.
 * Moves *at; *at == count means done. */
int tensor_values_print(const struct tensor *t, size_t *at, struct text *out, struct message *m) RESQ_USE_RESULT;

/* Metadata (long texts by their number of lines), tensors with types and bytes, totals; where the record has
 * `X.accumulator_bound`, each bound and how far below 2^31 it stays. */
int record_show(const struct record *r, struct text *out, struct message *m) RESQ_USE_RESULT;

/* A metadata entry that may have many lines, as it is but for control characters; STATUS_MISMATCH `has no KEY`. */
int record_show_lines(const struct record *r, const char *key, struct text *out, struct message *m) RESQ_USE_RESULT;

/* What a checked file held. */
struct file_summary {
    struct record *first; /* the caller's to free */
    uint64_t records;     /* of a stream, the end record not counted; otherwise 1 */
    int64_t images;       /* of a stream of batches; otherwise 0 */
};

/* record_show of the first record; of a stream also how many batches and images there are. */
int file_show(const struct file_summary *s, struct text *out, struct message *m) RESQ_USE_RESULT;

/* Whether a file is whole: one record of any kind, or a stream of batches closed by its end record whose count is
 * right. 0, or a failure that names the file ("stdin" for "-" and NULL) and leaves no record. */
int record_check(const char *path, struct file_summary *summary, struct message *m) RESQ_USE_RESULT;

/* TSV of what differs, a being the reference: `what name a b max_difference mean_difference sqnr_db`, nothing at
 * all where nothing differs. int8 weights beside `X.weight_scale` are compared by the values that they stand for.
 * crc32 is not compared. Returns 1 where they are the same, 0 where not. */
int record_compare(const struct record *a, const struct record *b, struct text *out,
                   struct message *m) RESQ_USE_RESULT;

#endif
