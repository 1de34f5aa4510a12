/* save.h: a finished output to a file. */
#ifndef RESQ_REPORT_SAVE_H
#define RESQ_REPORT_SAVE_H

#include "base/status.h"
#include <stddef.h>

/* Writes count bytes to path ("-" or NULL: standard output), whole or not at all. */
int bytes_save(const void *bytes, size_t count, const char *path, struct message *m) RESQ_USE_RESULT;

#endif
