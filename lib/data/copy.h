/* copy.h: decoded copies of archives, so that a few images do not cost the decoding of all. A copy is one file of
 * its folder, named by the SHA-256 of the archive; it may be removed at any time, and is never needed. Internal to
 * data.
 *
 *     char magic[32], digest[72]     sha256, in hex, of all up to the records
 *     u64 text, records, blocks, sample, height, width, channels, bytes of a label
 *     char text[]                    in dataset.tsv's form: what is known of the set but its name
 *     u8 labels[records]             or of 16 bits, as in files.h
 *     char digests[blocks][64]       sha256, in hex, of each block of records of a file: COPY_BLOCK, or as many
 *                                    as take no more room than so many of CIFAR-10's
 *     u8 sample[]                    one of the archive's JPEGs: another decoder than the copy's is told by it
 *     u8 records[records][..]        as in .bin files
 *
 * Its name says also what was asked to be made of the pictures. */
#ifndef RESQ_DATA_COPY_H
#define RESQ_DATA_COPY_H

#include "data/files.h"

enum {
    COPY_FORMAT = 3,  /* changes with these bytes and with the rule of what a set is */
    COPY_BLOCK = 250, /* records that are checked together: 3/4 MB */
};
#define COPY_MAX_BYTES ((int64_t)1 << 30)   /* of a copy; larger sets are decoded each time */
#define COPIES_MAX_BYTES ((int64_t)2 << 30) /* of all; the longest unused go first */

/* Fills s, whose source is known, from a copy in `cache`, but for classes, name, digest and the records. 1 where
 * there was one, 0 where there was none that can be used. said: which, or why none. */
int copy_open(struct image_files *s, const char *cache, struct message *said);
void copy_close(struct image_copy *c); /* NULL is fine */
/* As files_fetch. A damaged copy is removed. */
int copy_fetch(struct image_files *s, int split, int64_t first, int64_t count, struct message *m) RESQ_USE_RESULT;
/* Makes the copy of s and room for it. Where that fails there is none; said tells why. */
void copy_write(const struct image_files *s, const char *cache, struct message *said);

#endif
