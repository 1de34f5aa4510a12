/* rewrite.h: edits of a graph that every pass needs. They keep SSA order; the caller verifies when it is done. */
#ifndef RESQ_PASS_REWRITE_H
#define RESQ_PASS_REWRITE_H

#include "graph/graph.h"

/* Takes node i, 0 to count - 1, out; whoever read it reads node `instead`, which stands before it (-1 where nobody read
 * it). Later nodes move up by one; their indices and pointers to them are then stale. */
void graph_remove(struct graph *g, int i, int instead);

#endif
