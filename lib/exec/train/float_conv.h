/* float_conv.h: one convolution or linear layer in floats by itself, forward and both gradients, on values that the
 * caller holds: for what trains parts of a network. The kernels, the cuts of the work and the order of sums are those
 * of training image by image: the same bits for any number of threads. */
#ifndef RESQ_EXEC_TRAIN_FLOAT_CONV_H
#define RESQ_EXEC_TRAIN_FLOAT_CONV_H

#include "base/threads.h"
#include "graph/graph.h"
#include <stddef.h>

struct float_conv; /* opaque */

/* Of node `node`, a convolution or linear layer. The pool is the caller's, and outlives it. isa: see
 * kernel_table_get. */
int float_conv_open(struct float_conv **c, const struct graph *g, int node, struct threads *pool, const char *isa,
                    struct message *m) RESQ_USE_RESULT;
/* Bytes that it holds besides, by so many threads. 0 where the instruction set is unknown. */
size_t float_conv_bytes(const struct graph *g, int node, int threads, const char *isa);
/* y = conv(x, w) + bias [+ residual]: nothing behind it. x [count,H,W,C], w [K,C/G,R,R], bias [K],
 * residual (or NULL) and y [count,H',W',K]. */
void float_conv_forward(struct float_conv *c, const float *w, const float *bias, const float *x, int count,
                        const float *residual, float *y);
/* From dy [count,H',W',K] the gradient dw, summed over the images as base/tree.h says. */
void float_conv_backward_weight(struct float_conv *c, const float *x, const float *dy, int count, float *dw);
/* From dy the gradient dx, added to what stands there where accumulate. */
void float_conv_backward_data(struct float_conv *c, const float *w, const float *dy, int count, float *dx,
                              int accumulate);
void float_conv_close(struct float_conv *c); /* NULL is fine */

#endif
