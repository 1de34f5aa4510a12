/* held_out.h: the images a training run chooses its best epoch by, and what may not be trained on or chosen with.
 */
#ifndef RESQ_TRAIN_HELD_OUT_H
#define RESQ_TRAIN_HELD_OUT_H

#include "data/batch.h"
#include "exec/infer/exec.h"
#include "graph/model.h"
#include "ranks/ranks.h"
#include "record/digest.h"
#include "train/loss.h"

/* STATUS_MISMATCH where the stream is of the test split, which is for the end alone. name: for the message. */
int data_require_training(const struct record *stream, const char *name, struct message *m) RESQ_USE_RESULT;
/* 0 where training may go on from `model` with these images: data_matches_model, and STATUS_MISMATCH where it says
 * that it was trained on the test split. */
int data_continues_model(const struct record *stream, const struct record *model,
                         struct message *m) RESQ_USE_RESULT;
/* Sets `dataset`, `dataset-digest` and `classes` of a model from its training stream, and `trained-on`: the
 * stream's part, joined with what the model was trained on before (two different parts of one data set together are
 * `all`). */
int data_describe(struct record *model, const struct record *stream, struct message *m) RESQ_USE_RESULT;

/* All-zero: none. */
struct held_out {
    struct image_set set;
    char digest[DIGEST_HEX];   /* of indices, labels and images, however they were cut into batches */
    float *logits;             /* [count,K] */
    const struct ranks *ranks; /* set by the caller: processes that share held_out_evaluate; NULL: one alone */
};

/* path NULL: none. Refused, by name: images of the test split; other classes or another data set than `stream` (the
 * training batches' metadata, NULL: not checked); a part that shares images with the stream's part, or with what
 * `model` (NULL: none) says it was trained on. */
int held_out_open(struct held_out *h, const char *path, const struct record *stream, const struct record *model,
                  struct message *m) RESQ_USE_RESULT;
/* A model that comes in otherwise, by its metadata: refused like `model` where it was trained on these images. path:
 * theirs; whose: "the teacher". Nothing where none are held. */
int held_out_check(const struct held_out *h, const char *path, const struct record *model, const char *whose,
                   struct message *m) RESQ_USE_RESULT;
int held_out_is_open(const struct held_out *h);
/* Loss without smoothing and accuracy of a model of any stage. options: NULL: exec_open's defaults. */
int held_out_evaluate(struct held_out *h, const struct model *model, const struct exec_options *options,
                      struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;
void held_out_close(struct held_out *h);

#endif
