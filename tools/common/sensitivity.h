/* sensitivity.h: what analyse measured, as the table that lib/FORMATS.md describes. */
#ifndef RESQ_TOOLS_SENSITIVITY_H
#define RESQ_TOOLS_SENSITIVITY_H

#include "ptq/analyse.h"
#include "report/table.h"

/* Adds columns and rows; notes are the caller's. */
int sensitivity_to_table(struct table *t, const struct analysis *a, const struct model *fused, int64_t images,
                         struct message *m) RESQ_USE_RESULT;

#endif
