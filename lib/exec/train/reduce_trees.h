/* reduce_trees.h: what reduce.h's sums have in common. Private to lib/exec/train. */
#ifndef RESQ_EXEC_TRAIN_REDUCE_TREES_H
#define RESQ_EXEC_TRAIN_REDUCE_TREES_H

#include "exec/train/reduce.h"

/* Of all mini-batches of up to `images`: the most subtrees there are, and that a rank owns. */
void reduce_count_trees(struct reduce *r, int images);
/* No slice of reduce_slice_begin is longer. */
size_t reduce_slice_most(size_t count, int ranks);
/* reduce_add_trees of rows of `count`, side by side. */
void reduce_add_doubles(const struct reduce *r, double *rows, size_t count);
void reduce_add_floats(const struct reduce *r, float *rows, size_t count);

#endif
