/* checkpoint_file.h: the file that a stopped run goes on from, whatever ran: a record of kind `checkpoint` that holds
 * the run's recipe (recipe.h), so that another run's is known. What else stands in it is the run's own. */
#ifndef RESQ_RECORD_CHECKPOINT_FILE_H
#define RESQ_RECORD_CHECKPOINT_FILE_H

#include "record/record.h"

/* Puts what a run needs to go on into r, which has kind and recipe already; what r borrows outlives it. */
typedef int checkpoint_fill(void *context, struct record *r, struct message *m);

/* To a file, as record_save does it. */
int checkpoint_save(const char *path, const char *recipe, checkpoint_fill *fill, void *context,
                    struct message *m) RESQ_USE_RESULT;

/* 1: *r is the checkpoint (the caller's to free); 0: there is no such file (*r NULL: a run that was stopped before
 * its first checkpoint begins again); negative: failure, which names the file. */
int checkpoint_load(const char *path, struct record **r, struct message *m) RESQ_USE_RESULT;

/* 0 where it is of the run with this recipe; otherwise recipe_compare's failure, or STATUS_FORMAT where it has none. */
int checkpoint_is_of(const struct record *checkpoint, const char *recipe, struct message *m) RESQ_USE_RESULT;

#endif
