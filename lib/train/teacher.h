/* teacher.h: a trained network whose logits, of the very images of each mini-batch, a training run learns from besides
 * the labels. It runs in the inference engine, with its own normalisation. */
#ifndef RESQ_TRAIN_TEACHER_H
#define RESQ_TRAIN_TEACHER_H

#include "exec/infer/exec.h"
#include "record/lineage.h"
#include "train/distill.h"

struct teacher_options {
    const char *model; /* file of any stage, with its graph; NULL: no teacher */
    struct distillation how;
};

/* All-zero: none. */
struct teacher {
    struct model model;
    struct exec *exec;
    struct distillation how;
    struct record *side; /* metadata of its file, for the lineage */
    float *logits;       /* [batch,K] */
};

/* Reads the model and adds it to the lineage: teacher=, teacher-share=, temperature=. Refused, by file: one without a
 * graph, one of other classes, images or data than `stream` (the training batches' metadata) and `start` (the network
 * that learns), one that was trained on the test split. Nothing where there is none. */
int teacher_load(struct teacher *t, const struct teacher_options *o, const struct record *stream,
                 const struct model *start, struct lineage *lineage, struct message *m) RESQ_USE_RESULT;
/* What it will hold for mini-batches of so many. */
int teacher_plan_bytes(const struct teacher *t, const struct exec_options *how, int batch, size_t *bytes,
                       struct message *m) RESQ_USE_RESULT;
int teacher_open(struct teacher *t, const struct exec_options *how, int batch, struct message *m) RESQ_USE_RESULT;
static inline int teacher_is_there(const struct teacher *t)
{
    return t->exec != NULL;
}
/* distill with its logits of these images u8 [count,H,W,C]. */
int teacher_teach(struct teacher *t, const uint8_t *images, int count, int classes, const float *logits,
                  double before, float *dlogits, struct loss_sums *sums, struct message *m) RESQ_USE_RESULT;
void teacher_close(struct teacher *t);

#endif
