/* beside.h: folders that belong to the programs: beside or above them in the source tree, or under their prefix. */
#ifndef RESQ_TOOLS_BESIDE_H
#define RESQ_TOOLS_BESIDE_H

#include "base/status.h"
#include <stddef.h>

struct beside {
    const char *variable;  /* of the environment: where it is set, the folder is that one and no other */
    const char *places[2]; /* from a folder that this program lies in, or one above it, up to four levels */
    const char *file;      /* what it holds */
    const char *what;      /* in words, for messages: "the folder of scripts" */
};

/* The folder's path into out [size]. STATUS_IO where there is none. */
int beside_find(const struct beside *b, char *out, size_t size, struct message *m) RESQ_USE_RESULT;

/* The file of the network of this name (lenet5): in $RESQ_NETWORKS, or pipelines/networks of the source tree, or
 * share/resq/networks of the prefix. STATUS_RANGE lists the names that there are. */
int network_find(const char *name, char *out, size_t size, struct message *m) RESQ_USE_RESULT;

#endif
