/* shapes.h: how large values are, and the shape a kernel is called with. Private to lib/exec and lib/emit. */
#ifndef RESQ_EXEC_PLAN_SHAPES_H
#define RESQ_EXEC_PLAN_SHAPES_H

#include "graph/graph.h"
#include "kernel/contract/shape.h"
#include <stddef.h>

size_t node_elements(const struct node *n); /* of one image's value: H*W*C */

/* Convolution or linear (a 1x1 convolution on one pixel). STATUS_UNSUPPORTED names a node with groups. */
int node_conv_shape(const struct graph *g, int node, struct conv_shape *s, struct message *m) RESQ_USE_RESULT;
/* Output rows of one item of work: at least 32 pixels, at most four items an image. Depends on the shape alone. */
int conv_item_rows(const struct conv_shape *s);

#endif
