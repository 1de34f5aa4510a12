/* gzip.h: opens an archive through zlib where it is gzip, because libarchive's own gzip reader leaves the checksum
 * and the length at the end unchecked. Internal to data. */
#ifndef RESQ_DATA_GZIP_H
#define RESQ_DATA_GZIP_H

#include "base/status.h"

struct archive;

/* 1: a was opened on path, which is gzip; archive_read_free releases everything. 0: path is not gzip, a is
 * untouched. Negative: failure. */
int gzip_open(struct archive *a, const char *path, struct message *m) RESQ_USE_RESULT;

#endif
