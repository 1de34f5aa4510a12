/* join.h: what one tool made of parts of the data, put together: metadata and lineage. */
#ifndef RESQ_RECORD_JOIN_H
#define RESQ_RECORD_JOIN_H

#include "record/record.h"

/* 0 where both say the same but for images, made-by and crc32; STATUS_MISMATCH otherwise, with the key and the
 * first one's name. */
int parts_check(const struct record *first, const struct record *other, const char *first_name,
                struct message *m) RESQ_USE_RESULT;
/* Sets to's made-by: of every part the lines up to that of `tool` and the indented ones after it, sorted, each such
 * block once. So it is the same whatever the order of the parts and whatever was joined before. */
int parts_join_lineage(struct record *to, struct record *const *records, int count, const char *tool,
                       struct message *m) RESQ_USE_RESULT;

#endif
