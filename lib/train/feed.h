/* feed.h: a stream of batches of any size -> mini-batches of one size, read ahead in a thread.
 *
 * An epoch's images come in the stream's order, `batch` at a time; what is left at its end is a smaller mini-batch
 * of its own. None holds images of two epochs. What arrives in which piece, and when, changes nothing. */
#ifndef RESQ_TRAIN_FEED_H
#define RESQ_TRAIN_FEED_H

#include "data/batch.h"
#include <signal.h>
#include <stdint.h>

struct minibatch {
    int64_t epoch;     /* 0-based */
    int64_t step;      /* within the epoch, 0-based */
    int count;         /* 1..batch */
    int last;          /* ends its epoch */
    uint8_t *images;   /* [count,H,W,C] */
    uint16_t *labels;  /* [count] */
    int mixed;         /* further labels an image, the same in the whole stream */
    uint16_t *labels2; /* [count,mixed]; NULL with none */
    float *share;      /* [count,mixed]: theirs, see struct targets */
};

struct feed; /* opaque */

/* Opens the stream (NULL, "-": standard input) and reads its first batch, so that the data is known; starts no
 * thread. Mini-batches of `batch` >= 1 images; the stream is to bring `epochs` >= 1 epochs. */
int feed_open(struct feed **f, const char *path, int batch, int64_t epochs, struct message *m) RESQ_USE_RESULT;
/* The stream's data: metadata, classes, dataset, split, part. Only before feed_start. */
const struct batch_reader *feed_stream(const struct feed *f);
int64_t feed_total(const struct feed *f); /* images an epoch */
int64_t feed_steps(const struct feed *f); /* mini-batches an epoch */

/* Where to go on: mini-batches before (epoch, step) are read past. The stream may begin at epoch 0 or any up to
 * `epoch`; a later beginning is STATUS_MISMATCH. Starts reading ahead; without a thread to be had, feed_next reads
 * itself. */
int feed_start(struct feed *f, int64_t epoch, int64_t step, struct message *m) RESQ_USE_RESULT;

/* 1: *b is the next mini-batch, valid until the next call; 0: all epochs were delivered and the stream was read to
 * its end record (images of epochs beyond are read past, see feed_surplus); negative: failure, among them an end
 * before all epochs came. STATUS_INTERRUPTED: *stop (may be NULL) became non-zero while waiting; also where the
 * stream broke off and *stop was set at the same moment, because an interrupt reaches every program of a pipe. */
int feed_next(struct feed *f, struct minibatch *b, const volatile sig_atomic_t *stop,
              struct message *m) RESQ_USE_RESULT;
int64_t feed_surplus(const struct feed *f); /* images of epochs that were not asked for; after feed_next gave 0 */
/* Does not wait for an input that does not come: a thread caught in a read is left to end by itself. NULL is fine.
 */
void feed_close(struct feed *f);

#endif
