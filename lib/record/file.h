/* file.h: whole-file input and atomic text/binary output, for everything that is not a record. */
#ifndef RESQ_RECORD_FILE_H
#define RESQ_RECORD_FILE_H

#include "base/status.h"
#include "base/text.h"
#include <stdio.h>

/* A file that appears whole or not at all: temporary name, fsync, rename. path "-" or NULL is standard output. */
struct atomic_file {
    FILE *stream;          /* to print to; buffered: nothing counts before the commit */
    struct output *output; /* opaque */
};

/* Fails at once where the directory is missing or not writable or path is a directory. */
int atomic_open(struct atomic_file *f, const char *path, struct message *m) RESQ_USE_RESULT;
int atomic_commit(struct atomic_file *f, struct message *m) RESQ_USE_RESULT; /* flush, check, sync, rename */
void atomic_abandon(struct atomic_file *f);                                  /* harmless after commit */
/* Removes the temporaries of all open atomic files and record writers; async-signal-safe, for a signal handler. */
void atomic_abandon_all(void);

/* 0 where path could be written to as a new file; STATUS_IO otherwise. Creates nothing. NULL and "-" are fine. */
int output_check(const char *path, struct message *m) RESQ_USE_RESULT;
/* STATUS_MISMATCH where both name the same existing file; NULL and "-" never do. */
int output_differs(const char *input, const char *output, struct message *m) RESQ_USE_RESULT;

/* Reads a whole file (at most limit bytes) into t. */
int file_read(const char *path, size_t limit, struct text *t, struct message *m) RESQ_USE_RESULT;
/* read(2)/write(2) until count bytes moved, end of file (short count) or failure; EINTR is retried. */
long fd_read_full(int fd, void *bytes, size_t count);
int fd_write_full(int fd, const void *bytes, size_t count);

#endif
