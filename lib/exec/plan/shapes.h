/* shapes.h: how large values are, and the shape a kernel is called with. Private to lib/exec and lib/emit. */
#ifndef RESQ_EXEC_PLAN_SHAPES_H
#define RESQ_EXEC_PLAN_SHAPES_H

#include "graph/graph.h"
#include "kernel/contract/shape.h"
#include <stddef.h>

size_t node_elements(const struct node *n); /* of one image's value: H*W*C */

/* Of a convolution or a linear layer (a 1x1 convolution on one pixel). */
struct conv_shape node_conv_shape(const struct graph *g, int node);
/* The windows of a pool; of other nodes nothing of meaning. */
struct pool_shape node_pool_shape(const struct graph *g, int node);
/* Output rows of one item of work: at least 32 pixels, at most four items an image. Depends on the shape alone. */
int conv_item_rows(const struct conv_shape *s);

#endif
