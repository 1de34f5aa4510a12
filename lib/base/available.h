/* available.h: whether what is about to be held fits the machine. */
#ifndef RESQ_BASE_AVAILABLE_H
#define RESQ_BASE_AVAILABLE_H

#include "base/status.h"
#include <stddef.h>

/* Bytes that this process could still take: the least of what the system says is available (MemAvailable), what its
 * control group's limit leaves, and what is left of its address space (ulimit -v). SIZE_MAX where none is known. */
size_t memory_available(void);

/* What a batch of so many images takes, of something planned but not allocated; 0:
 * nothing here (a device has memory of its own). */
typedef int batch_bytes(void *context, int batch, size_t *bytes, struct message *m);
/* 0 where a batch of `batch` images fits; said gets one line on how much it takes,
 * none for 0 bytes. Else STATUS_NOMEM, whose reason
 * names the largest batch that fits, if any. what: "a mini-batch", "a batch". available: as memory_available. */
int batch_fits(batch_bytes *bytes, void *context, int batch, const char *what, size_t available,
               struct message *said, struct message *m) RESQ_USE_RESULT;

#endif
