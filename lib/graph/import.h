/* import.h: a state_dict without a graph, taken as ResNet-18. */
#ifndef RESQ_GRAPH_IMPORT_H
#define RESQ_GRAPH_IMPORT_H

#include "graph/graph.h"
#include "record/record.h"

/* Renames r's tensors to torchvision's names, adds batch counters where they are missing, reads width and classes
 * off the shapes and builds the graph. */
int state_dict_import(struct record *r, struct graph *g, struct message *m) RESQ_USE_RESULT;

#endif
