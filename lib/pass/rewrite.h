/* rewrite.h: edits of a graph that every pass needs. They keep SSA order; the caller verifies when it is done. */
#ifndef RESQ_PASS_REWRITE_H
#define RESQ_PASS_REWRITE_H

#include "graph/graph.h"

/* Takes node i out; whoever read it reads `instead` (before i, or nobody read it). Later nodes move up by one. */
void graph_remove(struct graph *g, int i, int instead);

#endif
