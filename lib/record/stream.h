/* stream.h: reading and writing records. Messages name the file ("stdin" for standard input) and byte offset.
 * Reads and writes survive EINTR and short transfers. "-" or NULL means standard input or output. */
#ifndef RESQ_RECORD_STREAM_H
#define RESQ_RECORD_STREAM_H

#include "record/record.h"

struct record_reader; /* opaque */
struct record_writer; /* opaque */

int reader_open(struct record_reader **out, const char *path, struct message *m) RESQ_USE_RESULT;
/* 1: *record is a new record, the caller's to free; 0: clean end of file, at a record's boundary; negative:
 * failure. Header bounds, JSON (duplicate keys refused), offsets, overlap and holes, sizes and crc32 (where
 * present) are all checked; nothing is allocated before its size has been bounded, and data is read in pieces, so
 * that a lying header on a short stream costs no memory. */
int reader_next(struct record_reader *r, struct record **record, struct message *m) RESQ_USE_RESULT;
const char *reader_name(const struct record_reader *r);
uint64_t reader_records(const struct record_reader *r); /* records read so far */
/* 0 where nothing follows what was read; otherwise STATUS_FORMAT with the offset of the first surplus byte. */
int reader_finish(struct record_reader *r, struct message *m) RESQ_USE_RESULT;
void reader_close(struct record_reader *r);

/* A whole file that must hold exactly one record: surplus bytes are STATUS_FORMAT with the offset of the first.
 * The file is read, not mapped: every byte has to be seen for the CRC anyway, tensors come out aligned to 64 bytes
 * wherever they stand in the file, and nobody can change or cut them under the reader. */
int record_load(struct record **out, const char *path, struct message *m) RESQ_USE_RESULT;

/* Output. To a path: bytes go to a temporary name beside it; writer_commit syncs and renames, and until then
 * nothing stands under the final name (also not after a signal: see atomic_abandon_all in file.h). To standard
 * output ("-" or NULL): refused where it is a terminal; commit flushes and checks. The directory is checked at
 * open, before any work. */
int writer_open(struct record_writer **out, const char *path, struct message *m) RESQ_USE_RESULT;
/* Serialises r: canonical header (metadata keys sorted by byte, tensors by element size, largest first, otherwise
 * in the record's order; data from a multiple of 64), sets crc32. */
int writer_put(struct record_writer *w, const struct record *r, struct message *m) RESQ_USE_RESULT;
int writer_commit(struct record_writer *w, struct message *m) RESQ_USE_RESULT; /* also releases w */
void writer_abandon(struct record_writer *w); /* removes the temporary; NULL is fine */
/* writer_open + writer_put + writer_commit. */
int record_save(const struct record *r, const char *path, struct message *m) RESQ_USE_RESULT;
/* The serialised bytes of r as one block (memory_free), as writer_put would write them. */
int record_serialise(const struct record *r, void **bytes, size_t *count, struct message *m) RESQ_USE_RESULT;
/* Parses one record from memory (copied); *used bytes were consumed. For tests and fuzzing. */
int record_parse(struct record **out, const void *bytes, size_t count, size_t *used,
                 struct message *m) RESQ_USE_RESULT;

#endif
