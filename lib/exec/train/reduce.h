/* reduce.h: the one place where what the shards of a mini-batch give is added up (base/tree.h): batch norms' sums,
 * forward and backward, the gradients of weights, biases, batch norms and learned scales; and where the extremes of
 * moving ranges meet.
 *
 * Several processes (ranks) may share a mini-batch. A rank owns shards [rank * S / ranks, (rank + 1) * S / ranks) of S
 * and holds their images alone. It adds up the largest subtrees that lie within its shards; these travel, and are added
 * as the tree has it. So a sum has the same bits for any number of ranks, and every rank has all sums, parameters and
 * state. A gradient by weights is cut into slices, one a rank: a rank gets its slice of every subtree's sum, adds them
 * up, and sends the slice to the others, while the backward pass goes on to the layers before (reduce_queue.h). That
 * takes some MB; where a rank owns more than one subtree of a mini-batch of full size, one further copy of all
 * gradients, and some of the largest layer's where it does only of a shorter one.
 *
 * A shard has SHARD_IMAGES images; where devices compute, as many as their gradient was opened with, so that each has
 * enough to do.
 *
 * What fails on the way between ranks is kept until reduce_end asks for it. Private to lib/exec/train, lib/train
 * and lib/ptq. */
#ifndef RESQ_EXEC_TRAIN_REDUCE_H
#define RESQ_EXEC_TRAIN_REDUCE_H

#include "base/tree.h"
#include "ranks/ranks.h"

/* Shards [begin, end) of the mini-batch. */
struct subtree {
    int begin, end;
};

/* What of a mini-batch a rank owns. */
struct share {
    int shards;        /* of the mini-batch */
    int begin, end;    /* own shards; none where begin == end */
    int first, images; /* own images: the first's number in the mini-batch, how many */
};

struct reduce {
    const struct ranks *ranks; /* NULL: one process */
    int shard;                 /* images of one, but for the last */
    int images;                /* of the mini-batch */
    struct share share;
    struct subtree *trees;      /* [tree_count] that the ranks own, in order of shards */
    int *trees_first;           /* [ranks + 1]: rank i's are from trees_first[i] on */
    int tree_count;             /* of this mini-batch */
    int most_trees;             /* of any mini-batch */
    int own_first, own_count;   /* own ones: trees[own_first .. own_first + own_count - 1] */
    int most_own;               /* the most that a rank owns */
    int own_room;               /* the same, of any mini-batch */
    double *rows;               /* [most_trees][values], then rows of one tree */
    size_t *table;              /* [2][ranks]: bytes, and where */
    size_t values;              /* doubles of a row */
    struct reduce_queue *queue; /* gradients by weights on their way; NULL: one process, or no weights */
    int status;                 /* the first failure since reduce_begin, or 0 */
    struct message message;     /* of status */
};

/* Which images of a mini-batch of `images`, in shards of `shard`, rank `rank` of `ranks` owns. */
struct share share_of(int images, int shard, int rank, int ranks);
/* The most images that a rank owns of a mini-batch of at most so many. */
int share_most_images(int images, int shard, int ranks);

/* Room for mini-batches of up to `images` images, `values` doubles a part, `weights` floats a layer, `all` floats of
 * all layers between two calls of reduce_wait. */
int reduce_open(struct reduce *r, const struct ranks *ranks, int images, int shard, size_t values, size_t weights,
                size_t all, struct message *m) RESQ_USE_RESULT;
size_t reduce_bytes(const struct reduce *r);
void reduce_close(struct reduce *r);

/* A mini-batch of `images` begins. */
void reduce_begin(struct reduce *r, int images);
/* reduce_wait; 0, or the first failure on the way since reduce_begin. */
int reduce_end(struct reduce *r, struct message *m) RESQ_USE_RESULT;

/* The parts that this rank's shards give: part i's values at first + i * stride; `each` parts a whole shard, `count` in
 * all. Parts are in order of shards. */
struct parts {
    const double *first;
    size_t stride;
    int count, each;
};

/* The sums of `values` values over the parts of the whole mini-batch: a shard's parts in order from 0, shards over the
 * tree, in double. Valid until the next call. */
const double *reduce_sums(struct reduce *r, const struct parts *parts, int values);
/* The least and the largest of a value and 0, over the parts of the whole mini-batch: value 0's least, value 1's
 * largest. */
void reduce_extremes(struct reduce *r, const struct parts *parts, double *low, double *high);

/* Writes the sum of own shards [begin, end) to gradient [count]; the first own one is 0. */
typedef void reduce_weight_work(void *context, int begin, int end, float *gradient);
/* A gradient by weights of the whole mini-batch, which is there after the next reduce_wait: until then nobody else
 * reads or writes `gradient`. One process has it at once. */
void reduce_weights(struct reduce *r, reduce_weight_work *work, void *context, float *gradient, size_t count);
/* Gets on with what is under way, as far as that goes without waiting: to be called between pieces of other work every
 * few milliseconds, by the thread that makes all these calls. */
void reduce_poke(struct reduce *r);
/* All gradients by weights are there, or reduce_end says what failed. */
void reduce_wait(struct reduce *r);

/* ---- for who keeps the rows elsewhere: a device ---- */

/* Where a rank's slice of `count` floats begins; the one after it begins where it ends. */
size_t reduce_slice_begin(size_t count, int rank, int ranks);
/* Row `from` of the subtrees' is to be added to row `to`. */
typedef int reduce_add_row(void *context, int to, int from, struct message *m);
/* All of them, in the tree's order: the whole sum lies in row 0. */
int reduce_add_trees(const struct reduce *r, reduce_add_row *add, void *context, struct message *m) RESQ_USE_RESULT;

#endif
