/* stages.h: can every later stage of a study take this network? Asked where a network comes in, before hours are
 * spent on training it. */
#ifndef RESQ_TRAIN_STAGES_H
#define RESQ_TRAIN_STAGES_H

#include "base/text.h"
#include "graph/model.h"

/* Adds a line "PROGRAM: reason, by node" to report for each program that cannot take the float model, nothing where
 * all can: fuse, and qat-finetune (in its own words, from its own checks); evaluate and calibrate take every network.
 * The model stays as it is; a copy of it is made for the while. What depends on weights that training will change, as
 * a sum that could overflow, is not known yet. Negative: memory is out. */
int stages_check(const struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;

#endif
