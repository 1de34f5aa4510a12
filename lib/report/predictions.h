/* predictions.h: what a model said about images, and two such answers side by side. */
#ifndef RESQ_REPORT_PREDICTIONS_H
#define RESQ_REPORT_PREDICTIONS_H

#include "base/status.h"
#include "record/record.h"
#include <stdint.h>

/* All-zero is empty; everything is owned. */
struct predictions {
    int64_t count, capacity;
    int classes;             /* K */
    int64_t *indices;        /* [count] within the split */
    float *logits;           /* [count,K] */
    uint16_t *labels;        /* [count], 0..K-1 */
    struct record *metadata; /* of the record read or to be written; NULL while only collected */
};

/* Room for `more` images at the end, of K = classes (the same in every call): the caller fills them and adds to
 * count. */
int predictions_reserve(struct predictions *p, int64_t more, int classes, struct message *m) RESQ_USE_RESULT;
/* Reads a predictions record and checks shapes, labels and that every logit is finite; failures name the file. */
int predictions_load(struct predictions *p, const char *path, struct message *m) RESQ_USE_RESULT;
int predictions_from_record(struct predictions *p, const struct record *record, struct message *m) RESQ_USE_RESULT;
/* Adds kind and tensors to record, copied. */
int predictions_to_record(const struct predictions *p, struct record *record, struct message *m) RESQ_USE_RESULT;
void predictions_free(struct predictions *p);

/* Predictions of one model on parts of the images, as those of all of them: parts in the order of their first image, so
 * that the order of the operands does not count. The metadata is the parts' own, the lineages joined (record/join.h).
 * STATUS_MISMATCH where they differ in anything but their images, or two have the same image; names: for messages.
 * parts[0..count-1], count >= 1, change places. */
int predictions_join(struct predictions *out, struct predictions *parts, const char **names, int count,
                     struct message *m) RESQ_USE_RESULT;

/* 0 where both are about the same images: classes, data set, split, count, indices in order, labels;
 * STATUS_MISMATCH otherwise, with the first field that differs. Metadata that either lacks is not compared. */
int predictions_same_images(const struct predictions *a, const struct predictions *b,
                            struct message *m) RESQ_USE_RESULT;

/* Two models on the same images. */
struct pair_metrics {
    int64_t images, agree, both_right, both_wrong, only_first, only_second;
    double mcnemar_p;
    int classes;
    int64_t *first_right, *second_right; /* [classes], by true class */
};
/* a and b must be about the same images (predictions_same_images). */
int pair_compute(struct pair_metrics *out, const struct predictions *a, const struct predictions *b,
                 struct message *m) RESQ_USE_RESULT;
void pair_free(struct pair_metrics *x);

#endif
