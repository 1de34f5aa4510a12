/* batch_sums.h: the one place where what the parts of a mini-batch give is added up: batch norms' sums, forward and
 * backward, and the gradients of biases, of batch norms and of learned scales; and where the extremes of moving
 * ranges meet. (Gradients by weights are summed inside their kernels, over the same images in the same order.)
 *
 * A part is what one item of work gives, an image or some rows of a block of 32 images; which they are depends on
 * shapes alone. Sums run over the parts in their order, from 0, in double: the same bits for any number of threads.
 * Today every part of a mini-batch is made by this process. Private to lib/exec/train. */
#ifndef RESQ_EXEC_TRAIN_BATCH_SUMS_H
#define RESQ_EXEC_TRAIN_BATCH_SUMS_H

#include <math.h>
#include <stddef.h>

/* The sum of first[i * stride] over count parts. */
static inline double batch_sum(const double *first, size_t stride, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += first[(size_t)i * stride];
    return sum;
}

/* The least of them and 0; the largest of them and 0. */
static inline double batch_low(const double *first, size_t stride, int count)
{
    double low = 0;
    for (int i = 0; i < count; i++)
        low = fmin(low, first[(size_t)i * stride]);
    return low;
}

static inline double batch_high(const double *first, size_t stride, int count)
{
    double high = 0;
    for (int i = 0; i < count; i++)
        high = fmax(high, first[(size_t)i * stride]);
    return high;
}

#endif
