/* unread.h: data in forms that are not read, by their names and first bytes: what they are and what to do.
 * Internal to data. */
#ifndef RESQ_DATA_UNREAD_H
#define RESQ_DATA_UNREAD_H

#include "base/status.h"
#include <stddef.h>

/* "a Parquet file: ...", or NULL. path: of a file, or of a member with the folder that it stands in. */
const char *unread_name(const char *path);
/* The same by the first bytes of the content. */
const char *unread_content(const void *bytes, size_t count);
/* After a failure to read the file `path`: where name, content (also of what gzip packed) or size say what it is,
 * that becomes the reason. */
void unread_explain(const char *path, struct message *m);

#endif
