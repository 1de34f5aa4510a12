/* recipe.h: one line that names everything which fixes a run's result, so that a checkpoint of another run
 * is known: sorted `key=value` words, the tool's recorded options under their own names, those of the tools
 * upstream as TOOL.key. */
#ifndef RESQ_RECORD_RECIPE_H
#define RESQ_RECORD_RECIPE_H

#include "base/text.h"
#include "record/lineage.h"

/* stream: a record with the incoming batches' made-by and data keys. What only says how much of the stream is
 * brought this time (epochs, from and batch of the tools upstream) is left out, and of versions all but the major
 * number. */
int recipe_make(struct text *out, const char *tool, const struct lineage *options, const struct record *stream,
                struct message *m) RESQ_USE_RESULT;
/* 0 where both are the same; STATUS_MISMATCH `another run's checkpoint: seed is 1, want 2; width is 4, want 8`. */
int recipe_compare(const char *checkpoint, const char *wanted, struct message *m) RESQ_USE_RESULT;

#endif
