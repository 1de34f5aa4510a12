/* reduce_queue.h: gradients by weights on their way between ranks while the backward pass goes on. Private to
 * lib/exec/train/reduce.c.
 *
 * Layers wait in the order in which the backward pass gives them. Each is cut into pieces of some hundred KB, which
 * are exchanged like layers of their own: a rank gets its slice of every subtree's sum, adds them up in the tree's
 * order, and sends the slice to the others. A few pieces are under way at once: enough for the links, and so few that
 * the sums that the backward pass waits for (batch norms') do not stand behind a whole layer. Where a piece ends
 * changes no bits: every float is added by itself. */
#ifndef RESQ_EXEC_TRAIN_REDUCE_QUEUE_H
#define RESQ_EXEC_TRAIN_REDUCE_QUEUE_H

#include "exec/train/reduce.h"

/* r: its ranks and trees are known. weights: floats of the largest layer; all: of all layers. */
int reduce_queue_open(struct reduce *r, int images, size_t weights, size_t all, struct message *m) RESQ_USE_RESULT;
size_t reduce_queue_bytes(const struct reduce *r);
void reduce_queue_close(struct reduce *r);

/* Where own subtrees' sums but the first go, a row of `count` floats each. Waits until there is room. */
float *reduce_queue_room(struct reduce *r, size_t count);
/* The layer's sums are there: the first own subtree's in gradient, the others in `more`, which is from
 * reduce_queue_room. */
void reduce_queue_add(struct reduce *r, float *gradient, const float *more, size_t count);

/* A layer was added since the last reduce_wait; the same on every rank at the same call. */
int reduce_queue_is_open(const struct reduce *r);
/* Where one was: as ranks->gather of rows of sums that lie in `all` already. Gets on with the layers while it waits:
 * another rank may wait for these before it gives its part. */
void reduce_queue_gather(struct reduce *r, void *all, const size_t *bytes, const size_t *offset);

#endif
