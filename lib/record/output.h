/* output.h: outputs that appear whole or not at all, as descriptors. What atomic files and record writers share;
 * the layer's own. */
#ifndef RESQ_RECORD_OUTPUT_H
#define RESQ_RECORD_OUTPUT_H

#include "base/status.h"

int path_is_standard(const char *path); /* NULL or "-" */
/* Opens for reading; "-" and NULL give descriptor 0, which is not to be closed. */
int input_open(const char *path, int *fd, struct message *m) RESQ_USE_RESULT;

struct output {
    int fd;          /* -1: closed */
    char *path;      /* as given, for messages; NULL for standard output */
    char *final;     /* where temporary goes at last: path with symbolic links followed */
    char *temporary; /* NULL for standard output and for what exists and is no regular file (/dev/full, a FIFO) */
    int error;       /* errno of the first failed write of an atomic file, else 0 */
    int slot;        /* of the registry that atomic_abandon_all walks */
};

/* path NULL or "-": standard output. Otherwise all of output_check, and temporaries of the same name left by
 * processes that are gone are removed. */
int output_open(struct output *o, const char *path, struct message *m) RESQ_USE_RESULT;
/* Syncs, closes, renames; releases o also on failure, and then nothing stands under the final name. */
int output_commit(struct output *o, struct message *m) RESQ_USE_RESULT;
void output_abandon(struct output *o);           /* harmless after commit */
const char *output_name(const struct output *o); /* for messages: the path, or "stdout" */

#endif
