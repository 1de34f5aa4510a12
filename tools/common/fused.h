/* fused.h: a fused model and its ranges, as what makes or judges int8 models reads them. */
#ifndef RESQ_TOOLS_FUSED_H
#define RESQ_TOOLS_FUSED_H

#include "graph/model.h"
#include "quant/histogram.h"
#include "record/digest.h"
#include "tools/common/model_file.h"

/* All-zero is empty. */
struct fused {
    struct model model;
    struct ranges ranges;
    struct record *ranges_record;
    char digest[MODEL_DIGEST_SIZE], ranges_hex[DIGEST_HEX];
};

/* Failures name the file: a model at another stage, ranges of another model. fused_close after a failure too. */
int fused_open(struct fused *f, const char *model, const char *ranges, struct model_arguments *given,
               struct message *m) RESQ_USE_RESULT;
/* Adds what it was read from: model=, what was given of a model without graph, ranges=. */
void fused_lineage(const struct fused *f, const struct model_arguments *given, struct lineage *l);
void fused_close(struct fused *f);

#endif
