/* sensitivity.h: analyse's work, from its options to the table, or a part of it, that lib/FORMATS.md describes. */
#ifndef RESQ_TOOLS_SENSITIVITY_H
#define RESQ_TOOLS_SENSITIVITY_H

#include "ptq/analyse.h"
#include "tools/common/fused.h"
#include "tools/common/lowering.h"
#include "tools/common/matching.h"

/* What the options say. */
struct sensitivity {
    const char *model, *ranges, *output;
    int64_t count, threads;
    struct integer_list bits;
    struct lowering lowering; /* its bits are not of interest: each width is tried */
    struct matching matching; /* its options alone */
    int quiet;
    struct model_arguments given;
    int64_t offset, total; /* of a part: its first image, and images of the stream */
    int is_part, merge;
};

/* Reads the images on standard input and writes the table, or the part. */
int sensitivity_run(const struct tool *tool, struct sensitivity *o, struct message *m) RESQ_USE_RESULT;
/* Writes the table of all the parts (ptq/analyse_part.h) that are named. */
int sensitivity_merge(const struct operands *files, const char *output, struct message *m) RESQ_USE_RESULT;

#endif
