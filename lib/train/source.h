/* source.h: where a run's mini-batches come from: the stream, which one process alone reads; where several ranks share
 * the run, the first of them hands on what the others need to know of it and their images.
 *
 * Ranks make these calls together. What fails on the first rank fails there alone: the others wait until it ends
 * them. */
#ifndef RESQ_TRAIN_SOURCE_H
#define RESQ_TRAIN_SOURCE_H

#include "data/image.h"
#include "ranks/ranks.h"
#include "train/feed.h"

struct source {
    const struct ranks *ranks; /* NULL: one process */
    int shard;                 /* images of a shard, see exec/train/reduce.h */
    struct feed *feed;         /* of the first rank; NULL elsewhere */
    struct record *stream;     /* metadata of the stream's first batch; this struct's */
    struct image_shape shape;
    int class_count;
    int64_t total, steps; /* images and mini-batches an epoch; total 0 or less: the stream does not say */
    uint8_t *images;      /* of the other ranks: their share of a mini-batch */
    uint16_t *labels;
    int mixed; /* labels2 that an image has, with their shares */
    uint16_t *labels2;
    float *share;
    int64_t surplus; /* feed_surplus */
};

/* As feed_open; all-zero is closed. */
int source_open(struct source *s, const struct ranks *ranks, int shard, const char *path, int batch, int64_t epochs,
                struct message *m) RESQ_USE_RESULT;
int source_start(struct source *s, int64_t epoch, int64_t step, struct message *m) RESQ_USE_RESULT;
/* As feed_next, but images, labels and shares are those of the own share (exec/train/reduce.h) of the mini-batch;
 * count is the whole mini-batch's. */
int source_next(struct source *s, struct minibatch *b, const volatile sig_atomic_t *stop,
                struct message *m) RESQ_USE_RESULT;
/* 1 where the first rank was asked to stop, else 0; the same on every rank. Negative: failure. */
int source_is_stopped(const struct source *s, const volatile sig_atomic_t *stop, struct message *m) RESQ_USE_RESULT;
void source_close(struct source *s);

#endif
