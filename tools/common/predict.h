/* predict.h: runs a model over a stream of batches. */
#ifndef RESQ_TOOLS_PREDICT_H
#define RESQ_TOOLS_PREDICT_H

#include "data/batch.h"
#include "graph/model.h"
#include "ranks/ranks.h"
#include "report/predictions.h"
#include "tools/common/device.h"

struct predict_options {
    int threads, batch; /* batch: most images at once; neither changes a result */
    int quiet;
    struct device_arguments where; /* resolved */
    const char *precision;         /* see exec_options */
    const char *tool;              /* the progress line's name */
    int verbose;
    int flips;                 /* logits are the mean of the image's and of its mirror image's */
    const struct ranks *ranks; /* that share the images; NULL: this process alone */
    const char *model_digest;  /* which must be one on all of them */
};

/* What computed, static strings: exec_isa and exec_precision; tta: what else was looked at, "flip", or NULL. */
struct predict_with {
    const char *isa, *precision, *tta;
};

/* Reads batches from standard input to their end record and predicts every image, in order. reader stays open for
 * what the stream said of its data (batch_reader_close). A model and images of
 * different classes are STATUS_MISMATCH; a model that names none takes the images'. other_data is set to 1 where
 * the model was trained on another data set. Where ranks share the images the first has all this, and the others none:
 * out stays empty there. */
int predict_stream(struct predictions *out, const struct model *model, const struct predict_options *options,
                   struct batch_reader *reader, struct predict_with *with, int *other_data,
                   struct message *m) RESQ_USE_RESULT;

/* Writes the predictions record: the stream's data keys, the model's stage and digest, what computed, the lineage of
 * both sides and what was given of a model without graph. */
int predictions_save(const char *path, const struct predictions *p, const struct batch_reader *reader,
                     const struct model *model, const char *model_digest, const struct predict_with *with,
                     const struct model_given *given, struct message *m) RESQ_USE_RESULT;

#endif
